"""Run by Alembic: the steps go through the connection that `upgrade` was given."""

from __future__ import annotations

from alembic import context

from serve_app.library.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the transaction is the caller's, and ends with him
)
context.run_migrations()
