"""What the library does with audio, and within which bounds: `audio/` handed to `library/`."""

from __future__ import annotations

from pathlib import Path

from serve_app.audio.decode import Bounds, Decoded, inspect, normalise
from serve_app.audio.sizes import stored_size
from serve_app.audio.transcode import transcode
from serve_app.domain.types import AudioFormat
from serve_app.library.entries import AudioFacts
from serve_app.library.tools import AudioTools
from serve_app.settings import LimitSettings


def audio_facts(decoded: Decoded) -> AudioFacts:
    """What `audio/` found out, as the library keeps it."""
    return AudioFacts(
        format=decoded.format,
        seconds=decoded.seconds,
        sample_rate=decoded.sample_rate,
        size_bytes=decoded.size_bytes,
        digest=decoded.digest,
        is_plain=decoded.is_plain,
    )


def bounds(limits: LimitSettings, max_seconds: float) -> Bounds:
    """What a file from outside may be."""
    return Bounds(
        max_bytes=limits.max_upload_bytes,
        max_seconds=max_seconds,
        max_expansion=limits.max_expansion,
    )


def audio_tools(limits: LimitSettings) -> AudioTools:
    """The tools, for files that were put into a folder by hand and for outputs."""
    widest = bounds(limits, max(limits.max_input_seconds, limits.max_voice_seconds))

    def normalised(source: Path, destination: Path) -> AudioFacts:
        return audio_facts(normalise(source, destination, widest))

    def inspected(source: Path) -> AudioFacts:
        return audio_facts(inspect(source, widest))

    def size(audio_format: AudioFormat, seconds: float, sample_rate: int) -> int | None:
        return stored_size(audio_format, round(seconds * sample_rate), sample_rate)

    return AudioTools(normalised, inspected, transcode, size)
