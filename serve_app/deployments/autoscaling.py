"""How many replicas a deployment wants: as many as its owed audio needs.

A config file names the class by its import path:

    autoscaling_config:
      policy:
        policy_function: serve_app.deployments.autoscaling:OwedAudioPolicy
        policy_kwargs:
          target_owed_seconds: 120

Serve's controller calls it, with what the replicas told it (`record_autoscaling_stats`); delays and
bounds of the `autoscaling_config` apply to the answer. Serve's own policy counts requests: one that
wants a word weighs as much as one that wants ten minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

    from serve_app.deployments.owed import Owed

OWED = "owed_audio_seconds"
"""What a replica says it owes to the requests that it has, in seconds of audio."""

REQUEST = "mean_request_seconds"
"""What its latest requests were expected to come to, on average, in seconds of audio."""


def stats_of(owed: Owed) -> dict[str, float]:
    """What a replica tells the controller."""
    return {OWED: owed.seconds, REQUEST: owed.mean_request_seconds}


class OwedAudioPolicy:
    """Replicas so that each owes `target_owed_seconds` of audio at most."""

    def __init__(self, target_owed_seconds: float) -> None:
        """The target is what a replica makes while its listeners are patient: its audio seconds per
        second times the seconds after which another replica should help.

        Raises:
            ValueError: it is not positive.
        """
        if target_owed_seconds <= 0:
            raise ValueError("target_owed_seconds must be positive.")
        self._target = target_owed_seconds

    def __call__(self, ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """See Serve's custom autoscaling policies: the replicas wanted, and no state."""
        told = ctx.aggregated_metrics or {}
        owed, lengths = told.get(OWED, {}), told.get(REQUEST, {})
        if not owed or not lengths:  # no replica has spoken up yet
            return float(max(ctx.target_num_replicas, ctx.total_queued_requests > 0)), {}
        queued = ctx.total_queued_requests * sum(lengths.values()) / len(lengths)
        return (sum(owed.values()) + queued) / self._target, {}
