"""Which URLs are understood, and which addresses are public.

A URL is taken apart by one strict grammar: what it does not describe is refused, never repaired.
See RFC 3986 (URLs) and RFC 6890 (special addresses).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from serve_app.domain.errors import UrlNotAllowed

Address = IPv4Address | IPv6Address

_MAX_URL_LENGTH = 4096
CHARACTERS = r"[A-Za-z0-9._~!$&'()*+,;=:@%/?|\[\]-]*"
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<target>[/?]{CHARACTERS})?(?:#{CHARACTERS})?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052
_GLOBAL_UNICAST = ip_network("2000::/3")  # RFC 4291; what lies beyond it is not assigned or local
_NOT_PUBLIC = (  # for Python 3.11 they are
    ip_network("192.0.0.0/24"),  # RFC 6890; metadata of the Oracle cloud
    ip_network("192.88.99.0/24"),  # RFC 7526, relays of 6to4
    ip_network("168.63.129.16/32"),  # Azure's WireServer
    ip_network("3fff::/20"),  # RFC 9637, documentation
)


@dataclass(frozen=True, slots=True)
class Url:
    """An http(s) URL in its parts, all plain ASCII."""

    scheme: str
    host: str  # a name without trailing dot, or an address; IPv6 without brackets
    port: int | None
    target: str  # path and query; begins with "/"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """A URL by the strict grammar.

    Raises:
        UrlNotAllowed: it is none.
    """
    found = _URL.fullmatch(text)
    if found is None or len(text) > _MAX_URL_LENGTH:
        raise not_a_url()
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise not_a_url()
    target = found["target"] or "/"
    absolute = target if target.startswith("/") else f"/{target}"
    return Url(found["scheme"].lower(), _host(found["host"].lower()), port, absolute)


def _host(text: str) -> str:
    """A host as it is resolved. Addresses have one form: "127.1" and "0x7f000001" are refused."""
    name = text.removesuffix(".")
    labels = name.split(".")
    try:
        if name.startswith("["):
            return str(IPv6Address(name[1:-1]))
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(name))
    except ValueError:
        raise not_a_url() from None
    if not all(map(_LABEL.fullmatch, labels)):
        raise not_a_url()
    return name


def not_a_url() -> UrlNotAllowed:
    """The error of a URL that the grammar does not describe."""
    return UrlNotAllowed(
        "The URL is not one that this service understands.",
        "http or https, a host in ASCII, no user or password, and the rest percent-encoded.",
    )


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that traffic to `address` really goes to or through."""
    if isinstance(address, IPv4Address):
        return ()
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    inside = address.ipv4_mapped or address.sixtofour
    return () if inside is None else (inside,)


def is_public(address: Address) -> bool:
    """Can anybody on the internet reach it?"""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC)
