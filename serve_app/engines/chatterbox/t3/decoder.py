"""Continuous batching of T3: requests join and leave between any two tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from chatterbox.models.t3 import T3
from torch import Tensor

from serve_app.domain.errors import InvalidRequest
from serve_app.engines.chatterbox.models import ModelSpec
from serve_app.engines.chatterbox.t3 import prompt, sampler
from serve_app.engines.chatterbox.t3.cache import SlotCache
from serve_app.engines.chatterbox.t3.graphs import Buckets, Decode, GraphedDecode
from serve_app.engines.chatterbox.t3.guards import Guards, Watch
from serve_app.engines.chatterbox.t3.noise import Noise
from serve_app.engines.chatterbox.t3.sequence import Look, Sequence, TokenRequest
from serve_app.engines.chatterbox.t3.state import SlotState
from serve_app.engines.chatterbox.t3.transformer import Transformer

MAX_LENGTH = 1536
"""Positions of a slot: upstream's longest speech (1,000 tokens) after a long prompt."""

Urgency = Callable[[Sequence], float]
"""Who is admitted first: the lowest; among equals, who came first."""

_NOISE_BLOCK_ON_GPU = 32
_DEFAULT_GUARDS = Guards()


class TokenDecoder:
    """Decodes up to `slots` requests at once, one token each a step.

    In float32 a request's tokens are those that upstream draws for its seed, whoever its neighbours
    are. `step` belongs to one thread; `add` and `cancel` may be called from others meanwhile.
    """

    def __init__(
        self,
        t3: T3,
        spec: ModelSpec,
        *,
        slots: int,
        max_length: int = MAX_LENGTH,
        prefills_per_step: int = 1,
        cuda_graphs: bool = True,
        guards: Guards = _DEFAULT_GUARDS,
        noise_block: int | None = None,
    ) -> None:
        weight = t3.speech_head.weight
        device, vocabulary = weight.device, weight.shape[0]
        if noise_block is None:
            noise_block = _NOISE_BLOCK_ON_GPU if device.type == "cuda" else 1
        self._t3, self._guards = t3, guards
        self._slots, self._max_length = slots, max_length
        self._prefills_per_step = prefills_per_step
        self._dialect = prompt.dialect_of(t3, spec)
        self._cache = SlotCache(t3.cfg, slots, self._dialect.rows, max_length, like=weight)
        self._state = SlotState(slots, vocabulary, device)
        self._noise = Noise(slots, vocabulary, noise_block, device)
        self._transformer = Transformer(
            t3, self._dialect, self._cache, self._state, spec.aligned_heads
        )
        self._decode: Decode = self._transformer.decode
        if cuda_graphs and device.type == "cuda":
            self._decode = GraphedDecode(self._decode, Buckets(slots, max_length))
        self._waiting: list[Sequence] = []
        self._active: list[Sequence] = []  # the one at i is in slot i
        self._plan: sampler.Plan | None = None  # of the active ones; None once they changed

    @property
    def slots(self) -> int:
        """How many requests can be decoded at once."""
        return self._slots

    @property
    def active(self) -> int:
        """How many are being decoded."""
        return sum(sequence.is_open for sequence in tuple(self._active))

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(sequence.is_open for sequence in tuple(self._waiting))

    @property
    def cache_use(self) -> float:
        """The share of the cache's positions that are held, 0..1."""
        held = sum(sequence.cached for sequence in tuple(self._active) if sequence.is_open)
        return held / (self._slots * self._max_length)

    def warm_up(self) -> None:
        """Capture the CUDA graphs, if there are to be any."""
        if isinstance(self._decode, GraphedDecode):
            with torch.inference_mode():
                self._decode.warm_up()

    def check(self, request: TokenRequest) -> int:
        """How many tokens may be drawn for a request.

        Raises:
            InvalidRequest: it has ids that the model does not know, or no room for one token is
                left beside its prompt.
        """
        prompt.check(self._t3, request)
        length = self._dialect.prompt_length(request)
        room = min(self._max_length - length, self._t3.hp.max_speech_tokens)
        max_tokens = min(request.max_tokens, room)
        if max_tokens < 1:
            raise InvalidRequest(
                f"The text leaves no room for speech: it takes {length} of {self._max_length} "
                "positions."
            )
        return max_tokens

    def add(self, request: TokenRequest) -> Sequence:
        """Queue a request.

        Raises:
            InvalidRequest: see `check`.
        """
        max_tokens = self.check(request)
        length = self._dialect.prompt_length(request)
        sequence = Sequence(request, Watch(self._guards), length, max_tokens)
        self._waiting.append(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Give up a sequence, in whatever state it is; the next step takes its place."""
        sequence.cancelled = True

    @torch.inference_mode()
    def step(self, urgency: Urgency | None = None) -> list[Sequence]:
        """Admit waiting requests to free slots, then draw one token for every active one.

        Returns those that changed: that got a token or finished.
        """
        self._release()
        logits = self._next_logits()
        logits += [self._admit(sequence) for sequence in self._take_waiting(urgency)]
        if not logits:
            return []
        looks = self._looks()
        tokens = self._draw(torch.cat(logits))
        changed = [sequence for sequence in self._active if sequence.is_open]
        for sequence, token, look in zip(self._active, tokens, looks, strict=True):
            sequence.accept(token, self._t3.hp.stop_speech_token, look)
        self._release()
        return changed

    def _next_logits(self) -> list[Tensor]:
        """Of those that were active before this step."""
        if not self._active:
            return []
        length = max(sequence.cached for sequence in self._active) + 1
        return [self._decode(len(self._active), length)]

    def _take_waiting(self, urgency: Urgency | None) -> list[Sequence]:
        """Those that get a slot in this step, out of the queue."""
        queue = [sequence for sequence in tuple(self._waiting) if sequence.is_open]
        if urgency is not None:
            queue.sort(key=urgency)
        free = self._slots - len(self._active)
        taken = queue[: min(free, self._prefills_per_step)]
        for sequence in tuple(self._waiting):
            if sequence in taken or not sequence.is_open:
                self._waiting.remove(sequence)
        return taken

    def _admit(self, sequence: Sequence) -> Tensor:
        """Its prompt into the next slot; the logits of its first token."""
        request, slot = sequence.request, len(self._active)
        logits = self._transformer.prefill(slot, self._dialect.prompt(request))
        self._state.begin(slot, sequence.prompt_length, self._t3.hp.start_speech_token)
        self._noise.begin(slot, request.seed)
        self._active.append(sequence)
        self._plan = None
        return logits

    def _draw(self, logits: Tensor) -> list[int]:
        """A token for each active sequence; the one time a step waits for the device."""
        count, state = len(self._active), self._state
        plan = self._plan = self._plan or self._make_plan(logits.device)
        scores = sampler.guide(logits, plan)
        for stage in self._dialect.stages:
            scores = stage(scores, state.seen[:count], plan)
        drawn = [sequence.drawn for sequence in self._active]
        tokens = sampler.draw(scores, self._noise.take(drawn, state.drawn[:count]), plan)
        if self._dialect.forgets_start:
            state.seen[count - drawn.count(0) : count] = False
        state.advance(tokens)
        return tokens.tolist()

    def _looks(self) -> list[Look | None]:
        """Where each active sequence looks in its text, of those whose words are to be timed."""
        requests = [sequence.request for sequence in self._active]
        attention = None
        if any(request.words for request in requests):
            length = max(sequence.cached for sequence in self._active) + 1
            attention = self._transformer.attention(len(requests), length)
        if attention is None:
            return [None] * len(requests)
        return [
            row[prompt.text_positions(self._t3, request)].copy() if request.words else None
            for row, request in zip(attention.cpu().numpy(), requests, strict=True)
        ]

    def _make_plan(self, device: torch.device) -> sampler.Plan:
        return sampler.Plan.of([each.request.controls for each in self._active], device)

    def _release(self) -> None:
        """Empty the slots of sequences that are over; the last one in use fills each gap."""
        for slot in reversed(range(len(self._active))):
            if not self._active[slot].is_open:
                self._vacate(slot)
                self._plan = None

    def _vacate(self, slot: int) -> None:
        last = len(self._active) - 1
        if slot != last:
            self._cache.move(last, slot, self._active[last].cached)
            self._state.move(last, slot)
            self._noise.move(last, slot)
            self._active[slot] = self._active[last]
        self._state.free(last)
        self._active.pop()
