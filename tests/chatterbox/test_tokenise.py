"""The source of a conversion as speech tokens: each once, on one grid, early and like the whole's.

The tokenizer has upstream's depth and random weights, on real speech. Its attention is close to an
average of all it hears, so that it minds a cut more than a trained one should.
"""

from __future__ import annotations

import io
import math
import tracemalloc
import wave
from functools import cache

import librosa
import numpy as np
import pytest
import torch
from chatterbox.models.s3gen import S3Gen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serve_app.domain.types import Samples
from serve_app.engines.chatterbox.architecture import S3GenShape, build_s3gen
from serve_app.engines.chatterbox.models import ENGLISH
from serve_app.engines.chatterbox.resample import Resampler, Signal
from serve_app.engines.chatterbox.tokenise import (
    LEAST_OVERLAP,
    LONGEST_PIECE,
    SourcePiece,
    SourceTokens,
    Tokeniser,
)
from tests.support.voices import RATE, recording

pytestmark = pytest.mark.filterwarnings(
    r"ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning"  # librosa.load looks for them
)

WHOLE = math.inf
NOISE = np.random.default_rng(1).integers(-9000, 9000, 100 * RATE).astype(np.int16)


@cache
def speech() -> Samples:
    """13 s, by three voices in two languages; the loudest is the first."""
    names = ("en_sarah", "en_karen", "de_Anton")
    return np.concatenate([recording(name) for name in names])[: 13 * RATE]


@pytest.fixture(scope="module")
def s3gen() -> S3Gen:
    return random_s3gen(tokenizer_blocks=6)


@pytest.fixture(scope="module")
def near_s3gen() -> S3Gen:
    """One whose tokenizer hears 1.3 s to either side: its attention is cut out."""
    s3gen = random_s3gen(tokenizer_blocks=2)
    for block in s3gen.tokenizer.encoder.blocks:
        block.attn.out.weight.data.zero_()
    return s3gen


def random_s3gen(tokenizer_blocks: int) -> S3Gen:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_s3gen(ENGLISH, S3GenShape(tokenizer_blocks, 1, 1, 1))


@pytest.fixture(scope="module")
def tokeniser(s3gen: S3Gen) -> Tokeniser:
    return Tokeniser(s3gen)


@pytest.fixture(scope="module")
def tokens_of_speech(s3gen: S3Gen) -> list[int]:
    return upstream_tokens(s3gen, speech())


def as_upstream_loads(samples: Samples) -> Signal:
    """What upstream's conversion hears of a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    file.seek(0)
    signal, _ = librosa.load(file, sr=16_000)
    return signal


def upstream_tokens(s3gen: S3Gen, samples: Samples) -> list[int]:
    tokens, _ = s3gen.tokenizer(torch.from_numpy(as_upstream_loads(samples))[None])
    return tokens[0].tolist()


def pieces_of(source: SourceTokens, pushed: list[Samples]) -> list[SourcePiece]:
    """All pieces, taken as soon as they are ready."""
    pieces: list[SourcePiece] = []
    for samples in pushed:
        source.push(samples)
        pieces += ready(source)
    source.close()
    return pieces + ready(source)


def ready(source: SourceTokens) -> list[SourcePiece]:
    return list(iter(source.take, None))


def cut(samples: Samples, sizes: list[int]) -> list[Samples]:
    """Runs of these sizes, over and over."""
    borders = np.cumsum(np.resize(sizes, len(samples) // max(1, min(sizes)) + 1))
    return np.split(samples, borders[borders < len(samples)])


def tokens_in_pieces(
    tokeniser: Tokeniser, samples: Samples, source: SourceTokens, batch: int = 1
) -> list[int]:
    pieces = pieces_of(source, [samples])
    batches = [pieces[start : start + batch] for start in range(0, len(pieces), batch)]
    return [token for some in batches for row in tokeniser.run(some) for token in row]


def agreement(one: list[int], other: list[int]) -> float:
    """Share of equal ternary digits: a token is eight of them."""
    return float(np.mean(_digits(one) == _digits(other)))


def _digits(tokens: list[int]) -> np.ndarray:
    return np.array(tokens)[:, None] // 3 ** np.arange(8) % 3


# The signal


@given(
    count=st.integers(0, 3 * RATE),
    sizes=st.lists(st.integers(20, 5000), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=40)
@example(count=1, sizes=[1])
@example(count=2, sizes=[1])
@example(count=961, sizes=[1])
def test_resampled_as_a_stream_it_is_what_upstream_loads(count: int, sizes: list[int]) -> None:
    resampler, samples = Resampler(), NOISE[:count]
    made = [resampler.push(some) for some in cut(samples, sizes)]
    streamed = np.concatenate([*made, resampler.finish()])
    whole = as_upstream_loads(samples) if count else np.zeros(0)
    assert len(streamed) == len(whole) == math.ceil(count * 2 / 3)
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-6)


# The pieces


@given(
    count=st.integers(0, 70 * RATE),
    sizes=st.lists(st.integers(100, 20 * RATE), min_size=1, max_size=5),
    seconds=st.tuples(st.floats(1, 300), st.floats(0, 5), st.floats(0, 60)),
)
@settings(deadline=None, max_examples=40)
@example(count=30 * RATE, sizes=[960], seconds=(60.0, 0.1, 5.0))
@example(count=30 * RATE + 1, sizes=[RATE], seconds=(60.0, 0.1, WHOLE))
@example(count=53 * RATE, sizes=[RATE], seconds=(60.0, 4.0, WHOLE))  # upstream loses 1 s of it
@example(count=4000, sizes=[1, 119], seconds=(1.0, 5.0, 0.0))
def test_each_token_counts_once_and_stands_for_its_place_in_the_source(
    count: int, sizes: list[int], seconds: tuple[float, float, float]
) -> None:
    piece_seconds, overlap_seconds, first_seconds = seconds
    source = SourceTokens(piece_seconds, overlap_seconds, first_seconds=first_seconds)
    pieces = pieces_of(source, cut(NOISE[:count], sizes))
    whole = as_upstream_loads(NOISE[:count]) if count else np.zeros(0)
    first = 0
    for piece in pieces:
        heard = whole[(first - piece.context) * 640 :][: len(piece.signal)]
        np.testing.assert_allclose(piece.signal[: len(heard)], heard, rtol=0, atol=1e-6)
        assert not piece.signal[len(heard) :].any()
        assert len(piece.signal) <= 16_000 * min(piece_seconds + 0.02, LONGEST_PIECE)
        first += piece.count
    assert source.samples == count
    assert first == math.ceil(count / 960)
    assert [piece.is_final for piece in pieces] == [False] * (len(pieces) - 1) + [True] * bool(
        count
    )


@pytest.mark.parametrize("first_seconds", [5.0, WHOLE])
def test_how_the_source_arrives_does_not_change_the_pieces(first_seconds: float) -> None:
    all_there, piecemeal = (
        pieces_of(SourceTokens(20, 2, first_seconds=first_seconds), cut(NOISE[: 61 * RATE], sizes))
        for sizes in ([len(NOISE)], [7001, 960, 40_000])
    )
    for one, other in zip(all_there, piecemeal, strict=True):
        assert (one.context, one.count) == (other.context, other.count)
        assert np.array_equal(one.signal, other.signal)


@pytest.mark.parametrize("seconds", [1, 20, 30])
def test_a_stored_source_is_cut_only_if_it_is_longer_than_a_piece(seconds: int) -> None:
    counts = [
        len(pieces_of(SourceTokens(seconds, 0, first_seconds=WHOLE), [NOISE[: seconds * RATE + n]]))
        for n in (0, 1)
    ]
    assert counts == [1, 2]


def test_at_a_cut_half_of_the_overlap_is_heard_on_each_side() -> None:
    first, *others, last = pieces_of(SourceTokens(20, 5, first_seconds=WHOLE), [NOISE])
    assert (first.context, first.count) == (0, 500 - 62)
    assert {(piece.context, piece.count) for piece in others} == {(62, 500 - 2 * 62)}
    assert last.context + last.count == 500


def test_the_overlap_is_never_too_short_for_the_tokenizer_nor_for_the_piece() -> None:
    ahead = [
        len(piece.signal) // 640 - piece.context - piece.count
        for seconds in (30, 1)
        for piece in pieces_of(SourceTokens(seconds, 0.1), [NOISE[: 40 * RATE]])[:-1]
    ]
    assert set(ahead) == {round(25 * LEAST_OVERLAP / 2), 6}


def test_the_first_piece_comes_early_and_the_others_in_time() -> None:
    """Of a source that arrives twice as fast as it is played, and they grow up to the longest."""
    source = SourceTokens(30, 0)
    arrived, heard_from, played, longest = 0.0, None, 0.0, 0
    for samples in cut(NOISE, [RATE // 10]):
        source.push(samples)
        arrived += len(samples) / RATE
        for piece in ready(source):
            heard_from = arrived / 2 if heard_from is None else heard_from
            assert arrived / 2 <= heard_from + played + 0.2
            played += piece.count / 25
            longest = max(longest, piece.count)
    assert heard_from == pytest.approx(5 / 2, abs=0.1)
    assert longest == 25 * (LONGEST_PIECE - LEAST_OVERLAP)


def test_of_nothing_there_is_no_piece() -> None:
    assert pieces_of(SourceTokens(30, 0), []) == []


def test_pieces_shorter_than_a_second_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.5 s"):
        SourceTokens(0.5, 0)


def test_memory_does_not_grow_with_the_source() -> None:
    source, peaks = SourceTokens(5, 0), []
    tracemalloc.start()
    try:
        for start in range(0, 90 * RATE, 30 * RATE):
            tracemalloc.reset_peak()
            for samples in cut(NOISE[start : start + 30 * RATE], [RATE // 50]):
                source.push(samples)
                source.take()
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[-1] < peaks[0] * 1.2 < 3_000_000


def test_a_long_push_is_resampled_only_as_far_as_needed() -> None:
    source = SourceTokens(5, 0)
    tracemalloc.start()
    try:
        source.push(NOISE)
        assert source.take() is not None
        assert tracemalloc.get_traced_memory()[1] < NOISE.nbytes / 2
    finally:
        tracemalloc.stop()


# The tokens


@pytest.mark.parametrize("count", [960, 1_200, 24_000, 24_240, 25_500, 90_123])
def test_a_short_source_has_upstreams_tokens(
    s3gen: S3Gen, tokeniser: Tokeniser, count: int
) -> None:
    samples = speech()[:count]
    tokens = tokens_in_pieces(tokeniser, samples, SourceTokens(60, 0.1))
    assert tokens == upstream_tokens(s3gen, samples)


def test_a_stored_source_of_up_to_a_piece_has_upstreams_tokens(
    tokeniser: Tokeniser, tokens_of_speech: list[int]
) -> None:
    source = SourceTokens(13, 0.1, first_seconds=WHOLE)
    assert tokens_in_pieces(tokeniser, speech(), source) == tokens_of_speech


@pytest.mark.parametrize("count", [1, 239, 240, 301, 302, 959, 961, 1_199, 24_001, 24_239])
def test_every_sample_is_in_a_token(tokeniser: Tokeniser, count: int) -> None:
    """Also where upstream leaves the last few milliseconds out, or fails."""
    tokens = tokens_in_pieces(tokeniser, speech()[:count], SourceTokens(30, 0))
    assert len(tokens) == math.ceil(count / 960)


def test_pieces_of_different_lengths_share_a_batch(tokeniser: Tokeniser) -> None:
    loud, quiet = speech()[: 6 * RATE], speech()[6 * RATE : 9 * RATE] // 50
    pieces = [
        *pieces_of(SourceTokens(4, 1, first_seconds=2), [loud]),
        *pieces_of(SourceTokens(4, 1), [quiet]),
        *pieces_of(SourceTokens(4, 1), [loud[:1]]),
    ]
    assert len({len(piece.signal) for piece in pieces}) > 3
    assert tokeniser.run(pieces) == [
        tokens for piece in pieces for tokens in tokeniser.run([piece])
    ]


def test_a_batch_of_nothing_is_nothing(tokeniser: Tokeniser) -> None:
    assert tokeniser.run([]) == []


@pytest.mark.parametrize("value", [0, 32_767, -32_768])
def test_a_constant_source_has_tokens(tokeniser: Tokeniser, value: int) -> None:
    tokens = tokens_in_pieces(tokeniser, np.full(3 * RATE, value, np.int16), SourceTokens(2, 0))
    assert len(tokens) == 75
    assert all(0 <= token < 6561 for token in tokens)


@pytest.mark.parametrize(("piece_seconds", "first_seconds"), [(9, WHOLE), (9, 5), (30, 5)])
def test_pieces_have_the_wholes_tokens_if_the_tokenizer_hears_no_further_than_they_overlap(
    near_s3gen: S3Gen, piece_seconds: float, first_seconds: float
) -> None:
    """Then only the floor of the log-mel could tell them apart, and pieces share it."""
    source = SourceTokens(piece_seconds, 0, first_seconds=first_seconds)
    tokens = tokens_in_pieces(Tokeniser(near_s3gen), speech(), source)
    assert tokens == upstream_tokens(near_s3gen, speech())


@pytest.mark.parametrize(("piece_seconds", "first_seconds"), [(9, WHOLE), (30, 5)])
def test_pieces_have_tokens_like_those_of_the_whole(
    tokeniser: Tokeniser,
    tokens_of_speech: list[int],
    piece_seconds: float,
    first_seconds: float,
) -> None:
    source = SourceTokens(piece_seconds, 0, first_seconds=first_seconds)
    tokens = tokens_in_pieces(tokeniser, speech(), source)
    assert agreement(tokens, tokens_of_speech) >= 0.94
