"""The engine: learns voices, begins conversions."""

from __future__ import annotations

from serve_app.domain.types import ConversionCapabilities, Joining, Samples, VoiceShape
from serve_app.engines.world import profile
from serve_app.engines.world.capabilities import CAPABILITIES
from serve_app.engines.world.conversion import WorldConversion
from serve_app.engines.world.mapping import Mapping
from serve_app.engines.world.profile import Profile


class WorldEngine:
    """Converts any speech with F0 between 60 and 600 Hz. Holds no model and no state."""

    @property
    def capabilities(self) -> ConversionCapabilities:
        """See `CAPABILITIES`."""
        return CAPABILITIES

    def analyse(self, samples: Samples) -> Profile:
        """The voice in samples [n]; see `profile.analyse`.

        Raises:
            InvalidAudio: less than half a second of it is voiced.
        """
        return profile.analyse(samples)

    def dump(self, profile: Profile) -> bytes:
        """About a kilobyte of numbers."""
        return profile.to_bytes()

    def load(self, data: bytes) -> Profile:
        """What `dump` made bytes of.

        Raises:
            ValueError: the bytes are damaged or of another version.
        """
        return Profile.from_bytes(data)

    def convert(
        self, source: Profile | None, target: Profile | VoiceShape, joining: Joining
    ) -> WorldConversion:
        """Begin a conversion.

        Raises:
            ValueError: `source` is None; this engine changes a voice that it knows.
        """
        if source is None:
            raise ValueError("WORLD converts a voice that it has heard: source must be a profile.")
        if isinstance(target, VoiceShape):
            return WorldConversion(Mapping.shaped(source, target), joining)
        return WorldConversion(Mapping.between(source, target), joining)
