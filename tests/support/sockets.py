"""A client of GET /api/v1/tts/ws that remembers what it heard, and a site for its voice or page."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect


@dataclass
class Heard:
    """What the server has sent, in order: events, and the audio as bytes."""

    messages: list[dict[str, Any] | bytes] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if isinstance(m, dict) and m["type"] == kind]

    @property
    def audio(self) -> bytes:
        return b"".join(m for m in self.messages if isinstance(m, bytes))


class Talker:
    """One socket, from the client's side."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def start(self, **fields: Any) -> None:
        self.send("start", **{"seed": 1, **fields})

    def say(self, *texts: str) -> None:
        for text in texts:
            self.send("text", text=text)

    def hear(self, *until: str) -> Heard:
        """Everything up to the first event of one of these types, `bytes` for audio."""
        heard = Heard()
        while True:
            message = self.connection.recv(timeout=30)
            heard.messages.append(json.loads(message) if isinstance(message, str) else message)
            last = heard.messages[-1]
            if ("bytes" if isinstance(last, bytes) else last["type"]) in until:
                return heard

    def speak(self, *texts: str, **fields: Any) -> Heard:
        """A whole utterance."""
        self.start(**fields)
        self.say(*texts)
        self.send("end")
        return self.hear("done", "error")


@contextlib.contextmanager
def talking(url: str, **options: Any) -> Iterator[Talker]:
    """A socket to the service at `url`, closed when the block is left."""
    address = url.replace("http", "ws", 1) + "/api/v1/tts/ws"
    with connect(address, proxy=None, **options) as connection:
        yield Talker(connection)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """A folder as a web site of its own, at an address of this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
