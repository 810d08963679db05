"""Finds arguments of functions that belong to one request, and not in a key."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

#: Classes whose objects are left out of keys, by package. They are found by name, so that no
#: package is imported.
_KNOWN: dict[str, frozenset[str]] = {
    "starlette": frozenset({
        "BackgroundTask", "BackgroundTasks", "HTTPConnection", "Request", "Response", "WebSocket",
    }),
    "fastapi": frozenset({"BackgroundTasks", "Request", "Response", "SecurityScopes"}),
    "sqlalchemy": frozenset({
        "AsyncConnection", "AsyncEngine", "AsyncSession", "Connection", "Engine", "Session",
        "scoped_session", "async_scoped_session",
    }),
    "sqlmodel": frozenset({"AsyncSession", "Session"}),
    "psycopg": frozenset({"AsyncConnection", "Connection"}),
    "asyncpg": frozenset({"Connection", "Pool", "PoolConnectionProxy"}),
    "aiosqlite": frozenset({"Connection"}),
    "httpx": frozenset({"AsyncClient", "Client"}),
    "redis": frozenset({"Redis"}),
    "hotshelf": frozenset({"CacheManager", "CacheService", "RedisClient"}),
}  # fmt: skip

#: What of a request depends on its user.
_PERSONAL = frozenset({"auth", "cookies", "headers", "scope", "session", "state", "user"})

#: Parameters of FastAPI that tell who the user is.
_CREDENTIALS = frozenset({"Cookie", "Header", "Security"})


def without_annotated(annotation: Any) -> Any:
    """Returns the type of an annotation, without `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def is_known(annotation: Any) -> bool:
    """Returns whether objects of a type are always left out of keys: requests, responses,
    sessions, connections."""
    return any(_is_one_of(kind, _KNOWN) for kind in _classes(annotation))


def is_request(annotation: Any) -> bool:
    """Returns whether a type is that of a request."""
    requests = {"starlette": frozenset({"HTTPConnection"})}
    return any(_is_one_of(kind, requests) for kind in _classes(annotation))


def _classes(annotation: Any) -> Iterator[type]:
    annotation = without_annotated(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _classes(option)
        return
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type):
        yield kind


def _is_one_of(kind: type, known: dict[str, frozenset[str]]) -> bool:
    return any(
        ancestor.__name__ in known.get(ancestor.__module__.partition(".")[0], ())
        for ancestor in kind.__mro__
    )


def markers(parameter: inspect.Parameter, annotation: Any) -> set[str]:
    """Returns the names of FastAPI's classes that describe a parameter, such as `Depends`."""
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return {
        ancestor.__name__
        for marker in (*metadata, parameter.default)
        for ancestor in type(marker).__mro__
        if ancestor.__module__.startswith("fastapi.")
    }


def credentials(parameter: inspect.Parameter, annotation: Any) -> str | None:
    """Returns which of the markers of a parameter says that it depends on the user, if one does.

    A header does so if it is `Authorization` or `Cookie`."""
    found = markers(parameter, annotation) & _CREDENTIALS
    if found == {"Header"} and parameter.name.lower() not in ("authorization", "cookie"):
        return None
    return min(found, default=None)


def personal_reads(function: Callable[..., Any]) -> str | None:
    """Returns what the code of a function reads that may depend on the user of a request."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    names = () if code is None else code.co_names
    return next((name for name in names if name in _PERSONAL), None)
