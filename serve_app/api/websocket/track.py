"""The audio of one utterance on its way out, and the times of its words in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serve_app.api import speaking
from serve_app.api.speaking import Speech
from serve_app.api.timeline import Timeline
from serve_app.audio.encode import StreamEncoder
from serve_app.audio.process import chain
from serve_app.domain.types import PcmChunk, Samples, WordTiming


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What one chunk brought out."""

    data: bytes  # encoded
    seconds: float  # of audio, whether or not the encoder still holds it back
    words: Sequence[WordTiming]  # that begin in it or later; seconds in the utterance's audio


class Track:
    """Pieces of speech become one stream of one format. Blocks: it runs on the audio threads."""

    def __init__(self, speech: Speech, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._processor = chain(speaking.processors(speech, sample_rate))
        self._encoder = StreamEncoder(speech.plan.streamed, sample_rate)
        self._begun_at = 0.0  # the piece being heard, in the time of what engines say
        self._heard = 0  # samples that engines have said
        self._sent = 0  # samples that have left
        self._timeline = Timeline(self._processor)

    @property
    def seconds(self) -> float:
        """Duration so far."""
        return self._sent / self._sample_rate

    def begin_piece(self) -> None:
        """The chunks that follow belong to another piece of speech."""
        self._begun_at = self._heard / self._sample_rate

    def push(self, chunk: PcmChunk) -> Outgoing:
        """Take a chunk of the piece that was begun."""
        self._heard += len(chunk.samples)
        self._timeline.hear(chunk.words, self._begun_at)
        return self._pass_on(self._processor.push(chunk.samples))

    def finish(self) -> Outgoing:
        """What was held back; nothing at all where nothing was said."""
        if not self._heard:
            return Outgoing(b"", 0.0, ())
        rest = self._pass_on(self._processor.flush())
        return replace(rest, data=rest.data + self._encoder.finish())

    def _pass_on(self, samples: Samples) -> Outgoing:
        self._sent += len(samples)
        seconds = len(samples) / self._sample_rate
        words = self._timeline.placed(has_output=self._sent > 0)
        return Outgoing(self._encoder.encode(samples), seconds, words)
