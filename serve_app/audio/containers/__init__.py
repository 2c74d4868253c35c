"""Audio files of strangers: each container's own rules, checked before a decoder sees the file."""
