"""T3 with random weights, and what upstream itself makes of a request."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from unittest import mock

import torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.t3.modules.t3_config import T3Config
from torch import Tensor

from serve_app.engines.chatterbox.architecture import T3Shape, build_t3
from serve_app.engines.chatterbox.models import (
    ENGLISH,
    MULTILINGUAL,
    TURBO,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.sequence import TokenRequest
from serve_app.engines.chatterbox.voice import Prompt, Voice

OF_UPSTREAM = "ignore:`torch.backends.cuda.sdp_kernel:FutureWarning"
_TEXT_VOCABULARY = {Family.ENGLISH: 704, Family.TURBO: 300, Family.MULTILINGUAL: 2454}


@cache
def model(spec: ModelSpec, layers: int = 2) -> T3:
    """Upstream's widths; the head is scaled so that some tokens are likelier than others."""
    with _seeded(0), torch.no_grad():
        t3 = build_t3(spec, T3Shape(layers, _TEXT_VOCABULARY[spec.family]))
        t3.speech_head.weight.mul_(6)
    if spec.family is Family.TURBO:
        del t3.tfmr.wte  # as upstream does when it loads
    return t3


def tiny_model() -> T3:
    """A T3 of one narrow layer and 64 tokens, for tests that take thousands of steps."""
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    LLAMA_CONFIGS["tiny"] = {**LLAMA_CONFIGS["Llama_520M"], **shape, **heads}
    config = T3Config()
    config.llama_config_name = "tiny"
    config.use_perceiver_resampler = False
    config.speech_tokens_dict_size = 64
    config.start_speech_token, config.stop_speech_token = 62, 63
    with _seeded(0):
        return T3(config).eval()


def voice(seed: int, tokens: int = 40, vocabulary: int = 6561) -> Voice:
    """Somebody."""
    generator = torch.Generator().manual_seed(seed)
    speaker = torch.nn.functional.normalize(torch.randn(256, generator=generator), dim=0)
    speech = torch.randint(vocabulary, (tokens,), generator=generator)
    prompt = Prompt(speech, torch.zeros(2 * tokens, 80), torch.zeros(192))
    return Voice(speaker, speech, prompt)


def request(spec: ModelSpec, seed: int = 0, text: int = 12, **controls: float) -> TokenRequest:
    """A request that differs from others in everything that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 250, (text,), generator=generator)
    if spec.guided:
        tokens[0], tokens[-1] = 255, 0
    return TokenRequest(
        text_tokens=tokens,
        voice=voice(seed, tokens=30 + seed),
        controls=replace(spec.controls, **controls),
        exaggeration=0.25 + 0.1 * (seed % 5),
        seed=seed,
        max_tokens=12,
    )


def mixed_requests(spec: ModelSpec, count: int) -> list[TokenRequest]:
    """Requests with various texts, voices, controls, seeds and lengths."""
    varied: list[dict[str, float]] = [
        {},
        {"temperature": 0.3, "top_p": 0.7},
        {"temperature": 1.0, "repetition_penalty": 1.0},
        {"temperature": 1.6, "repetition_penalty": 3.0},
    ]
    if spec.guided:
        varied += [{"cfg_weight": 0.0}, {"min_p": 0.3, "top_p": 0.5}, {"cfg_weight": 1.5}]
    else:
        varied += [{"top_k": 0, "top_p": 1.0}, {"top_k": 3}]
    return [
        replace(
            request(spec, seed, text=5 + 7 * (seed % 4), **varied[seed % len(varied)]),
            max_tokens=8 + 4 * (seed % 3),
        )
        for seed in range(count)
    ]


def upstream_tokens(t3: T3, asked: TokenRequest) -> list[int]:
    """What upstream draws, marks left out."""
    draw = _upstream_turbo if t3.is_gpt else _upstream_guided
    with _seeded(asked.seed), mock.patch("chatterbox.models.t3.t3.AlignmentStreamAnalyzer", _Blind):
        drawn = draw(t3, asked).flatten().tolist()
    return [token for token in drawn if token < 6561]


def decoded(
    decoder: TokenDecoder, requests: Sequence[TokenRequest], steps: int = 1000
) -> list[list[int]]:
    """The tokens of requests that all come at once."""
    sequences = [decoder.add(asked) for asked in requests]
    for _ in range(steps):
        if all(sequence.finish for sequence in sequences):
            return [sequence.tokens for sequence in sequences]
        decoder.step()
    raise AssertionError("the decoder does not come to an end")


def drawing(mark: int, spec: ModelSpec, asked: TokenRequest, after: int) -> T3:
    """A copy that draws a mark after so many tokens of a greedy request: the mark takes the place
    of the token that would follow."""
    t3 = model(spec)
    token = decoded(TokenDecoder(t3, spec, slots=1, max_length=128), [asked])[0][after]
    changed = copy.deepcopy(t3)
    head = changed.speech_head
    head.weight.data[mark] = head.weight.data[token] * 1.01
    if head.bias is not None:
        head.bias.data[mark] = head.bias.data[token]
    return changed


class _Blind:
    """In place of upstream's alignment analyzer, which hooks layers that short models lack."""

    def __init__(self, *_: object, eos_idx: int, **__: object) -> None:
        self.eos_idx = eos_idx

    def step(self, logits: Tensor, next_token: int | None = None) -> Tensor:  # noqa: ARG002
        return logits


def _conditioning(asked: TokenRequest) -> T3Cond:
    return T3Cond(
        speaker_emb=asked.voice.speaker[None],
        cond_prompt_speech_tokens=asked.voice.speech_tokens[None],
        emotion_adv=asked.exaggeration * torch.ones(1, 1, 1),
    )


def _upstream_guided(t3: T3, asked: TokenRequest) -> Tensor:
    controls = asked.controls
    return t3.inference(
        t3_cond=_conditioning(asked),
        text_tokens=torch.stack([asked.text_tokens, asked.text_tokens]),
        max_new_tokens=asked.max_tokens,
        temperature=controls.temperature,
        top_p=controls.top_p,
        min_p=controls.min_p,
        repetition_penalty=controls.repetition_penalty,
        cfg_weight=controls.cfg_weight,
    )


def _upstream_turbo(t3: T3, asked: TokenRequest) -> Tensor:
    controls = asked.controls
    return t3.inference_turbo(
        _conditioning(asked),
        asked.text_tokens[None],
        temperature=controls.temperature,
        top_k=controls.top_k,
        top_p=controls.top_p,
        repetition_penalty=controls.repetition_penalty,
        max_gen_len=asked.max_tokens - 1,  # it draws one before it counts
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


SPECS = (ENGLISH, TURBO, MULTILINGUAL)
