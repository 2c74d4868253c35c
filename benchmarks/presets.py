"""OpenAI's voice names as the embedded engines make them: how good, how clear, how different.

`python -m benchmarks.presets --json FILE --plot FILE`; the published ones are
docs/figures/presets.json and presets.png.

Each name says the same passages. Two voices count as different speakers where their median F0
differs by SEMITONES or their long-term spectra by DECIBELS (tests/support/voices.py), a rule of
thumb.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from benchmarks.presets_plot import Place, save_map
from benchmarks.report import Bound, Machine, Target, make_parser, print_table, publish
from serve_app.domain.types import Joining, Samples, SpeechRequest
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.world.engine import WorldEngine
from serve_app.engines.world.profile import Profile
from serve_app.presets import OPENAI_VOICES, Preset
from tests.support.ears import words_heard
from tests.support.mos import overall_quality
from tests.support.voices import RATE, Pitch, long_term_spectrum

SEMITONES, DECIBELS = 1.5, 3.0
PASSAGES = (
    "The first thing they saw, when the fog had lifted, was a small boat drifting towards the "
    "harbour. Nobody was in it, but there was a lamp on its floor, and the lamp was still burning.",
    "The old lamp was still burning when the small boat came into the harbour this morning.",
    "A young violin teacher carried a lantern up the stairs before the sun went down, and told the "
    "children a long story.",
    "Please call the office tomorrow at nine, and ask them whether the new letters have arrived. "
    "If nobody answers, leave a message.",
)
TARGETS = (
    Target("quality_loss_worst", Bound.AT_MOST, 0.3),
    Target("words_lost_worst", Bound.AT_MOST, 2),
    Target("least_difference", Bound.AT_LEAST, 1),
)


@dataclass(frozen=True)
class Hearing:
    """What is heard of one voice."""

    f0: float  # Hz, median
    spectrum: npt.NDArray[np.float64]  # dB, long-term, [20]
    quality: float  # DNSMOS overall, mean of the passages
    words: int  # that pocketsphinx recognises

    @classmethod
    def of(cls, spoken: list[Samples], passages: tuple[str, ...]) -> Hearing:
        """Listen to passages as one voice says them."""
        heard = [words_heard(samples, RATE) for samples in spoken]
        written = [set(re.findall("[a-z]+", passage.lower())) for passage in passages]
        everything = np.concatenate(spoken)
        return cls(
            f0=Pitch.of(everything).median,
            spectrum=long_term_spectrum(everything),
            quality=float(np.mean([overall_quality(samples, RATE) for samples in spoken])),
            words=sum(len(one & other) for one, other in zip(heard, written, strict=True)),
        )

    def semitones_to(self, other: Hearing) -> float:
        """How far apart the median F0 is."""
        return abs(float(12 * np.log2(self.f0 / other.f0)))

    def decibels_to(self, other: Hearing) -> float:
        """RMS difference of the long-term spectra, level aside."""
        return float(np.std(self.spectrum - other.spectrum))

    def difference(self, other: Hearing) -> float:
        """From 1 on, two voices are two speakers."""
        return max(self.semitones_to(other) / SEMITONES, self.decibels_to(other) / DECIBELS)


def speak(passage: str) -> Samples:
    """The embedded voice as it is."""
    request = SpeechRequest(chunks=(passage,), seed=1)
    return np.concatenate([chunk.samples for chunk in HibariEngine().speak(request)])


def change(spoken: Samples, voice: Profile, preset: Preset) -> Samples:
    """The same speech in the voice of a preset."""
    if preset.shape is None:
        return spoken
    conversion = WorldEngine().convert(voice, preset.shape, Joining())
    chunks = [*conversion.push(spoken), *conversion.finish()]
    return np.concatenate([chunk.samples for chunk in chunks])


def listen(passages: tuple[str, ...]) -> dict[str, Hearing]:
    """All presets by name."""
    spoken = [speak(passage) for passage in passages]
    voice = WorldEngine().analyse(np.concatenate(spoken))
    return {
        name: Hearing.of([change(samples, voice, preset) for samples in spoken], passages)
        for name, preset in OPENAI_VOICES.items()
    }


def summarise(heard: dict[str, Hearing]) -> dict[str, float]:
    """Each voice's figures, and the worst of all."""
    alloy = heard["alloy"]
    figures: dict[str, float] = {}
    for name, hearing in heard.items():
        figures[f"{name}_f0_hz"] = hearing.f0
        figures[f"{name}_quality"] = hearing.quality
        figures[f"{name}_words"] = hearing.words
    pairs = list(combinations(heard.values(), 2))
    return figures | {
        "quality_loss_worst": alloy.quality - min(each.quality for each in heard.values()),
        "words_lost_worst": alloy.words - min(each.words for each in heard.values()),
        "least_difference": min(one.difference(other) for one, other in pairs),
    }


def print_pairs(heard: dict[str, Hearing]) -> None:
    """The matrix of all pairs: semitones below the diagonal, dB above it."""
    rows = [
        (name, *(_cell(row, column, heard) for column in range(len(heard))))
        for row, name in enumerate(heard)
    ]
    print_table(("semitones \\ dB", *heard), rows)


def _cell(row: int, column: int, heard: dict[str, Hearing]) -> str:
    one, other = list(heard.values())[row], list(heard.values())[column]
    if row == column:
        return "-"
    return f"{one.semitones_to(other) if row > column else one.decibels_to(other):.1f}"


def main() -> None:
    """Measure and publish."""
    options = make_parser(__doc__).parse_args()
    machine = Machine.this_one()
    heard = listen(PASSAGES[:1] if options.quick else PASSAGES)
    print_pairs(heard)
    print_table(("voice", "F0 in Hz", "DNSMOS", "words"), [_row(*each) for each in heard.items()])
    places = [
        Place(name, hearing.f0, OPENAI_VOICES[name].formants, hearing.quality)
        for name, hearing in heard.items()
    ]
    publish(options, summarise(heard), TARGETS, machine, lambda path, _: save_map(path, places))


def _row(name: str, hearing: Hearing) -> tuple[str, ...]:
    return name, f"{hearing.f0:.0f}", f"{hearing.quality:.2f}", str(hearing.words)


if __name__ == "__main__":
    main()
