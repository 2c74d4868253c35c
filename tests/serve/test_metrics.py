"""The metrics reach Prometheus through Ray's agent."""

from __future__ import annotations

import re

import httpx
import psutil

from tests.support.direct import wait_until
from tests.support.service import RunningService


def exported(service: RunningService) -> str:
    """What every HTTP port of Ray's agents says at /metrics."""
    agents = [p for p in service.processes() if "DashboardAgent" in " ".join(p.cmdline())]
    connections = [c for agent in agents for c in agent.net_connections("inet")]
    listening = [c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN]
    return "\n".join(map(_page, listening))


def _page(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=2).text
    except httpx.HTTPError:
        return ""


def test_what_was_spoken_is_exported(service: RunningService) -> None:
    for _ in range(3):
        service.client.post("/api/v1/tts", json={"text": "Count me."})
    wait_until(lambda: _count(exported(service)) == 3, seconds=40)
    page = exported(service)
    assert "ray_serve_app_time_to_first_audio_seconds_bucket" in page
    assert "ray_serve_app_audio_seconds_total" in page


def _count(page: str) -> float:
    pattern = r"^ray_serve_app_generations_total\{[^}]*completed[^}]*\} ([\d.]+)"
    return sum(float(value) for value in re.findall(pattern, page, re.MULTILINE))


def test_each_replica_reports_how_busy_its_engine_is(service: RunningService) -> None:
    gauges = ("running", "waiting", "batch_size", "cache_use", "real_time_factor")
    names = [f"ray_serve_app_engine_{gauge}" for gauge in gauges]

    def all_there() -> bool:
        page = exported(service)
        return all(
            re.search(rf'^{name}\{{[^}}]*kind="{kind}"', page, re.MULTILINE)
            for name in names
            for kind in ("tts", "vc")
        )

    wait_until(all_there, seconds=40)
