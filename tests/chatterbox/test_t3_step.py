"""The decode step: in half precision, padded to a bucket, and as a CUDA graph."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from chatterbox.models.t3 import T3
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from serve_app.engines.chatterbox.models import ENGLISH, TURBO, ModelSpec
from serve_app.engines.chatterbox.t3.cache import SlotCache
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.graphs import Buckets, GraphedDecode
from serve_app.engines.chatterbox.t3.prompt import dialect_of
from serve_app.engines.chatterbox.t3.state import SlotState
from serve_app.engines.chatterbox.t3.transformer import Transformer
from tests.chatterbox.t3_reference import OF_UPSTREAM, decoded, mixed_requests, model

pytestmark = pytest.mark.filterwarnings(OF_UPSTREAM)
both = pytest.mark.parametrize("spec", [ENGLISH, TURBO], ids=lambda spec: spec.family)
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SLOTS, MAX_LENGTH = 5, 600


@pytest.fixture(autouse=True)
def inference_mode() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Forced:
    """Three requests of different lengths in five slots, fed tokens that are given."""

    def __init__(self, t3: T3, spec: ModelSpec) -> None:
        dialect, like = dialect_of(t3, spec), t3.speech_head.weight
        self.cache = SlotCache(t3.cfg, SLOTS, dialect.rows, MAX_LENGTH, like)
        self.state = SlotState(SLOTS, like.shape[0], like.device)
        self.transformer = Transformer(t3, dialect, self.cache, self.state)
        self.device = like.device
        requests = mixed_requests(spec, 3)
        self.first = torch.cat(
            [
                self.transformer.prefill(slot, dialect.prompt(asked))
                for slot, asked in enumerate(requests)
            ]
        )
        self.length = max(dialect.prompt_length(asked) for asked in requests)
        for slot, asked in enumerate(requests):
            self.state.begin(slot, dialect.prompt_length(asked), t3.hp.start_speech_token)

    def feed(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.state.advance(torch.randint(6561, (3,), generator=generator).to(self.device))
        self.length += 1

    def logits(self, count: int) -> Tensor:
        """Of the prompts and of `count` tokens after them, [1 + count, 3, rows, vocabulary]."""
        found = [self.first]
        for seed in range(count):
            self.feed(seed)
            found.append(self.transformer.decode(3, self.length))
        return torch.stack(found)


@both
def test_bfloat16_gives_nearly_the_same_logits(spec: ModelSpec) -> None:
    """Within 5 % of how far logits lie apart (the standard deviation over the vocabulary)."""
    exact = Forced(model(spec), spec).logits(6)
    half = Forced(copy.deepcopy(model(spec)).to(torch.bfloat16), spec).logits(6)
    assert half.dtype == torch.float32
    error = (half - exact).square().mean().sqrt() / exact.std()
    assert 0 < error < 0.05


@both
def test_a_padded_step_gives_the_logits_of_the_plain_one(spec: ModelSpec) -> None:
    forced = Forced(model(spec), spec)
    for seed in range(3):
        forced.feed(seed)
        plain = forced.transformer.decode(3, forced.length).clone()
        bucket = Buckets(SLOTS, MAX_LENGTH).fit(3, forced.length)
        padded = forced.transformer.decode(*bucket)
        assert bucket == (4, 256)
        torch.testing.assert_close(padded[:3], plain, rtol=0, atol=1e-5)


@both
def test_a_padded_step_leaves_free_slots_fit_for_a_request(spec: ModelSpec) -> None:
    """A slot that was far on and is free again is written at its beginning only."""
    forced = Forced(model(spec), spec)
    forced.state.begin(4, MAX_LENGTH, 0)
    forced.state.free(4)
    assert forced.state.positions(SLOTS).tolist()[3:] == [0, 0]


@both
def test_a_request_goes_on_in_another_slot_as_before(spec: ModelSpec) -> None:
    forced = Forced(model(spec), spec)
    forced.feed(0)
    before = forced.transformer.decode(3, forced.length)[2].clone()
    forced.cache.move(2, 0, int(forced.state.positions(3)[2]))
    forced.state.move(2, 0)
    after = forced.transformer.decode(1, forced.length)[0]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


@both
def test_a_step_done_twice_does_the_same_twice(spec: ModelSpec) -> None:
    forced = Forced(model(spec), spec)
    forced.feed(0)
    once = forced.transformer.decode(3, forced.length).clone()
    assert torch.equal(forced.transformer.decode(3, forced.length), once)


def test_there_are_few_buckets() -> None:
    slots = {slots for slots, _ in Buckets(48, 1536).every()}
    assert slots == {1, 2, 4, 8, 16, 32, 48}
    assert len(Buckets(48, 1536).every()) == len(slots) * 6


@given(slots=st.integers(1, 48), length=st.integers(1, 1536))
def test_every_step_fits_a_bucket_that_is_warmed_up(slots: int, length: int) -> None:
    buckets = Buckets(48, 1536)
    padded_slots, padded_length = buckets.fit(slots, length)
    assert (padded_slots, padded_length) in buckets.every()
    assert slots <= padded_slots <= min(48, 2 * slots)
    assert length <= padded_length < length + 256


@on_gpu
@both
def test_a_captured_step_gives_the_logits_of_the_plain_one(spec: ModelSpec) -> None:
    forced = Forced(copy.deepcopy(model(spec)).cuda(), spec)
    graphed = GraphedDecode(forced.transformer.decode, Buckets(SLOTS, MAX_LENGTH))
    for seed in range(4):
        forced.feed(seed)
        plain = forced.transformer.decode(3, forced.length).clone()
        torch.testing.assert_close(graphed(3, forced.length), plain, rtol=1e-4, atol=1e-3)


@on_gpu
@both
def test_tokens_with_graphs_are_those_without(spec: ModelSpec) -> None:
    t3, requests = copy.deepcopy(model(spec)).cuda(), mixed_requests(spec, 6)
    with_graphs = TokenDecoder(t3, spec, slots=4, max_length=256)
    with_graphs.warm_up()
    without = TokenDecoder(t3, spec, slots=4, max_length=256, cuda_graphs=False)
    assert decoded(with_graphs, requests) == decoded(without, requests)
