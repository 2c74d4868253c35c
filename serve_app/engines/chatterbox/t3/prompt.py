"""What goes into T3's transformer: the prompt of a request, then a token at a time.

The two families differ in what they embed and in how they draw; `Dialect` is that difference. The
prompts are upstream's, made by its own `prepare_input_embeds`.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.modules.cond_enc import T3Cond
from torch import Tensor

from serve_app.domain.errors import InvalidRequest
from serve_app.engines.chatterbox.models import SPEECH_VOCABULARY, ModelSpec
from serve_app.engines.chatterbox.t3 import sampler
from serve_app.engines.chatterbox.t3.sequence import TokenRequest


class Dialect(Protocol):
    """What differs between T3 with classifier-free guidance and Turbo."""

    rows: int  # of the batch that one request takes
    stages: tuple[sampler.Stage, ...]  # of sampling, in upstream's order
    forgets_start: bool  # whether the start mark is penalized at the first draw only

    def prompt_length(self, request: TokenRequest) -> int:
        """How many positions `prompt` has."""
        ...

    def prompt(self, request: TokenRequest) -> Tensor:
        """Embeddings of all that comes before the first token, [rows, positions, width]."""
        ...

    def embed(self, tokens: Tensor, drawn: Tensor) -> Tensor:
        """Embeddings of the last tokens [n], each the `drawn`-th [n] of its request, [n, width]."""
        ...


class Guided:
    """English and multilingual: a conditioned row, and one without text to lead away from."""

    rows = 2
    stages = sampler.GUIDED_STAGES
    forgets_start = False

    def __init__(self, t3: T3) -> None:
        self._t3 = t3

    def prompt_length(self, request: TokenRequest) -> int:
        """Conditioning, text, and the start mark twice."""
        return _conditioning_length(self._t3, request) + len(request.text_tokens) + 2

    def prompt(self, request: TokenRequest) -> Tensor:
        """As `T3.inference` begins: the start mark comes twice, both at speech position 0."""
        t3 = self._t3
        text = request.text_tokens.to(t3.device).expand(2, -1)
        start = torch.full_like(text[:, :1], t3.hp.start_speech_token)
        embeddings, _ = t3.prepare_input_embeds(
            t3_cond=_conditioning(t3, request),
            text_tokens=cast(torch.LongTensor, text),
            speech_tokens=cast(torch.LongTensor, start),
            cfg_weight=1.0,  # any weight above 0 empties the second row's text
        )
        again = self.embed(start[:, 0], torch.zeros_like(start[:, 0]))
        return torch.cat([embeddings, again[:, None]], dim=1)

    def embed(self, tokens: Tensor, drawn: Tensor) -> Tensor:
        """Token and place in the speech."""
        positions = self._t3.speech_pos_emb
        assert positions is not None
        return self._t3.speech_emb(tokens) + positions.emb(drawn)


class Turbo:
    """GPT-2: one row, positions added by the transformer."""

    rows = 1
    stages = sampler.TURBO_STAGES
    forgets_start = True

    def __init__(self, t3: T3) -> None:
        self._t3 = t3

    def prompt_length(self, request: TokenRequest) -> int:
        """Conditioning, text and the start mark."""
        return _conditioning_length(self._t3, request) + len(request.text_tokens) + 1

    def prompt(self, request: TokenRequest) -> Tensor:
        """As `T3.inference_turbo` begins."""
        t3 = self._t3
        text = request.text_tokens.to(t3.device)[None]
        start = torch.full_like(text[:, :1], t3.hp.start_speech_token)
        embeddings, _ = t3.prepare_input_embeds(
            t3_cond=_conditioning(t3, request),
            text_tokens=cast(torch.LongTensor, text),
            speech_tokens=cast(torch.LongTensor, start),
        )
        return embeddings

    def embed(self, tokens: Tensor, drawn: Tensor) -> Tensor:  # noqa: ARG002
        """The token alone."""
        return self._t3.speech_emb(tokens)


def dialect_of(t3: T3, spec: ModelSpec) -> Dialect:
    """The dialect that a release of T3 speaks."""
    return Guided(t3) if spec.guided else Turbo(t3)


def check(t3: T3, request: TokenRequest) -> None:
    """Keep from the model what it cannot embed: on a GPU a wrong index ends the process.

    Raises:
        InvalidRequest: the text is empty or longer than T3 has positions for, or an id of the text
            or of the voice is none of the model's.
    """
    text, limit = request.text_tokens, t3.hp.max_text_tokens
    if not 0 < len(text) <= limit:
        raise InvalidRequest(f"A text must have 1 to {limit} tokens; this one has {len(text)}.")
    if not _within(text, t3.hp.text_tokens_dict_size):
        raise InvalidRequest("The text has tokens that this model does not know.")
    if not _within(request.voice.speech_tokens, SPEECH_VOCABULARY):
        raise InvalidRequest("The voice has tokens that this model does not know.")


def _within(tokens: Tensor, vocabulary: int) -> bool:
    return bool(((tokens >= 0) & (tokens < vocabulary)).all())


def text_positions(t3: T3, request: TokenRequest) -> slice:
    """Where in its prompt a request has its text."""
    first = _conditioning_length(t3, request)
    return slice(first, first + len(request.text_tokens))


def _conditioning_length(t3: T3, request: TokenRequest) -> int:
    """Speaker, speech of the reference (of a fixed length where upstream resamples it), emotion."""
    resampler = t3.cond_enc.perceiver
    speech = (
        len(request.voice.speech_tokens)
        if resampler is None
        else resampler.pre_attention_query.shape[1]
    )
    return 1 + speech + int(t3.hp.emotion_adv)


def _conditioning(t3: T3, request: TokenRequest) -> T3Cond:
    """A fresh one: upstream writes embeddings into it."""
    like = t3.speech_head.weight
    return T3Cond(
        speaker_emb=request.voice.speaker[None].to(like),
        cond_prompt_speech_tokens=request.voice.speech_tokens[None].to(like.device),
        emotion_adv=like.new_full((1, 1, 1), request.exaggeration),
    )
