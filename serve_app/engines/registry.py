"""Engine names, what each can do, and how it is made.

Capabilities are known without importing a model library; the engine itself is imported by the
replica that runs it. To add an engine: write it, then add one entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from serve_app.domain.protocols import ConversionEngine, SpeechEngine
from serve_app.domain.types import Capabilities, ConversionCapabilities
from serve_app.engines import fake, fake_conversion
from serve_app.engines.chatterbox import capabilities as chatterbox
from serve_app.engines.chatterbox.models import Family
from serve_app.engines.chatterbox.options import Options, SpeechOptions
from serve_app.engines.hibari.capabilities import CAPABILITIES as HIBARI
from serve_app.engines.world.capabilities import CAPABILITIES as WORLD

Abilities = TypeVar("Abilities")
Engine = TypeVar("Engine")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Abilities, Engine]):
    capabilities: Abilities
    create: Callable[..., Engine]
    options: type[BaseModel] | None = None  # where they can be checked without the engine


def _create_hibari(**options: Any) -> SpeechEngine:
    from serve_app.engines.hibari.engine import HibariEngine

    return HibariEngine(**options)


def _create_world(**options: Any) -> ConversionEngine[Any]:
    from serve_app.engines.world.engine import WorldEngine

    return WorldEngine(**options)


def _create_chatterbox(family: Family, **options: Any) -> SpeechEngine:
    from serve_app.engines.chatterbox.engine import ChatterboxEngine

    return ChatterboxEngine(family, **options)


def _create_chatterbox_conversion(**options: Any) -> ConversionEngine[Any]:
    from serve_app.engines.chatterbox.conversion import ChatterboxConversionEngine

    return ChatterboxConversionEngine(**options)


_SPEECH_ENGINES: Mapping[str, _Entry[Capabilities, SpeechEngine]] = {
    "hibari": _Entry(HIBARI, _create_hibari),
    "fake": _Entry(fake.CAPABILITIES, fake.FakeEngine),
    **{
        capabilities.name: _Entry(capabilities, partial(_create_chatterbox, family), SpeechOptions)
        for family, capabilities in chatterbox.SPEECH.items()
    },
}
_CONVERSION_ENGINES: Mapping[str, _Entry[ConversionCapabilities, ConversionEngine[Any]]] = {
    "world": _Entry(WORLD, _create_world),
    "fake": _Entry(fake_conversion.CAPABILITIES, fake_conversion.FakeConversionEngine),
    chatterbox.CONVERSION.name: _Entry(
        chatterbox.CONVERSION, _create_chatterbox_conversion, Options
    ),
}


def speech_capabilities(name: str) -> Capabilities:
    """What the speech engine called `name` can do.

    Raises:
        ValueError: no engine has that name.
    """
    return _entry(_SPEECH_ENGINES, name).capabilities


def create_speech_engine(name: str, options: dict[str, Any]) -> SpeechEngine:
    """Load the speech engine called `name`; this may take seconds and much memory.

    Raises:
        ValueError: no engine has that name.
        TypeError: it does not take one of the options.
    """
    return _entry(_SPEECH_ENGINES, name).create(**options)


def conversion_capabilities(name: str) -> ConversionCapabilities:
    """What the conversion engine called `name` can do.

    Raises:
        ValueError: no engine has that name.
    """
    return _entry(_CONVERSION_ENGINES, name).capabilities


def create_conversion_engine(name: str, options: dict[str, Any]) -> ConversionEngine[Any]:
    """Load the conversion engine called `name`.

    Raises:
        ValueError: no engine has that name.
        TypeError: it does not take one of the options.
    """
    return _entry(_CONVERSION_ENGINES, name).create(**options)


def check_engines(
    speech: str,
    speech_options: Mapping[str, Any],
    conversion: str,
    conversion_options: Mapping[str, Any],
) -> None:
    """Look at names and options as far as that can be done without loading an engine.

    Raises:
        ValueError: no engine has that name, or an option is unknown or out of range.
    """
    for entry, given in (
        (_entry(_SPEECH_ENGINES, speech), speech_options),
        (_entry(_CONVERSION_ENGINES, conversion), conversion_options),
    ):
        if entry.options is not None:
            entry.options.model_validate(given)


def _entry(
    engines: Mapping[str, _Entry[Abilities, Engine]], name: str
) -> _Entry[Abilities, Engine]:
    try:
        return engines[name]
    except KeyError:
        known = ", ".join(sorted(engines))
        raise ValueError(f"There is no engine called {name!r}; known: {known}.") from None
