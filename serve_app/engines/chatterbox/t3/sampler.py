"""Which token comes next: transformers' logits processors, for rows that each want other ones.

Arithmetic and order are those of `transformers.generation.logits_process` as upstream applies them,
so that a seed gives upstream's tokens. Only rows that ask are sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from serve_app.engines.chatterbox.models import Controls

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The controls of n rows, on the device; made anew when the rows change."""

    temperature: Tensor  # [n, 1], 1 where greedy
    repetition_penalty: Tensor  # [n, 1]
    min_p: Tensor  # [n, 1]
    cfg_weight: Tensor  # [n, 1]
    greedy: Tensor | None  # [n, 1] bool; None if none is
    top_k: _Chosen | None
    top_p: _Chosen | None

    @classmethod
    def of(cls, controls: Sequence[Controls], device: torch.device) -> Plan:
        """The plan for rows with these controls."""
        columns = torch.tensor(
            [
                (row.temperature or 1.0, row.repetition_penalty, row.min_p, row.cfg_weight)
                for row in controls
            ],
            device=device,
        )
        temperature, repetition_penalty, min_p, cfg_weight = columns.unsqueeze(-1).unbind(1)
        return cls(
            temperature=temperature,
            repetition_penalty=repetition_penalty,
            min_p=min_p,
            cfg_weight=cfg_weight,
            greedy=_greedy(controls, device),
            top_k=_Chosen.of([row.top_k if row.top_k > 0 else None for row in controls], device),
            top_p=_Chosen.of(
                [1 - row.top_p if row.top_p < 1 else None for row in controls], device
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """The rows that ask for something, and what they ask for."""

    rows: Tensor  # [m] int64
    values: Tensor  # [m, 1]
    most: float

    @classmethod
    def of(cls, values: Sequence[float | None], device: torch.device) -> _Chosen | None:
        chosen = [(row, value) for row, value in enumerate(values) if value is not None]
        if not chosen:
            return None
        rows, asked = zip(*chosen, strict=True)
        return cls(
            torch.tensor(rows, device=device),
            torch.tensor(asked, device=device).unsqueeze(-1),
            max(asked),
        )


def _greedy(controls: Sequence[Controls], device: torch.device) -> Tensor | None:
    greedy = [row.temperature == 0 for row in controls]
    return torch.tensor(greedy, device=device).unsqueeze(-1) if any(greedy) else None


Stage = Callable[[Tensor, Tensor, Plan], Tensor]
"""From logits [n, vocabulary] and which tokens came before (the same shape, bool) to logits."""


def penalize(logits: Tensor, seen: Tensor, plan: Plan) -> Tensor:
    """Make tokens that came before less likely (arXiv:1909.05858)."""
    penalty = plan.repetition_penalty
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def temper(logits: Tensor, _: Tensor, plan: Plan) -> Tensor:
    """Sharpen or flatten."""
    return logits / plan.temperature


def keep_min_p(logits: Tensor, _: Tensor, plan: Plan) -> Tensor:
    """Keep what is at least `min_p` times as likely as the likeliest (arXiv:2407.01082)."""
    probabilities = torch.softmax(logits, dim=-1)
    least = plan.min_p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < least, _NEVER)


def keep_top_k(logits: Tensor, _: Tensor, plan: Plan) -> Tensor:
    """Keep the `top_k` likeliest, and what is as likely as the last of them."""
    if plan.top_k is None:
        return logits
    asking, vocabulary = logits[plan.top_k.rows], logits.shape[-1]
    best = torch.topk(asking, min(int(plan.top_k.most), vocabulary)).values
    last = best.gather(1, plan.top_k.values.clamp(max=vocabulary) - 1)
    return logits.index_copy(0, plan.top_k.rows, asking.masked_fill(asking < last, _NEVER))


def keep_top_p(logits: Tensor, _: Tensor, plan: Plan) -> Tensor:
    """Keep the fewest that together are as likely as `top_p`, one at least (arXiv:1904.09751)."""
    if plan.top_p is None:
        return logits
    asking = logits[plan.top_p.rows]
    ascending, order = torch.sort(asking, descending=False)
    unlikely = ascending.softmax(dim=-1).cumsum(dim=-1) <= plan.top_p.values
    unlikely[:, -1] = False
    kept = asking.masked_fill(unlikely.scatter(1, order, unlikely), _NEVER)
    return logits.index_copy(0, plan.top_p.rows, kept)


GUIDED_STAGES: tuple[Stage, ...] = (penalize, temper, keep_top_k, keep_min_p, keep_top_p)
"""`T3.inference`; `top_k`, which it lacks, stands where transformers puts it."""

TURBO_STAGES: tuple[Stage, ...] = (temper, keep_top_k, keep_top_p, keep_min_p, penalize)
"""`T3.inference_turbo`; `min_p`, which it lacks, stands where transformers puts it."""


def guide(logits: Tensor, plan: Plan) -> Tensor:
    """Classifier-free guidance: logits [n, rows, vocabulary], of which the first row is conditioned
    and the second, if there is one, is not; [n, vocabulary]."""
    conditioned = logits[:, 0]
    if logits.shape[1] == 1:
        return conditioned
    return conditioned + plan.cfg_weight * (conditioned - logits[:, 1])


def draw(logits: Tensor, noise: Tensor, plan: Plan) -> Tensor:
    """Tokens [n] drawn from logits [n, vocabulary] with exponential noise of that shape.

    The largest p / Exp(1) is a draw from p, and how `torch.multinomial` draws one.
    """
    scores = torch.softmax(logits, dim=-1) / noise
    if plan.greedy is not None:
        scores = torch.where(plan.greedy, logits, scores)
    return scores.argmax(dim=-1)
