"""The whole service as a user runs it: `serve-app up` in a process of its own."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from serve_app.deployments.ports import free_port

ROOT = Path(__file__).parents[2]
_READY_S = 120


class RunningService:
    """A service that answers on `url`."""

    def __init__(self, process: subprocess.Popen[str], url: str, outputs: Path, log: Path) -> None:
        self.process = process
        self.url = url
        self.outputs = outputs
        self.folder = outputs.parent
        self._log = log
        self.client = httpx.Client(base_url=url, timeout=60)

    def output(self) -> str:
        """What the command has printed."""
        return self._log.read_text()

    def processes(self) -> list[psutil.Process]:
        """The command and everything it started."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The replica processes of one deployment."""
        title = f"ray::ServeReplica:speech:{deployment}"
        return [p for p in self.processes() if any(title in part for part in _cmdline(p))]

    def files(self) -> list[str]:
        """Every file below the outputs folder, hidden ones too."""
        return sorted(
            str(f.relative_to(self.outputs)) for f in self.outputs.rglob("*") if f.is_file()
        )


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def fake_config(**options: Any) -> dict[str, Any]:
    """The default config with the fake engines in place of the real ones."""
    config = default_config()
    arguments = config["applications"][0]["args"]
    arguments["engine"] = {"name": "fake", "options": options}
    arguments["conversion"] = {"name": "fake"}
    return config


def fake_conversion_config(**options: Any) -> dict[str, Any]:
    """The fake engines, with options of the one that converts."""
    config = fake_config()
    config["applications"][0]["args"]["conversion"]["options"] = options
    return config


def default_config() -> dict[str, Any]:
    """configs/serve.yaml."""
    return copy.deepcopy(yaml.safe_load((ROOT / "configs" / "serve.yaml").read_text()))


def deployment(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The part of a config that configures one deployment."""
    (found,) = (d for d in config["applications"][0]["deployments"] if d["name"] == name)
    return found


@contextlib.contextmanager
def running_service(config: dict[str, Any], folder: Path, *flags: str) -> Iterator[RunningService]:
    """Run `serve-app up` with a config until the block is left; then it must end by itself."""
    with started_service(config, folder, *flags) as service:
        _wait_until_ready(service)
        with service.client:
            yield service


@contextlib.contextmanager
def started_service(config: dict[str, Any], folder: Path, *flags: str) -> Iterator[RunningService]:
    """The same, of which nothing can be said yet but that it was started."""
    port = free_port()
    config_file, log = folder / "serve.yaml", folder / "up.log"
    config_file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "serve_app", "up", "--config", str(config_file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *flags],
            cwd=folder, env=environment, stdout=output, stderr=output, text=True,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield RunningService(process, f"http://127.0.0.1:{port}", folder / "outputs", log)
    finally:
        _end(process)


def _wait_until_ready(service: RunningService) -> None:
    deadline = time.monotonic() + _READY_S
    while "Ready after" not in service.output():
        assert service.process.poll() is None, service.output()
        assert time.monotonic() < deadline, service.output()
        time.sleep(0.1)


def _end(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, and if that does not do it, the hard way (by pid)."""
    if process.poll() is not None:
        return
    everything = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    finally:
        for leftover in (
            (psutil.Process(process.pid), *everything) if process.poll() is None else ()
        ):
            with contextlib.suppress(psutil.Error):
                leftover.kill()
