"""No file, however made, does more than be refused: no crash, no hang, no memory, no trace."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from serve_app.audio.decode import Bounds, inspect, normalise
from serve_app.domain.errors import FileTooLarge, InvalidAudio
from tests.support.hostile import BOUNDS, HOSTILE, MAX_BYTES, HostileFile
from tests.support.recordings import GOOD, GoodFile

CONTENT = [hostile for hostile in HOSTILE if not hostile.form]
MUTATIONS = 6


def refusal(source: Path, bounds: Bounds = BOUNDS) -> InvalidAudio | FileTooLarge | None:
    """How `source` is refused; None if it is accepted. Anything else is a failure of the test."""
    destination = source.with_name("library.wav")
    try:
        normalise(source, destination, bounds)
    except (InvalidAudio, FileTooLarge) as error:
        assert not destination.exists()
        return error
    assert destination.stat().st_size > 44
    return None


@pytest.mark.parametrize("hostile", CONTENT, ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_in_words(tmp_path: Path, hostile: HostileFile) -> None:
    source = tmp_path / "source"
    source.write_bytes(hostile.content())
    error = refusal(source)
    kind = FileTooLarge if hostile.status == 413 else InvalidAudio
    assert type(error) is kind
    assert error.message.endswith(".")
    assert str(tmp_path) not in error.message + error.detail
    with pytest.raises(kind):
        inspect(source, BOUNDS)


def test_the_catalogue_names_each_file_once() -> None:
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE)


def test_a_file_of_just_the_size_allowed_is_not_too_large(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(MAX_BYTES))
    assert type(refusal(source)) is InvalidAudio


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_every_beginning_of_a_file_is_refused(tmp_path: Path, good: GoodFile) -> None:
    content, source = good.content(), tmp_path / "source"
    source.write_bytes(content[: len(content) * 2 // 3])
    survives = good.name in ("wav streamed", "m4a in fragments")
    assert (refusal(source) is None) <= survives


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_a_mutated_file_is_decoded_or_refused(tmp_path: Path, good: GoodFile) -> None:
    source, dice = tmp_path / "source", random.Random(good.name)
    content = good.content()[:300_000]
    for _ in range(MUTATIONS):
        source.write_bytes(mutated(content, dice))
        refusal(source)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """The content with a few bytes changed, a stretch lost, or one repeated elsewhere."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        near = dice.choice((64, 400, len(data)))
        data[dice.randrange(min(near, len(data)))] = dice.choice((0, 0xFF, dice.randrange(256)))
    start, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    match dice.randrange(4):
        case 0:
            del data[start : min(end, start + dice.choice((1, 100, 10_000)))]
        case 1:
            data[start:start] = data[end : end + 5000]
        case 2:
            del data[end:]
        case _:
            pass
    return bytes(data)
