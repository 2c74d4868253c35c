"""Speech that the model does not end is ended, and other speech is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.engines.chatterbox.models import TOKEN_RATE
from serve_app.engines.chatterbox.t3.guards import (
    SILENT_TOKENS,
    Fault,
    Finish,
    Guards,
    Watch,
    max_tokens_for,
)

SPEECH = list(range(100, 150))
SHORT = Guards(token_seconds=0.2, cycle_seconds=0.4, longest_cycle=4, silence_seconds=0.3)


def first_fault(tokens: list[int], guards: Guards | None = None) -> tuple[int, Fault] | None:
    """After how many tokens the guards find which fault."""
    watch = Watch(guards or Guards())
    for count in range(1, len(tokens) + 1):
        fault = watch.look(tokens[:count])
        if fault is not None:
            return count, fault
    return None


def test_a_token_held_for_more_than_two_seconds_is_a_fault_from_its_repetition_on() -> None:
    assert first_fault(SPEECH + [7] * 2 * TOKEN_RATE) is None
    found = first_fault(SPEECH + [7] * (2 * TOKEN_RATE + 1))
    assert found == (101, Fault(Finish.REPETITION, tokens_before=51))


@pytest.mark.parametrize("period", [2, 3, 10])
def test_a_cycle_of_more_than_four_seconds_is_a_fault(period: int) -> None:
    cycle = (list(range(period)) * 60)[: 4 * TOKEN_RATE + 1]
    assert first_fault(SPEECH + cycle[:-1]) is None
    found = first_fault(SPEECH + cycle)
    assert found == (151, Fault(Finish.REPETITION, tokens_before=50 + period))


def test_a_cycle_longer_than_its_limit_is_no_fault_before_it_came_twice() -> None:
    guards = Guards(cycle_seconds=0.1)
    assert first_fault(SPEECH, guards) is None
    found = first_fault([1, 2, 3, 4] * 2, guards)
    assert found == (8, Fault(Finish.REPETITION, tokens_before=4))


def test_a_cycle_longer_than_ten_tokens_is_not_looked_for() -> None:
    assert first_fault(list(range(11)) * 40) is None


def test_silence_of_more_than_three_seconds_is_a_fault_from_its_beginning_on() -> None:
    silence = (sorted(SILENT_TOKENS) * 20)[: 3 * TOKEN_RATE + 1]
    assert first_fault(SPEECH + silence[:-1] + SPEECH) is None
    found = first_fault(SPEECH + silence + SPEECH)
    assert found == (126, Fault(Finish.SILENCE, tokens_before=50))


def test_one_silent_token_repeated_is_silence_not_repetition() -> None:
    found = first_fault(SPEECH + [4299] * 200)
    assert found is not None
    assert found[1].finish is Finish.SILENCE


def _fault_by_definition(tokens: list[int], guards: Guards) -> Finish | None:
    """Looks at the end of the list as a whole."""
    limit = guards.silence_seconds * TOKEN_RATE
    silent = [token in guards.silent_tokens for token in tokens]
    if len(tokens) > limit and all(silent[-int(limit) - 1 :]):
        return Finish.SILENCE
    for period in range(1, guards.longest_cycle + 1):
        seconds = guards.token_seconds if period == 1 else guards.cycle_seconds
        end = tokens[-int(seconds * TOKEN_RATE) - 1 :]
        cyclic = all(one == other for one, other in zip(end, end[period:], strict=False))
        if len(end) > seconds * TOKEN_RATE and cyclic and not all(silent[-period:]):
            return Finish.REPETITION
    return None


@given(tokens=st.lists(st.sampled_from([1, 2, 4299]), max_size=60))
@settings(max_examples=300, deadline=None)
def test_counting_as_tokens_come_finds_what_looking_back_finds(tokens: list[int]) -> None:
    counts = range(1, len(tokens) + 1)
    faults = [(n, _fault_by_definition(tokens[:n], SHORT)) for n in counts]
    expected = next(((n, finish) for n, finish in faults if finish), None)
    found = first_fault(tokens, SHORT)
    assert (found and (found[0], found[1].finish)) == expected


def test_the_longest_speech_grows_with_the_text_between_bounds() -> None:
    assert max_tokens_for(0) == 4 * TOKEN_RATE
    assert max_tokens_for(10) == 14 * TOKEN_RATE
    assert max_tokens_for(10_000) == 1000
