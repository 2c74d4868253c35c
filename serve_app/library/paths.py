"""Which names a file of the library may have, and which files a name can mean: the one place.

A path is below the root of its shelf, with "/", in Unicode's composed form (NFC). Names that begin
with a dot are the library's own. A segment leaves room for the suffix of its sidecar and of a
temporary file within the 255 bytes of common file systems.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from serve_app.domain.errors import InvalidRequest

MAX_SEGMENTS = 8
MAX_SEGMENT_BYTES = 200
AUDIO_EXTENSIONS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac")
_ADDED_EXTENSIONS = ("wav", "mp3", "flac")
_SIDECAR_SUFFIX = ".json"
_FORBIDDEN = frozenset("\\:\x7f")
_OUTPUT_SEGMENT = re.compile(r"[\w-][\w .-]{0,99}")
_RULE = (
    f"At most {MAX_SEGMENTS} parts joined by '/', each of 1 to {MAX_SEGMENT_BYTES} bytes, none "
    "beginning with a dot; no control characters, no backslash and no colon."
)


def checked_path(path: str) -> str:
    """`path` in NFC, if a file may be stored under it.

    Raises:
        InvalidRequest: it may not; the detail says what is allowed.
    """
    path = unicodedata.normalize("NFC", path)
    if not is_plain(path):
        raise InvalidRequest("The name of the file or folder cannot be used.", _RULE)
    return path


def safe_segment(name: str) -> str:
    """`name` in NFC, if it is the name of a file without any folder.

    A name with folders in it is refused rather than cut: who sends one means something else.

    Raises:
        InvalidRequest: it has folders in it, or is no name that a file may have.
    """
    if "/" in name:
        raise InvalidRequest("The name of the file holds a folder.", _RULE)
    return checked_path(name)


def output_folder(project: str | None) -> str:
    """The folder of a project, "" for none; slashes around it are forgiven.

    Stricter than `checked_path`: the paths of outputs travel in headers and addresses.

    Raises:
        InvalidRequest: it is not a plain relative folder.
    """
    folder = unicodedata.normalize("NFC", (project or "").strip("/"))
    if folder and not all(map(_is_output_segment, folder.split("/"))):
        raise _bad_output_name("project: must be a folder name such as 'books/alice'.")
    if folder.count("/") >= MAX_SEGMENTS - 1:
        raise _bad_output_name(f"project: at most {MAX_SEGMENTS - 1} folders deep.")
    return folder


def output_name(name: str) -> str:
    """The name a client wants for its output, without extension.

    Raises:
        InvalidRequest: it is not a plain name.
    """
    name = unicodedata.normalize("NFC", name)
    if not _is_output_segment(name):
        raise _bad_output_name("output_filename: must be a plain file name.")
    return name


def is_plain(path: str) -> bool:
    """May a file be stored under `path`? Hidden ones and those outside the root may not."""
    segments = path.split("/")
    return len(segments) <= MAX_SEGMENTS and all(map(_is_plain_segment, segments))


def is_hidden(key: str) -> bool:
    """Is it a key of the library's own?"""
    return key.startswith(".") or "/." in key


def extension(path: str) -> str:
    """What follows the last dot of the file's name, in lower case; "" without one."""
    return PurePosixPath(path).suffix[1:].lower()


def is_audio(path: str) -> bool:
    """Does its name say that it is audio?"""
    return extension(path) in AUDIO_EXTENSIONS


def sidecar_of(path: str) -> str:
    """The key of the JSON file beside a file."""
    return path + _SIDECAR_SUFFIX


def meanings(name: str) -> tuple[str, ...]:
    """The paths that `name` may stand for, best first; none if it cannot be a name at all.

    As it is; with the usual extensions added; and, because uploads are stored as WAV, with .wav
    instead of another audio extension. Files copied from a Mac may have decomposed names (NFD).
    """
    spellings = [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]
    paths = [path for spelling in dict.fromkeys(spellings) for path in _with_extensions(spelling)]
    return tuple(dict.fromkeys(path for path in paths if is_plain(path)))


def _with_extensions(name: str) -> list[str]:
    if not is_audio(name):
        return [f"{name}.{added}" for added in _ADDED_EXTENSIONS]
    stem = name[: -len(extension(name))]
    return [name, *(f"{name}.{added}" for added in _ADDED_EXTENSIONS), f"{stem}wav"]


def _is_plain_segment(segment: str) -> bool:
    return (
        bool(segment)
        and not segment.startswith(".")
        and not any(ord(character) < 32 or character in _FORBIDDEN for character in segment)
        and _utf8_length(segment) <= MAX_SEGMENT_BYTES
    )


def _utf8_length(text: str) -> int:
    """Bytes of `text`; half a surrogate pair, which no file system takes, counts as too much."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return MAX_SEGMENT_BYTES + 1


def _is_output_segment(segment: str) -> bool:
    return bool(_OUTPUT_SEGMENT.fullmatch(segment)) and _is_plain_segment(segment)


def _bad_output_name(message: str) -> InvalidRequest:
    return InvalidRequest(
        message, "Letters, digits, space, dot, dash and underscore; no part begins with a dot."
    )
