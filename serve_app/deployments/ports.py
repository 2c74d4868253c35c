"""Ports nobody listens on."""

from __future__ import annotations

import contextlib
import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_000  # below the range that systems give to clients


def is_free(host: str, port: int) -> bool:
    """Can `port` be bound at `host` now?"""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now."""
    return free_port_range(1)


def free_port_range(length: int) -> int:
    """The first of `length` consecutive ports that are free now.

    Raises:
        OSError: none was found.
    """
    for _ in range(200):
        first = random.randrange(_LOWEST, _HIGHEST - length)
        if all(is_free("127.0.0.1", port) for port in range(first, first + length)):
            return first
    raise OSError(f"No {length} free ports in a row between {_LOWEST} and {_HIGHEST}.")
