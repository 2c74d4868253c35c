"""What the engine can do, known without loading WORLD."""

from __future__ import annotations

from serve_app.domain.types import ConversionCapabilities, Listening

SAMPLE_RATE = 24_000

CAPABILITIES = ConversionCapabilities(
    name="world",
    sample_rate=SAMPLE_RATE,
    source_seconds=20.0,
    target=Listening(60.0, spread=True),
    shapes=True,
)
