"""Spectrograms of a conversion: what went in, what came out, and the voice it should be in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from PIL import Image

from serve_app.domain.types import Samples
from tests.support.voices import RATE, Pitch

SHOWN_SECONDS = 3.0
HIGHEST = 8000  # Hz
WINDOW, HOP = 768, 96
DYNAMICS = 65  # dB


@dataclass(frozen=True)
class Conversion:
    """Three recordings of 24 kHz and what they are called."""

    source_name: str
    source: Samples
    target_name: str
    target: Samples
    output: Samples


def save_spectrograms(path: Path, conversion: Conversion) -> None:
    """Source, output and target below one another, each with its F0."""
    rows = (
        (f"source: {conversion.source_name}", conversion.source),
        (
            f"converted: {conversion.source_name} in the voice of {conversion.target_name}",
            conversion.output,
        ),
        (f"target: {conversion.target_name}, other words", conversion.target),
    )
    figure, axes = plt.subplots(3, 1, figsize=(9, 7.2), sharex=True, layout="constrained")
    image = None
    for axis, (title, samples) in zip(axes, rows, strict=True):
        image = _draw(axis, title, samples)
    axes[-1].set_xlabel("time in s")
    assert image is not None
    figure.colorbar(image, ax=axes, label="dB below the loudest", pad=0.02, shrink=0.6, aspect=30)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    _shrink(path)


def _shrink(path: Path) -> None:
    """A palette is enough for what is mostly noise, and a third of the bytes."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(192).save(path, optimize=True)


def _draw(axis: Axes, title: str, samples: Samples) -> AxesImage:
    start = int(np.flatnonzero(np.abs(samples.astype(np.int32)) > 1000)[0])
    shown = samples[max(0, start - RATE // 10) :][: int(SHOWN_SECONDS * RATE)]
    seconds = len(shown) / RATE
    image = axis.imshow(
        _decibels(shown),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, RATE / 2000),
        cmap="magma",
        vmin=-DYNAMICS,
        vmax=0,
    )
    axis.set_ylim(0, HIGHEST / 1000)
    axis.set_ylabel("frequency in kHz")
    pitch = Pitch.of(shown)
    axis.set_title(f"{title} (median F0 {pitch.median:.0f} Hz)", loc="left", fontsize=10)
    _draw_pitch(axis, pitch, seconds)
    return image


def _draw_pitch(axis: Axes, pitch: Pitch, seconds: float) -> None:
    scale = axis.twinx()
    f0 = np.where(pitch.f0 > 0, pitch.f0, np.nan)
    scale.plot(np.arange(len(f0)) * 0.005, f0, color="#6fe3ff", linewidth=1.6)
    scale.set_ylim(0, 800)
    scale.set_yticks((0, 100, 200, 300))
    scale.set_ylabel("F0 in Hz", loc="bottom", color="#1b7f99")
    scale.set_xlim(0, max(seconds, SHOWN_SECONDS))


def _decibels(samples: Samples) -> np.ndarray:
    """Power in dB below the loudest, [frequencies, times]."""
    frames = np.lib.stride_tricks.sliding_window_view(samples / 32768.0, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), 2048)) ** 2
    return 10 * np.log10(power.T / power.max() + 1e-12)
