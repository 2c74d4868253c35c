"""The schema of the catalogue, as steps from an empty database to the newest.

A change of `library/tables.py` needs a new file in `versions/`; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection


class NewerSchema(RuntimeError):
    """The database was written by a newer version of the service than this one."""


def upgrade(connection: Connection) -> None:
    """Bring the schema up to date, within the transaction of `connection`.

    Raises:
        NewerSchema: the database has a schema that this code does not know.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None:
        _require_known(script, current)
    command.upgrade(config, "head")


def _require_known(script: ScriptDirectory, revision: str) -> None:
    try:
        script.get_revision(revision)
    except CommandError as error:
        raise NewerSchema(
            f"The database has schema {revision}, this version knows up to "
            f"{script.get_current_head()}: run the version that wrote it, or a newer one."
        ) from error
