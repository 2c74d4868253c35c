"""What an import brings with it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("serve_app.api.app", ["ray", "onnxruntime", "onnx", "hibari", "torch"]),
        (
            "serve_app.engines.registry",
            ["ray", "onnxruntime", "onnx", "hibari", "torch", "fastapi"],
        ),
        (
            "serve_app.cli",
            ["ray", "fastapi", "av", "onnxruntime", "torch", "numpy", "sqlalchemy", "miniaudio"],
        ),
        ("serve_app.app", ["onnxruntime", "onnx", "hibari", "torch"]),
    ],
)
def test_an_import_takes_no_more_than_it_needs(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print(*(set({unwanted!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
