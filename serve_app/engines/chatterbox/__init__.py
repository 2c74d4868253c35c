"""Chatterbox (Resemble AI), served as it should be: batched across requests, streaming, on the GPU.

    text ─ reading ─ t3/ (speech tokens) ─ s3gen/ (mel, samples) ─ watermark ─ PCM
    reference ─ listening ─ Voice ┘            ┘
    source ─ tokenise (speech tokens) ────────┘   conversion is the same way without T3

The layers are upstream's own (the package `chatterbox-tts`); what is here is everything around them
that a server needs. Only this package imports torch. See docs/adr/0010-chatterbox.md.
"""
