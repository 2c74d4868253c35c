"""A compressed recording through FFmpeg: one demuxer, one family of codecs, nothing else.

FFmpeg is never asked what a file is. It gets the demuxer that the content was checked for, a list
of decoders, no protocols, and no way to open a second file, so playlists, concat scripts and
external data references lead nowhere.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.error import FFmpegError

from serve_app.audio.containers.recording import (
    BLOCK_SAMPLES,
    Length,
    damaged,
    unsupported,
)
from serve_app.audio.containers.view import View
from serve_app.audio.filters import Signal
from serve_app.domain.errors import InvalidAudio

_LOUDEST = 1000.0
"""Full scale is 1; decoders of damaged frames make numbers far beyond, or none at all."""

_PROBE_BYTES = 65_536
_MOST_CHANNELS = 8
_KINDS = {
    "u8": ("u1", 2**7),
    "s16": ("i2", 2**15),
    "s32": ("i4", 2**31),
    "flt": ("f4", 1),
    "dbl": ("f8", 1),
}
_STRICT = "crccheck+bitstream+buffer+explode"


class PacketCheck(Protocol):
    """What a container wants to see of the packets that FFmpeg finds in it."""

    def see(self, packet: bytes) -> None:
        """Take the next packet."""
        ...

    def finish(self) -> None:
        """Raise InvalidAudio when the packets cannot be all of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found out about a compressed file without decoding it."""

    format: str
    name: str  # for people
    demuxer: str
    decoders: tuple[str, ...]
    view: View
    length: Length | None
    check: PacketCheck | None = None
    forgiven: int = 0  # packets at the start that may fail: they refer to what was cut off


class CodedRecording:
    """The one audio track of a container that FFmpeg demuxes."""

    def __init__(self, layout: Layout, container: Any, track: AudioStream) -> None:
        self._layout = layout
        self._container = container
        self._track = track
        self.format = layout.format
        self.length = layout.length
        self.sample_rate: int = track.codec_context.sample_rate
        self.channels: int = track.codec_context.channels

    def blocks(self) -> Iterator[Signal]:
        """The mean of the channels, in pieces of about BLOCK_SAMPLES."""
        waiting: list[Signal] = []
        for frame in self._frames():
            waiting.append(self._mono(frame))
            if sum(map(len, waiting)) >= BLOCK_SAMPLES:
                yield np.concatenate(waiting)
                waiting.clear()
        if waiting:
            yield np.concatenate(waiting)

    def _frames(self) -> Iterator[av.AudioFrame]:
        check = self._layout.check
        for number, packet in enumerate(self._packets()):
            if check is not None and packet.size:
                check.see(bytes(packet))
            yield from self._decoded(packet, number < self._layout.forgiven)
        if check is not None:
            check.finish()

    def _packets(self) -> Iterator[Any]:
        with _refusals(self._layout.name):
            yield from self._container.demux(self._track)

    def _decoded(self, packet: Any, forgiven: bool) -> Sequence[av.AudioFrame]:
        try:
            return packet.decode()
        except FFmpegError as error:
            if forgiven:
                return []
            raise damaged(self._layout.name, "a part of it cannot be decoded") from error

    def _mono(self, frame: av.AudioFrame) -> Signal:
        shape = (frame.sample_rate, frame.layout.nb_channels)
        if shape != (self.sample_rate, self.channels):
            raise damaged(self._layout.name, "its sample rate or channels change on the way")
        kind = frame.format.name.removesuffix("p")
        if kind not in _KINDS or self.channels > _MOST_CHANNELS:
            what = f"it has {self.channels} channels of the kind {kind}"
            raise unsupported(self._layout.name, what)
        numbers, scale = _KINDS[kind]
        return mean_of(_rows(frame, numbers), scale, self._layout.name)


def _rows(frame: av.AudioFrame, numbers: str) -> npt.NDArray[Any]:
    """The channels of a frame, [c, n].

    Not `to_ndarray`: with eight planes PyAV takes what lies behind the eighth for a ninth, and
    the process dies as it is read.
    """
    channels = frame.layout.nb_channels
    planes = cast(Sequence[Any], frame.planes)
    if not frame.format.is_planar:
        return np.frombuffer(planes[0], numbers, frame.samples * channels).reshape(-1, channels).T
    return np.stack([np.frombuffer(plane, numbers, frame.samples) for plane in planes[:channels]])


def mean_of(rows: npt.NDArray[Any], scale: float, name: str) -> Signal:
    """Channels [c, n] whose full scale is `scale` as one signal [n].

    Raises:
        InvalidAudio: there are samples that are no numbers, or none that a recording has.
    """
    if rows.dtype.kind == "f" and not bool(np.all(np.abs(rows) <= _LOUDEST)):
        raise damaged(name, "it has samples that are infinite or no numbers")
    offset = scale if rows.dtype.kind == "u" else 0
    return (rows.mean(axis=0, dtype=np.float64) - offset) / scale


@contextmanager
def opened(layout: Layout) -> Generator[CodedRecording]:
    """The recording behind a layout.

    Raises:
        InvalidAudio: FFmpeg cannot make sense of it, or it holds another codec.
    """
    with _refusals(layout.name):
        container = av.open(
            layout.view,
            "r",
            format=layout.demuxer,
            options=_options(layout),
            metadata_errors="ignore",
            io_open=_no_other_file,
        )
    with container:
        yield CodedRecording(layout, container, _track(layout, container.streams.audio))


def _options(layout: Layout) -> dict[str, str]:
    return {
        "format_whitelist": layout.demuxer,
        "codec_whitelist": ",".join(layout.decoders),
        "protocol_whitelist": "none",
        "probesize": str(_PROBE_BYTES),
        **({"enable_drefs": "0"} if layout.demuxer == "mov" else {}),
    }


def _track(layout: Layout, tracks: Sequence[AudioStream]) -> AudioStream:
    if len(tracks) != 1:
        raise unsupported(layout.name, f"it has {len(tracks) or 'no'} audio tracks instead of one")
    context = cast(AudioCodecContext | None, tracks[0].codec_context)  # None: an unknown codec
    if context is None or context.name not in layout.decoders:
        raise unsupported(layout.name, "its audio is in a codec that is not accepted")
    context.thread_count = 1
    context.options = {"err_detect": _STRICT}
    return tracks[0]


@contextmanager
def _refusals(name: str) -> Generator[None]:
    try:
        yield
    except FFmpegError as error:
        raise damaged(name, "it cannot be read") from error


def _no_other_file(*_: object) -> NoReturn:
    raise InvalidAudio("The file refers to another file instead of holding its audio itself.")
