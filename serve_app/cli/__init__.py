"""The `serve-app` program: run the service, and use one from a terminal."""

import sys

__all__ = ["main"]


def main() -> None:
    """The `serve-app` program, which Ctrl-C ends quietly even while it is being imported."""
    try:
        from serve_app.cli.program import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
