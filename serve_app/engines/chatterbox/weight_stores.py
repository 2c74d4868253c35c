"""The two places that weights are fetched from. Nothing here imports torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from serve_app.engines.chatterbox.weight_files import SUMS, WeightsMissing, parse_sums

Report = Callable[[int, int], None]
"""Told how many bytes of a file are here, and how many it has."""

_RETRIES: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_CLIENT_OPTIONS = ("allow_http", "allow_invalid_certificates", "connect_timeout", "timeout")
_RANGE_BYTES = 16 * 1024 * 1024  # a request each: the client's timeout counts for a whole one
_SHA256 = re.compile("[0-9a-f]{64}")


class WeightStore(Protocol):
    """Somewhere that files can be fetched from by name."""

    def fetch(self, name: str, target: Path, report: Report) -> str | None:
        """Write a file to `target`, named like it; the SHA-256 it should have, where that is known.

        Raises:
            WeightsMissing: it is not there, or the store does not answer.
        """
        ...


class Bucket:
    """A prefix in an object store. Options are those of `library/remote_blobs.py`."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        client: Any = {key: value for key, value in options.items() if key in _CLIENT_OPTIONS}
        config: Any = {key: value for key, value in options.items() if key not in client}
        self._url = url
        try:
            self._store = from_url(url, config=config, client_options=client, retry_config=_RETRIES)
        except BaseError as error:
            raise ValueError(f"{url}: {error}") from error

    def fetch(self, name: str, target: Path, report: Report) -> str | None:
        """See `WeightStore.fetch`: range by range, all of one version of the object."""
        with self._answering(name):
            head = obstore.head(self._store, name)
        size, version = head["size"], head["e_tag"]
        with target.open("wb") as file:
            for start in range(0, size, _RANGE_BYTES):
                end = min(start + _RANGE_BYTES, size)
                file.write(self._range(name, version, start, end))
                report(end, size)
        return self._sums.get(name)

    @cached_property
    def _sums(self) -> Mapping[str, str]:
        """The bucket may have a SHA256SUMS of its own."""
        try:
            with self._answering(SUMS):
                return parse_sums(bytes(obstore.get(self._store, SUMS).bytes()).decode())
        except WeightsMissing as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return {}
            raise

    def _range(self, name: str, version: str | None, start: int, end: int) -> memoryview:
        options: Any = {"range": (start, end)}
        if version:
            options["if_match"] = version
        with self._answering(name):
            return memoryview(obstore.get(self._store, name, options=options).bytes())

    @contextmanager
    def _answering(self, name: str) -> Generator[None, None, None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _absent(name, self._url) from error
        except (BaseError, OSError) as error:
            raise _unavailable(name, self._url, error) from error


class Hub:
    """One commit of a repository of the Hugging Face hub (or of what HF_ENDPOINT names)."""

    def __init__(self, repository: str, commit: str) -> None:
        self._repository = repository
        self._commit = commit
        self._place = f"{repository}@{commit}"

    def fetch(self, name: str, target: Path, report: Report) -> str | None:
        """See `WeightStore.fetch`. The hub's tag of a large file is its SHA-256."""
        hub: Any = _huggingface_hub()
        try:
            url = hub.hf_hub_url(self._repository, name, revision=self._commit)
            tag = hub.get_hf_file_metadata(url).etag or ""
            hub.hf_hub_download(
                self._repository,
                name,
                revision=self._commit,
                local_dir=target.parent,
                tqdm_class=lambda **settings: _Bar(report, settings),
            )
        except hub.errors.RemoteEntryNotFoundError as error:
            raise _absent(name, self._place) from error
        except (OSError, ValueError, hub.errors.HTTPError) as error:
            raise _unavailable(name, self._place, error) from error
        return tag if _SHA256.fullmatch(tag) else None


class _Bar:
    """What huggingface_hub believes to be a progress bar of tqdm."""

    def __init__(self, report: Report, settings: Mapping[str, Any]) -> None:
        self._report = report
        self._done = int(settings.get("initial") or 0)
        self._total = int(settings.get("total") or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def update(self, count: float | None = 1) -> None:
        self._done += int(count or 0)
        self._report(self._done, self._total)

    def close(self) -> None:
        pass


def _huggingface_hub() -> Any:
    try:
        importlib.import_module("huggingface_hub.errors")
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise WeightsMissing(
            "Fetching from the hub needs the package huggingface_hub.",
            "Install the extra `chatterbox`, or name a folder or a bucket that has the files.",
        ) from error


def _absent(name: str, place: str) -> WeightsMissing:
    return WeightsMissing(f"{place} has no {name}.", "Is it the place of this model's files?")


def _unavailable(name: str, place: str, error: Exception) -> WeightsMissing:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return WeightsMissing(f"{name} cannot be fetched from {place}: {reason}")
