"""Settings: strict, from arguments, else from the environment; the README lists each."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from serve_app.settings import Settings

ROOT = Path(__file__).parents[2]


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, object]:
    """Each setting's dotted name and default, but the presets, which docs/voices.md lists."""
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if name == "presets":
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            found |= leaves(type(default), f"{prefix}{name}.")
        else:
            found[prefix + name] = to_jsonable_python(default)
    return found


def test_the_readme_lists_every_setting_with_its_default() -> None:
    table = dict(
        re.findall(
            r"^\| `([a-z_.]+)` \| `(.*?)` \|", (ROOT / "README.md").read_text(), re.MULTILINE
        )
    )
    documented = {name: json.loads(default.replace(r"\|", "|")) for name, default in table.items()}
    assert documented == leaves(Settings)


def test_unknown_settings_are_errors() -> None:
    for arguments in ({"enigne": {}}, {"engine": {"nmae": "x"}}, {"limits": {"max": 1}}):
        with pytest.raises(ValidationError):
            Settings(**arguments)  # type: ignore[arg-type]


def test_the_environment_is_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_APP_LIMITS__MAX_TEXT_CHARS", "123")
    monkeypatch.setenv("SERVE_APP_ENGINE__NAME", "fake")
    assert Settings().limits.max_text_chars == 123
    assert Settings(engine={"name": "hibari"}).engine.name == "hibari"  # type: ignore[arg-type]
