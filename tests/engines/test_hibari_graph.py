"""The windows of frames, and the network cut in two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hibari import Hibari

from serve_app.domain.errors import GenerationFailed
from serve_app.engines.hibari.graph import AcousticModel, UnexpectedModelError
from serve_app.engines.hibari.upstream import voice_model
from serve_app.engines.hibari.windows import (
    even_windows,
    first_window,
    window_after_plan,
    windows_after_first,
)


def test_the_first_window_ends_between_words_when_a_border_is_near() -> None:
    assert first_window(400, [20, 49, 60, 90]) == 49 + 2
    assert first_window(400, [20, 90]) == 52 + 2
    assert first_window(80, [40]) == 80


@pytest.mark.parametrize("frames", [93, 105, 230, 290, 412, 451, 700, 1200, 1900])
def test_windows_cover_every_frame_once_without_a_tiny_tail(frames: int) -> None:
    for first, later in (
        (first_window(frames, []), windows_after_first),
        (window_after_plan(frames), even_windows),
    ):
        cuts = [(0, first)] + (list(later(first, frames)) if first < frames else [])
        assert [start for start, _ in cuts[1:]] == [stop for _, stop in cuts[:-1]]
        assert cuts[-1][1] == frames
        assert all(stop - start <= 450 for start, stop in cuts)
        assert all(stop - start >= 45 for start, stop in cuts)


def test_a_model_of_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    a, b = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "ab")
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [a], [b])), path)
    with pytest.raises(UnexpectedModelError, match=r"hibari-tts 0\.2"):
        AcousticModel(path)


def test_a_failing_model_is_a_failed_generation() -> None:
    with pytest.raises(GenerationFailed):
        AcousticModel(voice_model("heart")).plan([0, 9_999, 0], 1.0)


def test_the_cut_graph_equals_the_library() -> None:
    library = Hibari()
    ids = library.ids(library.phonemize("The lamp burned on, and nobody knew why.")[0])
    model = AcousticModel(voice_model("heart"))
    plan = model.plan(ids, 1.0)
    feeds = {"ids": np.array([ids], np.int64), "speed": np.array([1.0], np.float32)}
    *spectra, f0 = (output[0] for output in library.sess.run(None, feeds))
    assert plan.durations.sum() == len(plan.f0)
    np.testing.assert_array_equal(plan.f0, f0)
    rendered = model.render(plan, 0, len(f0))
    np.testing.assert_allclose(rendered, np.concatenate(spectra).T, atol=1e-5)
