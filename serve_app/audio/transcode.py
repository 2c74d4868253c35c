"""A stored lossless master as a complete file of another format."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from serve_app.audio import wav
from serve_app.audio.codecs import CODECS, CodecWriter
from serve_app.domain.types import AudioFormat, Samples

_BLOCK_SAMPLES = 65_536

# Unlike a stream, a file can go back to its start: this tag tells players the exact duration and
# how much of the encoder's delay and padding to skip.
_FILE_OPTIONS: Mapping[AudioFormat, Mapping[str, str]] = {AudioFormat.MP3: {"write_xing": "1"}}


def transcode(master: Path, format: AudioFormat, destination: Path) -> None:
    """Write the 16-bit mono WAV file `master` to `destination` as `format`, a block at a time.

    FLAC and MP3 get headers with their true length. An error leaves a part of the file behind.
    Raises ValueError when the master is not 16-bit mono, wave.Error when it is not WAV.
    """
    if format is AudioFormat.WAV:
        shutil.copyfile(master, destination)
        return
    with wave.open(str(master), "rb") as source:
        _check(source)
        with destination.open("wb") as target:
            _write(source, format, target)


def _write(source: wave.Wave_read, format: AudioFormat, target: BinaryIO) -> None:
    if format is AudioFormat.PCM:
        target.writelines(map(wav.pcm_bytes, _blocks(source)))
    else:
        _encode(source, format, target)


def _encode(source: wave.Wave_read, format: AudioFormat, target: BinaryIO) -> None:
    options = _FILE_OPTIONS.get(format)
    writer = CodecWriter(target, CODECS[format], source.getframerate(), options)
    for samples in _blocks(source):
        writer.write(samples)
    writer.close()


def _check(source: wave.Wave_read) -> None:
    shape = (source.getnchannels(), source.getsampwidth())
    if shape != (1, wav.BYTES_PER_SAMPLE):
        raise ValueError(f"the master has {shape[0]} channels of {8 * shape[1]} bits, not 1 of 16")


def _blocks(source: wave.Wave_read) -> Iterator[Samples]:
    while data := source.readframes(_BLOCK_SAMPLES):
        yield np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)
