"""From the wire to the domain: what will be spoken, stored and streamed, decided before any audio.

Everything that can be refused is refused here, so that it fails with a real status.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from serve_app.api.fields import parse_formats, streamed_format
from serve_app.api.ignored import ignored_fields
from serve_app.api.sources import Voice, without_query
from serve_app.api.tts_models import SpeechBody
from serve_app.domain.errors import InvalidRequest, TextTooLong
from serve_app.domain.types import AudioFormat, Capabilities, Sampling, SpeechRequest
from serve_app.library.outputs import OutputDraft
from serve_app.settings import Settings
from serve_app.text.cleanup import TextSwitches, clean, parse_sound_words
from serve_app.text.speakable import has_speech, unspeakable
from serve_app.text.split import Splitting, split

_SAMPLING = frozenset(
    {"exaggeration", "temperature", "cfg_weight", "top_p", "min_p", "repetition_penalty"}
)
_TRANSCRIPT_CHECKING = frozenset(
    {
        "bypass_whisper_checking",
        "num_candidates_per_chunk",
        "max_attempts_per_candidate",
        "whisper_model_name",
        "use_faster_whisper",
        "use_longest_transcript_on_fail",
    }
)
_COMPATIBILITY = frozenset(
    {
        "use_auto_editor",
        "keep_original_wav_ae",
        "ae_threshold",
        "ae_margin",
        "enable_parallel",
        "num_parallel_workers",
        "disable_watermark",
    }
)
_LETTERS_IN_A_CHARACTER = {"zh": 4, "ja": 3, "ko": 2}
"""About how many Latin letters take as long to say as one character of these languages."""

_LONGEST_REPLACEMENT = 200
"""Characters of one pronunciation, so that a short text can not become an endless one."""

_TEXT_KEPT = 500
"""Characters of the text that the listing of outputs shows."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be done for one request."""

    speech: Capabilities
    shapes: bool  # whether voices are made of a shape
    tells_words: bool  # whether the answer has a place for the words' times


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """All that is decided about one request before it is spoken."""

    request: SpeechRequest
    draft: OutputDraft
    streamed: AudioFormat
    stretch: float  # speed left to do after the engine; 1.0 is none
    ignored: tuple[str, ...]  # names of fields that have no effect
    warnings: tuple[str, ...]  # the same in words


def plan_speech(
    body: SpeechBody,
    voice: Voice,
    return_format: str | None,
    request_id: str,
    abilities: Abilities,
    settings: Settings,
) -> SpeechPlan:
    """Decide everything about one request.

    Raises:
        InvalidRequest, TextTooLong, UnsupportedFormat
    """
    formats = parse_formats(body.export_formats, settings.speech.export_formats)
    capabilities = abilities.speech
    ignored = ignored_fields(body, _powerless(voice, abilities))
    native = capabilities.native_speed
    seed = body.seed or secrets.randbelow(2**31 - 1) + 1
    return SpeechPlan(
        request=SpeechRequest(
            chunks=_chunks(body, capabilities, settings.limits.max_text_chars),
            seed=seed,
            language=_language(body.language, capabilities),
            voice=voice.built_in,
            speed=body.speed_factor if native else 1.0,
            sampling=_sampling(body),
            word_timings=body.timestamps is not None and "timestamps" not in ignored,
            request_id=request_id,
        ),
        draft=OutputDraft(
            "tts",
            _name_parameters(body),
            formats,
            body.project_folder,
            facts=_facts(body, seed),
            source_files=(voice.path,) if voice.path else (),
        ),
        streamed=streamed_format(return_format or body.return_format, formats),
        stretch=1.0 if native else body.speed_factor,
        ignored=ignored,
        warnings=tuple(_warning(name, abilities) for name in ignored),
    )


def _powerless(voice: Voice, abilities: Abilities) -> frozenset[str]:
    """The fields that change nothing here."""
    powerless = _SAMPLING - abilities.speech.controls | _TRANSCRIPT_CHECKING | _COMPATIBILITY
    if not (abilities.tells_words and abilities.speech.word_timings):
        powerless |= {"timestamps"}
    if voice.shape is not None and not abilities.shapes:
        powerless |= {"reference_audio_filename"}
    return powerless


def is_mute(body: SpeechBody) -> bool:
    """Whether nothing of the text is left to say once it is cleaned.

    Raises:
        InvalidRequest: the pronunciation list is none.
    """
    return not has_speech(clean(body.text, _switches(body)))


def _chunks(body: SpeechBody, capabilities: Capabilities, limit: int) -> tuple[str, ...]:
    text = body.text.strip()
    if not text:
        raise InvalidRequest("there is nothing to say.", field="text")
    _check_length(text, limit)
    cleaned = clean(text, _switches(body))
    _check_length(cleaned, limit)  # pronunciations can make it longer
    if not has_speech(cleaned):
        raise InvalidRequest("it holds no letter or digit that could be spoken.", field="text")
    if foreign := unspeakable(cleaned, capabilities.scripts):
        raise InvalidRequest(
            f"the {capabilities.name} engine cannot pronounce {' '.join(foreign)}",
            "It speaks " + ", ".join(capabilities.languages) + ".",
            field="text",
        )
    return split(cleaned, _splitting(body, capabilities))


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        raise TextTooLong(f"{len(text)} characters; at most {limit} are accepted.", field="text")


def _switches(body: SpeechBody) -> TextSwitches:
    try:
        sound_words = parse_sound_words(body.sound_words_field)
    except ValueError as error:
        raise InvalidRequest(str(error), field="sound_words_field") from error
    if any(len(word.replacement) > _LONGEST_REPLACEMENT for word in sound_words):
        raise InvalidRequest(
            f"a replacement has more than {_LONGEST_REPLACEMENT} characters.",
            field="sound_words_field",
        )
    return TextSwitches(
        to_lowercase=body.to_lowercase,
        normalize_spacing=body.normalize_spacing,
        fix_dot_letters=body.fix_dot_letters,
        remove_reference_numbers=body.remove_reference_numbers,
        sound_words=sound_words,
    )


def _splitting(body: SpeechBody, capabilities: Capabilities) -> Splitting:
    dense = _LETTERS_IN_A_CHARACTER.get(body.language.lower().split("-")[0], 1)
    return Splitting(
        max_chars=capabilities.max_chunk_chars // dense,
        first_chars=capabilities.first_chunk_chars // dense,
        merge_short=body.smart_batch_short_sentences,
        group=body.enable_batching,
    )


def _language(language: str, capabilities: Capabilities) -> str:
    """The engine's name of a language; "en-US" is spoken where "en" is."""
    for name in (language.lower(), language.lower().split("-")[0]):
        if name in capabilities.languages:
            return name
    spoken = ", ".join(capabilities.languages)
    raise InvalidRequest(
        f"{language!r} is not spoken by the engine; it speaks {spoken}.", field="language"
    )


def _facts(body: SpeechBody, seed: int) -> dict[str, Any]:
    """What the listing of outputs says of this one: the fields that were given, and the seed."""
    fields = set(SpeechBody.model_fields) - {"text"}
    known = body.model_dump(mode="json", exclude_unset=True, include=fields)
    if body.reference_audio_filename:
        known["reference_audio_filename"] = without_query(body.reference_audio_filename)
    return {"text": body.text.strip()[:_TEXT_KEPT], **known, "seed": seed}


def _sampling(body: SpeechBody) -> Sampling:
    return Sampling(
        exaggeration=body.exaggeration,
        temperature=body.temperature,
        cfg_weight=body.cfg_weight,
        top_p=body.top_p,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
    )


def _name_parameters(body: SpeechBody) -> tuple[str, ...]:
    """The parts of the file's name: temperature always, the rest where it says something."""
    parts = [f"temp{body.temperature:g}"]
    if body.seed:
        parts.append(f"seed{body.seed}")
    if body.exaggeration != 0.5:
        parts.append(f"exag{body.exaggeration:g}")
    if body.speed_factor != 1.0:
        parts.append(f"speed{body.speed_factor:g}")
    if body.trim:
        parts.append("trim")
    return tuple(parts)


def _warning(name: str, abilities: Abilities) -> str:
    engine = abilities.speech.name
    if name == "timestamps":
        if abilities.speech.word_timings:
            return "timestamps is ignored: ask with stream_format=sse or response_mode=url."
        return f"timestamps is ignored: the {engine} engine cannot tell when it says a word."
    if name == "reference_audio_filename":
        return "The voice is the engine's default: voices of a shape cannot be made here."
    if name in _TRANSCRIPT_CHECKING:
        return f"{name} is ignored: no transcriber is configured."
    if name in _SAMPLING:
        return f"{name} is ignored: the {engine} engine has no such control."
    return f"{name} is ignored."
