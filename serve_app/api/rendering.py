"""One output on its way: PCM in, the streamed encoding out, the lossless master into the library.

All of it blocks (filters, codec, disk), so the methods of `Rendering` run on the audio threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from serve_app.audio import wav
from serve_app.audio.encode import StreamEncoder
from serve_app.audio.process import Processor, chain
from serve_app.domain.types import PcmChunk, Samples
from serve_app.library.outputs import PendingOutput

Finisher = Callable[[Samples], Samples]
"""Work on the whole signal that only the stored files get, such as loudness: [n] -> [n]."""


class Rendering:
    """The state of one output while it is made."""

    def __init__(
        self,
        output: PendingOutput,
        sample_rate: int,
        processors: Sequence[Processor] = (),
        encoder: StreamEncoder | None = None,
        finisher: Finisher | None = None,
    ) -> None:
        self.output = output
        self.sample_rate = sample_rate
        self._processor = chain(processors)
        self._encoder = encoder
        self._finisher = finisher
        self._master = wav.WavWriter(output.scratch, sample_rate)
        self.finished = False

    @property
    def seconds(self) -> float:
        """Duration so far."""
        return self._master.samples / self.sample_rate

    def push(self, chunk: PcmChunk) -> bytes:
        """Take a chunk of speech; the encoded bytes it brings out, if any."""
        return self._pass_on(self._processor.push(chunk.samples))

    def finish(self) -> bytes:
        """Publish the files and return the last encoded bytes."""
        tail = self._pass_on(self._processor.flush())
        if self._encoder is not None:
            tail += self._encoder.finish()
        self._master.close()
        if self._finisher is not None:
            self._rewrite(self._finisher)
        self.output.commit()
        self.finished = True
        return tail

    def discard(self) -> None:
        """Leave no file."""
        self._master.close()
        self.output.discard()

    def _pass_on(self, samples: Samples) -> bytes:
        self._master.write(samples)
        return self._encoder.encode(samples) if self._encoder is not None else b""

    def _rewrite(self, finisher: Finisher) -> None:
        path = self.output.scratch
        samples = np.fromfile(path, "<i2", offset=wav.HEADER_BYTES)
        with wav.WavWriter(path, self.sample_rate) as writer:
            writer.write(finisher(samples))
