"""The body of POST /api/v1/tts, as the contract lists it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from serve_app.api.fields import Number, OutputFields, StreamFormat


class NormalizeMethod(StrEnum):
    """How loudness is normalised: EBU R 128 loudness, or the sample peak."""

    EBU = "ebu"
    PEAK = "peak"


class SpeechBody(OutputFields):
    """What to say, how, and in which formats.

    Fields nobody knows are not refused, so that clients written for similar servers work; the
    answer names them as ignored.
    """

    model_config = ConfigDict(extra="allow")

    text: str = Field(description="What to say; at most 10,000 characters by default.")
    reference_audio_filename: str | None = Field(
        default=None, description="A voice: path, name or URL; null is the engine's default."
    )
    stream_format: StreamFormat = Field(
        default=StreamFormat.AUDIO, description="sse streams server-sent events."
    )
    timestamps: Literal["word"] | None = Field(
        default=None, description="word: say when each word begins and ends (JSON, sse)."
    )
    language: str = "en"
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="0 draws one and reports it.")

    exaggeration: Number = Field(default=0.5, ge=0, le=2)
    temperature: Number = Field(default=0.75, ge=0, le=2)
    cfg_weight: Number = Field(default=1.0, ge=0, le=3)
    top_p: Number | None = Field(default=None, gt=0, le=1)
    min_p: Number | None = Field(default=None, ge=0, le=1)
    repetition_penalty: Number | None = Field(default=None, ge=1, le=3)

    speed_factor: Number = Field(default=1.0, ge=0.5, le=2.0, description="The pitch is kept.")
    speed_factor_library: Literal["auto", "audiostretchy", "librosa", "torchaudio"] = "auto"
    trim: bool = Field(default=False, description="Cut leading and trailing silence.")
    trim_threshold_ms: int = Field(default=200, ge=50, le=1000)
    normalize_audio: bool = Field(default=False, description="Applies to the stored files only.")
    normalize_method: NormalizeMethod = NormalizeMethod.EBU
    normalize_level: Number = Field(default=-24.0, ge=-70, le=0, description="LUFS, or dBFS.")
    normalize_tp: Number = Field(default=-2.0, ge=-9, le=0, description="True peak, dBTP.")
    normalize_lra: Number = Field(default=7.0, ge=1, le=50, description="Loudness range, LU.")

    to_lowercase: bool = False
    normalize_spacing: bool = True
    fix_dot_letters: bool = True
    remove_reference_numbers: bool = True
    sound_words_field: str = Field(
        default="", max_length=10_000, description="Lines of word=>replacement."
    )
    enable_batching: bool = Field(default=False, description="Speak several sentences at once.")
    smart_batch_short_sentences: bool = Field(default=True, description="Join short ones.")

    num_candidates_per_chunk: int = Field(default=1, ge=1, le=10)
    max_attempts_per_candidate: int = Field(default=3, ge=1, le=10)
    bypass_whisper_checking: bool = True
    whisper_model_name: str = "medium"
    use_faster_whisper: bool = True
    use_longest_transcript_on_fail: bool = True

    use_auto_editor: bool = False
    keep_original_wav_ae: bool = False
    ae_threshold: Number | None = None
    ae_margin: Number | None = None
    enable_parallel: bool = True
    num_parallel_workers: int | None = None
    disable_watermark: bool = True
