"""Metrics, logs and traces: every name and bucket in one place."""
