"""The files the service keeps."""
