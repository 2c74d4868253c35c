"""Which web pages may open a socket: CORS does not hold for WebSockets, so the server decides.

Programs send no Origin and are let in; a browser always sends that of its page (RFC 6455, 10.2).
"""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection


def may_connect(connection: HTTPConnection, allowed: str) -> bool:
    """Whether it comes from no page, from one of this service, or of an origin that `allowed`, a
    regular expression, matches."""
    origin = connection.headers.get("origin")
    if origin is None or re.fullmatch(allowed, origin):
        return True
    return origin.partition("://")[2] == connection.headers.get("host")
