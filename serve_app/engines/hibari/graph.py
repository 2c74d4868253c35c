"""hibari's network as two: a planner of a whole utterance and a renderer of windows of frames.

The published graph goes from phonemes to spectra in one run. Up to the decoder's input it needs the
whole utterance (attention, durations); after it there are only convolutions, which see 27 frames to
either side. Cut there, a stretch of speech costs only its own frames and a little context.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.utils import Extractor

from serve_app.domain.errors import GenerationFailed
from serve_app.engines.hibari.upstream import (
    SESSION_ERRORS,
    Floats,
    Session,
    one_thread_session,
)

CONTEXT = 14
"""Frames rendered and thrown away at either side of a window. Half the receptive field differs
from all of it by less than the int8 activations differ from one window to another."""

_DECODER_INPUT_WEIGHT = "m.dec_in.weight"
_SPECTRA = ["lh", "theta", "ln", "lr", "phi"]
_FRAMES_PER_DURATION = 2


class UnexpectedModelError(RuntimeError):
    """The ONNX file is not laid out as that of hibari-tts 0.2."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"hibari's model has no {missing}; hibari-tts 0.2 is expected")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the network decides about an utterance of L phonemes and F frames before any sound."""

    features: Floats  # [1, 130, F], the decoder's input
    f0: Floats  # [F], Hz; below 40 is unvoiced
    durations: npt.NDArray[np.int64]  # [L], frames of each phoneme


class AcousticModel:
    """Phoneme ids in, spectra out. Keeps nothing between calls."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)  # pyright: ignore[reportUnknownMemberType]
        cut = _find_cut(model.graph)
        _declare(model.graph, cut)
        extractor = Extractor(model)
        planner = extractor.extract_model(["ids", "speed"], [cut.features, "f0", cut.durations])
        renderer = extractor.extract_model([cut.features], [cut.spectra])
        self._planner = one_thread_session(planner.SerializeToString())
        self._renderer = one_thread_session(renderer.SerializeToString())
        self._renderer_input = cut.features

    def plan(self, ids: list[int], speed: float) -> Plan:
        """Decide durations, melody and the decoder's input for `ids`."""
        feeds = {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}
        features, f0, durations = _run(self._planner, feeds)
        return Plan(features, f0[0], durations * _FRAMES_PER_DURATION)

    def render(self, plan: Plan, start: int, stop: int) -> Floats:
        """Spectra of frames [start, stop): [stop - start, 5 * 601], in each row the 601 bins of
        lh, theta, ln, lr and phi of `hibari.dsp`."""
        low, high = max(0, start - CONTEXT), stop + CONTEXT
        window = np.ascontiguousarray(plan.features[:, :, low:high])
        (spectra,) = _run(self._renderer, {self._renderer_input: window})
        return spectra[0, start - low : stop - low]


def _run(session: Session, feeds: dict[str, npt.NDArray[Any]]) -> list[Any]:
    try:
        return session.run(None, feeds)
    except SESSION_ERRORS as error:
        raise GenerationFailed("The speech model failed.", str(error)) from error


@dataclass(frozen=True, slots=True)
class _Cut:
    """Names of the inner tensors at which the graph is taken apart."""

    features: str  # float [1, 130, F]
    durations: str  # int64 [L]
    spectra: str  # float [1, F, 5 * 601]: before the last transpose, so that frames are rows


def _find_cut(graph: onnx.GraphProto) -> _Cut:
    """Find the inner tensors by what surrounds them, for their own names are mere numbers."""
    split = _only(graph, "Split", writes=_SPECTRA)
    transpose = _only(graph, "Transpose", writes=[split.input[0]])
    decoder = _only(graph, "Conv", reads=_DECODER_INPUT_WEIGHT)
    cumulative_durations = _only(graph, "CumSum")
    return _Cut(decoder.input[0], cumulative_durations.input[0], transpose.input[0])


def _only(
    graph: onnx.GraphProto, op_type: str, reads: str = "", writes: list[str] | None = None
) -> onnx.NodeProto:
    """The one node of this kind, with that input and those outputs if given."""
    found = [
        node
        for node in graph.node
        if node.op_type == op_type
        and (not reads or reads in node.input)
        and (writes is None or list(node.output) == writes)
    ]
    if len(found) != 1:
        raise UnexpectedModelError(f"single {op_type} node {reads or writes or ''}".rstrip())
    return found[0]


def _declare(graph: onnx.GraphProto, cut: _Cut) -> None:
    """Give types to the inner tensors that have none in the file, which the extractor needs."""
    known = {value.name for value in graph.value_info}
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    for name, element, shape in (
        (cut.features, float32, (1, 130, "F")),
        (cut.durations, int64, ("L",)),
        (cut.spectra, float32, (1, "F", "bins")),
    ):
        if name not in known:
            graph.value_info.append(onnx.helper.make_tensor_value_info(name, element, shape))
