"""From a body to its speech: the way that every route takes which speaks a text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from serve_app.api.fields import ResponseMode
from serve_app.api.ignored import ignored_header
from serve_app.api.job import Finisher, Job
from serve_app.api.services import Services
from serve_app.api.sources import Voice
from serve_app.api.tts_models import SpeechBody
from serve_app.api.tts_plan import Abilities, SpeechPlan, plan_speech
from serve_app.audio.loudness import normalize
from serve_app.audio.process import Processor, Stretch, TrimSilence
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import ConversionRequest, PcmChunk


@dataclass(frozen=True, slots=True)
class Speech:
    """One request that has been decided about."""

    plan: SpeechPlan
    body: SpeechBody  # with what the voice brings along
    voice: Voice


async def find_voice(services: Services, name: str | None) -> Voice:
    """The voice that a request names; whoever finds it tidies it up.

    Raises:
        VoiceNotFound, UrlNotAllowed, DownloadFailed, InvalidAudio, FileTooLarge
    """
    return await services.sources.voice(name, services.speech.capabilities.voices)


def plan(
    services: Services,
    body: SpeechBody,
    voice: Voice,
    request_id: str,
    mode: ResponseMode,
    return_format: str | None = None,
) -> Speech:
    """Decide everything that can be refused.

    Raises:
        InvalidRequest, TextTooLong, UnsupportedFormat
    """
    body = _with_defaults(body, voice)
    abilities = Abilities(
        services.speech.capabilities,
        shapes=services.conversion.capabilities.shapes,
        tells_words=mode is not ResponseMode.STREAM,
    )
    planned = plan_speech(body, voice, return_format, request_id, abilities, services.settings)
    return Speech(planned, body, voice)


async def decide(
    services: Services,
    body: SpeechBody,
    voice: Voice,
    request_id: str,
    mode: ResponseMode,
    return_format: str | None = None,
) -> Speech:
    """As `plan`, and the voice counts as used. Where it is refused, the voice is tidied up."""
    try:
        speech = plan(services, body, voice, request_id, mode, return_format)
        await services.sources.count(voice)
    except BaseException:
        await voice.tidy_up()
        raise
    return speech


def chunks(services: Services, speech: Speech) -> AsyncGenerator[PcmChunk, None]:
    """The speech, in the voice of a recording or of a shape where one was asked for.

    Where the engine speaks in its own voice only, its speech is converted.
    """
    request, voice = speech.plan.request, speech.voice
    if voice.recording is not None:
        if services.speech.capabilities.reference is not None:
            return services.speech.speak(replace(request, reference=voice.recording))
        return services.conversion.convert(
            ConversionRequest(request, voice.recording, request_id=request.request_id)
        )
    if voice.shape is not None and services.conversion.capabilities.shapes:
        return services.conversion.convert(
            ConversionRequest(request, voice.shape, request_id=request.request_id)
        )
    return services.speech.speak(request)


def processors(speech: Speech, sample_rate: int) -> list[Processor]:
    """What is done to the PCM on its way out."""
    found: list[Processor] = []
    if speech.plan.stretch != 1.0:
        found.append(Stretch(sample_rate, speech.plan.stretch))
    if speech.body.trim:
        found.append(TrimSilence(sample_rate, speech.body.trim_threshold_ms))
    return found


def job_of(services: Services, speech: Speech) -> Job:
    """The output that it becomes."""
    planned, body = speech.plan, speech.body
    rate = services.speech.capabilities.sample_rate
    return Job(
        draft=planned.draft,
        streamed=planned.streamed,
        sample_rate=rate,
        chunks=chunks(services, speech),
        message="Speech was generated.",
        processors=lambda: processors(speech, rate),
        finisher=_finisher(body, rate),
        headers=_headers(planned, body),
        facts={
            "generation_seed_used": planned.request.seed,
            "speed_factor_library_used": _speed_library(planned),
            "warnings": list(planned.warnings),
        },
        characters=sum(map(len, planned.request.chunks)),
        words=planned.request.word_timings if body.timestamps else None,
        tidy_up=speech.voice.tidy_up,
    )


def _with_defaults(body: SpeechBody, voice: Voice) -> SpeechBody:
    """The body with the voice's own parameters in the fields that the client left out.

    Raises:
        InvalidRequest: the voice's parameters are none that a request could have.
    """
    if not voice.defaults:
        return body
    given = body.model_dump(exclude_unset=True)
    try:
        return SpeechBody.model_validate({**voice.defaults, **given})
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidRequest(
            f"default_parameters of the voice {voice.path!r}: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}."
        ) from None


def _finisher(body: SpeechBody, rate: int) -> Finisher | None:
    """Loudness needs the whole signal, so only the stored files have it."""
    if not body.normalize_audio:
        return None
    return lambda samples: normalize(
        samples,
        rate,
        body.normalize_method.value,
        level=body.normalize_level,
        true_peak=body.normalize_tp,
        loudness_range=body.normalize_lra,
    )


def _headers(planned: SpeechPlan, body: SpeechBody) -> dict[str, str]:
    headers = {"X-Generation-Seed": str(planned.request.seed), **ignored_header(planned.ignored)}
    if body.speed_factor != 1.0:
        headers["X-Speed-Library"] = _speed_library(planned)
    if body.normalize_audio:
        headers["X-Normalization"] = "stored-files-only"
    return headers


def _speed_library(planned: SpeechPlan) -> str:
    return "atempo" if planned.stretch != 1.0 else "engine"
