"""Every name that `--voice` takes on a server."""

from __future__ import annotations

from dataclasses import dataclass

from serve_app.client import Client, VoiceInfo


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """A name, and what stands behind it."""

    name: str
    kind: str  # library, engine or preset
    info: VoiceInfo | None = None  # of one in the library


def known_voices(client: Client, search: str = "") -> list[KnownVoice]:
    """The voices of the library that match, then the engine's own and the presets, likewise.

    Raises:
        ServerError: the server cannot tell.
    """
    library = [
        KnownVoice(voice.path, "library", voice) for voice in client.voices.list(search=search)
    ]
    config = client.config()
    others = [KnownVoice(name, "engine") for name in config.engines.tts.voices]
    others += [KnownVoice(preset.name, "preset") for preset in config.presets]
    matching = (voice for voice in others if search.casefold() in voice.name.casefold())
    return [*library, *matching]
