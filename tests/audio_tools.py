"""What the tests of sound share: a decoder, a synthetic voice and ways to compare two signals."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from serve_app.domain.types import AudioFormat, Samples

Signal = npt.NDArray[np.float64]

_DEMUXERS = {
    AudioFormat.WAV: "wav",
    AudioFormat.MP3: "mp3",
    AudioFormat.FLAC: "flac",
    AudioFormat.OPUS: "ogg",
    AudioFormat.AAC: "aac",
    AudioFormat.PCM: "s16le",
    AudioFormat.ULAW: "mulaw",
    AudioFormat.ALAW: "alaw",
}
_HEADERLESS = (AudioFormat.PCM, AudioFormat.ULAW, AudioFormat.ALAW)


def decode(data: bytes | Path, format: AudioFormat, rate: int = 24_000) -> tuple[Samples, int]:
    """Decode a whole file with FFmpeg into samples [n] and their rate.

    `rate` is that of the headerless formats. A cut-off file yields what is complete in it.
    """
    file = io.BytesIO(data if isinstance(data, bytes) else data.read_bytes())
    options = {"sample_rate": str(rate)} if format in _HEADERLESS else {}
    if not file.getbuffer().nbytes:
        return np.zeros(0, np.int16), rate
    with av.open(file, "r", format=_DEMUXERS[format], options=options) as container:
        track = container.streams.audio[0]
        to_pcm = av.AudioResampler("s16", "mono", track.rate)
        frames = [out for frame in container.decode(track) for out in to_pcm.resample(frame)]
        pieces = [frame.to_ndarray().ravel() for frame in [*frames, *to_pcm.resample(None)]]
        return np.concatenate([np.zeros(0, np.int16), *pieces]).astype(np.int16), track.rate


def duration(data: bytes | Path, format: AudioFormat) -> float | None:
    """Seconds that a container's header and size declare, as ffprobe shows them."""
    file = io.BytesIO(data if isinstance(data, bytes) else data.read_bytes())
    with av.open(file, "r", format=_DEMUXERS[format]) as container:
        return None if container.duration is None else container.duration / 1_000_000


def resample(samples: Samples, rate: int, to: int) -> Samples:
    """Samples [n] at `rate` Hz as samples at `to` Hz."""
    if rate == to or not len(samples):
        return samples
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("s16", "mono", to)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.int16)


def speechlike(seconds: float, rate: int = 24_000, seed: int = 1, peak: float = 0.5) -> Samples:
    """Voiced syllables with a gliding f0 and formant-like bands, pauses of digital silence."""
    rng = np.random.default_rng(seed)
    pieces: list[Signal] = []
    wanted = round(seconds * rate)
    while sum(map(len, pieces)) < wanted:
        pieces.append(_syllable(rng, rate))
        if rng.random() < 0.25:
            pieces.append(np.zeros(int(rng.uniform(0.05, 0.3) * rate)))
    signal = np.concatenate([np.zeros(0), *pieces])[:wanted]
    loudest = max(np.abs(signal).max(initial=0.0), 1e-9)
    return np.round(signal / loudest * peak * 32767).astype(np.int16)


def _syllable(rng: np.random.Generator, rate: int) -> Signal:
    n = int(rng.uniform(0.12, 0.35) * rate)
    time = np.linspace(0, 1, n)
    f0 = rng.uniform(90, 220) * (1 + rng.uniform(-0.2, 0.2) * time)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    formants = rng.uniform((300, 900, 2200), (800, 1800, 3000))
    out = rng.normal(0, 0.003, n)
    for k in range(1, int(min(4000, rate / 2.2) / f0.max())):
        gain = sum(np.exp(-(((k * f0.mean() - f) / 200) ** 2)) for f in formants) + 0.02
        out = out + gain / np.sqrt(k) * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return out * np.sin(np.pi * time) ** 0.5 * rng.uniform(0.4, 1.0)


def lag(reference: Samples, other: Samples) -> int:
    """How many samples later `other` is than `reference`, at the peak of their correlation."""
    size = 1 << (len(reference) + len(other)).bit_length()
    spectrum = np.fft.rfft(other.astype(float), size)
    spectrum = spectrum * np.conj(np.fft.rfft(reference.astype(float), size))
    peak = int(np.argmax(np.fft.irfft(spectrum)))
    return peak - size if peak > size // 2 else peak


def snr(reference: Samples, other: Samples) -> float:
    """Signal to noise ratio in dB of `other` against `reference`, over their common length."""
    n = min(len(reference), len(other))
    wanted, got = reference[:n].astype(float), other[:n].astype(float)
    noise = float(np.sum((wanted - got) ** 2))
    return float("inf") if noise == 0 else 10 * np.log10(float(np.sum(wanted**2)) / noise)


def dbfs(samples: Samples) -> float:
    """RMS level in dB relative to full scale; -inf for digital silence."""
    power = float(np.mean(samples.astype(float) ** 2)) if len(samples) else 0.0
    return 10 * np.log10(power / 32768**2) if power else float("-inf")


def cut(samples: Samples, sizes: list[int]) -> list[Samples]:
    """Samples cut into pieces of these sizes, and one more with the rest."""
    return (
        np.split(samples, np.minimum(np.cumsum(sizes), len(samples)).tolist())
        if sizes
        else [samples]
    )
