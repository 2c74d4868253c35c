"""The speech engines, each behind a lazy factory in registry.py."""
