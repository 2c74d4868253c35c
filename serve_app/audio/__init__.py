"""PCM in, PCM or one encoded container out: a stream in, a stream out."""
