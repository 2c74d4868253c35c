"""DNSMOS: how good speech sounds, as a network predicts people to say, from 1 to 5.

C. K. A. Reddy, V. Gopal, R. Cutler: DNSMOS P.835 (ICASSP 2022). The model and the polynomial are
those of the package `speechmos`; it is not imported, because it needs more than its model does.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

from serve_app.domain.types import Samples
from tests.audio_tools import resample

_LISTENS_AT = 16_000  # Hz
_WINDOW = int(9.01 * _LISTENS_AT)
_OVERALL = np.polynomial.Polynomial([0.04602535, 1.11546468, -0.06766283])


@cache
def _model() -> onnxruntime.InferenceSession:
    spec = find_spec("speechmos")
    assert spec is not None
    assert spec.origin is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = Path(spec.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def overall_quality(samples: Samples, sample_rate: int) -> float:
    """Mean opinion of samples [n], over windows of 9 s; shorter speech is repeated."""
    signal = resample(samples, sample_rate, _LISTENS_AT).astype(np.float32) / 32768
    while len(signal) < _WINDOW:
        signal = np.concatenate([signal, signal])
    starts = range(0, len(signal) - _WINDOW + 1, _LISTENS_AT)
    return float(np.mean([_opinion(signal[start : start + _WINDOW]) for start in starts]))


def _opinion(window: np.ndarray) -> float:
    ((_, _, overall),) = _model().run(None, {"input_1": window[None]})[0]
    return float(_OVERALL(overall))
