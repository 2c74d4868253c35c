"""Upstream's modules, built as deep as a checkpoint is.

Upstream writes its shapes into its constructors. A checkpoint of the same widths with fewer layers
loads here too, which is what tests and the random model of `configs/serve.chatterbox-random.yaml`
use; with the released weights nothing is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

from chatterbox.models.s3gen import S3Gen
from chatterbox.models.s3gen.decoder import ConditionalDecoder
from chatterbox.models.s3gen.flow_matching import CausalConditionalCFM
from chatterbox.models.s3gen.transformer.upsample_encoder import UpsampleConformerEncoder
from chatterbox.models.t3 import T3
from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
from chatterbox.models.t3.modules.t3_config import T3Config
from torch import Tensor

from serve_app.engines.chatterbox.models import Family, ModelSpec


@dataclass(frozen=True, slots=True)
class T3Shape:
    """What differs between checkpoints of one family of T3."""

    layers: int
    text_vocabulary: int

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """The shape of a checkpoint."""
        layers = {
            int(name.split(".")[2])
            for name in state
            if name.startswith(("tfmr.layers.", "tfmr.h."))
        }
        return cls(max(layers) + 1, state["text_emb.weight"].shape[0])


@dataclass(frozen=True, slots=True)
class S3GenShape:
    """How many of upstream's blocks a checkpoint of S3Gen has."""

    tokenizer_blocks: int
    encoder_blocks: int
    upsampled_blocks: int
    estimator_blocks: int

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """The shape of a checkpoint."""
        return cls(*(_count(state, prefix) for prefix in _BLOCKS))


REAL_T3: dict[Family, T3Shape] = {
    Family.ENGLISH: T3Shape(30, 704),
    Family.TURBO: T3Shape(24, 50276),
    Family.MULTILINGUAL: T3Shape(30, 2454),
}
REAL_S3GEN = S3GenShape(6, 6, 4, 12)
TINY_S3GEN = S3GenShape(1, 1, 1, 1)

_BLOCKS = (
    "tokenizer.encoder.blocks.",
    "flow.encoder.encoders.",
    "flow.encoder.up_encoders.",
    "flow.decoder.estimator.mid_blocks.",
)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return 1 + max(
        int(name.removeprefix(prefix).split(".")[0]) for name in state if name.startswith(prefix)
    )


def build_t3(spec: ModelSpec, shape: T3Shape) -> T3:
    """T3 with random weights, in float32 on the CPU, ready to load a checkpoint into."""
    config = T3Config(text_tokens_dict_size=shape.text_vocabulary)
    base, layers_name = ("Llama_520M", "num_hidden_layers")
    if spec.family is Family.TURBO:
        base, layers_name = ("GPT2_medium", "n_layer")
        config.speech_tokens_dict_size = 6563
        config.input_pos_emb = None  # type: ignore[assignment]  upstream's own setting
        config.speech_cond_prompt_len = 375
        config.use_perceiver_resampler = False
        config.emotion_adv = False
    config.llama_config_name = f"{base}_{shape.layers}"
    LLAMA_CONFIGS.setdefault(
        config.llama_config_name, {**LLAMA_CONFIGS[base], layers_name: shape.layers}
    )
    return T3(config).eval()


def build_s3gen(spec: ModelSpec, shape: S3GenShape) -> S3Gen:
    """S3Gen with random weights, in float32 on the CPU, ready to load a checkpoint into."""
    s3gen = S3Gen(meanflow=spec.meanflow)
    s3gen.tokenizer.encoder.blocks = s3gen.tokenizer.encoder.blocks[: shape.tokenizer_blocks]
    encoder = cast(UpsampleConformerEncoder, s3gen.flow.encoder)
    encoder.encoders = encoder.encoders[: shape.encoder_blocks]
    encoder.up_encoders = encoder.up_encoders[: shape.upsampled_blocks]
    estimator = cast(ConditionalDecoder, cast(CausalConditionalCFM, s3gen.flow.decoder).estimator)
    estimator.mid_blocks = estimator.mid_blocks[: shape.estimator_blocks]
    return s3gen.eval()
