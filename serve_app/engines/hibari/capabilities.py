"""What the embedded engine can do; importable without onnxruntime or hibari."""

from __future__ import annotations

from serve_app.domain.types import Capabilities

CAPABILITIES = Capabilities(
    name="hibari",
    sample_rate=24_000,
    languages=("en",),
    voices=("heart",),
    controls=frozenset({"speed_factor", "seed"}),
    native_speed=True,
    max_chunk_chars=260,
    first_chunk_chars=120,
    scripts=("LATIN", "GREEK"),
    word_timings=True,
)
