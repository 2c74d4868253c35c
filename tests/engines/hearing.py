"""Speaking with the embedded engine, and listening to it, for its tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder

from serve_app.domain.types import SpeechRequest
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.hibari.graph import AcousticModel
from serve_app.engines.hibari.pronounce import Pronouncer
from serve_app.engines.hibari.upstream import voice_model
from serve_app.engines.hibari.vocoder import Scratch, Vocoder

FRAME = 300  # samples
RATE = 24_000

Pcm = npt.NDArray[np.int16]
Signal = npt.NDArray[np.float64]


def request(
    *chunks: str, seed: int = 1, speed: float = 1.0, voice: str | None = None
) -> SpeechRequest:
    return SpeechRequest(chunks=chunks, seed=seed, speed=speed, voice=voice)


def pieces(engine: HibariEngine, *chunks: str, seed: int = 1, speed: float = 1.0) -> list[Pcm]:
    return [chunk.samples for chunk in engine.speak(request(*chunks, seed=seed, speed=speed))]


def say(engine: HibariEngine, *chunks: str, seed: int = 1, speed: float = 1.0) -> Pcm:
    return np.concatenate(pieces(engine, *chunks, seed=seed, speed=speed))


def uncut(text: str, pronouncer: Pronouncer) -> Signal:
    """The utterance rendered in one run, with the noise of the request's first chunk."""
    model = AcousticModel(voice_model("heart"))
    (ids,) = pronouncer.utterances(text)
    plan = model.plan(ids, 1.0)
    rng = np.random.default_rng(np.random.SeedSequence((1, 0)))
    samples = Vocoder(plan.f0, rng, Scratch()).push(model.render(plan, 0, len(plan.f0)))
    return samples.astype(np.float64) * 32_767


def log_spectral_distance(one: Signal, other: Signal) -> float:
    """Mean distance in dB between short-time spectra of 1024 samples, quiet bins floored."""
    return float(np.abs(spectra_in_db(one) - spectra_in_db(other)).mean())


def spectra_in_db(signal: Signal) -> Signal:
    frames = np.lib.stride_tricks.sliding_window_view(signal, 1024)[::256] * np.hanning(1024)
    return 20 * np.log10(np.abs(np.fft.rfft(frames)) + 200)


def recognise(samples: Pcm) -> str:
    """What pocketsphinx hears, at the 16 kHz it listens at."""
    positions = np.arange(len(samples) * 2 // 3) * 1.5
    smooth = np.convolve(samples, [0.25, 0.5, 0.25], "same")
    resampled = np.interp(positions, np.arange(len(samples)), smooth).astype(np.int16)
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(resampled.tobytes(), full_utt=True)
    decoder.end_utt()
    return "" if decoder.hyp() is None else decoder.hyp().hypstr
