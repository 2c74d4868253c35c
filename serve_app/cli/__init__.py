"""The `serve-app` program: run the service, and use one from a terminal."""

from serve_app.cli.program import main

__all__ = ["main"]
