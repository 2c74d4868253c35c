"""S3Gen in windows: how far from one shot, and at what cost; real shapes, random weights, one core.

`python -m benchmarks.s3gen --json FILE --plot FILE`, in the environment of `make test-chatterbox`;
the published ones are docs/figures/s3gen.json and s3gen.png.

CPU time and errors say how ways of cutting an utterance compare, not how fast a GPU is. Errors are
root mean squares relative to the deviation of the mel of one shot with the same noise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import matplotlib
import torch
from chatterbox.models.s3gen import S3Gen
from torch import Tensor

from benchmarks.report import Bound, Figures, Machine, Target, make_parser, print_table, publish
from serve_app.engines.chatterbox.architecture import REAL_S3GEN, build_s3gen
from serve_app.engines.chatterbox.models import (
    ENGLISH,
    SPEECH_VOCABULARY,
    TOKEN_RATE,
    TURBO,
    ModelSpec,
)
from serve_app.engines.chatterbox.s3gen.flow import Flow, FlowWindow
from serve_app.engines.chatterbox.s3gen.noise import FrameNoise
from serve_app.engines.chatterbox.s3gen.vocoder import Vocoder, VocoderStream
from serve_app.engines.chatterbox.s3gen.windows import Hops
from serve_app.engines.chatterbox.voice import Prompt

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EVERYTHING = 10_000  # tokens: as a hop, one shot; as context, all that came before
SHORT_PROMPT, PROMPT = 2 * TOKEN_RATE, 10 * TOKEN_RATE  # tokens
CONTEXTS = {"everything": EVERYTHING, "50": 50, "25": 25}
TARGETS = (
    Target("turbo_error_hop_25_fresh_noise", Bound.AT_LEAST, 0.5),
    Target("turbo_error_hop_25_context_everything", Bound.AT_MOST, 0.2),
    Target("turbo_error_hop_25_context_50", Bound.AT_MOST, 0.2),
    Target("turbo_error_hop_25_context_25", Bound.AT_MOST, 0.25),
    Target("turbo_batch_of_4_cost", Bound.AT_MOST, 1.05),
)

Noises = Callable[[], FrameNoise]


def draw_tokens(length: int) -> tuple[int, ...]:
    """Any speech."""
    generator = torch.Generator().manual_seed(length)
    return tuple(torch.randint(SPEECH_VOCABULARY, (length,), generator=generator).tolist())


def draw_prompt(length: int) -> Prompt:
    """Any voice; `length` in tokens."""
    generator = torch.Generator().manual_seed(length)
    mel = torch.randn(2 * length, 80, generator=generator) * 2 - 5
    x_vector = torch.randn(192, generator=generator)
    return Prompt(torch.tensor(draw_tokens(length)), mel, x_vector)


def fixed_noise() -> FrameNoise:
    """The same in every window."""
    return FrameNoise(1)


def build(spec: ModelSpec) -> S3Gen:
    """Real shapes, seeded weights."""
    torch.manual_seed(0)
    return build_s3gen(spec, REAL_S3GEN)


def make_windows(
    hops: Hops, prompt: Prompt, tokens: tuple[int, ...], noises: Noises
) -> Iterator[FlowWindow]:
    """The windows of an utterance whose tokens are all there, one after the other."""
    emitted = 0
    while span := hops.next(emitted=emitted, available=len(tokens), is_whole=True):
        yield FlowWindow.at(span, prompt, tokens, noises())
        emitted = span.emitted


def stream(flow: Flow, hops: Hops, prompt: Prompt, length: int, noises: Noises) -> Tensor:
    """The mel [80, 2 length] of an utterance of `length` tokens."""
    windows = make_windows(hops, prompt, draw_tokens(length), noises)
    return torch.cat([flow.run([window])[0] for window in windows], dim=1)


def errors(flow: Flow, prefix: str, hop: int, length: int, contexts: list[str]) -> Figures:
    """Of windows of `hop` tokens against one shot."""
    prompt = draw_prompt(SHORT_PROMPT)
    once = stream(flow, Hops((EVERYTHING,)), prompt, length, fixed_noise)

    def error(context: str, noises: Noises) -> float:
        mel = stream(flow, Hops((hop,), CONTEXTS[context]), prompt, length, noises)
        return float((mel - once).square().mean().sqrt() / once.std())

    seeds = count(2)
    name = f"{prefix}_error_hop_{hop}"
    figures = {f"{name}_fresh_noise": error("everything", lambda: FrameNoise(next(seeds)))}
    return figures | {
        f"{name}_context_{context}": error(context, fixed_noise) for context in contexts
    }


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, and so about the same beside other work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def costs(flow: Flow, prefix: str, hops: list[int], length: int) -> Figures:
    """CPU seconds of the flow for a second of audio, behind a prompt of 10 s."""
    prompt = draw_prompt(PROMPT)
    names = {f"{prefix}_flow_hop_{hop}": hop for hop in hops}
    names[f"{prefix}_flow_one_shot"] = EVERYTHING
    return {
        f"{name}_cpu_s_per_s": cpu_seconds(
            lambda size=size: stream(flow, Hops((size,)), prompt, length, fixed_noise)
        )
        * TOKEN_RATE
        / length
        for name, size in names.items()
    }


def batching(flow: Flow, prefix: str, batches: list[int]) -> Figures:
    """What a window costs in a batch, against alone; prompts are of different lengths."""
    tokens = draw_tokens(53)
    windows = [
        FlowWindow(draw_prompt(PROMPT - 10 * i), tokens, 0, 0, final=False, noise=FrameNoise(i))
        for i in range(max(batches))
    ]
    alone = [cpu_seconds(lambda window=window: flow.run([window])) for window in windows]
    return {
        f"{prefix}_batch_of_{size}_cost": cpu_seconds(lambda size=size: flow.run(windows[:size]))
        / sum(alone[:size])
        for size in batches
    }


def vocoding(vocoder: Vocoder, hops: list[int], length: int) -> Figures:
    """CPU seconds of the vocoder for a second of audio."""
    mel = torch.randn(80, 2 * length, generator=torch.Generator().manual_seed(1)) * 2 - 5

    def work(size: int) -> None:
        voice, pieces = VocoderStream(1), mel.split(2 * size, dim=1)
        for index, piece in enumerate(pieces, start=1):
            vocoder.push([(voice, piece, index == len(pieces))])

    names = {f"vocoder_hop_{hop}": hop for hop in hops} | {"vocoder_one_shot": length}
    return {
        f"{name}_cpu_s_per_s": cpu_seconds(lambda size=size: work(size)) * TOKEN_RATE / length
        for name, size in names.items()
    }


def measurements(quick: bool) -> Iterator[Figures]:
    """Turbo, which is cheap enough here, in all respects; the base model in two."""
    hops, length = ([25], 75) if quick else ([25, 50, 100], 200)
    turbo = build(TURBO)
    flow = Flow(turbo, steps=TURBO.flow_steps)
    for hop in hops[:2]:
        yield errors(flow, "turbo", hop, length, list(CONTEXTS))
    yield costs(flow, "turbo", hops, length)
    yield batching(flow, "turbo", [2] if quick else [2, 4])
    yield vocoding(Vocoder(turbo.mel2wav), hops, length)
    if not quick:
        base = Flow(build(ENGLISH), steps=ENGLISH.flow_steps)
        yield errors(base, "base", 50, 100, ["50"])
        yield costs(base, "base", [], 50)


def measure(options: argparse.Namespace) -> Figures:
    """All figures, shown as they come."""
    figures: dict[str, float] = {}
    for found in measurements(options.quick):
        print_table(("figure", ""), [(name, f"{number:.3f}") for name, number in found.items()])
        figures |= found
    return figures


def save_plot(path: Path, figures: Figures) -> None:
    """Error and cost by the way of cutting."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    shown = {"error relative to one shot": "turbo_error_", "CPU s per s of audio": "turbo_flow_"}
    for panel, (title, prefix) in zip(panels, shown.items(), strict=True):
        bars = {name: number for name, number in figures.items() if name.startswith(prefix)}
        labels = [
            name.removeprefix(prefix).removesuffix("_cpu_s_per_s").replace("_", " ")
            for name in bars
        ]
        panel.barh(labels, list(bars.values()))
        panel.invert_yaxis()
        panel.set_title(f"Turbo: {title}")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure on one thread and publish."""
    options = make_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    machine = Machine.this_one()
    publish(options, measure(options), TARGETS, machine, save_plot)


if __name__ == "__main__":
    main()
