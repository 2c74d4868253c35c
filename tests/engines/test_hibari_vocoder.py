"""The streaming vocoder is hibari's own synthesis, whatever the windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hibari import dsp

from serve_app.engines.hibari.vocoder import BINS, Scratch, Vocoder, gaussian_noise

FRAMES = 120
HOP = 300
SEED = 7

Floats = npt.NDArray[np.float32]


class SameNoise:
    """Gives `dsp.synth` the noise that a `Vocoder` with `SEED` draws."""

    def standard_normal(self, shape: tuple[int, int], dtype: type) -> npt.NDArray[Any]:
        noise = gaussian_noise(np.random.default_rng(SEED), shape[1] // 2)
        return np.ascontiguousarray(noise.T).view(dtype)


@pytest.fixture(scope="module")
def f0() -> Floats:
    """A falling voice with an unvoiced stretch and unvoiced ends."""
    curve = np.linspace(240, 150, FRAMES, dtype=np.float32)
    curve[:12] = curve[50:61] = curve[-9:] = 0
    return curve


@pytest.fixture(scope="module")
def spectra() -> Floats:
    """Random spectra of about the level of speech, [FRAMES, 5 * BINS]."""
    values = np.random.default_rng(1).standard_normal((FRAMES, 5 * BINS), dtype=np.float32)
    values[:, :BINS] -= 4
    values[:, BINS : 2 * BINS] /= 10  # near zero phase, so that the pulses stay pulses
    values[:, 2 * BINS : 4 * BINS] -= 5
    return values


def synthesise(spectra: Floats, f0: Floats, ends: list[int]) -> list[Floats]:
    vocoder = Vocoder(f0, np.random.default_rng(SEED), Scratch())
    starts = [0, *ends[:-1]]
    return [vocoder.push(spectra[a:b]) for a, b in zip(starts, ends, strict=True)]


def library(spectra: Floats, f0: Floats) -> Floats:
    parts = [np.ascontiguousarray(spectra[:, i * BINS : (i + 1) * BINS].T) for i in range(5)]
    return dsp.synth(*parts, f0, SameNoise())


def test_it_equals_the_library_given_the_same_noise(spectra: Floats, f0: Floats) -> None:
    reference = library(spectra, f0)
    (samples,) = synthesise(spectra, f0, [FRAMES])
    assert len(samples) == FRAMES * HOP
    assert np.abs(reference).max() > 0.02  # a voice, not silence
    assert np.abs(samples - reference).max() < 1e-4 * np.abs(reference).max()


@pytest.mark.parametrize(
    "ends",
    [[46, FRAMES], [1, 2, 3, 33, 65, FRAMES], [FRAMES - 1, FRAMES], list(range(1, FRAMES + 1))],
    ids=["short first", "odd", "single last", "frame by frame"],
)
def test_cuts_leave_no_trace_in_the_samples(spectra: Floats, f0: Floats, ends: list[int]) -> None:
    (whole,) = synthesise(spectra, f0, [FRAMES])
    cut = np.concatenate(synthesise(spectra, f0, ends))
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_all_but_two_hops_come_out_at_once(spectra: Floats, f0: Floats) -> None:
    lengths = [len(part) for part in synthesise(spectra, f0, [46, 80, FRAMES])]
    assert lengths == [44 * HOP, 34 * HOP, 42 * HOP]


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_the_shortest_utterances_equal_the_library(spectra: Floats, frames: int) -> None:
    f0 = np.full(frames, 180, np.float32)
    (samples,) = synthesise(spectra[:frames], f0, [frames])
    reference = library(spectra[:frames], f0)
    assert np.abs(samples - reference).max() < 1e-4 * np.abs(reference).max()


def test_the_noise_is_gaussian_and_independent_from_bin_to_bin() -> None:
    noise = gaussian_noise(np.random.default_rng(SEED), 400)
    for part in (noise.real, noise.imag):
        assert abs(part.mean()) < 0.01
        assert part.var() == pytest.approx(1, abs=0.02)
        assert (part**4).mean() == pytest.approx(3, abs=0.1)  # as of a Gaussian
        assert abs((part[:, 1:] * part[:, :-1]).mean()) < 0.01
        assert abs((part[1:] * part[:-1]).mean()) < 0.01
    assert abs((noise.real * noise.imag).mean()) < 0.01


def test_the_noise_does_not_depend_on_how_many_frames_are_drawn_at_a_time() -> None:
    whole, cut = np.random.default_rng(SEED), np.random.default_rng(SEED)
    parts = [gaussian_noise(cut, frames) for frames in (1, 2, 7)]
    np.testing.assert_array_equal(gaussian_noise(whole, 10), np.concatenate(parts))


def test_what_is_to_come_can_change_without_a_trace(spectra: Floats, f0: Floats) -> None:
    known, given = f0.copy(), 46
    known[given + 2 :] = 111
    vocoder = Vocoder(known[:-20], np.random.default_rng(SEED), Scratch())
    first = vocoder.push(spectra[:given])
    vocoder.revise(f0)
    samples = np.concatenate([first, vocoder.push(spectra[given:])])
    (whole,) = synthesise(spectra, f0, [FRAMES])
    np.testing.assert_allclose(samples, whole, atol=1e-6)
