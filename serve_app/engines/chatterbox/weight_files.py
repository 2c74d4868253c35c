"""Whether the files of a model are all there, and whole. Nothing here imports torch.

A folder may hold SHA256SUMS, as `sha256sum` writes and checks it. Hashing gigabytes at every start
is slow: `.verified.json` keeps size and time of change of each file at its last hashing, and a file
is hashed again when they differ.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from serve_app.domain.errors import ModelNotLoaded

SUMS = "SHA256SUMS"

_STAMPS = ".verified.json"
_HEADER_LIMIT = 100_000_000  # bytes; the format's own
_SAMPLES, _SAMPLE_BYTES = 64, 4096


class WeightsMissing(ModelNotLoaded):
    """A file of the model is not there and cannot be fetched."""


class WeightsDamaged(ModelNotLoaded):
    """A file of the model is not what it should be."""


def verify(folder: Path, files: Sequence[str], *, full: bool = False) -> None:
    """Check that all files are there and whole; `full` hashes also what is unchanged.

    Raises:
        WeightsMissing, WeightsDamaged: saying which file, and what to do.
    """
    for name in files:
        check_structure(folder / name)
    sums = _read_sums(folder)
    stamps = {name: _stamp(folder, name, sums[name]) for name in files if name in sums}
    known = _read_stamps(folder)
    for name, stamp in stamps.items():
        if (full or known.get(name) != stamp) and sha256(folder / name) != sums[name]:
            raise WeightsDamaged(
                f"{folder / name} is not the file that {SUMS} beside it names.",
                "Remove the file and fetch it again with `serve-app fetch-weights`.",
            )
    if stamps.items() - known.items() and os.access(folder, os.W_OK):
        _write_stamps(folder, {**known, **stamps})


def take_in(path: Path, folder: Path, expected: str | None) -> None:
    """Move a file that was fetched into a folder, if it is whole, and list its digest there.

    Raises:
        WeightsDamaged: it was cut short, or has not the SHA-256 that is expected of it.
    """
    check_structure(path)
    digest = sha256(path)
    if expected not in (None, digest):
        raise WeightsDamaged(f"{path.name} was damaged on its way to {folder}.", "Fetch it again.")
    _write_sums(folder, {**_read_sums(folder), path.name: digest})
    path.replace(folder / path.name)
    stamp = _stamp(folder, path.name, digest)
    _write_stamps(folder, {**_read_stamps(folder), path.name: stamp})


def check_structure(path: Path) -> None:
    """Check what can be seen without reading a file whole: it is there, and not cut short.

    Raises:
        WeightsMissing, WeightsDamaged
    """
    if not path.is_file():
        raise WeightsMissing(
            f"{path} is not there.", "Fetch the model's files with `serve-app fetch-weights`."
        )
    size = path.stat().st_size
    expected = _safetensors_size(path) if path.suffix == ".safetensors" else max(size, 1)
    if size != expected:
        raise WeightsDamaged(
            f"{path} has {size:,} bytes where {expected:,} are expected.",
            "Remove the file and fetch it again.",
        )


def parse_sums(text: str) -> dict[str, str]:
    """The digest of each file in what `sha256sum` writes: `digest  name` a line."""
    lines = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {rest[0].removeprefix("*").strip(): digest.lower() for digest, *rest in lines if rest}


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path, files: Iterable[str]) -> str:
    """16 hexadecimal digits that tell one model's files from another's.

    A file that SHA256SUMS does not list is known by its size and 64 samples of it: that costs
    milliseconds, and misses a difference in a few tensors only.
    """
    sums = _read_sums(folder)
    lines = [f"{name} {sums.get(name) or _sample(folder / name)}\n" for name in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is seen whole or not at all."""
    incomplete = path.with_name(f"{path.name}.{os.getpid()}")
    incomplete.write_text(text)
    incomplete.replace(path)


def _sample(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for sample in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    return parse_sums(path.read_text(errors="replace")) if path.is_file() else {}


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    replace_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def _write_stamps(folder: Path, stamps: Mapping[str, str]) -> None:
    replace_text(folder / _STAMPS, json.dumps(stamps, indent=1))


def _stamp(folder: Path, name: str, digest: str) -> str:
    status = (folder / name).stat()
    return f"{digest} {status.st_size} {status.st_mtime_ns}"


def _read_stamps(folder: Path) -> dict[str, str]:
    """None where the file is damaged: it only saves time, and everything is hashed without it."""
    path = folder / _STAMPS
    try:
        stamps = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        return {}
    return stamps if isinstance(stamps, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _safetensors_size(path: Path) -> int:
    """The bytes of a whole file, as its header tells: eight for the length of the header, the
    header, the tensors (https://huggingface.co/docs/safetensors)."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= _HEADER_LIMIT else b""
    try:
        entries: dict[str, Any] = json.loads(header)
        tensors = [entry for name, entry in entries.items() if name != "__metadata__"]
        return 8 + length + max(int(entry["data_offsets"][1]) for entry in tensors)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsDamaged(
            f"{path} does not begin with a header of safetensors.",
            "Remove the file and fetch it again.",
        ) from error
