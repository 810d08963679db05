"""Keys and lifetimes, byte for byte the same as in fastapi-rc."""

from __future__ import annotations

from hotshelf import build_cache_key, escape_pattern, get_ttl_with_jitter

__all__ = ["build_cache_key", "get_ttl_with_jitter", "invalidate_pattern"]


def invalidate_pattern(
    namespace: str,
    pattern: str = "*",
    prefix: str = "cache",
    version: str = "v1",
    *,
    identifier: str | None = None,
) -> str:
    """Returns the glob pattern of a namespace's keys, for `scan_iter`.

    All other parts are patterns; `identifier` matches only itself, so that it is safe for user
    input:

        invalidate_pattern("users", identifier=user_id)  # cache:v1:users:<user_id>:*
    """
    if identifier is not None:
        pattern = f"{escape_pattern(identifier)}:{pattern}"
    return f"{prefix}:{version}:{namespace}:{pattern}"
