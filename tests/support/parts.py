"""Three outputs to be joined: a.wav, b.wav and c.wav."""

from __future__ import annotations

import numpy as np

from serve_app.domain.types import Samples
from serve_app.engines.fake import speech_of
from tests.support.direct import RunningApi
from tests.support.uploads import RATE, speak_files

TEXTS = ("The first part is here.", "And this is the second one.", "So this must be the last.")
A, B, C = (speech_of(text, 1) for text in TEXTS)
PLAIN = {"normalize_levels": False}
EDGE = RATE // 100
"""Samples at each side of a joint that may be faded."""


def with_parts(api: RunningApi) -> RunningApi:
    """`api` with the three parts among its outputs."""
    for name, text in zip("abc", TEXTS, strict=True):
        (file,) = speak_files(api, text, export_formats=["wav"], project="parts")
        (api.outputs / file["path"].removeprefix("/outputs/")).rename(api.outputs / f"{name}.wav")
    return api


def assert_within(whole: Samples, part: Samples, at: int) -> None:
    """Does `part` lie in `whole`, except for the edges of its joints?"""
    lying = whole[at : at + len(part)]
    np.testing.assert_array_equal(lying[EDGE:-EDGE], part[EDGE:-EDGE])
