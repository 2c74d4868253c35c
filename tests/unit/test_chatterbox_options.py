"""The options of Chatterbox, as the base environment knows them: without torch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from serve_app.domain.types import Listening
from serve_app.engines.chatterbox.options import Options, SpeechOptions
from serve_app.engines.registry import check_engines, conversion_capabilities, speech_capabilities

DOCUMENT = (Path(__file__).parents[2] / "docs" / "chatterbox.md").read_text()


def test_the_document_lists_every_option_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| `(.*?)` \|", DOCUMENT, re.MULTILINE))
    assert listed == {
        name: json.dumps(field.get_default(call_default_factory=True))
        for name, field in SpeechOptions.model_fields.items()
    }


def test_the_document_lists_every_engine_with_its_controls() -> None:
    for name in ("chatterbox", "chatterbox-turbo"):
        (controls,) = re.findall(rf"^\| `{name}` \| .* \| (.*) \|", DOCUMENT, re.MULTILINE)
        assert set(controls.split(", ")) == speech_capabilities(name).controls
    assert speech_capabilities("chatterbox-multilingual").controls == (
        speech_capabilities("chatterbox").controls
    )
    assert len(speech_capabilities("chatterbox-multilingual").languages) == 23
    assert "`chatterbox-vc`" in DOCUMENT
    assert conversion_capabilities("chatterbox-vc").target == Listening(10.0, spread=False)


@pytest.mark.parametrize("options", [{"batches": 2}, {"slots": 0}, {"prompt_seconds": 60}])
def test_wrong_options_are_errors(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SpeechOptions.model_validate(options)


def test_conversion_takes_no_options_of_t3() -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"slots": 4})


def test_a_config_with_a_wrong_engine_or_option_is_refused_before_anything_starts() -> None:
    fine = {"slots": 4}
    check_engines("chatterbox", fine, "chatterbox-vc", {})
    for wrong in (
        ("chatterbox", {"slot": 4}, "chatterbox-vc", {}),
        ("chatterbox", fine, "chatterbox-vc", fine),
        ("chatterbocks", fine, "chatterbox-vc", {}),
    ):
        with pytest.raises(ValueError, match=r"slot|chatterbocks"):
            check_engines(*wrong)
