"""One utterance: its text is spoken while it comes, through one encoder, to one client."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from serve_app.api import speaking
from serve_app.api.fields import ResponseMode
from serve_app.api.services import Services
from serve_app.api.speaking import Speech
from serve_app.api.sse import words_json
from serve_app.api.tts_plan import is_mute
from serve_app.api.websocket.messages import Start
from serve_app.api.websocket.pacing import Pacer
from serve_app.api.websocket.peer import Ends, Peer, SocketClosed
from serve_app.api.websocket.script import Script
from serve_app.api.websocket.track import Outgoing, Track
from serve_app.audio.encode import media_type, output_rate
from serve_app.domain.errors import InvalidRequest, SpeechServiceError
from serve_app.observability.metrics import Outcome

logger = logging.getLogger(__name__)

_KIND = "tts"  # of what metrics count


class Utterance:
    """What is said between `start` and `done`, in one voice and one stream of audio."""

    def __init__(self, services: Services, peer: Peer, start: Start, request_id: str) -> None:
        self.id = start.id or uuid.uuid4().hex
        self.is_over = False  # the last of it has been told
        self.is_broken = False  # it failed or was cancelled
        self.script = Script(
            services.speech.capabilities.max_chunk_chars,
            services.settings.websocket.max_pending_chars,
        )
        self._services = services
        self._peer = peer
        self._start = start
        self._request_id = request_id
        self._rate = services.speech.capabilities.sample_rate
        self._track: Track | None = None
        self._pacer = Pacer(services.settings.websocket.max_ahead_s, time.monotonic)
        self._asked_at: float | None = None  # for the first audio; seconds, monotonic
        self._is_heard = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing will happen unless the client writes."""
        return self.is_over or self.script.is_waited_for

    @property
    def played_at(self) -> float:
        """When its listener has heard all that was sent, in monotonic seconds; 0 for nothing."""
        return self._pacer.played_at

    async def run(self) -> None:
        """Speak all of it; what goes wrong is told, and ends it.

        Raises:
            SocketClosed: the client has left.
        """
        try:
            await self._say_all()
        except SpeechServiceError as failure:
            await self.fail(failure)
        except SocketClosed:
            raise
        except Exception:
            logger.exception("Unexpected error, request %s", self._request_id)
            self.is_over = self.is_broken = True
            await self._peer.internal_error(self.id)
        else:
            await self.tell_done()

    async def fail(self, failure: SpeechServiceError) -> None:
        """Say why it ends."""
        self.is_over = self.is_broken = True
        await self._peer.failure(failure, Ends.UTTERANCE, self.id)

    async def tell_done(self, cancelled: bool = False) -> None:
        """Say that it has ended."""
        self.is_over, self.is_broken = True, cancelled
        seconds = self._track.seconds if self._track else 0.0
        await self._peer.event(
            "done",
            utterance_id=self.id,
            duration_seconds=round(seconds, 4),
            cancelled=cancelled,
        )

    async def _say_all(self) -> None:
        body = self._start.body()
        voice = await speaking.find_voice(self._services, body.reference_audio_filename)
        try:
            speech = speaking.plan(
                self._services, body, voice, self._request_id, ResponseMode.EVENTS
            )
            await self._services.sources.count(voice)
            await self._tell_started(speech)
            await self._speak(speech)
        finally:
            await asyncio.shield(voice.tidy_up())

    async def _tell_started(self, speech: Speech) -> None:
        audio_format = speech.plan.streamed
        await self._peer.event(
            "started",
            utterance_id=self.id,
            request_id=self._request_id,
            format=audio_format.value,
            media_type=media_type(audio_format, self._rate),
            sample_rate=output_rate(audio_format, self._rate),
            seed=speech.plan.request.seed,
            ignored=[*speech.plan.ignored, *self._start.without_effect],
        )
        if speech.body.timestamps and not speech.plan.request.word_timings:
            await self._peer.event("alignment", utterance_id=self.id, words=None)

    async def _speak(self, speech: Speech) -> None:
        track = self._track = Track(speech, self._rate)
        outcome = Outcome.CANCELLED
        try:
            async for piece in self.script:
                await self._say(speech, track, piece)
            await self._deliver(track.finish)
            outcome = Outcome.COMPLETED
        except SocketClosed:
            raise
        except Exception as error:
            if not isinstance(error, InvalidRequest):
                outcome = Outcome.FAILED
            raise
        finally:
            self._services.recorder.ended(_KIND, outcome, track.seconds)

    async def _say(self, speech: Speech, track: Track, piece: str) -> None:
        settings = {"text": piece, "seed": speech.plan.request.seed}
        body = speech.body.model_copy(update=settings)
        if is_mute(body):
            return
        planned = speaking.plan(
            self._services, body, speech.voice, self._request_id, ResponseMode.EVENTS
        )
        track.begin_piece()
        self._asked_at = self._asked_at or time.monotonic()
        async with aclosing(speaking.chunks(self._services, planned)) as chunks:
            async for chunk in chunks:
                await self._deliver(partial(track.push, chunk))

    async def _deliver(self, step: Callable[[], Outgoing]) -> None:
        """Words go before the audio in which they begin."""
        out = await self._services.in_thread(step)
        if out.words:
            await self._peer.event("alignment", utterance_id=self.id, words=words_json(out.words))
        if out.data:
            await self._peer.audio(out.data)
            self._count_first()
        await self._pacer.sent(out.seconds)

    def _count_first(self) -> None:
        if not self._is_heard and self._asked_at is not None:
            self._services.recorder.first_audio(_KIND, time.monotonic() - self._asked_at)
        self._is_heard = True
