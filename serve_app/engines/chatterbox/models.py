"""The Chatterbox models there are: their files, and the figures that upstream gives each.

Nothing here imports torch, so that the API and the command line can read it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

SAMPLE_RATE = 24_000
"""Hz of what S3Gen makes, and of the reference it imitates."""

TOKEN_RATE = 25
"""Speech tokens for each second of audio."""

SAMPLES_PER_TOKEN = SAMPLE_RATE // TOKEN_RATE
FRAMES_PER_TOKEN = 2
SAMPLES_PER_FRAME = SAMPLES_PER_TOKEN // FRAMES_PER_TOKEN

SPEECH_VOCABULARY = 6561
"""Token ids below this are speech; those above are marks."""


class Family(StrEnum):
    """The models of one release; the value is what a configuration says."""

    ENGLISH = "english"
    TURBO = "turbo"
    MULTILINGUAL = "multilingual"


AlignedHead = tuple[int, int]
"""A layer of T3 and a head of it that follows the text as it is spoken."""


@dataclass(frozen=True, slots=True)
class Controls:
    """How T3's next token is drawn. The defaults of each model are upstream's."""

    temperature: float  # 0 takes the most likely token
    top_p: float  # 1 keeps all
    min_p: float  # 0 keeps all
    top_k: int  # 0 keeps all
    repetition_penalty: float  # 1 is none
    cfg_weight: float  # 0 is no guidance; without effect on Turbo


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One release of Chatterbox, as upstream's `from_local` loads it."""

    family: Family
    repository: str
    t3_file: str
    s3gen_file: str
    voice_encoder_file: str
    reading_files: tuple[str, ...]  # of the tokenizer; the first is what upstream opens
    controls: Controls
    guided: bool  # decodes a pair of rows for classifier-free guidance
    emotive: bool  # takes exaggeration
    meanflow: bool  # S3Gen of few steps without guidance
    flow_steps: int
    t3_prompt_seconds: float  # of the reference whose tokens T3 continues
    closing_silence: int  # tokens of silence after the last
    aligned_heads: tuple[AlignedHead, ...]  # their mean says what is being said; none is unknown
    default_voice_file: str = "conds.pt"
    s3gen_prompt_seconds: float = 10.0  # of the reference that S3Gen continues

    @property
    def conversion_files(self) -> tuple[str, ...]:
        """The files that conversion needs."""
        return (self.s3gen_file,)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of the release."""
        return (
            self.t3_file,
            self.s3gen_file,
            self.voice_encoder_file,
            *self.reading_files,
            self.default_voice_file,
        )


ENGLISH = ModelSpec(
    family=Family.ENGLISH,
    repository="ResembleAI/chatterbox",
    t3_file="t3_cfg.safetensors",
    s3gen_file="s3gen.safetensors",
    voice_encoder_file="ve.safetensors",
    reading_files=("tokenizer.json",),
    controls=Controls(0.8, top_p=1.0, min_p=0.05, top_k=0, repetition_penalty=1.2, cfg_weight=0.5),
    guided=True,
    emotive=True,
    meanflow=False,
    flow_steps=10,
    t3_prompt_seconds=6.0,
    closing_silence=0,
    aligned_heads=tuple((9, head) for head in range(16)),  # as upstream's first release read them
)
TURBO = ModelSpec(
    family=Family.TURBO,
    repository="ResembleAI/chatterbox-turbo",
    t3_file="t3_turbo_v1.safetensors",
    s3gen_file="s3gen_meanflow.safetensors",
    voice_encoder_file="ve.safetensors",
    reading_files=(
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
    ),
    controls=Controls(
        0.8, top_p=0.95, min_p=0.0, top_k=1000, repetition_penalty=1.2, cfg_weight=0.0
    ),
    guided=False,
    emotive=False,
    meanflow=True,
    flow_steps=2,
    t3_prompt_seconds=15.0,
    closing_silence=3,
    aligned_heads=(),
)
MULTILINGUAL = replace(
    ENGLISH,
    family=Family.MULTILINGUAL,
    t3_file="t3_mtl23ls_v2.safetensors",
    s3gen_file="s3gen.pt",
    voice_encoder_file="ve.pt",
    reading_files=("grapheme_mtl_merged_expanded_v1.json", "Cangjie5_TC.json"),
    controls=replace(ENGLISH.controls, repetition_penalty=2.0),
    aligned_heads=((12, 15), (13, 11), (9, 2)),  # upstream's `LLAMA_ALIGNED_HEADS`
)

SPECS: dict[Family, ModelSpec] = {spec.family: spec for spec in (ENGLISH, TURBO, MULTILINGUAL)}
