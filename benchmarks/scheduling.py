"""Deadline order against first come, first served, in virtual time.

    python -m benchmarks.scheduling [--quick] [--json FILE] [--plot FILE]

Runs the service's own `DeadlineQueue` and a plain queue over the same arrivals, with service costs
as they were measured for the embedded engine (options change them), and with three ways to cut the
text: whole sentences; a short first piece; a short first piece after which the pieces grow.
Prints the time to first audio and how many listeners ran dry.

Growth has a rule: when N streams start together, each has the next piece after all N have been
served, so it must not cost more than 1/N of the audio that is in hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.report import (
    Bound,
    Figures,
    Machine,
    Target,
    make_parser,
    print_table,
    publish,
)
from benchmarks.simulation import (
    Arrival,
    FirstComeQueue,
    Listener,
    Piece,
    Queue,
    arrive_at_random,
    arrive_together,
    simulate,
)
from serve_app.domain.deadline import DeadlineQueue

SENTENCES = {"short": 1, "paragraph": 5, "long": 25}
STREAMS = (1, 2, 4, 8, 16, 32)
PERCENT = (50, 75, 90)  # of the engine's time
COLORS = {"first_come": "#9a9a9a", "deadline": "#1f5f8b"}
QUEUES: dict[str, Callable[[], Queue]] = {
    "first_come": FirstComeQueue,
    "deadline": DeadlineQueue[Listener],
}
TARGETS = (
    Target("ttfb_p50_ratio_32_together_paragraph", Bound.AT_MOST, 0.5),
    Target("ttfb_p50_ratio_90_percent_paragraph", Bound.AT_MOST, 0.25),
    Target("underruns_deadline_growing", Bound.AT_MOST, 0),
)


class Cut(StrEnum):
    """How a text becomes pieces."""

    WHOLE = "whole"  # a sentence a piece
    SHORT_FIRST = "short_first"  # the first sentence in two: a few words, then the rest
    GROWING = "growing"  # the first sentence in three, each longer than the one before


HEADS: dict[Cut, tuple[float, ...]] = {
    Cut.WHOLE: (),
    Cut.SHORT_FIRST: (0.55,),
    Cut.GROWING: (0.55, 1.2),
}
"""Seconds of audio of the pieces cut off the first sentence."""


@dataclass(frozen=True)
class Costs:
    """What the embedded engine takes: a plan of each sentence, then windows of it rendered.

    The defaults give 15 ms for a first piece of 0.55 s and 44 ms for a sentence of 6 s.
    """

    sentence: float  # seconds of audio
    plan: float  # seconds of computing per second of the sentence, in the step of its first window
    render: float  # seconds of computing per second of a window
    context: float  # seconds rendered around each window and thrown away

    def cut(self, sentences: int, cut: Cut) -> tuple[Piece, ...]:
        """The pieces of a text."""
        heads = HEADS[cut]
        first = (*heads, self.sentence - sum(heads))
        windows = [first, *[(self.sentence,)] * (sentences - 1)]
        return tuple(piece for sentence in windows for piece in self._pieces(sentence))

    def _pieces(self, windows: tuple[float, ...]) -> Iterator[Piece]:
        planning = self.plan * self.sentence
        for audio in windows:
            yield Piece(audio, planning + self.render * (audio + self.context))
            planning = 0.0


@dataclass(frozen=True)
class Outcome:
    """What the listeners of one simulation had."""

    arrivals: str  # such as 32_together or 90_percent
    text: str
    cut: Cut
    queue: str
    p50: float  # to first audio, milliseconds
    p95: float
    underruns: int
    least_in_hand: float  # seconds

    @property
    def name(self) -> str:
        """As figures name it."""
        return f"{self.queue}_{self.cut}_{self.arrivals}_{self.text}"


def run(costs: Costs, requests: int) -> list[Outcome]:
    """Every arrival pattern, text, cut and queue."""
    outcomes = []
    for text, sentences in SENTENCES.items():
        for cut in Cut:
            pieces = costs.cut(sentences, cut)
            patterns = {f"{n}_together": arrive_together(n, pieces) for n in STREAMS}
            for percent in PERCENT:
                arrivals = arrive_at_random(requests, pieces, percent / 100, random.Random(1))
                patterns[f"{percent}_percent"] = arrivals
            for pattern, arrivals in patterns.items():
                outcomes += [_measure(pattern, text, cut, queue, arrivals) for queue in QUEUES]
    return outcomes


def _measure(pattern: str, text: str, cut: Cut, queue: str, arrivals: list[Arrival]) -> Outcome:
    listeners = simulate(arrivals, QUEUES[queue]())
    p50, p95 = np.percentile([listener.first_audio * 1000 for listener in listeners], (50, 95))
    return Outcome(
        pattern,
        text,
        cut,
        queue,
        p50=float(p50),
        p95=float(p95),
        underruns=sum(listener.ran_dry for listener in listeners),
        least_in_hand=min(min(each.least_in_hand, each.heard) for each in listeners),
    )


def compute_figures(outcomes: list[Outcome]) -> dict[str, float]:
    """All outcomes by name, and what the whole design gains over whole sentences in a queue."""
    figures: dict[str, float] = {}
    for outcome in outcomes:
        figures[f"{outcome.name}_ttfb_p50_ms"] = outcome.p50
        figures[f"{outcome.name}_ttfb_p95_ms"] = outcome.p95
        figures[f"{outcome.name}_underruns"] = outcome.underruns
        figures[f"{outcome.name}_least_in_hand_s"] = outcome.least_in_hand
    for arrivals, text in dict.fromkeys((each.arrivals, each.text) for each in outcomes):
        ours = figures[f"deadline_{Cut.GROWING}_{arrivals}_{text}_ttfb_p50_ms"]
        plain = figures[f"first_come_{Cut.WHOLE}_{arrivals}_{text}_ttfb_p50_ms"]
        figures[f"ttfb_p50_ratio_{arrivals}_{text}"] = ours / plain
    for queue in QUEUES:
        for cut in Cut:
            same = [each for each in outcomes if each.queue == queue and each.cut is cut]
            figures[f"underruns_{queue}_{cut}"] = sum(outcome.underruns for outcome in same)
    return figures


def print_outcomes(outcomes: list[Outcome]) -> None:
    """Print a line for each simulation."""
    head = ("arrivals, text", "cut", "queue", "TTFB p50 ms", "p95", "ran dry", "least in hand s")
    rows = [
        (
            f"{each.arrivals} {each.text}".replace("_", " "),
            each.cut.value,
            each.queue,
            f"{each.p50:.0f}",
            f"{each.p95:.0f}",
            f"{each.underruns}",
            f"{each.least_in_hand:.2f}",
        )
        for each in outcomes
    ]
    print_table(head, rows)


def save_plot(path: Path, figures: Figures) -> None:
    """Draw, for each cut: first audio over load, and audio in hand when all start together."""
    figure, panels = plt.subplots(2, len(Cut), figsize=(12, 7), sharey="row", layout="constrained")
    for (latency, in_hand), cut in zip(panels.T, Cut, strict=True):
        for queue, color in COLORS.items():
            names = [f"{queue}_{cut}_{percent}_percent_paragraph" for percent in PERCENT]
            p50 = [figures[f"{name}_ttfb_p50_ms"] for name in names]
            latency.plot(PERCENT, p50, "o-", color=color, label=queue.replace("_", " "))
        names = [f"deadline_{cut}_{n}_together_paragraph" for n in STREAMS]
        least = [figures[f"{name}_least_in_hand_s"] for name in names]
        in_hand.plot(STREAMS, least, "o-", color=COLORS["deadline"])
        in_hand.axhline(0, color="#c0392b", linestyle="--", label="runs dry")
        latency.set(title=f"pieces: {cut.replace('_', ' ')}", xlabel="load, % (random arrivals)")
        in_hand.set(xlabel="streams that start together")
    panels[0, 0].set(ylabel="time to first audio p50, ms")
    panels[1, 0].set(ylabel="audio in hand at its scarcest, s")
    panels[0, 0].legend()
    panels[1, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Simulate, print and save."""
    parser = make_parser(__doc__)
    parser.add_argument("--sentence", type=float, default=6.0, help="seconds of audio")
    parser.add_argument("--plan", type=float, default=1.7, help="ms per second of a sentence")
    parser.add_argument("--render", type=float, default=5.3, help="ms per second of a window")
    parser.add_argument("--context", type=float, default=0.35, help="seconds around a window")
    options = parser.parse_args()
    machine = Machine.this_one()
    costs = Costs(options.sentence, options.plan / 1e3, options.render / 1e3, options.context)
    outcomes = run(costs, requests=200 if options.quick else 2000)
    figures = compute_figures(outcomes)
    print_outcomes(outcomes)
    publish(options, figures, TARGETS, machine, save_plot)


if __name__ == "__main__":
    main()
