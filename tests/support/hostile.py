"""The catalogue of files that must be refused, each with the answer it must get.

None may crash the process, hang it, or take more than a second or a few megabytes. Those with
`form` are about the name or the shape of the upload; their content is a valid file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from serve_app.audio.decode import Bounds
from tests.support import damage
from tests.support.recordings import (
    chunk,
    id3,
    m4a,
    mp3,
    plain_wav,
    speech,
    with_ffmpeg,
    with_soundfile,
)

MAX_BYTES = 8 << 20
MAX_SECONDS = 600.0
MAX_EXPANSION = 150.0
BOUNDS = Bounds(MAX_BYTES, MAX_SECONDS, MAX_EXPANSION)


@dataclass(frozen=True, slots=True)
class HostileFile:
    """A file, the name it is sent under, and the refusal it must meet."""

    name: str
    filename: str
    content: Callable[[], bytes]
    status: int = 400
    code: str = "INVALID_AUDIO"
    form: bool = False


def _flac() -> bytes:
    return with_soundfile("FLAC", "PCM_16")


def _opus() -> bytes:
    return with_ffmpeg("ogg", "libopus", 48_000)


def _vorbis() -> bytes:
    return with_soundfile("OGG", "VORBIS")


def _many_chunks() -> bytes:
    return damage.riff(chunk(b"junk", b"") * 100_000, plain_wav()[12:])


def _nested_riff() -> bytes:
    return damage.riff(plain_wav()[12:36], plain_wav(), plain_wav()[36:])


def _no_samples() -> bytes:
    return damage.riff(plain_wav()[12:36])


def _adpcm() -> bytes:
    return with_soundfile("WAV", "IMA_ADPCM", 24_000)


def _quiet() -> bytes:
    return damage.pcm(np.random.default_rng(1).uniform(-2, 2, 48_000))


def _patched_m4a(name: bytes, offset: int, *numbers: int) -> bytes:
    return damage.patched(m4a(), name, offset, struct.pack(f">{len(numbers)}I", *numbers))


def _bad(kind: str, **contents: Callable[[], bytes]) -> tuple[HostileFile, ...]:
    return tuple(
        HostileFile(f"{kind}: {name.replace('_', ' ')}", f"speech.{kind}", content)
        for name, content in contents.items()
    )


def _named(name: str, filename: str) -> HostileFile:
    return HostileFile(name, filename, plain_wav, 400, "VALIDATION_ERROR", form=True)


_wav = partial(partial, damage.wav)

HOSTILE: Sequence[HostileFile] = (
    *_bad(
        "wav",
        empty=lambda: b"",
        one_byte=lambda: b"R",
        text=lambda: b"This is not audio. " * 100,
        zeros=lambda: bytes(100_000),
        noise=lambda: np.random.default_rng(3).bytes(100_000),
        web_page=lambda: damage.HTML,
        archive=lambda: damage.ZIP,
        program=lambda: damage.ELF,
        playlist=lambda: damage.PLAYLIST,
        concat_script=lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
        session_description=lambda: b"v=0\nm=audio 5004 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
        picture=lambda: b"\x89PNG\r\n\x1a\n" + bytes(500),
        wrong_signature=lambda: b"RIFX" + plain_wav()[4:],
        other_riff=lambda: plain_wav().replace(b"WAVE", b"AVI ", 1),
        header_cut=lambda: plain_wav()[:30],
        no_samples=_no_samples,
        no_bytes_of_samples=_wav(data=b""),
        data_cut=damage.truncated_wav,
        data_cut_to_a_stub=lambda: plain_wav()[:50],
        too_short=lambda: damage.pcm(speech(24_000)[2000:4000].astype(float)),
        too_long=_wav(rate=8_000, bits=8, data=bytes(range(256)) * 18_800),
        digital_silence=lambda: damage.pcm(np.zeros(48_000)),
        almost_silence=_quiet,
        rate_of_0=_wav(rate=0),
        rate_of_1=_wav(rate=1),
        rate_of_2_to_the_31=_wav(rate=1 << 31),
        no_channels=_wav(channels=0),
        no_channels_but_a_block=_wav(channels=0, block=2),
        channels_255=_wav(channels=255),
        channels_65535=_wav(channels=65535, bits=8, block=65535),
        lying_block=_wav(block=4),
        block_of_0=_wav(block=0),
        bits_of_0=_wav(bits=0, block=2),
        bits_of_13=_wav(bits=13, block=2),
        half_a_sample=_wav(data=plain_wav()[44:-1]),
        not_a_number=lambda: damage.floats(float("nan")),
        infinite=lambda: damage.floats(0.5, float("inf")),
        infinite_double=lambda: damage.floats(float("-inf"), bits=64),
        beyond_all_scales=lambda: damage.floats(1e300, bits=64),
        adpcm=_adpcm,
        mp3_within=_wav(tag=0x55),
        unknown_tag=_wav(tag=0x1234),
        unknown_extension=lambda: damage.extensible(b"\xaa" * 14),
        extension_cut=_wav(tag=0xFFFE),
        empty_chunks=_many_chunks,
        riff_within=_nested_riff,
        format_twice=lambda: damage.riff(plain_wav()[12:36], plain_wav()[12:]),
        data_before_format=lambda: damage.riff(plain_wav()[36:], plain_wav()[12:36]),
        archive_behind=lambda: plain_wav() + damage.ZIP,
        web_page_behind=lambda: plain_wav() + damage.HTML,
        program_behind=lambda: plain_wav() + damage.ELF,
        archive_before=lambda: damage.ZIP + plain_wav(),
        tag_before=lambda: id3(100) + plain_wav(),
        size_cut=lambda: damage.riff(plain_wav()[12:], size=1 << 30),
    ),
    *_bad(
        "mp3",
        cut_within_a_frame=lambda: mp3()[:-17],
        cut_at_a_frame=lambda: mp3()[: 314 + 313 * 20],
        half=lambda: damage.cut(mp3(), 0.5),
        tag_only=lambda: id3(5000),
        tag_longer_than_the_file=lambda: id3(100_000)[:500] + mp3(),
        header_rotten=lambda: mp3().replace(mp3()[:3], b"\xff\x00\x00"),
        one_frame=lambda: mp3()[:418],
        archive_behind=lambda: mp3() + damage.ZIP,
        archive_before=lambda: damage.ZIP + mp3(),
        web_page_behind_the_tag=lambda: id3(10) + damage.HTML + mp3(),
        glued_to_another_rate=lambda: mp3() + with_ffmpeg("mp3", "libmp3lame", 48_000),
    ),
    *_bad(
        "flac",
        header_cut=lambda: _flac()[:20],
        frames_missing=lambda: _flac()[:86],
        cut=lambda: damage.cut(_flac()),
        rotten=lambda: damage.rotten(_flac()),
        wrong_signature=lambda: b"fLaX" + _flac()[4:],
        archive_behind=lambda: _flac() + damage.ZIP,
        rate_of_0=lambda: _flac()[:18] + bytes(2) + bytes([_flac()[20] & 0xF]) + _flac()[21:],
        hour_of_silence=lambda: damage.flac_of_silence(3600),
        undeclared_hour_of_silence=lambda: damage.flac_of_silence(3600, declared=False),
        nine_minutes_of_silence=lambda: damage.flac_of_silence(540),
        metadata_longer_than_the_file=lambda: _flac()[:42] + b"\x84\xff\xff\xff" + _flac()[46:],
        endless_metadata=lambda: _flac()[:42] + b"\x01\0\0\0" * 50_000,
    ),
    *_bad(
        "ogg",
        without_end=damage.ogg_without_last_page,
        cut=lambda: damage.cut(_opus()),
        page_missing=damage.ogg_missing_a_page,
        rotten=lambda: damage.rotten(_vorbis()),
        wrong_signature=lambda: b"OggX" + _opus()[4:],
        headers_only=lambda: _vorbis()[: _vorbis().index(b"OggS", 4)],
        two_in_a_row=lambda: _opus() + _vorbis(),
        two_at_once=lambda: damage.two_tracks("ogg", "libopus", 48_000),
        video=damage.theora,
        archive_behind=lambda: _opus() + damage.ZIP,
        hour_of_silence=lambda: damage.opus_of_silence(240),
        minutes_of_silence=lambda: damage.opus_of_silence(30),
    ),
    *_bad(
        "m4a",
        no_moov=lambda: m4a().replace(b"moov", b"free"),
        no_mdat=lambda: m4a().replace(b"mdat", b"free"),
        cut=lambda: damage.cut(m4a()),
        rotten=lambda: damage.rotten(m4a(), size=2000),
        video_only=damage.video_only,
        two_tracks=lambda: damage.two_tracks("mp4", "aac", 44_100),
        frames_of_a_minute=lambda: damage.patched(
            with_ffmpeg("ipod", "alac"), b"\0\0\0\x24alac\0\0\0\0", 0, struct.pack(">I", 1 << 23)
        ),
        codec_nobody_knows=lambda: m4a().replace(b"\x40\x15", b"\x01\x15", 1),
        protected=lambda: m4a().replace(b"mp4a", b"enca"),
        audio_in_another_file=damage.m4a_of_another_file,
        two_billion_packets=partial(_patched_m4a, b"stsz", 4, 1, 2_000_000_000),
        hundred_million_packets=partial(_patched_m4a, b"stsz", 4, 0, 100_000_000),
        two_billion_times=partial(_patched_m4a, b"stts", 8, 2_000_000_000),
        packets_longer_than_the_file=partial(_patched_m4a, b"stsz", 4, 100_000),
        chunks_behind_the_end=partial(_patched_m4a, b"stco", 8, 1 << 30),
        no_timescale=partial(_patched_m4a, b"mdhd", 12, 0),
        thousand_edits=lambda: damage.m4a_of_edits(1000),
        nested_deep=lambda: damage.nested(500),
        many_boxes=lambda: damage.many_boxes(200_000),
        box_of_4_bytes=lambda: m4a()[:28] + b"\0\0\0\x04" + m4a()[32:],
        archive_behind=lambda: m4a() + damage.ZIP,
    ),
    HostileFile(
        "one byte too many",
        "large.wav",
        lambda: plain_wav().ljust(MAX_BYTES + 1, b"\0"),
        413,
        "FILE_TOO_LARGE",
    ),
    _named("name: up", "../../etc/cron.d/speech.wav"),
    _named("name: up, the other way", "..\\..\\speech.wav"),
    _named("name: absolute", "/etc/speech.wav"),
    _named("name: a drive", "C:\\speech.wav"),
    _named("name: NUL", "speech\0.wav"),
    _named("name: a line break", "speech\r\nX-Evil: 1.wav"),
    _named("name: hidden", ".speech.wav"),
    _named("name: dots only", ".."),
    _named("name: 300 characters", "x" * 296 + ".wav"),
    _named("name: nothing", ""),
)
