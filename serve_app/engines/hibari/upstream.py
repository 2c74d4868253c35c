"""All that is taken from hibari-tts and ONNX Runtime, given types: neither package has any."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from hibari import dsp
from hibari.g2p import G2P, normalize
from hibari.g2p.oov import OOV
from hibari.tts import ASSETS
from hibari.tts import MAX_PHONEMES as _MAX_PHONEMES
from hibari.voices import voice_path
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

Floats = npt.NDArray[np.float32]

N_FFT: int = dsp.N_FFT  # samples of a frame
HOP: int = dsp.HOP  # samples between frames
SAMPLE_RATE: int = dsp.SR  # Hz
HANN: Floats = dsp.WIN  # [N_FFT], periodic
HANN_SOURCE: Floats = dsp.WIN_SRC  # [N_FFT], scaled so that a unit cosine peaks at 1
MAX_PHONEMES: int = _MAX_PHONEMES  # symbols in the longest utterance it was made for
SESSION_ERRORS: tuple[type[Exception], ...] = (Fail, InvalidArgument, RuntimeException)


class Session(Protocol):
    """An ONNX Runtime session."""

    def run(self, output_names: None, input_feed: dict[str, npt.NDArray[Any]]) -> list[Any]: ...


class Token(Protocol):
    """A word or mark with its reading."""

    text: str
    phonemes: str | None
    whitespace: str


class WordNetwork(Protocol):
    """hibari's network for words that are not in its dictionary."""

    cin: dict[str, int]  # the letters it knows
    maxlen: int  # letters it reads; the rest of a word is dropped

    def __call__(self, word: str) -> str | None: ...


class Reader:
    """hibari's dictionary and rules for American English."""

    def __init__(self, unknown_word: Callable[[str], str]) -> None:
        self._g2p = cast(Any, G2P(oov=unknown_word))

    def tokens(self, text: str) -> list[Token]:
        """The words of `text` with their readings."""
        return self._g2p.phonemize_tokens(self._g2p.tokenize(normalize(text)))


def word_network() -> WordNetwork:
    """Load the network that reads unknown words."""
    return cast(WordNetwork, OOV())


def vocabulary() -> dict[str, int]:
    """Phoneme symbol -> id."""
    return json.loads(Path(ASSETS, "vocab.json").read_text(encoding="utf-8"))


def voice_model(voice: str) -> Path:
    """The ONNX file of a voice on this machine; hibari would otherwise fetch a missing one."""
    return Path(voice_path(voice, download_missing=False))


def one_thread_session(model: bytes) -> Session:
    """A session without arena or memory patterns: as fast here, and memory goes back at once."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return cast(Session, session)
