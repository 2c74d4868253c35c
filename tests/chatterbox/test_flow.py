"""The flow: what upstream computes, whatever shares the batch; streamed, nearly what is whole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from chatterbox.models.s3gen import S3Gen
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from serve_app.engines.chatterbox.architecture import TINY_S3GEN, build_s3gen
from serve_app.engines.chatterbox.models import ENGLISH, SPEECH_VOCABULARY, TURBO, ModelSpec
from serve_app.engines.chatterbox.s3gen.encoder import encode
from serve_app.engines.chatterbox.s3gen.flow import Flow, FlowWindow, schedule
from serve_app.engines.chatterbox.s3gen.graphed import Captured, Graphed, TensorFunction
from serve_app.engines.chatterbox.s3gen.noise import FrameNoise
from serve_app.engines.chatterbox.s3gen.windows import Hops
from serve_app.engines.chatterbox.voice import Prompt

WHOLE = Hops(sizes=(1000,))
ALL_OF_IT = 1000  # tokens of context


@pytest.fixture(scope="module", params=[TURBO, ENGLISH], ids=lambda spec: spec.family)
def s3gen(request: pytest.FixtureRequest) -> S3Gen:
    return build(request.param)


def build(spec: ModelSpec) -> S3Gen:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        s3gen = build_s3gen(spec, TINY_S3GEN)
        mixer = s3gen.flow.decoder.estimator.time_embed_mixer
        if mixer is not None:  # it begins deaf to the end of a step
            torch.nn.init.normal_(mixer.weight, std=0.03)
        return s3gen


@pytest.fixture(scope="module")
def flow(s3gen: S3Gen) -> Flow:
    return Flow(s3gen, steps=2)


def tokens(count: int, seed: int = 1) -> tuple[int, ...]:
    drawn = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(SPEECH_VOCABULARY, (count,), generator=drawn).tolist())


def prompt(count: int) -> Prompt:
    drawn = torch.Generator().manual_seed(count)
    mel = torch.randn(2 * count, 80, generator=drawn) * 2 - 5
    return Prompt(torch.tensor(tokens(count)), mel, torch.randn(192, generator=drawn))


def whole(of: Prompt, said: tuple[int, ...], seed: int = 7) -> FlowWindow:
    return FlowWindow(of, said, first=0, fresh=0, final=True, noise=FrameNoise(seed))


RAGGED = (
    whole(prompt(10), tokens(12, seed=2), seed=1),
    FlowWindow(prompt(25), tokens(8, seed=3), first=4, fresh=2, final=False, noise=FrameNoise(2)),
    FlowWindow(prompt(14), tokens(20, seed=4), first=0, fresh=0, final=False, noise=FrameNoise(3)),
)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def upstream(s3gen: S3Gen, window: FlowWindow, steps: int) -> Tensor:
    """What upstream makes of a final window that is alone, its noise replaced by the window's."""
    count = len(window.prompt.tokens)
    frames = 2 * len(window.tokens)
    noise = torch.cat([window.noise.frames(-2 * count, 0), window.noise.frames(0, frames)], dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda _: noise[None].clone())
        mel, _ = s3gen.flow.inference(
            token=torch.tensor([window.tokens]),
            token_len=torch.tensor([len(window.tokens)]),
            prompt_token=window.prompt.tokens[None],
            prompt_token_len=torch.tensor([count]),
            prompt_feat=window.prompt.mel[None],
            prompt_feat_len=None,
            embedding=window.prompt.x_vector[None],
            finalize=True,
            n_timesteps=steps,
            meanflow=s3gen.meanflow,
        )
    return mel[0]


@pytest.mark.parametrize("steps", [2, 10])
def test_a_single_window_is_what_upstream_makes_of_it(s3gen: S3Gen, steps: int) -> None:
    (mel,) = Flow(s3gen, steps=steps).run([RAGGED[0]])
    assert_same(mel, upstream(s3gen, RAGGED[0], steps))


@torch.inference_mode()
def test_look_ahead_is_seen_by_the_encoder_and_not_by_the_decoder(s3gen: S3Gen) -> None:
    """By upstream's modules one by one; its own `finalize=False` fails on the mask's length."""
    window = RAGGED[2]
    said = torch.cat([window.prompt.tokens, torch.tensor(window.tokens)])[None]
    hidden, _ = s3gen.flow.encoder(s3gen.flow.input_embedding(said), torch.tensor([said.shape[1]]))
    drawn_to = s3gen.flow.encoder_proj(hidden)[:, :-6].transpose(1, 2).contiguous()
    condition = torch.zeros_like(drawn_to)
    condition[0, :, :28] = window.prompt.mel.T
    speaker = torch.nn.functional.normalize(window.prompt.x_vector[None], dim=1)
    noise = torch.cat([window.noise.frames(-28, 0), window.noise.frames(0, 34)], dim=1)[None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda _: noise)
        mel, _ = s3gen.flow.decoder(
            mu=drawn_to,
            mask=torch.ones(1, 1, 62),
            n_timesteps=2,
            spks=s3gen.flow.spk_embed_affine_layer(speaker),
            cond=condition,
            meanflow=s3gen.meanflow,
        )
    assert_same(Flow(s3gen, steps=2).run([window])[0], mel[0, :, 28:])


def test_what_shares_the_batch_changes_nothing(flow: Flow) -> None:
    for window, mel in zip(RAGGED, flow.run(RAGGED), strict=True):
        assert_same(mel, flow.run([window])[0])


def test_ten_steps_in_a_ragged_batch_are_those_of_one(s3gen: S3Gen) -> None:
    flow = Flow(s3gen, steps=10)
    for window, mel in zip(RAGGED[:2], flow.run(RAGGED[:2]), strict=True):
        assert_same(mel, flow.run([window])[0])


@torch.inference_mode()
def test_padding_does_not_reach_the_encoders_tokens(s3gen: S3Gen) -> None:
    """Upstream's own forward differs in the last tokens of the shorter row."""
    said, lengths = torch.tensor([tokens(20), tokens(20)]), torch.tensor([20, 14])
    ragged = encode(s3gen.flow, said, lengths)
    alone = encode(s3gen.flow, said[:1, :14], lengths[1:])
    assert_same(ragged[1, :, :28], alone[0])
    assert_same(ragged[0], encode(s3gen.flow, said[:1], lengths[:1])[0])
    kept = (torch.arange(20) < lengths[:, None])[:, :, None]
    hidden, _ = s3gen.flow.encoder(s3gen.flow.input_embedding(said) * kept, lengths)
    theirs = s3gen.flow.encoder_proj(hidden)[1, :28].T
    assert (theirs - alone[0]).abs().max() > 1e-3


def test_a_window_brings_out_two_frames_for_each_new_token(flow: Flow) -> None:
    assert [window.frames for window in RAGGED] == [24, 6, 34]
    for window, mel in zip(RAGGED, flow.run(RAGGED), strict=True):
        assert mel.shape == (80, window.frames)
        assert mel.dtype == torch.float32


def test_of_no_windows_comes_nothing(flow: Flow) -> None:
    assert flow.run([]) == []


def test_the_same_window_gives_the_same_mel_whatever_was_drawn_elsewhere(flow: Flow) -> None:
    (once,) = flow.run([RAGGED[0]])
    torch.rand(1)
    assert torch.equal(flow.run([RAGGED[0]])[0], once)


def test_the_global_generator_is_left_alone(flow: Flow) -> None:
    before = torch.get_rng_state()
    flow.run([RAGGED[0]])
    assert torch.equal(torch.get_rng_state(), before)


def test_prompts_are_not_written(flow: Flow) -> None:
    before = copy.deepcopy(RAGGED[0].prompt)
    flow.run(RAGGED)
    for name in ("tokens", "mel", "x_vector"):
        assert torch.equal(getattr(RAGGED[0].prompt, name), getattr(before, name))


@pytest.mark.parametrize("said", [(), (1, 2, 3), (1, 2, 3, 4, SPEECH_VOCABULARY), (-1, 2, 3, 4)])
def test_windows_that_cannot_work_are_refused(said: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"[Tt]okens"):
        FlowWindow(prompt(10), said, first=0, fresh=0, final=False, noise=FrameNoise(1))


def test_an_estimator_in_half_precision_gives_nearly_the_same(s3gen: S3Gen, flow: Flow) -> None:
    halved = copy.deepcopy(s3gen)
    halved.flow.decoder.to(torch.bfloat16)
    for mel, exact in zip(Flow(halved, steps=2).run(RAGGED), flow.run(RAGGED), strict=True):
        assert mel.dtype == torch.float32
        assert 0 < difference(mel, exact) < 0.03


def test_the_schedule_is_upstreams() -> None:
    assert schedule(2, cosine=False).tolist() == [0, 0.5, 1]
    assert_close(schedule(2, cosine=True), torch.tensor([0, 1 - 0.5**0.5, 1]))


def streamed(
    flow: Flow, hops: Hops, said: tuple[int, ...], noises: Callable[[], FrameNoise]
) -> Tensor:
    """The mel of an utterance made window by window."""
    mels, emitted = [], 0
    while span := hops.next(emitted=emitted, available=len(said), is_whole=True):
        mels += flow.run([FlowWindow.at(span, prompt(15), said, noises())])
        emitted = span.emitted
    return torch.cat(mels, dim=1)


def difference(one: Tensor, other: Tensor) -> float:
    """Relative to the spread of the second."""
    return float((one - other).square().mean().sqrt() / other.std())


SAID = tokens(80, seed=9)


def test_streamed_mel_is_nearly_that_of_one_shot_if_the_noise_is_fixed(flow: Flow) -> None:
    once = streamed(flow, WHOLE, SAID, lambda: FrameNoise(7))
    errors = [
        difference(streamed(flow, Hops((25,), context), SAID, lambda: FrameNoise(7)), once)
        for context in (ALL_OF_IT, 25)
    ]
    seeds: Iterator[int] = iter(range(100, 200))
    fresh = streamed(flow, Hops((25,), ALL_OF_IT), SAID, lambda: FrameNoise(next(seeds)))
    assert max(errors) < 0.5 * difference(fresh, once)


def test_with_all_the_context_only_look_ahead_is_missing(flow: Flow) -> None:
    """So the last window, which has nothing to look ahead to, is that of one shot."""
    once = streamed(flow, WHOLE, SAID, lambda: FrameNoise(7))
    mel = streamed(flow, Hops((25,), ALL_OF_IT), SAID, lambda: FrameNoise(7))
    assert mel.shape == once.shape
    assert_same(mel[:, 150:], once[:, 150:])
    assert difference(mel[:, :100], once[:, :100]) > 1e-4


def test_a_frames_noise_does_not_depend_on_what_is_asked_for_with_it() -> None:
    noise = FrameNoise(3)
    long = noise.frames(-200, 300)
    for first, last in ((-200, -199), (-70, 70), (0, 64), (63, 65), (299, 300), (5, 5)):
        assert torch.equal(noise.frames(first, last), long[:, first + 200 : last + 200])
    assert torch.equal(FrameNoise(3).frames(-200, 300), long)


def test_noise_is_normal_and_every_seed_has_its_own() -> None:
    long = FrameNoise(1).frames(-5_000, 5_000)
    assert long.shape == (80, 10_000)
    assert long.dtype == torch.float32
    assert abs(float(long.mean())) < 0.005
    assert abs(float(long.std()) - 1) < 0.005
    assert abs(float((long[:, :-1] * long[:, 1:]).mean())) < 0.005
    assert len(long[0].unique()) > 9_990  # nothing is said twice, on either side of the start
    for seed in (2, 2**32 + 1, 2**63, -1):
        correlation = (long * FrameNoise(seed).frames(-5_000, 5_000)).mean()
        assert abs(float(correlation)) < 0.005


READ_BACKS = {"item", "_local_scalar_dense", "is_nonzero", "nonzero"}


class NoReadBack(TorchDispatchMode):
    """Forbids what makes the host wait for the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.name().split("::")[1] not in READ_BACKS, "a host sync"
        return func(*args, **(kwargs or {}))


def test_running_reads_nothing_back_from_the_device(s3gen: S3Gen, flow: Flow) -> None:
    with NoReadBack():
        flow.run(RAGGED)
    with NoReadBack(), pytest.raises(AssertionError, match="host sync"):
        upstream(s3gen, RAGGED[0], steps=2)


class Recorder:
    """Graphs of the CPU: what is recorded is run again."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []

    def __call__(self, function: TensorFunction, examples: tuple[Tensor, ...]) -> Captured:
        self.shapes.append(examples[0].shape)
        inputs = tuple(torch.zeros_like(example) for example in examples)
        output = torch.empty_like(function(*examples))

        def replay() -> None:
            output.copy_(function(*inputs))

        return Captured(inputs, output, replay)


def test_rounding_up_to_the_size_of_a_graph_changes_nothing(s3gen: S3Gen, flow: Flow) -> None:
    recorder, graphed = Recorder(), Flow(s3gen, steps=2)
    graphed._evaluate = Graphed(graphed._estimator, recorder)
    graphed._graphed = True
    for _ in range(2):
        for mel, eager in zip(graphed.run(RAGGED), flow.run(RAGGED), strict=True):
            assert_same(mel, eager)
    assert recorder.shapes == [(4 if s3gen.meanflow else 8, 80, 64)]


def test_a_graph_is_captured_once_for_each_set_of_shapes_and_the_oldest_forgotten() -> None:
    recorder = Recorder()
    double = Graphed(lambda one, other: one + other, recorder, limit=2)
    for length in (1, 2, 1, 3, 1, 2):
        value = torch.full((length,), float(length))
        assert torch.equal(double(value, value), 2 * value)
    assert [len(torch.empty(shape)) for shape in recorder.shapes] == [1, 2, 3, 2]
