"""What is decided about a request for speech before any audio."""

from __future__ import annotations

import pytest

from serve_app.api.sources import Voice
from serve_app.api.tts_models import SpeechBody
from serve_app.api.tts_plan import Abilities, plan_speech
from serve_app.engines.registry import speech_capabilities
from serve_app.settings import Settings

CAPABILITIES = speech_capabilities("chatterbox-multilingual")
ABILITIES = Abilities(CAPABILITIES, shapes=False, tells_words=False)


def chunks(text: str, language: str) -> tuple[str, ...]:
    body = SpeechBody(text=text, language=language)
    return plan_speech(body, Voice(), None, "", ABILITIES, Settings()).request.chunks


@pytest.mark.parametrize(
    ("language", "clause", "longest"),
    [
        ("en", "The kettle is on and tea will be ready soon, ", 300),
        ("zh", "今天的天气非常好，我们去公园散步吧，", 75),
        ("ja", "今日はとても良い天気ですね、", 100),
        ("ko", "오늘은 날씨가 아주 좋습니다, ", 150),
    ],
)
def test_chunks_take_about_as_long_to_say_in_every_script(
    language: str, clause: str, longest: int
) -> None:
    found = chunks(clause * 30, language)
    assert max(map(len, found)) <= longest
    assert max(map(len, found)) > longest / 2
    assert "".join("".join(found).split()) == "".join((clause * 30).split())
