"""The sampler does to each row what transformers' processors do to it alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from serve_app.engines.chatterbox.models import Controls
from serve_app.engines.chatterbox.t3.noise import Noise
from serve_app.engines.chatterbox.t3.sampler import (
    GUIDED_STAGES,
    TURBO_STAGES,
    Plan,
    Stage,
    draw,
    guide,
)

VOCABULARY = 40
DEVICE = torch.device("cpu")
OFF = Controls(1.0, top_p=1.0, min_p=0.0, top_k=0, repetition_penalty=1.0, cfg_weight=0.0)

CONTROLS = st.builds(
    Controls,
    temperature=st.one_of(st.floats(0.01, 5), st.sampled_from([1e-3, 0.8, 1.0])),
    top_p=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.95, 1.0])),
    min_p=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.05, 1.0])),
    top_k=st.integers(0, VOCABULARY + 5),
    repetition_penalty=st.one_of(st.floats(0.1, 10), st.sampled_from([1.0, 1.2, 2.0])),
    cfg_weight=st.floats(0, 3),
)


@dataclass(frozen=True)
class Row:
    """One request at one step."""

    seen: list[int]
    controls: Controls
    seed: int
    scale: float
    rounded: bool  # so that many are alike

    @property
    def logits(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        logits = torch.randn(VOCABULARY, generator=generator)
        return (logits.round() if self.rounded else logits) * self.scale


ROWS = st.lists(
    st.builds(
        Row,
        seen=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=8),
        controls=CONTROLS,
        seed=st.integers(0, 2**32),
        scale=st.sampled_from([1e-3, 1.0, 5.0, 100.0, 1e30]),
        rounded=st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def processed(rows: list[Row], stages: tuple[Stage, ...]) -> Tensor:
    """All rows at once, by the sampler."""
    plan = Plan.of([row.controls for row in rows], DEVICE)
    scores = torch.stack([row.logits for row in rows])
    seen = torch.zeros(scores.shape, dtype=torch.bool)
    for number, row in enumerate(rows):
        seen[number, row.seen] = True
    for stage in stages:
        scores = stage(scores, seen, plan)
    return scores


def by_transformers(row: Row, order: str) -> Tensor:
    """One row, by transformers; a processor that is off is left out, as upstream does."""
    controls = row.controls
    processors = {
        "temperature": TemperatureLogitsWarper(controls.temperature),
        "top_k": TopKLogitsWarper(controls.top_k) if controls.top_k else None,
        "top_p": TopPLogitsWarper(controls.top_p) if controls.top_p < 1 else None,
        "min_p": MinPLogitsWarper(controls.min_p),
        "penalty": RepetitionPenaltyLogitsProcessor(controls.repetition_penalty),
    }
    scores, seen = row.logits[None], torch.tensor([row.seen])
    for name in order.split():
        processor = processors[name]
        scores = scores if processor is None else processor(seen, scores)
    return scores


@pytest.mark.parametrize(
    ("stages", "order"),
    [
        (GUIDED_STAGES, "penalty temperature top_k min_p top_p"),
        (TURBO_STAGES, "temperature top_k top_p min_p penalty"),
    ],
    ids=["guided", "turbo"],
)
@given(rows=ROWS)
@settings(max_examples=150, deadline=None)
def test_each_row_is_processed_as_by_transformers(
    stages: tuple[Stage, ...], order: str, rows: list[Row]
) -> None:
    together = processed(rows, stages)
    for number, row in enumerate(rows):
        alone = by_transformers(row, order)[0]
        torch.testing.assert_close(together[number], alone, rtol=0, atol=0, equal_nan=True)


@given(rows=ROWS)
@settings(max_examples=100, deadline=None)
def test_a_draw_is_that_of_multinomial_with_the_same_seed(rows: list[Row]) -> None:
    noise = Noise(len(rows), VOCABULARY, 1, DEVICE)
    scores = torch.stack([row.logits for row in rows])
    for slot, row in enumerate(rows):
        noise.begin(slot, row.seed)
    plan = Plan.of([row.controls for row in rows], DEVICE)
    generators = [torch.Generator().manual_seed(row.seed) for row in rows]
    for step in range(3):
        taken = noise.take([step] * len(rows), torch.full((len(rows),), step))
        for slot, token in enumerate(draw(scores, taken, plan).tolist()):
            probabilities = torch.softmax(scores[slot : slot + 1], dim=-1)
            expected = torch.multinomial(probabilities, 1, generator=generators[slot])
            assert token == expected.item()


def test_a_greedy_row_takes_the_likeliest_beside_one_that_draws() -> None:
    logits = torch.zeros(2, VOCABULARY)
    logits[:, 7] = 1e-4
    greedy = Controls(0.0, 1.0, 0.0, 0, 1.0, 0.0)
    plan = Plan.of([greedy, OFF], DEVICE)
    noise = torch.ones(2, VOCABULARY)
    noise[:, 3] = 1e-6
    assert draw(logits, noise, plan).tolist() == [7, 3]


def test_guidance_leads_away_from_the_row_without_text() -> None:
    logits = torch.tensor([[[1.0, 2.0], [0.5, 3.0]], [[1.0, 2.0], [0.5, 3.0]]])
    plan = Plan.of([Controls(1, 1, 0, 0, 1, cfg_weight=0.5), OFF], DEVICE)
    assert guide(logits, plan).tolist() == [[1.25, 1.5], [1.0, 2.0]]


def test_noise_in_blocks_is_the_same_in_any_slot() -> None:
    def noise_of(slot: int, steps: int, moved_at: int | None = None) -> list[Tensor]:
        noise, found = Noise(3, VOCABULARY, 4, DEVICE), []
        for other in range(3):
            noise.begin(other, seed=1 if other == slot else 9)
        for step in range(steps):
            if step == moved_at:
                noise.move(slot, 0)
                slot = 0
            found.append(noise.take([step] * 3, torch.full((3,), step))[slot].clone())
        return found

    alone = noise_of(0, 10)
    assert all(map(torch.equal, alone, noise_of(2, 10)))
    assert all(map(torch.equal, alone, noise_of(2, 10, moved_at=6)))
    assert not any(torch.equal(one, other) for one, other in pairwise(alone))
