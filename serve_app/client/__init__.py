"""A client of the speech server, for threads (`Client`) and for asyncio (`AsyncClient`).

    from serve_app.client import Client

    with Client("http://127.0.0.1:7860") as client:
        client.save("Hello.", "hello.mp3")

It needs nothing of the server: importing it is light, and the two share every module but
`client.py` and `async_client.py`. What can go wrong is in `errors.py`.
"""

from serve_app.client.answers import (
    ControlRange,
    Health,
    OutputFile,
    OutputInfo,
    PresetInfo,
    ServerConfig,
    SpokenFiles,
    VoiceInfo,
    Word,
)
from serve_app.client.async_client import AsyncClient
from serve_app.client.client import Client
from serve_app.client.errors import (
    CannotBeSent,
    NotFound,
    Overloaded,
    RequestRefused,
    ServerError,
    ServerUnreachable,
    StreamBroken,
    Unauthorized,
    UnexpectedAnswer,
)
from serve_app.client.events import AudioDelta, Done, SpeechEvent, Words
from serve_app.client.files import Progress, SavedAudio
from serve_app.client.options import ConversionOptions, SpeechOptions
from serve_app.client.streams import AsyncAudioStream, AsyncEventStream, AudioStream, EventStream

__all__ = [
    "AsyncAudioStream",
    "AsyncClient",
    "AsyncEventStream",
    "AudioDelta",
    "AudioStream",
    "CannotBeSent",
    "Client",
    "ControlRange",
    "ConversionOptions",
    "Done",
    "EventStream",
    "Health",
    "NotFound",
    "OutputFile",
    "OutputInfo",
    "Overloaded",
    "PresetInfo",
    "Progress",
    "RequestRefused",
    "SavedAudio",
    "ServerConfig",
    "ServerError",
    "ServerUnreachable",
    "SpeechEvent",
    "SpeechOptions",
    "SpokenFiles",
    "StreamBroken",
    "Unauthorized",
    "UnexpectedAnswer",
    "VoiceInfo",
    "Word",
    "Words",
]
