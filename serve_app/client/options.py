"""The further options of a request. One that is None or left out is the server's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class SpeechOptions(TypedDict, total=False):
    """How to speak. The server names those that have no effect with its engine."""

    voice: str | None  # a path, name or URL; None is the engine's default voice
    language: str | None
    seed: int | None  # >= 1; 0 draws one, and the answer says which
    speed: float | None  # 0.5..2.0, the pitch is kept

    exaggeration: float | None  # 0..2
    temperature: float | None  # 0..2
    cfg_weight: float | None  # 0..3
    top_p: float | None  # 0..1
    min_p: float | None  # 0..1
    repetition_penalty: float | None  # 1..3

    trim: bool | None  # cut the silence before and after
    trim_threshold_ms: int | None  # 50..1000
    normalize_audio: bool | None  # of the stored files only
    normalize_method: Literal["ebu", "peak"] | None
    normalize_level: float | None  # LUFS, or dBFS
    normalize_tp: float | None  # dBTP
    normalize_lra: float | None  # LU

    project: str | None  # a folder below outputs/
    sound_words: str | None  # lines of word=>replacement
    to_lowercase: bool | None
    normalize_spacing: bool | None
    fix_dot_letters: bool | None
    remove_reference_numbers: bool | None
    enable_batching: bool | None
    smart_batch_short_sentences: bool | None

    bypass_whisper_checking: bool | None
    num_candidates_per_chunk: int | None
    max_attempts_per_candidate: int | None
    disable_watermark: bool | None


class ConversionOptions(TypedDict, total=False):
    """How to convert a voice."""

    chunk_sec: float | None  # 1..300: no piece that is converted at once is longer
    overlap_sec: float | None  # 0..5: pieces are cross-faded over so much
    project: str | None  # a folder below outputs/
    disable_watermark: bool | None


class VoiceDescription(TypedDict, total=False):
    """What is said of a voice."""

    name: str | None  # for people; requests name a voice by its file
    description: str | None
    tags: Sequence[str] | None
    folder: str | None  # below the folder of voices
    default_parameters: Mapping[str, Any] | None  # of speech in it, where a request has none


class VoiceFilters(TypedDict, total=False):
    """Which voices to list: those that match all of it."""

    search: str | None
    tag: str | None
    folder: str | None


class OutputFilters(TypedDict, total=False):
    """Which outputs to list: those that match all of it."""

    search: str | None
    generation_type: Literal["tts", "vc", "concat"] | None
    folder: str | None
    date_from: str | None  # ISO 8601
    date_to: str | None  # ISO 8601
