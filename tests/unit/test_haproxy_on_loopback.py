"""Serve's HAProxy configuration is moved to loopback, or refused."""

from __future__ import annotations

import pytest

from serve_app.deployments.haproxy_on_loopback import on_loopback

TEMPLATE = """frontend prometheus
    bind {}
    mode http
frontend http_frontend
    bind 127.0.0.1:7860
"""


@pytest.mark.parametrize("everywhere", [":9101", "*:9101", "0.0.0.0:9101"])
def test_binds_to_every_address_are_moved(everywhere: str) -> None:
    assert on_loopback(TEMPLATE.format(everywhere)) == TEMPLATE.format("127.0.0.1:9101")


@pytest.mark.parametrize("strange", ["192.168.1.4:80", "[::]:80", ":::80", "/run/x.sock", "80"])
def test_a_bind_it_does_not_understand_is_refused(strange: str) -> None:
    with pytest.raises(ValueError, match="HAProxy would listen on"):
        on_loopback(TEMPLATE.format(strange))
