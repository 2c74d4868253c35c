"""Listeners who play in real time, served by the engine's own core: when audio comes, and how many
can listen at once."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.gpu_rig import Rig
from benchmarks.report import Figures
from serve_app.domain.deadline import Stream
from serve_app.domain.errors import SpeechServiceError
from serve_app.domain.protocols import Core, Delivery
from serve_app.engines.chatterbox.task import Task

SPACING = 0.05
"""Seconds from one stream's arrival to the next one's."""


@dataclass(slots=True)
class Listener:
    """Starts to play at the first delivery, and would stop where what was delivered is heard."""

    asked_at: float  # seconds, monotonic
    started_at: float | None = None
    delivered: float = 0.0  # seconds of audio
    margin: float = math.inf  # the least that was in hand, in seconds, when more came

    def hear(self, seconds: float, now: float) -> None:
        """Get audio."""
        if self.started_at is None:
            self.started_at = now
        else:
            self.margin = min(self.margin, self.started_at + self.delivered - now)
        self.delivered += seconds

    @property
    def first_audio(self) -> float:
        """Seconds that it waited; endless when nothing came."""
        return math.inf if self.started_at is None else self.started_at - self.asked_at


@dataclass(frozen=True, slots=True)
class Run:
    """What some listeners got."""

    first_audios: tuple[float, ...]  # seconds, of those who got any
    margin: float  # seconds, the worst; negative where somebody ran dry
    audio: float  # seconds
    duration: float

    @property
    def is_held(self) -> bool:
        """Whether nobody ran dry."""
        return self.margin >= 0

    def first_audio_ms(self, percentile: float) -> float:
        """A percentile of the times to the first audio."""
        return float(np.percentile(self.first_audios, percentile)) * 1000


class Audience:
    """Listeners of one core, who come one after the other."""

    def __init__(self, core: Core[Task]) -> None:
        self._core = core
        self._listeners: dict[Stream[Task], Listener] = {}

    def play(
        self,
        tasks: Sequence[Callable[[], Task]],
        *,
        spacing: float = 0.0,
        enough: Callable[[Listener], bool] = lambda _: False,
    ) -> Run:
        """Have listeners come `spacing` seconds apart and serve them to their ends, or until
        one who has just got audio says that it is enough."""
        began = time.monotonic()
        coming = deque((began + index * spacing, task) for index, task in enumerate(tasks))
        goes_on = True
        while goes_on and (coming or self._core.busy):
            self._welcome(coming)
            if self._core.busy:
                served = self._deliver(self._core.step())
                goes_on = not any(map(enough, served))
            else:
                time.sleep(max(0.0, coming[0][0] - time.monotonic()))
        run = self._run(time.monotonic() - began)
        self._leave()
        return run

    def _welcome(self, coming: deque[tuple[float, Callable[[], Task]]]) -> None:
        while coming and coming[0][0] <= time.monotonic():
            asked_at, task = coming.popleft()
            stream = Stream(task(), asked_at)
            self._listeners[stream] = Listener(asked_at)
            self._core.add(stream)

    def _deliver(self, deliveries: Sequence[Delivery[Task]]) -> list[Listener]:
        """Hand over what was just made, and say who got audio."""
        now, served = time.monotonic(), []
        for delivery in deliveries:
            if isinstance(delivery.result, SpeechServiceError):
                raise delivery.result
            if delivery.result is not None:
                listener = self._listeners[delivery.stream]
                listener.hear(delivery.result.seconds, now)
                served.append(listener)
        return served

    def _run(self, duration: float) -> Run:
        listeners = self._listeners.values()
        return Run(
            tuple(each.first_audio for each in listeners if each.started_at is not None),
            min(each.margin for each in listeners),
            sum(each.delivered for each in listeners),
            duration,
        )

    def _leave(self) -> None:
        for stream in self._listeners:
            self._core.remove(stream)
        self._listeners.clear()


def speak(rig: Rig, count: int, seconds: float) -> Run:
    """So many requests at once, to their ends."""
    return Audience(rig.core).play([lambda s=s: rig.task(s, seconds) for s in range(count)])


def first_audio(rig: Rig) -> Figures:
    """From a request's arrival to its first audio, with nobody else there."""
    audience, seconds = Audience(rig.core), rig.scale.stream_seconds
    waits: list[float] = []
    for seed in range(rig.scale.first_audios):
        run = audience.play([lambda s=seed: rig.task(s, seconds)], enough=lambda _: True)
        waits += run.first_audios
    return {f"first_audio_ms_p{p}": float(np.percentile(waits, p)) * 1000 for p in (50, 95)}


def real_time_streams(rig: Rig) -> Figures:
    """The most streams of which none runs dry, and how those fared. `streams_dry` is the least
    number tried at which one did, 0 where there was none in the time given."""
    until = time.monotonic() + rig.scale.patience_seconds
    runs: dict[int, Run] = {}

    def is_held(count: int) -> bool:
        tasks = [lambda s=s: rig.task(s, rig.scale.stream_seconds) for s in range(count)]
        runs[count] = Audience(rig.core).play(
            tasks, spacing=SPACING, enough=lambda listener: listener.margin < 0
        )
        print(f"{count} streams: worst margin {runs[count].margin:.2f} s", flush=True)
        return runs[count].is_held

    held, dry = largest(
        is_held, rig.scale.first_count, rig.scale.most_streams, lambda: time.monotonic() < until
    )
    run = runs[held or dry]
    return {
        "streams_held": held,
        "streams_dry": dry,
        "streams_worst_margin_s": run.margin,
        "streams_first_audio_ms_p50": run.first_audio_ms(50),
        "streams_first_audio_ms_p95": run.first_audio_ms(95),
    }


def largest(
    is_held: Callable[[int], bool], first: int, most: int, goes_on: Callable[[], bool]
) -> tuple[int, int]:
    """Double from `first` while it holds, then halve the gap until it is a twentieth, or one.

    Returns:
        The largest number that held and the smallest that did not, each 0 where there is none.
    """
    held = dry = 0
    count = first
    while count:
        if is_held(count):
            held = count
        else:
            dry = count
        count = _next(held, dry, most) if goes_on() else 0
    return held, dry


def _next(held: int, dry: int, most: int) -> int:
    """What to try after these; 0 when nothing is left."""
    if not dry:
        return min(2 * held, most) if held < most else 0
    gap = dry - held
    return held + gap // 2 if gap > max(1, held // 20) else 0
