"""Encoded values as HTTP responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


#: The quoted parts of entity tags.
_TAGS = re.compile('"[^"]*"')


def encoded_response(
    raw: bytes, media_type: str, request: Request | None, headers: Mapping[str, str] | None
) -> Response:
    """Returns a response, or one of status 304 if the client has it already.

    The `ETag` is a weak validator (RFC 9110, section 8.8.1), since a middleware may compress the
    response.
    """
    from starlette.responses import Response

    tag = f'"{blake2b(raw, digest_size=12).hexdigest()}"'
    if request is not None and _has(request, tag):
        response = Response(status_code=304, headers=headers)
    else:
        response = Response(raw, headers=headers, media_type=media_type)
    # In place of one among the headers.
    response.headers["ETag"] = f"W/{tag}"
    return response


def _has(request: Request, tag: str) -> bool:
    """Returns whether the client has a response with this tag (RFC 9110, section 13.1.2)."""
    if request.method not in ("GET", "HEAD"):
        return False
    known = ", ".join(request.headers.getlist("if-none-match")).strip()
    return known == "*" or tag in _TAGS.findall(known)
