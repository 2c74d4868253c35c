"""The values that travel through the service, all immutable.

A request comes in as HTTP, becomes a `SpeechRequest` or a `ConversionRequest`, is made by an engine
as a sequence of `PcmChunk` and leaves as one `AudioFormat`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
"""Signed 16-bit mono PCM, shape [n]."""


class AudioFormat(StrEnum):
    """An encoding a client can ask for; the value is both its API name and its file extension."""

    WAV = "wav"
    MP3 = "mp3"
    FLAC = "flac"
    OPUS = "opus"
    AAC = "aac"
    PCM = "pcm"
    ULAW = "ulaw"
    ALAW = "alaw"


@dataclass(frozen=True, slots=True)
class WordTiming:
    """When a word is said, in seconds from the beginning of the speech it belongs to."""

    word: str  # as it is written, with the punctuation that touches it
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """A stretch of speech: the unit engines yield and everything after them consumes."""

    samples: Samples
    sample_rate: int  # Hz
    words: tuple[WordTiming, ...] = ()  # that begin in it, or soon after; only where asked for

    @property
    def seconds(self) -> float:
        """Duration of the chunk when played, in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Sampling:
    """The controls of a generative engine. None means the engine's own default."""

    exaggeration: float | None = None
    temperature: float | None = None
    cfg_weight: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


class Shelf(StrEnum):
    """A root of the library: what lies below it, and under which name the API shows it."""

    VOICES = "voices"
    VC_INPUTS = "vc_inputs"
    OUTPUTS = "outputs"


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """Audio that each process of the service can read from the store: a 16-bit mono WAV file."""

    shelf: Shelf
    key: str  # below the root of its shelf; may be hidden
    digest: str  # SHA-256 of its samples as little-endian bytes, hexadecimal
    seconds: float


@dataclass(frozen=True, slots=True)
class Listening:
    """How much of a recording an engine wants to hear, to know the voice in it."""

    seconds: float  # at most
    spread: bool  # in stretches over all of it; else from its beginning


@dataclass(frozen=True, slots=True)
class VoiceShape:
    """A voice that is made from another by changing it; the default changes nothing."""

    pitch: float = 1.0  # times the median F0; 0.5..2
    formants: float = 1.0  # times the frequencies of the formants; 0.75..1.35
    intonation: float = 1.0  # times the movements of the pitch around its median; 0.3..2
    brightness: float = 0.0  # dB per octave added above 500 Hz; -6..6


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One utterance to speak: text already cleaned and cut into chunks the engine speaks well."""

    chunks: tuple[str, ...]
    seed: int  # >= 1; the same request with the same seed gives the same samples
    language: str = "en"
    voice: str | None = None  # a built-in voice of the engine; None is its default
    reference: StoredAudio | None = None  # a voice for engines that take a reference
    speed: float = 1.0  # 0.5..2.0; engines without `native_speed` are always given 1.0
    sampling: Sampling = field(default_factory=Sampling)
    word_timings: bool = False  # whether chunks are to say which words they hold
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, known without loading its model."""

    name: str
    sample_rate: int  # Hz of every chunk it yields
    languages: tuple[str, ...]
    voices: tuple[str, ...]  # built in; the first is the default
    controls: frozenset[str]  # names of the request's fields that change what it says
    native_speed: bool  # speaks faster or slower by itself, so audio need not be stretched
    max_chunk_chars: int  # the longest chunk of text it speaks well
    first_chunk_chars: int  # the longest first chunk that still lets audio start early
    scripts: tuple[str, ...] | None  # Unicode script names it pronounces ("LATIN"); None is any
    reference: Listening | None = None  # of a recording whose voice it speaks in; None if it cannot
    word_timings: bool = False  # knows when it says which word


@dataclass(frozen=True, slots=True)
class Joining:
    """How a conversion is cut into pieces and joined again."""

    piece_seconds: float = 60.0  # 1..300; no piece that is converted at once is longer
    overlap_seconds: float = 0.1  # 0..5; pieces are cross-faded over so much
    is_live: bool = False  # the source is being spoken: nobody should wait for much of it


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """A recording, or speech yet to come, that is to be said again in the voice of `target`."""

    source: StoredAudio | SpeechRequest
    target: StoredAudio | VoiceShape
    joining: Joining = field(default_factory=Joining)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ConversionCapabilities:
    """What a conversion engine can do, known without loading its model."""

    name: str
    sample_rate: int  # Hz of what goes in and of what comes out
    source_seconds: float  # of the source it wants to have heard before it begins; 0 is nothing
    target: Listening  # of the voice to speak in
    shapes: bool = False  # whether it makes a voice from the source's by a `VoiceShape`


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How many replicas stand behind a backend, and why they may not."""

    running: int
    starting: int
    failure: str | None = None  # a one-line reason when replicas cannot start


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy an engine is now."""

    running: int = 0  # requests that are being made
    waiting: int = 0  # requests that are not begun
    batch_size: float = 0.0  # requests served by one step of the model, recently
    cache_use: float = 0.0  # 0..1 of the memory that holds running requests
    real_time_factor: float = 0.0  # seconds of work for each second of audio, recently
