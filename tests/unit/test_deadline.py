"""The deadline queue: its promises for every sequence of events, and what they are worth."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmarks.simulation import (
    FirstComeQueue,
    Listener,
    Piece,
    arrive_at_random,
    arrive_together,
    simulate,
)
from serve_app.domain.deadline import PLENTY, RUN_DRY_MARGIN, DeadlineQueue, Stream

SHORTEST_PIECE = 1 / 16  # seconds of audio; the bound on waiting rests on there being one
FIRST, SECOND = Piece(0.55, 0.015), Piece(1.2, 0.008)
REST_OF_SENTENCE, SENTENCE = Piece(4.25, 0.024), Piece(6.0, 0.044)
WHOLE_SENTENCES = (SENTENCE,) * 5
GROWING_PIECES = (FIRST, SECOND, REST_OF_SENTENCE, *[SENTENCE] * 4)
"""About 30 s of speech, cut in two ways, with the embedded engine's measured costs."""

durations = st.integers(0, 80).map(lambda sixteenths: sixteenths / 16)
pieces = st.integers(1, 128).map(lambda sixteenths: sixteenths / 16)
"""Seconds that binary fractions hold exactly, so that equal deadlines are equal."""


class EveryEvent(RuleBasedStateMachine):
    """Adds, takes, deliveries and cancellations in any order, against the obvious model."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: DeadlineQueue[int] = DeadlineQueue()
        self.now = 0.0
        self.waiting: list[Stream[int]] = []  # in the order in which they were queued
        self.out: list[Stream[int]] = []
        self.cancelled: list[Stream[int]] = []
        self.names = 0

    @rule(seconds=durations)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def arrive(self) -> None:
        self.waiting.append(self.queue.add(self.names, self.now))
        self.names += 1

    @rule()
    def take(self) -> None:
        taken = self.queue.take(self.now)
        if not self.waiting:
            assert taken is None
            return
        expected = min(self.waiting, key=lambda stream: stream.deadline)  # of equals, the first
        if expected.deadline > self.now + PLENTY:
            expected = min(self.waiting, key=lambda stream: stream.number)
        assert taken is expected
        self.waiting.remove(expected)
        self.out.append(expected)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), audio=st.one_of(st.just(0.0), pieces))
    def deliver(self, data: st.DataObject, audio: float) -> None:
        stream = data.draw(st.sampled_from(self.out))
        self.queue.put_back(stream, audio, self.now)
        self.out.remove(stream)
        if stream not in self.cancelled:
            self.waiting.append(stream)

    @precondition(lambda self: self.waiting or self.out)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(self.waiting + self.out))
        self.queue.cancel(stream)
        self.cancelled.append(stream)
        if stream in self.waiting:
            self.waiting.remove(stream)

    @invariant()
    def length_counts_those_who_wait(self) -> None:
        assert len(self.queue) == len(self.waiting)


TestEveryEvent = EveryEvent.TestCase
TestEveryEvent.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@dataclass
class Wait:
    """One stream's time in the queue, and who was taken while it had no longer plenty in hand."""

    deadline: float
    first_deadlines: dict[int, float] = field(default_factory=dict)  # of each rival
    takes: Counter[int] = field(default_factory=Counter)  # by rival

    def overtaken_by(self, rival: Stream[int], now: float) -> None:
        if self.deadline > now + PLENTY:
            return
        self.first_deadlines.setdefault(rival.work, rival.deadline)
        self.takes[rival.work] += 1

    def check_bound(self) -> None:
        """A rival's deadline moves out by a piece each time it is served, less the margin once."""
        for rival, count in self.takes.items():
            ahead = self.deadline - self.first_deadlines[rival]
            assert ahead >= 0, "someone who was due later went first"
            assert count <= 1 + math.floor((ahead + RUN_DRY_MARGIN) / SHORTEST_PIECE)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("arrive"), durations),
            st.tuples(st.just("serve"), pieces),
        ),
        max_size=120,
    ),
    st.sampled_from([0.0, 1 / 16, 0.5]),
)
@settings(max_examples=200, deadline=None)
def test_no_stream_starves(events: list[tuple[str, float]], cost: float) -> None:
    """From PLENTY before its deadline D on, a stream waits for a rival with deadline d at most
    1 + (D - d + RUN_DRY_MARGIN) / SHORTEST_PIECE times, and for one that arrives after D never."""
    queue: DeadlineQueue[int] = DeadlineQueue()
    waits: dict[int, Wait] = {}
    now = 0.0
    for number, (event, amount) in enumerate(events):
        if event == "arrive":
            now += amount
            stream = queue.add(number, now)
            waits[stream.work] = Wait(stream.deadline)
        elif (stream := queue.take(now)) is not None:
            waits.pop(stream.work).check_bound()
            for wait in waits.values():
                wait.overtaken_by(stream, now)
            now += cost
            queue.put_back(stream, amount, now)
            waits[stream.work] = Wait(stream.deadline)
    for wait in waits.values():
        wait.check_bound()


@given(st.integers(1, 20))
def test_streams_that_arrive_together_are_served_in_the_order_they_came(count: int) -> None:
    queue: DeadlineQueue[int] = DeadlineQueue()
    for number in range(count):
        queue.add(number, now=1.0)
    taken = [stream.work for _ in range(count) if (stream := queue.take(1.0)) is not None]
    assert taken == list(range(count))


def test_a_stream_out_being_served_is_not_taken_again() -> None:
    queue: DeadlineQueue[str] = DeadlineQueue()
    stream = queue.add("only", now=0.0)
    assert queue.take(0.0) is stream
    assert queue.take(0.0) is None
    queue.put_back(stream, 1.0, now=0.1)
    assert queue.take(0.0) is stream


def test_cancelled_work_is_never_taken_whether_it_waits_or_is_out() -> None:
    queue: DeadlineQueue[str] = DeadlineQueue()
    out = queue.add("out", now=0.0)
    assert queue.take(0.0) is out
    waiting = queue.add("waiting", now=0.0)
    queue.cancel(waiting)
    queue.cancel(out)
    queue.put_back(out, 1.0, now=0.1)
    assert queue.take(0.0) is None


def _queue_with_a_started_and_a_new_stream(new_at: float) -> DeadlineQueue[str]:
    """The started one has had one second of audio at t=0, so it runs dry at t=1."""
    queue: DeadlineQueue[str] = DeadlineQueue()
    started = queue.add("started", now=0.0)
    assert queue.take(0.0) is started
    queue.put_back(started, 1.0, now=0.0)
    queue.add("new", now=new_at)
    return queue


@given(st.floats(1 - RUN_DRY_MARGIN, 3, exclude_min=True))
def test_a_listener_about_to_run_dry_comes_before_a_new_one(new_at: float) -> None:
    stream = _queue_with_a_started_and_a_new_stream(new_at).take(new_at)
    assert stream is not None
    assert stream.work == "started"


@given(st.floats(0, 1 - RUN_DRY_MARGIN, exclude_max=True))
def test_a_new_listener_comes_before_one_with_audio_in_hand(new_at: float) -> None:
    stream = _queue_with_a_started_and_a_new_stream(new_at).take(new_at)
    assert stream is not None
    assert stream.work == "new"


def test_while_all_have_plenty_the_first_to_come_is_finished_first() -> None:
    queue: DeadlineQueue[str] = DeadlineQueue()
    for name in ("first", "second"):
        queue.add(name, now=0.0)
    first, second = queue.take(0.0), queue.take(0.0)
    assert first is not None
    assert second is not None
    queue.put_back(second, PLENTY + 2, now=0.0)
    queue.put_back(first, PLENTY + 3, now=0.0)
    assert queue.take(0.1) is first, "though the second is due earlier"
    queue.put_back(first, 1.0, now=0.1)
    assert queue.take(2.0) is second, "which now has less than plenty"


def test_listeners_who_come_together_do_not_all_end_together() -> None:
    listeners = simulate(arrive_together(8, GROWING_PIECES), DeadlineQueue())
    ends = sorted(listener.completed_at for listener in listeners)
    assert ends[0] < 0.4 * ends[-1]


def _median_first_audio(listeners: list[Listener]) -> float:
    return statistics.median(listener.first_audio for listener in listeners)


@pytest.mark.parametrize("seed", range(3))
def test_at_90_percent_load_first_audio_comes_four_times_sooner_and_nobody_runs_dry(
    seed: int,
) -> None:
    plain_arrivals = arrive_at_random(1000, WHOLE_SENTENCES, 0.9, random.Random(seed))
    arrivals = arrive_at_random(1000, GROWING_PIECES, 0.9, random.Random(seed))
    plain = simulate(plain_arrivals, FirstComeQueue())
    ours = simulate(arrivals, DeadlineQueue())
    assert _median_first_audio(ours) <= 0.25 * _median_first_audio(plain)
    assert sum(listener.ran_dry for listener in ours) == 0


@pytest.mark.parametrize("seed", range(3))
def test_at_90_percent_load_the_order_alone_saves_the_listeners_of_short_pieces(seed: int) -> None:
    arrivals = arrive_at_random(1000, GROWING_PIECES, 0.9, random.Random(seed))
    first_come = simulate(arrivals, FirstComeQueue())
    by_deadline = simulate(arrivals, DeadlineQueue())
    assert sum(listener.ran_dry for listener in first_come) > 0
    assert sum(listener.ran_dry for listener in by_deadline) == 0
    assert _median_first_audio(by_deadline) <= 0.5 * _median_first_audio(first_come)


def test_of_32_that_start_together_half_hear_audio_in_half_the_time_and_none_runs_dry() -> None:
    plain = simulate(arrive_together(32, WHOLE_SENTENCES), FirstComeQueue())
    ours = simulate(arrive_together(32, GROWING_PIECES), DeadlineQueue())
    assert _median_first_audio(ours) <= 0.5 * _median_first_audio(plain)
    assert not any(listener.ran_dry for listener in ours)


def test_every_listener_hears_everything() -> None:
    arrivals = arrive_at_random(200, GROWING_PIECES, 0.9, random.Random(7))
    listeners = simulate(arrivals, DeadlineQueue())
    expected = sum(piece.audio for piece in GROWING_PIECES)
    assert [listener.heard for listener in listeners] == pytest.approx([expected] * 200)
