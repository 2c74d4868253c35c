"""What is known of a voice is found out once: in a process, and for those that start later."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio.decode import LIBRARY_RATE
from serve_app.audio.wav import WavWriter
from serve_app.deployments.profiles import SourceProfiles, VoiceProfiles, digest_of
from serve_app.deployments.recordings import Recordings
from serve_app.domain.errors import InvalidAudio, NotFound, VoiceNotFound
from serve_app.domain.types import (
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
    Joining,
    Listening,
    PcmChunk,
    Samples,
    Shelf,
    SpeechRequest,
    StoredAudio,
)
from serve_app.engines import fake
from serve_app.library.blobs import open_blobs

LISTENING = Listening(4, spread=True)


@dataclass
class ListeningEngine:
    """Writes down what it was given to analyse; its profile is how much that was."""

    heard: list[Samples] = field(default_factory=list)

    @property
    def capabilities(self) -> ConversionCapabilities:
        return ConversionCapabilities(
            "listener", LIBRARY_RATE, source_seconds=2, target=Listening(4, spread=True)
        )

    def analyse(self, samples: Samples) -> int:
        if not samples.any():
            raise InvalidAudio("There is no voice in it.")
        self.heard.append(samples)
        return len(samples)

    def dump(self, profile: int) -> bytes:
        return str(profile).encode()

    def load(self, data: bytes) -> int:
        return int(data)

    def convert(self, source: int | None, target: int, joining: Joining) -> object:
        raise NotImplementedError


@dataclass
class Speaker:
    """Says a second at a time, and counts how often it was asked and how far it got."""

    asked: list[SpeechRequest] = field(default_factory=list)
    spoken: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return fake.CAPABILITIES

    async def status(self) -> BackendStatus:
        return BackendStatus(running=1, starting=0)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        self.asked.append(request)
        for _ in request.chunks:
            await asyncio.sleep(0)
            self.spoken += 1
            yield PcmChunk(np.ones(LIBRARY_RATE, np.int16), LIBRARY_RATE)


@dataclass
class Place:
    """A folder with recordings, and processes that read them."""

    folder: Path
    engine: ListeningEngine = field(default_factory=ListeningEngine)
    speaker: Speaker = field(default_factory=Speaker)

    def recordings(self) -> Recordings:
        roots = {shelf: self.folder / shelf.value for shelf in (Shelf.VOICES, Shelf.VC_INPUTS)}
        return Recordings({shelf: open_blobs(str(root)) for shelf, root in roots.items()})

    def process(self) -> VoiceProfiles[int]:
        return VoiceProfiles(self.engine, "listener", LISTENING, self.recordings())

    def sources(self) -> SourceProfiles[int]:
        return SourceProfiles(self.engine, self.recordings(), self.speaker)  # type: ignore[arg-type]

    def record(self, name: str, samples: Samples, shelf: Shelf = Shelf.VOICES) -> StoredAudio:
        path = self.folder / shelf.value / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with WavWriter(path, LIBRARY_RATE) as writer:
            writer.write(samples)
        return StoredAudio(shelf, name, digest_of(samples), len(samples) / LIBRARY_RATE)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ramp(seconds: float) -> Samples:
    """Samples that say where they are, [n]: each is the tenth of a second it belongs to."""
    return (1 + np.arange(round(seconds * LIBRARY_RATE)) // (LIBRARY_RATE // 10)).astype(np.int16)


async def test_many_who_ask_at_once_cost_one_analysis(place: Place) -> None:
    voice, profiles = place.record("a.wav", ramp(3)), place.process()
    found = await asyncio.gather(*(profiles.of(voice) for _ in range(10)))
    assert found == [3 * LIBRARY_RATE] * 10
    assert len(place.engine.heard) == 1


async def test_a_new_process_reads_what_another_found_out(place: Place) -> None:
    voice = place.record("a.wav", ramp(3))
    await place.process().of(voice)
    assert await place.process().of(voice) == 3 * LIBRARY_RATE
    assert len(place.engine.heard) == 1


async def test_a_damaged_note_is_found_out_again(place: Place) -> None:
    voice = place.record("a.wav", ramp(3))
    await place.process().of(voice)
    (note,) = (place.folder / "voices" / ".derived").iterdir()
    note.write_bytes(b"nonsense")
    assert await place.process().of(voice) == 3 * LIBRARY_RATE
    assert note.read_bytes() == str(3 * LIBRARY_RATE).encode()


async def test_what_came_with_a_request_leaves_no_note(place: Place) -> None:
    voice = place.record(".derived/x.wav", ramp(1), Shelf.VC_INPUTS)
    await place.process().of(voice)
    assert [file.name for file in (place.folder / "vc_inputs").rglob("*.*")][1:] == ["x.wav"]


async def test_a_failure_is_not_remembered(place: Place) -> None:
    silent, profiles = place.record("a.wav", np.zeros(LIBRARY_RATE, np.int16)), place.process()
    for _ in range(2):
        with pytest.raises(InvalidAudio):
            await profiles.of(silent)
    voice = StoredAudio(Shelf.VOICES, "later.wav", digest_of(ramp(1)), 1.0)
    with pytest.raises(NotFound):
        await profiles.of(voice)
    place.record("later.wav", ramp(1))
    assert await profiles.of(voice) == LIBRARY_RATE


async def test_a_voice_replaced_meanwhile_is_not_taken_for_the_old_one(place: Place) -> None:
    old = place.record("a.wav", ramp(2))
    place.record("a.wav", 2 * ramp(2))
    with pytest.raises(VoiceNotFound):
        await place.process().of(old)


async def test_a_built_in_voice_says_a_passage_once_and_no_more_than_is_wanted(
    place: Place,
) -> None:
    profiles = place.sources()
    requests = [SpeechRequest((text,), seed=9) for text in ("one", "two", "three")]
    found = await asyncio.gather(*(profiles.of(request) for request in requests))
    assert found == [2 * LIBRARY_RATE] * 3
    assert len(place.speaker.asked) == 1
    assert place.speaker.spoken == 2
    assert len(place.speaker.asked[0].chunks) > 2


async def test_who_leaves_does_not_end_the_search_of_others(place: Place) -> None:
    profiles = place.sources()
    leaving = asyncio.create_task(profiles.of(SpeechRequest(("a",), seed=1)))
    staying = asyncio.create_task(profiles.of(SpeechRequest(("b",), seed=1)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 2 * LIBRARY_RATE
    assert len(place.speaker.asked) == 1


@pytest.mark.parametrize("seconds", [1.0, 2.0, 2.1, 7.0, 61.3])
async def test_a_sample_is_spread_over_the_whole_recording(place: Place, seconds: float) -> None:
    recorded = place.record("a.wav", ramp(seconds))
    sample = await place.recordings().listen(recorded, Listening(12.0, spread=True))
    if seconds <= 12:
        np.testing.assert_array_equal(sample, ramp(seconds))
    else:
        assert len(sample) == 12 * LIBRARY_RATE
        assert sample[0] == 1
        assert sample[-1] == ramp(seconds)[-1]
        assert np.all(np.diff(sample) >= 0)


@pytest.mark.parametrize(("start", "seconds"), [(0, math.inf), (0.5, 1.0), (1.2345, 9.0), (3, 1)])
async def test_a_stream_is_what_was_recorded(place: Place, start: float, seconds: float) -> None:
    recorded = place.record("a.wav", ramp(3))
    pieces = [piece async for piece in place.recordings().stream(recorded, start, seconds)]
    first, last = round(start * LIBRARY_RATE), round(min(3, start + seconds) * LIBRARY_RATE)
    read = np.concatenate([np.zeros(0, np.int16), *pieces])
    np.testing.assert_array_equal(read, ramp(3)[first:last])


async def test_an_engine_may_want_the_beginning_of_a_recording(place: Place) -> None:
    recorded = place.record("a.wav", ramp(30.0))
    heard = await place.recordings().listen(recorded, Listening(12.0, spread=False))
    np.testing.assert_array_equal(heard, ramp(12.0))
