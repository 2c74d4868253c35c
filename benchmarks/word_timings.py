"""How far from the sound the embedded engine's word timings are.

`python -m benchmarks.word_timings`. After a pause the reference is the energy of the audio, for all
words a recogniser that is told them. In ms; above 0 the word is told too late.
"""

from __future__ import annotations

import numpy as np

from benchmarks.report import print_table
from serve_app.domain.types import Samples, SpeechRequest, WordTiming
from serve_app.engines.hibari.engine import HibariEngine
from tests.support.onsets import onsets_after_silence, onsets_of_phrases, onsets_of_words

SPEEDS = (0.75, 1.0, 1.4)
SENTENCES = (
    "The train was late — nobody knew why.",
    "The shop is closed today; come back on Monday.",
    "My brother plays the piano, and my sister sings.",
    "Turn off the light, close the gate, and come to bed.",
    "When the bell rang, the children ran outside.",
    "The rain is over; we can go now.",
    "Most of the boats came home; two of them did not.",
    "No, I have never seen the river, the bridge or the hill.",
    "Before we go, we are going to dine.",
    "The old lighthouse keeper climbed the stairs every evening to light the lamp for the ships.",
    "Seven children played in the garden until their mother called.",
    "I bought a new computer with the money from my grandfather.",
    "What a wonderful surprise it was to find all of you waiting for me at the airport!",
)


def speak(engine: HibariEngine, text: str, speed: float) -> tuple[Samples, list[WordTiming]]:
    """The audio of a sentence and its words."""
    chunks = list(engine.speak(SpeechRequest((text,), 1, speed=speed, word_timings=True)))
    return (
        np.concatenate([chunk.samples for chunk in chunks]),
        [word for chunk in chunks for word in chunk.words],
    )


def lateness(engine: HibariEngine, speed: float) -> tuple[list[float], list[float]]:
    """Seconds by the energy, of sentences whose pauses it finds, and by the recogniser."""
    phrases: list[float] = []
    words: list[float] = []
    for text in SENTENCES:
        samples, told = speak(engine, text, speed)
        begun, heard = onsets_of_phrases(told), onsets_after_silence(samples)
        if len(begun) == len(heard):
            phrases += [a - b for a, b in zip(begun, heard, strict=True)]
        found = onsets_of_words(samples, text)
        words += [word.start - start for word, start in zip(told, found, strict=True)]
    return phrases, words


def main() -> None:
    """Measure and print."""
    engine = HibariEngine()
    rows: list[tuple[str, ...]] = []
    for speed in SPEEDS:
        for name, late in zip(("energy", "recogniser"), lateness(engine, speed), strict=True):
            of = np.array(late) * 1000
            numbers = np.median(of), np.mean(of), np.quantile(np.abs(of), 0.9), np.abs(of).max()
            rows.append((f"{speed:g}", name, str(len(of)), *(f"{n:.0f}" for n in numbers)))
    print_table(("speed", "reference", "words", "median", "mean", "90 % within", "worst"), rows)


if __name__ == "__main__":
    main()
