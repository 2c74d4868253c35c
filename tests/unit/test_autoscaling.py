"""Replicas are counted by the audio that is owed, not by requests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from serve_app.deployments.autoscaling import OWED, REQUEST, OwedAudioPolicy
from serve_app.deployments.owed import CHARS_PER_SECOND, Owed, expected_seconds
from serve_app.domain.types import Shelf, SpeechRequest, StoredAudio


def context(
    owed: dict[str, float], lengths: dict[str, float], queued: float = 0.0, target: int = 1
) -> SimpleNamespace:
    """What Serve's controller knows of a deployment."""
    metrics = {OWED: owed, REQUEST: lengths} if owed else {}
    return SimpleNamespace(
        aggregated_metrics=metrics, total_queued_requests=queued, target_num_replicas=target
    )


def wanted(*args: object, **kwargs: object) -> float:
    replicas, state = OwedAudioPolicy(target_owed_seconds=60)(context(*args, **kwargs))  # type: ignore[arg-type]
    assert state == {}
    return replicas


def spoken(seconds: float, speed: float = 1.0) -> SpeechRequest:
    return SpeechRequest(("x" * round(seconds * CHARS_PER_SECOND),), seed=1, speed=speed)


def test_one_long_request_weighs_as_much_as_many_short_ones() -> None:
    lengths = {"a": 10.0, "b": 2.0}
    assert wanted({"a": 180.0, "b": 0.0}, lengths) == 3.0
    assert wanted({"a": 90.0, "b": 90.0}, lengths) == 3.0


def test_what_queues_counts_by_the_length_of_what_came_before() -> None:
    assert wanted({"a": 60.0}, {"a": 30.0}, queued=4) == 3.0


def test_nothing_owed_wants_nobody() -> None:
    assert wanted({"a": 0.0}, {"a": 10.0}) == 0.0


@pytest.mark.parametrize(("target", "queued", "replicas"), [(2, 0, 2), (0, 3, 1), (0, 0, 0)])
def test_before_a_replica_has_spoken_up_nothing_changes_but_somebody_must_come(
    target: int, queued: int, replicas: int
) -> None:
    assert wanted({}, {}, queued=queued, target=target) == replicas


def test_a_target_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        OwedAudioPolicy(0)


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments:DeprecationWarning")
def test_serve_takes_the_policy_by_its_import_path() -> None:
    from ray.serve.config import AutoscalingConfig

    config = AutoscalingConfig(
        policy={  # type: ignore[arg-type]
            "policy_function": "serve_app.deployments.autoscaling:OwedAudioPolicy",
            "policy_kwargs": {"target_owed_seconds": 30},
        }
    )
    policy = config.policy.get_policy()(**config.policy.policy_kwargs)
    assert policy(context({"a": 90.0}, {"a": 1.0})) == (3.0, {})


def test_a_text_is_expected_to_come_to_what_its_length_and_speed_say() -> None:
    assert expected_seconds(spoken(20)) == pytest.approx(20, abs=0.1)
    assert expected_seconds(spoken(20, speed=2.0)) == pytest.approx(10, abs=0.1)
    assert expected_seconds(StoredAudio(Shelf.VC_INPUTS, "a.wav", "", 7.5)) == 7.5


def test_a_request_is_owed_what_it_comes_to_less_what_was_delivered() -> None:
    owed = Owed()
    with owed.request(20) as long, owed.request(5):
        assert owed.seconds == pytest.approx(25)
        long.pay(15)
        assert owed.seconds == pytest.approx(10)
        long.pay(15)
        assert owed.seconds == pytest.approx(5)
    assert owed.seconds == 0


def test_a_request_that_fails_is_owed_nothing_more() -> None:
    owed = Owed()
    with pytest.raises(RuntimeError), owed.request(20):
        raise RuntimeError
    assert owed.seconds == 0


def test_the_mean_follows_the_requests() -> None:
    owed = Owed()
    for _ in range(200):
        with owed.request(40):
            pass
    assert owed.mean_request_seconds == pytest.approx(40, rel=0.01)
