"""One output on its way: PCM in, the streamed encoding out, the lossless master beside it.

All of it blocks (filters, codec, disk), so the methods of `Rendering` run on the audio threads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from serve_app.api.job import Finisher, Job
from serve_app.api.timeline import Timeline
from serve_app.audio import wav
from serve_app.audio.encode import StreamEncoder
from serve_app.audio.process import chain
from serve_app.domain.types import PcmChunk, Samples, WordTiming


class Rendering:
    """The state of one output while it is made; its master is written to `master`."""

    def __init__(self, job: Job, master: Path, streams: bool) -> None:
        self._sample_rate = job.sample_rate
        self._processor = chain(job.processors())
        self._encoder = StreamEncoder(job.streamed, job.sample_rate) if streams else None
        self._finisher = job.finisher
        self._path = master
        self._master = wav.WavWriter(master, job.sample_rate)
        self._timeline = Timeline(self._processor)
        self.words: list[WordTiming] = []  # so far, in the time of what leaves

    @property
    def seconds(self) -> float:
        """Duration so far."""
        return self._master.samples / self._sample_rate

    def push(self, chunk: PcmChunk) -> bytes:
        """Take a chunk of audio; the encoded bytes it brings out, if any."""
        self._timeline.hear(chunk.words)
        return self._pass_on(self._processor.push(chunk.samples))

    def finish(self) -> bytes:
        """Complete the master and return the last encoded bytes."""
        tail = self._pass_on(self._processor.flush())
        if self._encoder is not None:
            tail += self._encoder.finish()
        self._master.close()
        if self._finisher is not None:
            self._rewrite(self._finisher)
        return tail

    def close(self) -> None:
        """Let go of the master, as far as it got."""
        self._master.close()

    def _pass_on(self, samples: Samples) -> bytes:
        self._master.write(samples)
        self.words += self._timeline.placed(has_output=self._master.samples > 0)
        return self._encoder.encode(samples) if self._encoder is not None else b""

    def _rewrite(self, finisher: Finisher) -> None:
        samples = np.fromfile(self._path, "<i2", offset=wav.HEADER_BYTES)
        with wav.WavWriter(self._path, self._sample_rate) as writer:
            writer.write(finisher(samples))
