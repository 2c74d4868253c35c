"""The parts that both engines are made of: weights loaded, on their device, in working order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from serve_app.engines.chatterbox.listening import Listener
from serve_app.engines.chatterbox.loading import Models, find_weights, load_models
from serve_app.engines.chatterbox.models import SAMPLE_RATE, SPEECH_VOCABULARY, ModelSpec
from serve_app.engines.chatterbox.options import Options
from serve_app.engines.chatterbox.s3gen.flow import Flow
from serve_app.engines.chatterbox.s3gen.synthesizer import Synthesizer
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.vocoder import Vocoder
from serve_app.engines.chatterbox.s3gen.windows import Hops
from serve_app.engines.chatterbox.voice import Prompt
from serve_app.engines.chatterbox.watermark import Watermarker, WatermarkStream
from serve_app.engines.chatterbox.weights import WeightsSource


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine holds besides its scheduler."""

    models: Models
    listener: Listener
    synthesizer: Synthesizer
    hops: Hops
    watermarker: Watermarker | None
    fingerprint: str  # of all that a kept voice depends on

    def warm_up(self, batch: int) -> None:
        """Do once what is slow the first time, before somebody waits for it.

        That is the imports behind listening, and on a GPU the capture of a graph for each size of
        batch and window of a voice with a full prompt.
        """
        seconds = round(self.listener.prompt_seconds * SAMPLE_RATE)
        noise = np.random.default_rng(1).integers(-3000, 3000, seconds).astype(np.int16)
        prompt = self.listener.listen_prompt(noise)
        if self.models.s3gen.device.type != "cuda":
            return
        for exponent in range(batch.bit_length()):
            self._speak_noise(prompt, 1 << exponent)

    def _speak_noise(self, prompt: Prompt, count: int) -> None:
        tokens = [index % SPEECH_VOCABULARY for index in range(2 * sum(self.hops.sizes))]
        utterances = [Utterance(prompt, seed, self.hops) for seed in range(count)]
        for utterance in utterances:
            utterance.close(tokens)
        while spans := [(u, span) for u in utterances if (span := u.span())]:
            self.synthesizer.run(spans)

    def marking(self) -> WatermarkStream | None:
        """The watermark of one stream, where the policy wants one."""
        return self.watermarker.stream() if self.watermarker else None


def assemble(spec: ModelSpec, options: Options, *, with_t3: bool, precision: str) -> Parts:
    """Load a model and put it together.

    Raises:
        WeightsMissing, WeightsDamaged: the model's files are not there or not whole.
        RuntimeError: the watermarker cannot be loaded.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    device = _device(options.device)
    folder = find_weights(
        options.weights or str(WeightsSource.released(spec)),
        spec,
        Path(options.weights_folder) if options.weights_folder else None,
        options.weights_options,
        with_t3=with_t3,
    )
    models = load_models(
        spec, folder, device=device, dtype=_precision(precision, device), with_t3=with_t3
    )
    flow = Flow(
        models.s3gen, steps=options.flow_steps or spec.flow_steps, cuda_graphs=options.cuda_graphs
    )
    vocoder = Vocoder(models.s3gen.mel2wav, margin=options.vocoder_margin)
    return Parts(
        models=models,
        listener=Listener(models, prompt_seconds=options.prompt_seconds),
        synthesizer=Synthesizer(flow, vocoder),
        hops=Hops(options.hops, options.context),
        watermarker=Watermarker(device) if options.watermark == "always" else None,
        fingerprint=f"{models.fingerprint}-{options.prompt_seconds:g}",
    )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _precision(name: str, device: str) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32
