"""A one-machine Ray cluster for `serve-app up`: started, deployed to by config, and fully ended.

Everything Ray needs to know before it is imported goes through the environment, so
`local_cluster` is entered before anything imports ray.
"""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.deployments.ports import free_port_range

_RUN_MARK = "SERVE_APP_RUN"


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """How the local cluster runs."""

    haproxy: bool  # HAProxy and Serve's throughput mode in place of Serve's own proxy
    loopback: bool  # no port is open to other machines


@contextlib.contextmanager
def local_cluster(config: dict[str, Any], options: LocalOptions) -> Generator[None]:
    """Run the applications of a Serve config (as read from YAML) until the block is left."""
    folder = Path(tempfile.mkdtemp(prefix="serve-app-"))
    mark = uuid.uuid4().hex
    os.environ.update({**_environment(folder, options), _RUN_MARK: mark})
    try:
        _start(config, folder)
        yield
    finally:
        with _ignoring_interrupts():
            _stop()
            _end_leftovers(mark)
            shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, options: LocalOptions) -> dict[str, str]:
    environment = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_worker_niceness": "0",  # Ray's 15 would give way to everything else on the machine
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        "RAY_SERVE_EVENT_LOOP_MONITORING_INTERVAL_S": "60",
        "RAY_raylet_report_resources_period_milliseconds": "1000",  # there is one node
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.api.edge:middlewares",
    }
    if options.loopback:
        # Ray takes the machine's own address for its node unless clusters are disabled, which is
        # how it runs on macOS and Windows by default.
        environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if options.haproxy:
        environment |= _haproxy_environment(folder, options)
    return environment


def _haproxy_environment(folder: Path, options: LocalOptions) -> dict[str, str]:
    first = free_port_range(100)
    stats, metrics, fallback, *replicas = range(first, first + 100)
    environment = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas[-1]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    }
    if options.loopback:
        wrapper = Path(__file__).with_name("haproxy_on_loopback.py")
        environment["RAY_SERVE_HAPROXY_BINARY_PATH"] = str(_executable(wrapper, folder))
    return environment


def _executable(script: Path, folder: Path) -> Path:
    """A program that runs `script` with this interpreter."""
    program = folder / "haproxy"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(0o700)
    return program


def _start(config: dict[str, Any], folder: Path) -> None:
    import ray
    from ray import serve
    from ray.serve.context import _get_global_client  # pyright: ignore[reportPrivateUsage]
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(config)
    ray.init(
        address="local",
        namespace="serve",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=128 * 2**20,  # it holds a few chunks of audio at a time, if any
        _temp_dir=str(folder),
    )
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(proxy_location=schema.proxy_location, http_options=schema.http_options.model_dump())
    client = _get_global_client()
    assert client is not None  # serve.start() has just made it
    client.deploy_apps(schema, _blocking=False)


def deployment_failure() -> str | None:
    """Why the application cannot start, or None while it may still."""
    from ray import serve

    for application in serve.status().applications.values():
        if application.status.value == "DEPLOY_FAILED":
            messages = [d.message for d in application.deployments.values() if d.message]
            return "\n".join([application.message, *messages])
    return None


def _stop() -> None:
    import ray
    from ray import serve

    if ray.is_initialized():
        # Ray reports on stdout that the controller it was asked to end has ended.
        with contextlib.redirect_stdout(io.StringIO()):
            serve.shutdown()
            ray.shutdown()


@contextlib.contextmanager
def _ignoring_interrupts() -> Generator[None]:
    """A second Ctrl-C must not leave half of the cluster behind."""
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_leftovers(mark: str) -> None:
    """End what this run started and Ray did not: found by the mark in its environment (Linux)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(20):
            if not (leftovers := _marked(mark)):
                return
            for pid in leftovers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.1)


def _marked(mark: str) -> list[int]:
    needle = f"{_RUN_MARK}={mark}".encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        pid = int(entry.parent.name)
        with contextlib.suppress(OSError):
            if pid != os.getpid() and needle in entry.read_bytes().split(b"\0"):
                found.append(pid)
    return found
