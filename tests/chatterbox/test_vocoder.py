"""HiFT in windows: the samples of one run, however the mel comes and with whomever it is batched.

The weights are random and louder than they come, so that what is wrong at a window's end would
show; F0 is where voices are, with unvoiced stretches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from chatterbox.models.s3gen.f0_predictor import ConvRNNF0Predictor
from chatterbox.models.s3gen.hifigan import HiFTGenerator, SourceModuleHnNSF
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils import parametrize

from serve_app.engines.chatterbox.models import SAMPLE_RATE, SAMPLES_PER_FRAME
from serve_app.engines.chatterbox.s3gen.source import HarmonicSource, SourceStream
from serve_app.engines.chatterbox.s3gen.vocoder import F0_REACH, Vocoder, VocoderStream

FRAMES = 120
FADE = 960  # samples
SEED = 7
SAME = 1e-5
_LOUDER = 1.25  # each convolution


def generator(seed: int = 0) -> HiFTGenerator:
    """HiFT as S3Gen builds it, an eighth as wide, with random weights."""
    torch.manual_seed(seed)
    hift = HiFTGenerator(
        base_channels=64,
        sampling_rate=SAMPLE_RATE,
        upsample_rates=[8, 5, 3],
        upsample_kernel_sizes=[16, 11, 7],
        source_resblock_kernel_sizes=[7, 7, 11],
        source_resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        f0_predictor=ConvRNNF0Predictor(cond_channels=64),
    ).eval()
    with torch.inference_mode():
        for module in hift.modules():
            if parametrize.is_parametrized(module, "weight"):
                module.parametrizations.weight.original0.mul_(_LOUDER)
        predictor = hift.f0_predictor
        predictor.classifier.bias.zero_()
        predictor.classifier.weight.mul_(150 / predictor(mel(400)[None]).std())
    return hift


def mel(frames: int, seed: int = 1) -> Tensor:
    """[80, frames]"""
    return 2 * torch.randn(80, frames, generator=torch.Generator().manual_seed(seed)) - 5


@cache
def vocoder(margin: int = 12) -> Vocoder:
    return Vocoder(generator(), margin=margin)


def spoken(pieces: Sequence[Tensor], margin: int = 12, seed: int = SEED) -> list[Tensor]:
    """What each push brings out of one stream."""
    stream = VocoderStream(seed)
    ends = [False] * (len(pieces) - 1) + [True]
    return [
        vocoder(margin).push([(stream, piece, is_last)])[0]
        for piece, is_last in zip(pieces, ends, strict=True)
    ]


@cache
def one_shot(frames: int = FRAMES, mel_seed: int = 1, seed: int = SEED) -> Tensor:
    return spoken([mel(frames, mel_seed)], seed=seed)[0]


def error(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max()) if len(one) else 0.0


def test_the_test_model_speaks() -> None:
    """Not so softly that an error of 1e-5 would be large, nor clipped; voiced and unvoiced."""
    assert 0.03 < one_shot().std() < 0.3
    assert one_shot().abs().max() < 0.99
    f0 = generator().f0_predictor(mel(FRAMES)[None])
    assert 100 < f0.median() < 400
    assert (f0 < 10).any()


def test_windows_give_the_samples_of_one_run() -> None:
    assert error(torch.cat(spoken(mel(FRAMES).split(20, dim=1))), one_shot()) < SAME


def test_a_smaller_margin_is_nearly_exact() -> None:
    """That the margin does anything at all is seen with one far too small."""
    windows = mel(FRAMES).split(20, dim=1)
    assert error(torch.cat(spoken(windows, margin=8)), one_shot()) < 0.03 * one_shot().std()
    assert error(torch.cat(spoken(windows, margin=3)), one_shot()) > 0.1 * one_shot().std()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 70), max_size=6))
def test_where_the_mel_is_cut_changes_nothing(cuts: list[int]) -> None:
    pieces = mel(70).tensor_split(sorted(cuts), dim=1)
    assert error(torch.cat(spoken(pieces)), one_shot(70)) < SAME


@pytest.mark.parametrize("frames", [0, 1, 2, 17, 18])
def test_the_shortest_utterances_are_whole(frames: int) -> None:
    pushed = spoken([mel(frames)[:, :1], mel(frames)[:, 1:]])
    assert sum(map(len, pushed)) == SAMPLES_PER_FRAME * frames
    assert error(torch.cat(pushed), one_shot(frames)) < SAME


def test_no_more_is_held_back_than_said() -> None:
    stream, hold_back = VocoderStream(SEED), vocoder().hold_back
    assert hold_back == 12 + F0_REACH
    for piece in mel(60).split(4, dim=1):
        vocoder().push([(stream, piece, False)])
    assert stream.made == 60 - hold_back


def test_a_stream_keeps_a_margin_and_no_more() -> None:
    stream = VocoderStream(SEED)
    for piece in mel(FRAMES).split(20, dim=1):
        vocoder().push([(stream, piece, False)])
    assert stream.mel.shape[1] == 12 + vocoder().hold_back
    assert len(stream.samples_of_source) == 24 * SAMPLES_PER_FRAME
    for kept in (stream.mel, stream.samples_of_source):
        assert kept.untyped_storage().nbytes() == kept.nbytes


def test_streams_in_a_batch_sound_as_alone() -> None:
    """Three of equal shape, one that begins while they run, one that ends, one without news."""
    lengths, starts = (80, 80, 80, 45, 63, 30), (0, 0, 0, 1, 0, 0)
    streams = [VocoderStream(seed) for seed in range(6)]
    mels = [mel(length, seed) for seed, length in enumerate(lengths)]
    heard: list[list[Tensor]] = [[] for _ in streams]
    for step in range(7):
        taken = [i for i, start in enumerate(starts) if start <= step]
        pieces = [mels[i][:, 15 * (step - starts[i]) :][:, :15] for i in taken]
        ends = [15 * (step - starts[i] + 1) >= lengths[i] for i in taken]
        alive = [k for k, i in enumerate(taken) if 15 * (step - starts[i]) < lengths[i]]
        rows = vocoder().push([(streams[taken[k]], pieces[k], ends[k]) for k in alive])
        for k, row in zip(alive, rows, strict=True):
            heard[taken[k]].append(row)
    for seed, length in enumerate(lengths):
        assert error(torch.cat(heard[seed]), one_shot(length, seed, seed)) < SAME


def test_equal_windows_run_as_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    hift, batches = generator(), []
    apart = Vocoder(hift)
    decode = hift.decode
    monkeypatch.setattr(hift, "decode", lambda x, s: batches.append(len(x)) or decode(x=x, s=s))
    streams = [VocoderStream(seed) for seed in range(4)]
    apart.push([(stream, mel(20), stream is streams[3]) for stream in streams])
    assert batches == [3, 1]


def test_at_seams_the_samples_step_as_elsewhere() -> None:
    """As at the borders of frames between which there is no seam: random weights click at all."""
    windows = spoken(mel(FRAMES).split(6, dim=1))
    steps = torch.cat(windows).diff().abs()[SAMPLES_PER_FRAME - 1 :: SAMPLES_PER_FRAME]
    ends = np.cumsum([len(window) // SAMPLES_PER_FRAME for window in windows])[:-1]
    is_seam = torch.zeros(len(steps), dtype=torch.bool)
    is_seam[ends[ends > 0] - 1] = True
    at_seams, elsewhere = steps[is_seam], steps[~is_seam]
    assert len(at_seams) > 10
    for quantile in (0.25, 0.5, 0.75):
        assert at_seams.quantile(quantile) < 1.5 * elsewhere.quantile(quantile)
    assert at_seams.max() <= 1.2 * elsewhere.max()


def upstreams(features: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What upstream's inference makes of a mel, given our source and an F0 without rounding."""
    hift, folded = generator(), generator()
    Vocoder(folded)
    predictor = folded.f0_predictor.double()
    monkeypatch.setattr(hift.f0_predictor, "forward", lambda x: predictor(x.double()).float())
    source = HarmonicSource(hift.m_source, SAMPLES_PER_FRAME)

    def forward(upsampled: Tensor) -> tuple[Tensor, None, None]:
        f0 = upsampled[:, ::SAMPLES_PER_FRAME, 0]
        return source.extend([source.begin(SEED)], f0)[:, :, None], None, None

    monkeypatch.setattr(hift.m_source, "forward", forward)
    with torch.inference_mode():
        return hift.inference(features[None])[0][0]


def test_the_samples_are_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = upstreams(mel(40), monkeypatch)
    assert error(one_shot(40)[FADE:], wanted[FADE:]) < SAME


@pytest.mark.parametrize("first", [18, 25])
def test_the_beginning_is_faded_in_as_upstream_does(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 ms of silence, then half a period of a cosine, also over the border of two pushes."""
    rise = (1 - np.cos(np.pi * np.arange(FADE // 2) / (FADE // 2 - 1))) / 2
    fade = torch.from_numpy(np.concatenate([np.zeros(FADE // 2), rise])).float()
    wanted = upstreams(mel(40), monkeypatch)[:FADE]
    assert wanted[: FADE // 2].abs().max() > 0.01
    heard = torch.cat(spoken(mel(40).tensor_split([first], dim=1)))
    assert error(heard[:FADE], wanted * fade) < SAME


def test_folded_weights_decode_as_upstream_keeps_them() -> None:
    kept, folded = generator(), generator()
    Vocoder(folded)
    features, source = mel(30)[None], 0.1 * torch.randn(1, 1, 30 * SAMPLES_PER_FRAME)
    with torch.inference_mode():
        assert error(kept.decode(features, source), folded.decode(features, source)) < 1e-6
    assert not any(parametrize.is_parametrized(module) for module in folded.modules())


def test_a_margin_that_the_f0_predictor_could_not_live_with_is_refused() -> None:
    with pytest.raises(ValueError, match="3 frames at least"):
        Vocoder(generator(), margin=2)


@cache
def module() -> SourceModuleHnNSF:
    return generator().m_source.requires_grad_(False)


def pitches(frames: int) -> Tensor:
    """F0 in Hz [1, frames]: gliding, with an unvoiced stretch every second."""
    time = torch.arange(frames)
    f0 = 180 + 60 * torch.sin(time / 17) + 0.37
    return torch.where(time % 50 < 40, f0, 3.3)[None]


def test_the_source_is_upstreams_given_its_phases_and_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f0, mine = pitches(50), SourceStream(SEED, 9, torch.device("cpu"))
    phases = 2 * math.pi * mine.offsets[None, :, None]
    noise = mine.noise(50 * SAMPLES_PER_FRAME)[None]
    monkeypatch.setattr(
        "chatterbox.models.s3gen.hifigan.Uniform", lambda **_: _Fixed(phases.clone())
    )
    monkeypatch.setattr(torch, "randn_like", lambda like: noise if like.shape[1] == 9 else like)
    upsampled = f0.repeat_interleave(SAMPLES_PER_FRAME, dim=1)[:, :, None]
    with torch.inference_mode():
        upstream, _, _ = module()(upsampled)
        ours = HarmonicSource(module(), SAMPLES_PER_FRAME)
        source = ours.extend([ours.begin(SEED)], f0)
    # the phase of upstream's highest harmonic is a float32 of up to 1800 cycles
    assert error(source, upstream[:, :, 0]) < 1e-4


class _Fixed:
    def __init__(self, sample: Tensor) -> None:
        self._sample = sample

    def sample(self, sample_shape: tuple[int, ...]) -> Tensor:
        assert sample_shape == tuple(self._sample.shape)
        return self._sample


def test_the_source_does_not_depend_on_its_cuts() -> None:
    source, f0 = HarmonicSource(module(), SAMPLES_PER_FRAME), pitches(130)
    whole = source.extend([source.begin(SEED)], f0)
    stream = source.begin(SEED)
    parts = [source.extend([stream], part) for part in f0.split([1, 7, 49, 2, 60, 11], dim=1)]
    assert error(torch.cat(parts, dim=1), whole) < 1e-6


def test_seeds_differ_in_phases_and_noise() -> None:
    one, other, again = (SourceStream(seed, 9, torch.device("cpu")) for seed in (1, 2, 1))
    assert (one.offsets != other.offsets)[1:].all()
    assert one.offsets[0] == 0
    assert one.offsets.abs().max() <= 1
    noise = one.noise(3000)
    assert (noise != other.noise(3000)).any()
    assert torch.equal(noise, again.noise(3000))
    assert abs(noise.std() - 1) < 0.02


def test_drawing_noise_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    spoken([mel(5)])
    assert torch.equal(before, torch.get_rng_state())


def test_after_ten_minutes_the_phase_is_right() -> None:
    """Against exact sums, up to the ninth harmonic."""
    f0, last = pitches(30_000), 4
    stream = _begun(harmonics=1)
    for part in f0[:, :-last].split(1000, dim=1):
        _sines(1).extend([stream], part)
    ninth = _begun(harmonics=9)
    ninth.cycles = stream.cycles
    made = _sines(9).extend([ninth], f0[:, -last:])[0]
    assert error(made, _exact(f0[0].tolist(), last)) < 1e-5


def _begun(harmonics: int) -> SourceStream:
    stream = _sines(harmonics).begin(SEED)
    stream.offsets.zero_()
    return stream


@cache
def _sines(harmonics: int) -> HarmonicSource:
    """The tanh of the last harmonic at a tenth, without noise."""
    module = SourceModuleHnNSF(SAMPLE_RATE, SAMPLES_PER_FRAME, harmonics - 1, add_noise_std=0)
    with torch.no_grad():
        module.l_linear.weight.zero_()[0, -1] = 1
        module.l_linear.bias.zero_()
    return HarmonicSource(module.requires_grad_(False), SAMPLES_PER_FRAME)


def _exact(f0: list[float], last: int) -> Tensor:
    """What `_sines(9)` should give in the last frames."""
    samples = []
    cycles = sum((Fraction(hertz) for hertz in f0[:-last]), Fraction()) / 50
    for hertz in map(Fraction, f0[-last:]):
        phases = [9 * (cycles + hertz * k / SAMPLE_RATE) % 1 for k in range(1, 481)]
        samples += [math.tanh(0.1 * math.sin(2 * math.pi * phase)) for phase in phases]
        cycles += hertz / 50
    return torch.tensor(samples)
