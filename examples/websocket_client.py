"""Speak what a language model writes, while it writes: text goes in word by word, audio comes out.

    python examples/websocket_client.py http://127.0.0.1:7860 answer.wav

Needs the package `websockets`. docs/websocket.md describes the protocol.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from collections.abc import AsyncIterator

from websockets.asyncio.client import ClientConnection, connect

ANSWER = (
    "Sure, I can explain that. Dr. Smith measured 3.14 volts, which is about 1,000 times more "
    "than he had expected. The rest of the story is short: he bought a new meter."
)


async def language_model() -> AsyncIterator[str]:
    """Stands for the stream of tokens of a real one."""
    for word in ANSWER.split(" "):
        yield word + " "
        await asyncio.sleep(0.02)


async def write(socket: ClientConnection) -> None:
    """Pass the tokens on as they come."""
    async for token in language_model():
        await socket.send(json.dumps({"type": "text", "text": token}))
    await socket.send(json.dumps({"type": "end"}))


async def listen(socket: ClientConnection, path: str) -> None:
    """Save the audio, and print each word with the time at which it is said."""
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        async for message in socket:
            if isinstance(message, bytes):
                file.writeframes(message)
                continue
            match json.loads(message):
                case {"type": "started", "sample_rate": rate}:
                    file.setframerate(rate)
                case {"type": "alignment", "words": list(words)}:
                    for word in words:
                        print(f"{word['start']:7.3f} {word['end']:7.3f} {word['word']}")
                case {"type": "error", "error": error}:
                    raise SystemExit(error)
                case {"type": "done", "duration_seconds": seconds}:
                    print(f"{seconds:.2f} seconds of audio in {path}")
                    return


async def main(server: str, path: str) -> None:
    """Write and listen at the same time."""
    async with connect(server.replace("http", "ws", 1) + "/api/v1/tts/ws") as socket:
        start = {"type": "start", "format": "pcm", "timestamps": "word"}
        await socket.send(json.dumps(start))
        await asyncio.gather(write(socket), listen(socket, path))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
