"""Engine names, what each can do, and how it is made.

Capabilities are known without importing a model library; the engine itself is imported by the
replica that runs it. To add an engine: write it, then add one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serve_app.domain.protocols import SpeechEngine
from serve_app.domain.types import Capabilities
from serve_app.engines import fake
from serve_app.engines.hibari.capabilities import CAPABILITIES as HIBARI


@dataclass(frozen=True, slots=True)
class _Entry:
    capabilities: Capabilities
    create: Callable[..., SpeechEngine]


def _create_hibari(**options: Any) -> SpeechEngine:
    from serve_app.engines.hibari.engine import HibariEngine

    return HibariEngine(**options)


_SPEECH_ENGINES = {
    "hibari": _Entry(HIBARI, _create_hibari),
    "fake": _Entry(fake.CAPABILITIES, fake.FakeEngine),
}


def speech_capabilities(name: str) -> Capabilities:
    """What the engine called `name` can do.

    Raises:
        ValueError: no engine has that name.
    """
    return _entry(name).capabilities


def create_speech_engine(name: str, options: dict[str, Any]) -> SpeechEngine:
    """Load the engine called `name`; this may take seconds and much memory.

    Raises:
        ValueError: no engine has that name.
        TypeError: it does not take one of the options.
    """
    return _entry(name).create(**options)


def _entry(name: str) -> _Entry:
    try:
        return _SPEECH_ENGINES[name]
    except KeyError:
        known = ", ".join(sorted(_SPEECH_ENGINES))
        raise ValueError(f"There is no speech engine called {name!r}; known: {known}.") from None
