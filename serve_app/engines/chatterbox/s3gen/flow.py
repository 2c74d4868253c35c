"""Speech tokens to mel frames, a batch of windows of many utterances at a time.

Upstream's flow matching (`CausalConditionalCFM`) with a batch that may be ragged, noise that is
given and not drawn, and prompts whose token ids stay integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.s3gen.decoder import ConditionalDecoder
from chatterbox.models.s3gen.flow_matching import CausalConditionalCFM
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from serve_app.engines.chatterbox.models import FRAMES_PER_TOKEN, SPEECH_VOCABULARY
from serve_app.engines.chatterbox.s3gen.encoder import encode, is_within
from serve_app.engines.chatterbox.s3gen.estimator import Estimator
from serve_app.engines.chatterbox.s3gen.graphed import CudaCapture, Graphed
from serve_app.engines.chatterbox.s3gen.noise import MEL_BANDS, FrameNoise
from serve_app.engines.chatterbox.s3gen.windows import LOOK_AHEAD, Span
from serve_app.engines.chatterbox.voice import Prompt

_FRAMES_OF_A_GRAPH = 64  # sizes are rounded up to multiples, so that there are few graphs


@dataclass(frozen=True, slots=True, eq=False)
class FlowWindow:
    """A stretch of one utterance, to be evaluated behind its prompt.

    Raises:
        ValueError: no token is new, or one is not speech; on a GPU that would end the process.
    """

    prompt: Prompt
    tokens: tuple[int, ...]  # context, new ones and look-ahead
    first: int  # index of the first of them in the utterance
    fresh: int  # where among them the new ones begin
    final: bool  # the utterance ends with the last; if not, the last LOOK_AHEAD only look ahead
    noise: FrameNoise

    def __post_init__(self) -> None:
        if self.frames <= 0:
            raise ValueError("A window must have new tokens.")
        if min(self.tokens) < 0 or max(self.tokens) >= SPEECH_VOCABULARY:
            raise ValueError(f"Speech tokens are 0..{SPEECH_VOCABULARY - 1}.")

    @classmethod
    def at(cls, span: Span, prompt: Prompt, tokens: Sequence[int], noise: FrameNoise) -> Self:
        """The window that lies at `span` in the tokens of an utterance, as many as there are."""
        cut = tuple(tokens[span.first : span.stop])
        return cls(prompt, cut, span.first, span.fresh, span.final, noise)

    @property
    def frames(self) -> int:
        """Mel frames that it brings out."""
        return self.stop - self.start

    @property
    def start(self) -> int:
        """Where in the row of frames that is evaluated, prompt first, the new ones begin."""
        return FRAMES_PER_TOKEN * (len(self.prompt.tokens) + self.fresh)

    @property
    def stop(self) -> int:
        """Where that row ends."""
        made = len(self.tokens) - (0 if self.final else LOOK_AHEAD)
        return FRAMES_PER_TOKEN * (len(self.prompt.tokens) + made)


class Flow:
    """S3Gen's flow, with its weights loaded and on their device.

    One thread may run it at a time. With `cuda_graphs` evaluations on a GPU are graphs, each
    captured at the first batch of its size; on the CPU there are none.
    """

    def __init__(self, s3gen: S3Gen, *, steps: int, cuda_graphs: bool = True) -> None:
        decoder = cast(CausalConditionalCFM, s3gen.flow.decoder)
        self._flow = s3gen.flow
        self._device = s3gen.flow.input_embedding.weight.device
        self._estimator = Estimator(cast(ConditionalDecoder, decoder.estimator))
        self._guidance = None if s3gen.meanflow else float(decoder.inference_cfg_rate)
        cosine = not s3gen.meanflow and decoder.t_scheduler == "cosine"
        self._times = schedule(steps, cosine=cosine)
        self._graphed = cuda_graphs and self._device.type == "cuda"
        self._evaluate = (
            Graphed(self._estimator, CudaCapture()) if self._graphed else self._estimator
        )

    @torch.inference_mode()
    def run(self, windows: Sequence[FlowWindow]) -> list[Tensor]:
        """The mel of the new tokens of each window, [80, frames] float32, on the device."""
        if not windows:
            return []
        rows, frames = self._size(windows)
        conditions = self._conditions(windows, rows, frames)
        mask = self._mask(windows, rows, frames)
        noise = self._to_device(_noise(windows, rows, frames))
        mel = self._solve(noise, conditions, mask)
        return [mel[row, :, window.start : window.stop] for row, window in enumerate(windows)]

    def _size(self, windows: Sequence[FlowWindow]) -> tuple[int, int]:
        """Rows and frames of the batch, rounded up to those of a graph where there are graphs."""
        rows, frames = len(windows), max(window.stop for window in windows)
        if not self._graphed:
            return rows, frames
        rounded = -(-frames // _FRAMES_OF_A_GRAPH) * _FRAMES_OF_A_GRAPH
        return 1 << (rows - 1).bit_length(), rounded

    def _mask(self, windows: Sequence[FlowWindow], rows: int, frames: int) -> Tensor:
        """[rows, 1, frames]; rows without a window are full, since attention needs some frame."""
        lengths = [window.stop for window in windows] + [frames] * (rows - len(windows))
        valid = is_within(self._to_device(torch.tensor(lengths)), frames)
        return valid[:, None, :].to(self._estimator.dtype)

    def _conditions(self, windows: Sequence[FlowWindow], rows: int, frames: int) -> Tensor:
        """What an evaluation is told beside the noisy mel: [rows, 240, frames]."""
        drawn_to = self._encode(windows).float()
        missing = (0, frames - drawn_to.shape[2], 0, 0, 0, rows - len(windows))
        drawn_to = functional.pad(drawn_to, missing)
        speakers = functional.pad(self._speakers(windows).float(), missing[2:])
        prompts = self._to_device(_prompt_mels(windows, rows, frames))
        parts = [drawn_to, speakers[:, :, None].expand(-1, -1, frames), prompts]
        return torch.cat(parts, dim=1).to(self._estimator.dtype)

    def _encode(self, windows: Sequence[FlowWindow]) -> Tensor:
        tokens = [torch.cat([w.prompt.tokens, torch.tensor(w.tokens)]) for w in windows]
        lengths = torch.tensor([len(row) for row in tokens])
        padded = pad_sequence(tokens, batch_first=True)
        return encode(self._flow, self._to_device(padded), self._to_device(lengths))

    def _speakers(self, windows: Sequence[FlowWindow]) -> Tensor:
        """[b, 80] of the x-vectors."""
        project = self._flow.spk_embed_affine_layer
        vectors = self._to_device(torch.stack([window.prompt.x_vector for window in windows]))
        return project(functional.normalize(vectors, dim=1).to(project.weight.dtype))

    def _solve(self, noise: Tensor, conditions: Tensor, mask: Tensor) -> Tensor:
        """Follow the velocity from noise [b, 80, t] to mel, by Euler's method."""
        embedded = self._estimator.embed_times(self._to_device(self._times))
        if self._guidance is not None:
            conditions = torch.cat([conditions, torch.zeros_like(conditions)])
            mask = torch.cat([mask, mask])
        mel = noise
        for time, length in zip(embedded.split(1), self._times.diff().tolist(), strict=True):
            mel = mel + length * self._velocity(mel, conditions, mask, time)
        return mel

    def _velocity(self, mel: Tensor, conditions: Tensor, mask: Tensor, time: Tensor) -> Tensor:
        """Of mel [b, 80, t], in float32.

        With classifier-free guidance `conditions` has every row again without its conditions, and
        the difference that they make is added `guidance` times over.
        """
        noisy = mel.to(conditions.dtype).repeat(len(conditions) // len(mel), 1, 1)
        velocity = self._evaluate(noisy, conditions, mask, time).float()
        if self._guidance is None:
            return velocity
        conditioned, free = velocity.chunk(2)
        return conditioned + self._guidance * (conditioned - free)

    def _to_device(self, tensor: Tensor) -> Tensor:
        """From pinned memory, because the host would wait for a copy from any other."""
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)


def schedule(steps: int, *, cosine: bool) -> Tensor:
    """Where the steps of a flow begin and end, from 0 to 1: [steps + 1] float32.

    The cosine schedule steps shortest at the beginning, where all is noise.
    """
    times = torch.linspace(0, 1, steps + 1)
    return 1 - torch.cos(times * 0.5 * torch.pi) if cosine else times


def _noise(windows: Sequence[FlowWindow], rows: int, frames: int) -> Tensor:
    """[rows, 80, frames]; the context and the prompt get the noise of their own frames."""
    noise = torch.zeros(rows, MEL_BANDS, frames)
    for row, window in enumerate(windows):
        prompt = FRAMES_PER_TOKEN * len(window.prompt.tokens)
        first = FRAMES_PER_TOKEN * window.first
        noise[row, :, :prompt] = window.noise.frames(-prompt, 0)
        noise[row, :, prompt : window.stop] = window.noise.frames(
            first, first + window.stop - prompt
        )
    return noise


def _prompt_mels(windows: Sequence[FlowWindow], rows: int, frames: int) -> Tensor:
    """[rows, 80, frames]; zero after the prompt."""
    mels = torch.zeros(rows, MEL_BANDS, frames)
    for row, window in enumerate(windows):
        mels[row, :, : len(window.prompt.mel)] = window.prompt.mel.T
    return mels
