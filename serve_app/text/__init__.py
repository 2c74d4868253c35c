"""Text to what an engine speaks well: clean-up, pronunciations, and cutting into chunks."""
