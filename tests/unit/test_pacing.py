"""Audio is sent ahead of its listener, by so much and no more."""

from __future__ import annotations

import pytest

from serve_app.api.websocket.pacing import Pacer


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    return Pacer(20.0, clock, clock.sleep)


async def test_nothing_waits_within_the_limit(clock: Clock, pacer: Pacer) -> None:
    for _ in range(20):
        await pacer.sent(1.0)
    assert clock.slept == 0


async def test_beyond_it_audio_leaves_as_fast_as_it_is_heard(clock: Clock, pacer: Pacer) -> None:
    for _ in range(60):
        await pacer.sent(1.0)
    assert clock.slept == pytest.approx(40)


async def test_a_listener_who_has_heard_it_all_begins_anew(clock: Clock, pacer: Pacer) -> None:
    await pacer.sent(5.0)
    clock.now += 60
    await pacer.sent(20.0)
    assert clock.slept == 0
    await pacer.sent(1.0)
    assert clock.slept == pytest.approx(1)


async def test_no_audio_is_not_waited_for(clock: Clock, pacer: Pacer) -> None:
    await pacer.sent(0.0)
    assert clock.slept == 0
