"""The embedded voice conversion: WORLD (pyworld), streamed, on one CPU core.

samples -> `pieces` (where F0 is tracked, and joined) -> `analysis` (envelope and aperiodicity of
each frame) -> `mapping` (into the target's voice, by two `profile`s or a shape) -> `synthesis`
(samples). `conversion` drives them for one stream. Importing `capabilities` loads no model library;
the rest does. See docs/adr/0008-world-conversion.md.
"""
