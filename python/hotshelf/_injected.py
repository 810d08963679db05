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
        "BackgroundTask", "BackgroundTasks", "Response",
    }),
    "fastapi": frozenset({"BackgroundTasks", "Response"}),
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
    """Returns whether objects of a type are always left out of keys: responses, background tasks,
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
    return {name for marker in _marked(parameter, annotation) for name in _names(marker)}


def _marked(parameter: inspect.Parameter, annotation: Any) -> tuple[Any, ...]:
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return tuple(it for it in (*metadata, parameter.default) if _names(it))


def _names(marker: Any) -> list[str]:
    mro = type(marker).__mro__
    return [it.__name__ for it in mro if it.__module__.startswith("fastapi.")]


def default_of(default: Any) -> Any:
    """Returns the default of a parameter that is written as `Query(1)` and the like."""
    return getattr(default, "default", default) if _names(default) else default


def credentials(parameter: inspect.Parameter, annotation: Any) -> str | None:
    """Returns which of the markers of a parameter says that it depends on the user, if one does.

    A header does so if it is `Authorization` or `Cookie`, and a dependency if it is one of
    FastAPI's ways to authenticate."""
    for marker in _marked(parameter, annotation):
        kind = next((it for it in _names(marker) if it in _CREDENTIALS), None)
        names = {str(getattr(marker, "alias", None) or parameter.name).lower()}
        if kind == "Header" and names.isdisjoint(("authorization", "cookie")):
            continue
        if kind is not None:
            return kind
        dependency = getattr(marker, "dependency", None)
        if type(dependency).__module__.startswith("fastapi.security"):
            return type(dependency).__name__
    return None


def personal_reads(function: Callable[..., Any]) -> str | None:
    """Returns what the code of a function reads that may depend on the user of a request."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    names = () if code is None else code.co_names
    return next((name for name in names if name in _PERSONAL), None)
