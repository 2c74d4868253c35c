"""How large a stored file will be, known before anybody has asked for it to be made."""

from __future__ import annotations

import math

from serve_app.audio import adts, wav
from serve_app.audio.codecs import CODECS
from serve_app.domain.types import AudioFormat

_UNKNOWN = (AudioFormat.FLAC, AudioFormat.OPUS)  # their size depends on what is said

# libmp3lame/lame.c: ENCDELAY samples go before the first, and at least as many behind the last.
_LAME_DELAY = 576

# libswresample/resample.c: the length of the filter, and its pass band, both the defaults.
_FILTER_SIZE = 32
_CUTOFF = 0.97


def stored_size(format: AudioFormat, samples: int, sample_rate: int) -> int | None:
    """The bytes `transcode` writes for a master of `samples` at `sample_rate` Hz.

    None for flac and opus, whose size does not follow from the length.
    """
    if format in _UNKNOWN:
        return None
    if format is AudioFormat.WAV:
        return wav.HEADER_BYTES + samples * wav.BYTES_PER_SAMPLE
    if format is AudioFormat.PCM:
        return samples * wav.BYTES_PER_SAMPLE
    codec = CODECS[format]
    rate = codec.rate_for(sample_rate)
    samples = resampled_length(samples, sample_rate, rate)
    if format is AudioFormat.MP3:
        return _mp3_size(samples, rate, codec.bit_rate_at(rate))
    if format is AudioFormat.AAC:
        return _aac_size(samples, rate, codec.bit_rate_at(rate))
    return samples


def resampled_length(samples: int, sample_rate: int, rate: int) -> int:
    """How many samples at `rate` Hz FFmpeg's resampler makes of `samples` at `sample_rate` Hz.

    An output sample needs a whole filter of input around it; before the end half a filter, or
    what is left, is mirrored behind the last sample (resample_common and resample_flush).
    """
    if rate == sample_rate:
        return samples
    taps = _filter_length(sample_rate, rate)
    missing = taps - 1 - (taps - 1) // 2  # input that an output needs behind its own place
    before_end = 0
    if samples > taps:
        before_end = _ceil((samples - missing) * rate, sample_rate)
    waiting = samples - max(0, before_end * sample_rate // rate - (taps - 1) // 2)
    mirrored = (min(waiting if before_end else samples, taps) + 1) // 2
    if samples + mirrored <= taps:
        return 0
    return _ceil((samples + mirrored - missing) * rate, sample_rate)


def _filter_length(sample_rate: int, rate: int) -> int:
    taps = math.ceil(_FILTER_SIZE / min(rate * _CUTOFF / sample_rate, 1.0))
    return taps + taps % 2


def _aac_size(samples: int, rate: int, bit_rate: int) -> int:
    """Frames of one size, one of which primes the decoder."""
    frames = 1 + _ceil(samples, adts.SAMPLES_PER_FRAME) if samples else 0
    return frames * adts.frame_bytes(bit_rate, rate)


def _mp3_size(samples: int, rate: int, bit_rate: int) -> int:
    """The frame with the Xing tag, and then LAME's frames of constant bit rate.

    A frame is a byte longer wherever the exact size has got ahead by one (lame's slot_lag).
    """
    frame = 1152 if rate >= 32_000 else 576
    size, rest = divmod(frame // 8 * bit_rate, rate)
    if not samples:
        return size
    frames = _mp3_frames(samples + _LAME_DELAY, frame)
    return size * (1 + frames) + _ceil(rest * (frames - 1), rate)


def _mp3_frames(delayed: int, frame: int) -> int:
    padding = frame - delayed % frame
    if padding < _LAME_DELAY:
        padding += frame
    return (delayed + padding) // frame


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
