"""The address the client knows us by."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from fastapi import Request


def base_url(request: Request, trusted_proxies: Sequence[str]) -> str:
    """Scheme and host without a trailing slash, from X-Forwarded-* if a trusted proxy sent them."""
    scheme, host = request.url.scheme, request.url.netloc
    if _is_trusted(request.client.host if request.client else "", trusted_proxies):
        scheme = _first(request.headers.get("x-forwarded-proto")) or scheme
        host = _first(request.headers.get("x-forwarded-host")) or host
    return f"{scheme}://{host}"


def _first(header: str | None) -> str:
    """The outermost proxy's value."""
    return (header or "").split(",")[0].strip()


def _is_trusted(client: str, networks: Sequence[str]) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)
