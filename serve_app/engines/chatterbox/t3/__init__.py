"""T3: text tokens to speech tokens, many requests in one batch."""
