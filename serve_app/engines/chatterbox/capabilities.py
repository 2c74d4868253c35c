"""What the Chatterbox engines can do, known without torch."""

from __future__ import annotations

from serve_app.domain.types import Capabilities, ConversionCapabilities, Listening
from serve_app.engines.chatterbox.models import SAMPLE_RATE, SPECS, Family

_REFERENCE = Listening(30.0, spread=False)
"""The models continue the first 6 to 15 seconds; who speaks is averaged over all of it."""

_LONGEST_CHUNK = 300
"""Characters, about 20 s of speech; T3 was made for 40 s at most, and drifts towards the end."""

_LANGUAGES = (
    "en", "ar", "da", "de", "el", "es", "fi", "fr", "he", "hi", "it", "ja",
    "ko", "ms", "nl", "no", "pl", "pt", "ru", "sv", "sw", "tr", "zh",
)  # fmt: skip

_SAMPLING = frozenset({"temperature", "top_p", "repetition_penalty"})
_GUIDED = _SAMPLING | {"min_p", "cfg_weight", "exaggeration"}


def _capabilities(
    family: Family,
    name: str,
    languages: tuple[str, ...],
    controls: frozenset[str],
    scripts: tuple[str, ...] | None,
) -> Capabilities:
    return Capabilities(
        name=name,
        sample_rate=SAMPLE_RATE,
        languages=languages,
        voices=("default",),
        controls=controls,
        native_speed=False,
        max_chunk_chars=_LONGEST_CHUNK,
        first_chunk_chars=_LONGEST_CHUNK,  # it streams below the sentence
        scripts=scripts,
        reference=_REFERENCE,
        word_timings=bool(SPECS[family].aligned_heads),
    )


SPEECH: dict[Family, Capabilities] = {
    Family.ENGLISH: _capabilities(Family.ENGLISH, "chatterbox", ("en",), _GUIDED, ("LATIN",)),
    Family.TURBO: _capabilities(Family.TURBO, "chatterbox-turbo", ("en",), _SAMPLING, ("LATIN",)),
    Family.MULTILINGUAL: _capabilities(
        Family.MULTILINGUAL, "chatterbox-multilingual", _LANGUAGES, _GUIDED, None
    ),
}

CONVERSION = ConversionCapabilities(
    name="chatterbox-vc",
    sample_rate=SAMPLE_RATE,
    source_seconds=0.0,
    target=Listening(10.0, spread=False),
)
