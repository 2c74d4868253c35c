"""Voice conversion by the embedded engine: how like the target, how good, how fast.

`python -m benchmarks.conversion --json FILE --plot FILE`; the published ones are
docs/figures/conversion.json and conversion.png.

Recorded voices are converted into one another, men and women, English and German, and the embedded
voice into each of some; see tests/support/voices.py for what is measured. The plot gets a second
file beside it, NAME-reference.png: the embedded voice on its way into a recorded one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.conversion_plot import Conversion, save_spectrograms
from benchmarks.report import Bound, Machine, Target, make_parser, print_table, publish
from serve_app.domain.types import Joining, Samples, SpeechRequest
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.world.engine import WorldEngine
from serve_app.engines.world.profile import Profile
from tests.support.mos import overall_quality
from tests.support.voices import (
    RATE,
    Pitch,
    mel_cepstral_distortion,
    recording,
    spectral_distance,
)

MEN = ("en_andrew", "en_michael", "en_daniel", "de_Ralf", "de_Anton", "de_Rainer")
WOMEN = ("en_jennifer", "en_sarah", "en_patricia", "de_Sonja", "de_Gaby", "de_KarinM")
PAIRS = (
    *zip(MEN, WOMEN[3:] + WOMEN[:3], strict=True),
    *zip(WOMEN, MEN, strict=True),
    *zip(MEN, MEN[1:] + MEN[:1], strict=True),
    *zip(WOMEN, WOMEN[1:] + WOMEN[:1], strict=True),
)
SPOKEN = (
    "The first thing they saw, when the fog had lifted, was a small boat drifting towards the "
    "harbour. Nobody was in it, but there was a lamp on its floor, and the lamp was still burning."
)
TARGETS = (
    Target("pitch_error_percent_worst", Bound.AT_MOST, 5),
    Target("spectral_ratio_median", Bound.AT_MOST, 0.5),
    Target("spectral_ratio_worst", Bound.AT_MOST, 0.5),
    Target("quality_loss_worst", Bound.AT_MOST, 0.6),
    Target("reference_pitch_error_percent_worst", Bound.AT_MOST, 5),
    Target("reference_spectral_ratio_worst", Bound.AT_MOST, 0.5),
    Target("reference_quality_loss_worst", Bound.AT_MOST, 0.6),
    Target("identity_distortion_db_worst", Bound.AT_MOST, 3),
    Target("times_real_time", Bound.AT_LEAST, 10),
)
ENGINE = WorldEngine()


@dataclass(frozen=True)
class Score:
    """One conversion; less is better in each."""

    pitch_error_percent: float  # of the median F0, against the target's
    spectral_ratio: float  # distance of the long-term spectra to the target, after by before
    quality_loss: float  # DNSMOS overall of the source, less that of the output

    @classmethod
    def of(cls, source: Samples, target: Samples, output: Samples) -> Score:
        """Compare what came out with what went in and with what it should be like."""
        return cls(
            abs(Pitch.of(output).median / Pitch.of(target).median - 1) * 100,
            spectral_distance(output, target) / spectral_distance(source, target),
            overall_quality(source, RATE) - overall_quality(output, RATE),
        )


def convert(source: Samples, target: Samples) -> Samples:
    """All of it at once."""
    return np.concatenate(list(steps(source, ENGINE.analyse(source), ENGINE.analyse(target))))


def steps(source: Samples, voice: Profile, target: Profile) -> Iterator[Samples]:
    """The conversion step by step, pushed in stretches of 20 ms."""
    conversion = ENGINE.convert(voice, target, Joining())
    for start in range(0, len(source), RATE // 50):
        for chunk in conversion.push(source[start : start + RATE // 50]):
            yield chunk.samples
    for chunk in conversion.finish():
        yield chunk.samples


@cache
def spoken() -> Samples:
    """The embedded voice, which a reference voice in the embedded service is made from."""
    request = SpeechRequest(chunks=(SPOKEN,), seed=1)
    return np.concatenate([chunk.samples for chunk in HibariEngine().speak(request)])


def likeness(pairs: tuple[tuple[str, str], ...]) -> dict[str, float]:
    """Recorded voices into one another."""
    rows: list[tuple[str, Score]] = []
    for source, target in pairs:
        voices = recording(source), recording(target)
        rows.append((f"{source} > {target}", Score.of(*voices, convert(*voices))))
    _print_scores(rows)
    return {"pairs": len(pairs), **_summary("", [score for _, score in rows])}


def references(names: tuple[str, ...]) -> dict[str, float]:
    """The embedded voice into recorded ones."""
    rows: list[tuple[str, Score]] = []
    for name in names:
        voices = spoken(), recording(name)
        rows.append((f"hibari > {name}", Score.of(*voices, convert(*voices))))
    _print_scores(rows)
    return _summary("reference_", [score for _, score in rows])


def identity(names: tuple[str, ...]) -> dict[str, float]:
    """Recorded voices into themselves: what the way through the engine costs by itself."""
    voices = [recording(name) for name in names]
    outputs = [convert(voice, voice) for voice in voices]
    pairs = list(zip(voices, outputs, strict=True))
    distortion = [mel_cepstral_distortion(*pair) for pair in pairs]
    loss = [overall_quality(one, RATE) - overall_quality(other, RATE) for one, other in pairs]
    return {
        **_median_and_worst("identity_distortion_db", distortion),
        **_median_and_worst("identity_quality_loss", loss),
    }


def speed() -> dict[str, float]:
    """CPU time of this process while a minute of speech is converted, the voices' analysis
    included; and how much of the source the first output waits for."""
    source = np.concatenate([recording(name) for name in MEN])
    target = recording(WOMEN[0])
    convert(source[: 2 * RATE], target)
    started = time.process_time()
    voices = ENGINE.analyse(source[: 20 * RATE]), ENGINE.analyse(target)
    analysed = time.process_time()
    durations: list[float] = []
    last = analysed
    for _ in steps(source, *voices):
        durations.append(time.process_time() - last)
        last = time.process_time()
    seconds = len(source) / RATE
    return {
        "times_real_time": seconds / (last - started),
        "times_real_time_without_analysis": seconds / (last - analysed),
        "analysis_of_20_s_and_target_cpu_ms": (analysed - started) * 1000,
        "first_step_cpu_ms": durations[0] * 1000,
        "step_cpu_ms_median": float(np.median(durations)) * 1000,
        "step_cpu_ms_worst": max(durations) * 1000,
        "first_output_after_input_s": _input_before_output(source, *voices),
    }


def _input_before_output(source: Samples, voice: Profile, target: Profile) -> float:
    conversion = ENGINE.convert(voice, target, Joining())
    hop = RATE // 100
    for start in range(0, len(source), hop):
        if any(len(chunk.samples) for chunk in conversion.push(source[start : start + hop])):
            return (start + hop) / RATE
    raise ValueError("there was no output before the end")


def _summary(prefix: str, scores: list[Score]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for field in fields(Score):
        numbers = [getattr(score, field.name) for score in scores]
        figures |= _median_and_worst(prefix + field.name, numbers)
    return figures


def _median_and_worst(name: str, numbers: list[float]) -> dict[str, float]:
    return {f"{name}_median": float(np.median(numbers)), f"{name}_worst": max(numbers)}


def _print_scores(rows: list[tuple[str, Score]]) -> None:
    names = [field.name for field in fields(Score)]
    cells = [(pair, *(f"{getattr(score, name):.2f}" for name in names)) for pair, score in rows]
    print_table(("conversion", *names), cells)


def save_plots(path: Path, _: object) -> None:
    """A man's voice into a woman's, and beside it the embedded voice into a man's."""
    source, target = recording("en_andrew"), recording("en_patricia")
    voices = Conversion("en_andrew", source, "en_patricia", target, convert(source, target))
    save_spectrograms(path, voices)
    reference = recording("en_michael")
    voices = Conversion("hibari", spoken(), "en_michael", reference, convert(spoken(), reference))
    save_spectrograms(path.with_stem(f"{path.stem}-reference"), voices)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """All figures; the quick ones of a quarter of the pairs."""
    voices = MEN + WOMEN
    figures = speed()
    figures |= likeness(PAIRS[::4] if options.quick else PAIRS)
    figures |= references(voices[::6] if options.quick else voices[::2])
    return figures | identity(voices[::4] if options.quick else voices)


def main() -> None:
    """Measure and publish."""
    options = make_parser(__doc__).parse_args()
    machine = Machine.this_one()
    publish(options, measure(options), TARGETS, machine, save_plots)


if __name__ == "__main__":
    main()
