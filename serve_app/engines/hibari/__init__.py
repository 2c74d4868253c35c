"""The embedded engine: hibari-tts, an English voice inside its wheel, spoken window by window.

text -> `pronounce` (phonemes) -> `graph` (plan of the utterance, then spectra of frame windows)
-> `vocoder` (samples). `windows` says where the windows end and `engine` drives them. Importing
`capabilities` loads no model library; the rest does.
"""
