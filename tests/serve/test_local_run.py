"""`serve-app up` on one machine: what it prints, where it listens, and that it ends."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.direct import wait_until
from tests.support.service import ROOT, RunningService, fake_config, running_service


def listening(service: RunningService) -> set[str]:
    """The addresses that the service's processes listen on."""
    found = set()
    for process in service.processes():
        with contextlib.suppress(psutil.Error):  # it has just ended
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add(connection.laddr.ip.removeprefix("::ffff:"))
    return found


@pytest.mark.parametrize("proxy", ["haproxy", "serve"])
def test_a_run_from_start_to_ctrl_c(tmp_path: Path, proxy: str) -> None:
    """One start a proxy mode: everything on loopback, it speaks, Ctrl-C leaves nothing."""
    with running_service(fake_config(), tmp_path, "--proxy", proxy) as service:
        assert "curl -N" in service.output()
        addresses = listening(service)
        assert addresses
        assert all(ipaddress.ip_address(address).is_loopback for address in addresses), addresses
        answer = service.client.post("/api/v1/tts", json={"text": "Hello there."})
        assert answer.status_code == 200
        started = service.processes()
        assert len(started) > 5
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
        wait_until(lambda: not any(is_alive(process) for process in started))
    assert "Traceback" not in service.output()


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def serve_app(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serve_app", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_port_in_use_is_said_at_once(service: RunningService) -> None:
    port = service.url.rpartition(":")[2]
    refused = serve_app("up", "--port", port)
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert "--port" in refused.stderr


def test_check_config(tmp_path: Path) -> None:
    assert serve_app("check-config").returncode == 0
    bad = tmp_path / "bad.yaml"
    text = (ROOT / "configs" / "serve.yaml").read_text()
    bad.write_text(text.replace("name: hibari", "nmae: hibari"))
    refused = serve_app("check-config", str(bad))
    assert refused.returncode == 2
    assert "nmae" in refused.stderr
    missing = serve_app("check-config", str(tmp_path / "none.yaml"))
    assert missing.returncode == 2


def test_an_engine_that_cannot_load_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    config = fake_config(no_such_option=1)
    with pytest.raises(AssertionError) as failure, running_service(config, tmp_path):
        pass
    assert "no_such_option" in str(failure.value)
