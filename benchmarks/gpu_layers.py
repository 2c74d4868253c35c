"""T3 and S3Gen each alone: what a step and what a batch of windows cost."""

from __future__ import annotations

import math
from statistics import median

import torch

from benchmarks.gpu_rig import Rig, seconds_of
from benchmarks.report import Figures
from serve_app.engines.chatterbox.models import SPEECH_VOCABULARY, TOKEN_RATE
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.windows import LOOK_AHEAD, Hops, Span
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder


def t3_steps(rig: Rig) -> Figures:
    """Median times of a step: a token for each of so many requests, drawn and known to the host."""
    figures = {f"t3_step_{n}_ms": _step_ms(rig, rig.decoder, n) for n in rig.scale.step_sizes}
    size = rig.scale.step_sizes[1]
    launched = TokenDecoder(
        rig.t3, rig.spec, slots=size, max_length=rig.options.positions, cuda_graphs=False
    )
    return {**figures, f"t3_step_{size}_without_graphs_ms": _step_ms(rig, launched, size)}


def _step_ms(rig: Rig, decoder: TokenDecoder, size: int) -> float:
    scale = rig.scale
    tokens = size + scale.lead + scale.steps  # requests are admitted one a step
    sequences = [decoder.add(rig.request(seed, tokens)) for seed in range(size)]
    while decoder.waiting:
        decoder.step()
    for _ in range(scale.lead):
        decoder.step()
    times = [seconds_of(decoder.step, rig.device) for _ in range(scale.steps)]
    for sequence in sequences:
        decoder.cancel(sequence)
    decoder.step()
    return median(times) * 1000


def s3gen_windows(rig: Rig) -> Figures:
    """Median times of a batch of windows, each with its prompt and context, from tokens to samples
    on the host; and the audio that S3Gen alone would make of them."""
    figures: dict[str, float] = {}
    for batch in rig.scale.batches:
        for hop in rig.scale.hops:
            seconds = _batch_seconds(rig, batch, hop)
            name = f"s3gen_batch_{batch}_hop_{hop}"
            figures[f"{name}_ms"] = seconds * 1000
            figures[f"{name}_audio_s_per_s"] = batch * hop / TOKEN_RATE / seconds
    return figures


def _batch_seconds(rig: Rig, batch: int, hop: int) -> float:
    """Of windows that have all their context; the first that has is left out, as on a GPU it is
    where graphs are captured."""
    hops = Hops((hop,), rig.options.context)
    skipped = math.ceil(hops.context / hop) + 1
    length = (skipped + rig.scale.windows) * hop + LOOK_AHEAD
    utterances = [_utterance(rig, seed, hops, length) for seed in range(batch)]

    def run() -> None:
        rig.parts.synthesizer.run([(each, _span(each)) for each in utterances])

    for _ in range(skipped):
        run()
    return median(seconds_of(run, rig.device) for _ in range(rig.scale.windows))


def _utterance(rig: Rig, seed: int, hops: Hops, length: int) -> Utterance:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(SPEECH_VOCABULARY, (length,), generator=generator)
    utterance = Utterance(rig.asked.voice.prompt, seed, hops)
    utterance.extend_to(tokens.tolist())
    return utterance


def _span(utterance: Utterance) -> Span:
    span = utterance.span()
    assert span is not None
    return span
