"""Health, configuration, documentation and CORS."""

from __future__ import annotations

import pytest

from serve_app.domain.types import AudioFormat
from tests.support.direct import RunningApi


@pytest.mark.parametrize("path", ["/health", "/api/v1/health"])
def test_health_of_a_service_that_can_serve(api: RunningApi, path: str) -> None:
    response = api.client.get(path)
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "healthy"
    assert body["models_loaded"]["tts"] is True
    assert {"version", "uptime_seconds", "uptime", "replicas", "warnings"} <= set(body)


def test_without_a_replica_it_is_alive_but_not_ready(api: RunningApi) -> None:
    api.backend.running = 0
    assert api.client.get("/livez").status_code == 200
    ready = api.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["error_code"] == "MODEL_LOADING_FAILED"
    assert int(ready.headers["retry-after"]) >= 1
    health = api.client.get("/api/v1/health")
    assert (health.status_code, health.json()["status"]) == (503, "degraded")


def test_config_says_what_the_service_can_do(api: RunningApi) -> None:
    config = api.client.get("/api/v1/config").json()
    assert config["tts_defaults"]["temperature"] == 0.75
    assert config["tts_defaults"]["export_formats"] == ["wav", "mp3"]
    assert "text" not in config["tts_defaults"]
    assert config["supported_formats"] == [*AudioFormat]
    assert config["api_limits"]["max_text_length"] == 10_000
    assert config["engines"]["tts"]["languages"] == ["en", "de"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_documentation_is_served(api: RunningApi, path: str) -> None:
    assert api.client.get(path).status_code == 200


def test_openapi_lists_the_routes(api: RunningApi) -> None:
    paths = api.client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/tts", "/outputs/{path}", "/api/v1/health", "/api/v1/config"} <= set(paths)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_cors(api: RunningApi, origin: str, allowed: bool) -> None:
    response = api.client.get("/livez", headers={"Origin": origin})
    assert (response.headers.get("access-control-allow-origin") == origin) is allowed
    exposed = response.headers.get("access-control-expose-headers", "")
    if allowed:
        assert {"X-Alternative-Formats", "Content-Disposition"} <= set(exposed.split(", "))
