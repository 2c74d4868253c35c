"""Text to speech and voice conversion as a streaming HTTP API on Ray Serve."""

__version__ = "0.1.0"
