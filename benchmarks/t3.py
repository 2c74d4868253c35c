"""T3 decoding many requests at once against upstream decoding one after the other, on one thread.

`python -m benchmarks.t3 --json FILE`; the published one is docs/figures/t3.json. The model has the
real shape and random weights, which cost the same. Figures are tokens for each second of CPU time;
`ratio_N` compares N requests at once with upstream, prompts left out on both sides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import median
from unittest import mock

import torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.modules.cond_enc import T3Cond

from benchmarks.report import Bound, Machine, Target, make_parser, print_targets, save_json
from serve_app.engines.chatterbox.architecture import REAL_T3, build_t3
from serve_app.engines.chatterbox.models import ENGLISH, SPEECH_VOCABULARY
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.sequence import TokenRequest
from serve_app.engines.chatterbox.voice import Prompt, Voice

SIZES = (1, 4, 8, 16)
TARGETS = (
    Target("ratio_1", Bound.AT_LEAST, 0.98),
    Target("ratio_4", Bound.AT_LEAST, 3),
    Target("ratio_8", Bound.AT_LEAST, 4.4),
    Target("ratio_16", Bound.AT_LEAST, 6),
)
_TEXT, _PROMPT = 40, 150  # tokens: a sentence, and the longest reference
_TOKENS = 6  # a measurement decodes so many of a request
_WHOLE, _WHOLE_TOKENS = 4, 12  # requests and tokens where the prompt counts


def make_request(seed: int) -> TokenRequest:
    """A sentence in somebody's voice, without end."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(1, 250, (_TEXT,), generator=generator)
    text[0], text[-1] = 255, 0
    speech = torch.randint(SPEECH_VOCABULARY, (_PROMPT,), generator=generator)
    prompt = Prompt(speech, torch.zeros(2 * _PROMPT, 80), torch.zeros(192))
    voice = Voice(torch.rand(256, generator=generator), speech, prompt)
    return TokenRequest(text, voice, ENGLISH.controls, 0.5, seed, max_tokens=1000)


class Upstream:
    """`T3.inference`, one request at a time."""

    def __init__(self, t3: T3) -> None:
        self._t3 = t3
        self._seed = 0

    def tokens_per_second(self) -> float:
        """Of the next request, from the end of its prompt on."""
        self._seed += 1
        ticks: list[float] = []
        with mock.patch("chatterbox.models.t3.t3.tqdm", lambda each, **_: _ticking(each, ticks)):
            self.run(make_request(self._seed), _TOKENS)
        return _TOKENS / (ticks[-1] - ticks[0])

    def run(self, asked: TokenRequest, tokens: int) -> None:
        """All of a request."""
        self._t3.inference(
            t3_cond=T3Cond(
                speaker_emb=asked.voice.speaker[None],
                cond_prompt_speech_tokens=asked.voice.speech_tokens[None],
                emotion_adv=torch.full((1, 1, 1), asked.exaggeration),
            ),
            text_tokens=asked.text_tokens.expand(2, -1),
            max_new_tokens=tokens,
            top_p=1.0,
        )


def _ticking(steps: Iterable[int], ticks: list[float]) -> Iterator[int]:
    """Upstream's progress bar shows where its loop begins: after the prompt."""
    for step in steps:
        ticks.append(time.process_time())
        yield step
    ticks.append(time.process_time())


class Batched:
    """Our decoder, with a number of requests under way."""

    def __init__(self, t3: T3) -> None:
        self._decoder = TokenDecoder(t3, ENGLISH, slots=max(SIZES), max_length=256)

    def fill(self, size: int) -> None:
        """Have so many requests past their prompts."""
        for seed in range(self._decoder.active, size):
            self._decoder.add(make_request(100 + seed))
        while self._decoder.waiting:
            self._decoder.step()

    def tokens_per_second(self) -> float:
        """Of all requests together."""
        started = time.process_time()
        tokens = sum(len(self._decoder.step()) for _ in range(_TOKENS))
        return tokens / (time.process_time() - started)


def measure_decoding(t3: T3, rounds: int, sizes: tuple[int, ...]) -> dict[str, float]:
    """Upstream and ours by turns, so that what the machine does besides meets both."""
    upstream, batched = Upstream(t3), Batched(t3)
    upstream.tokens_per_second()
    figures: dict[str, float] = {}
    baselines: list[float] = []
    for size in sizes:
        batched.fill(size)
        pairs = [(upstream.tokens_per_second(), batched.tokens_per_second()) for _ in range(rounds)]
        ones, many = zip(*pairs, strict=True)
        baselines += ones
        figures[f"tokens_per_cpu_second_{size}"] = median(many)
        figures[f"ratio_{size}"] = median(many) / median(ones)
    return {"tokens_per_cpu_second_upstream": median(baselines), **figures}


def measure_whole(t3: T3) -> float:
    """How much less CPU time a few short requests cost, their prompts included."""
    requests = [replace(make_request(seed), max_tokens=_WHOLE_TOKENS) for seed in range(_WHOLE)]
    started = time.process_time()
    for asked in requests:
        Upstream(t3).run(asked, _WHOLE_TOKENS)
    alone = time.process_time()
    decoder = TokenDecoder(t3, ENGLISH, slots=_WHOLE, max_length=256, prefills_per_step=_WHOLE)
    for asked in requests:
        decoder.add(asked)
    while decoder.active or decoder.waiting:
        decoder.step()
    return (alone - started) / (time.process_time() - alone)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """All figures; the quick ones of one round and up to four requests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t3 = build_t3(ENGLISH, REAL_T3[ENGLISH.family])
    figures = measure_decoding(t3, *((1, SIZES[:2]) if options.quick else (3, SIZES)))
    return {**figures, f"ratio_{_WHOLE}_with_prompts": measure_whole(t3)}


def main() -> None:
    """Measure and publish."""
    options = make_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    machine = Machine.this_one()
    figures = measure(options)
    print_targets(figures, TARGETS)
    if options.json:
        save_json(options.json, figures, machine)


if __name__ == "__main__":
    main()
