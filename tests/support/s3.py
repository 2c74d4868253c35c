"""An object store that speaks S3, on loopback, for tests."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from moto.server import ThreadedMotoServer

_SIGNED_BY_TEST = "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request"


@dataclass(frozen=True)
class ObjectStore:
    """A running server that takes whatever credentials it is given."""

    endpoint: str

    @property
    def options(self) -> dict[str, str]:
        """What `open_blobs` needs beside the URL."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "allow_http": "true",
        }

    def new_bucket(self) -> str:
        """The URL of an empty bucket."""
        name = f"test-{uuid.uuid4().hex}"
        signed = {"Authorization": f"{_SIGNED_BY_TEST}, SignedHeaders=host, Signature=none"}
        httpx.put(f"{self.endpoint}/{name}", headers=signed).raise_for_status()
        return f"s3://{name}"


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """One server for all tests."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield ObjectStore(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def bucket(object_store: ObjectStore) -> str:
    """The URL of an empty bucket, of this test alone."""
    return object_store.new_bucket()
