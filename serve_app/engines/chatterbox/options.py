"""The options of the Chatterbox engines, as `engine.options` of a config file gives them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """What both engines take. Unknown names are errors. Nothing here imports torch."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(
        default="",
        description="A folder, s3://..., hub:OWNER/NAME@COMMIT or random:english; the release "
        "on the hub when empty.",
    )
    weights_folder: str = Field(
        default="", description="Where fetched weights are kept; the user's cache when empty."
    )
    weights_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store.", repr=False
    )
    device: str = Field(default="auto", description="cuda, cuda:1, cpu; auto takes a GPU if any.")
    threads: int = Field(default=0, ge=0, description="CPU threads of torch; 0 is its default.")
    batch: int = Field(default=8, ge=1, description="Windows of S3Gen that are made at once.")
    prompt_seconds: float = Field(
        default=10.0, ge=1.0, le=10.0, description="Of a reference that S3Gen continues."
    )
    flow_steps: int = Field(default=0, ge=0, description="Of the flow; 0 is the model's own.")
    hops: tuple[int, ...] = Field(
        default=(15, 20, 40, 80), description="Tokens of a stream's windows: small first."
    )
    context: int = Field(default=50, ge=0, description="Tokens that a window looks back.")
    vocoder_margin: int = Field(
        default=12,
        ge=3,
        description="Frames of context of the vocoder; 8: audio 80 ms sooner.",
    )
    watermark: Literal["always", "never"] = Field(
        default="always", description="Whether what is made carries Perth's watermark."
    )
    cuda_graphs: bool = Field(default=True, description="Replay recorded launches on a GPU.")


class SpeechOptions(Options):
    """What the engines that speak take."""

    slots: int = Field(default=16, ge=1, description="Texts that T3 decodes at once.")
    positions: int = Field(
        default=1536, ge=256, description="Of a slot: voice, text and speech of one chunk."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of T3; auto is bfloat16 on a GPU and float32 on a CPU."
    )
