"""A listener who plays a stream while it comes in: how long they wait, and whether they run dry."""

from __future__ import annotations

from dataclasses import dataclass

_MPEG1_KBIT = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG2_KBIT = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
"""Bit rates of layer III above 24 kHz (ISO 11172-3) and up to it (ISO 13818-3), by their index."""

_BYTES_PER_SAMPLE = {"wav": 2, "pcm": 2, "ulaw": 1, "alaw": 1}
MEASURABLE = (*_BYTES_PER_SAMPLE, "mp3")
"""The formats whose bytes tell how much audio they are."""


@dataclass
class AudioMeter:
    """Turns bytes of a container into seconds of audio, its header not counted."""

    audio_format: str  # one of MEASURABLE
    sample_rate: int  # Hz
    _head: bytes = b""
    _bytes_per_second: float = 0.0

    def measure(self, data: bytes) -> float:
        """Seconds of audio in the next bytes of the stream; 0 until the header has ended."""
        if self._bytes_per_second:
            return len(data) / self._bytes_per_second
        self._head += data
        start = self._audio_start()
        return 0.0 if start is None else (len(self._head) - start) / self._bytes_per_second

    def _audio_start(self) -> int | None:
        """Where in the head audio begins, once that can be told."""
        if self.audio_format == "mp3":
            return self._mp3_start()
        if self.audio_format == "wav":
            chunk = self._head.find(b"data")
            if chunk < 0 or len(self._head) <= chunk + 8:
                return None
            start = chunk + 8
        else:
            start = 0
        self._bytes_per_second = self.sample_rate * _BYTES_PER_SAMPLE[self.audio_format]
        return start

    def _mp3_start(self) -> int | None:
        """The first frame, after an ID3v2 tag if there is one; a constant bit rate is assumed."""
        head, start = self._head, 0
        if head[:3] == b"ID3" and len(head) >= 10:
            size = zip(head[6:10], (21, 14, 7, 0), strict=True)
            start = 10 + sum(byte << shift for byte, shift in size)
        if len(head) < start + 4:
            return None
        rates = _MPEG1_KBIT if head[start + 1] & 0x08 else _MPEG2_KBIT
        self._bytes_per_second = rates[head[start + 2] >> 4] * 1000 / 8
        return start if self._bytes_per_second else None


@dataclass
class Listener:
    """Starts to play at the first audio, and plays in real time. Times are of one clock, in s."""

    asked_at: float
    started_at: float = 0.0  # meaningless until there are `seconds`
    ended_at: float = 0.0
    seconds: float = 0.0  # of audio received
    least_in_hand: float = float("inf")  # audio not yet played when more came, at its scarcest
    longest_gap: float = 0.0
    _heard_last_at: float = 0.0

    def receive(self, seconds: float, now: float) -> None:
        """Count audio that has come in now."""
        if self.seconds:
            in_hand = self.started_at + self.seconds - now
            self.least_in_hand = min(self.least_in_hand, in_hand)
            self.longest_gap = max(self.longest_gap, now - self._heard_last_at)
        else:
            self.started_at = now
        self.seconds += seconds
        self._heard_last_at = now

    @property
    def ran_dry(self) -> bool:
        """Whether there was a moment with nothing left to play."""
        return self.least_in_hand < 0

    @property
    def first_audio(self) -> float:
        """Seconds from asking to the first audio."""
        return self.started_at - self.asked_at

    @property
    def total(self) -> float:
        """Seconds from asking to the end."""
        return self.ended_at - self.asked_at

    @property
    def real_time_factor(self) -> float:
        """Seconds it took for each second of audio."""
        return self.total / self.seconds
