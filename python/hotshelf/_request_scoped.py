"""Finds objects of a request in factories that outlive it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

#: Classes whose objects belong to one request, by package. They are found by name, so that no
#: package is imported.
_CLASSES: dict[str, frozenset[str]] = {
    "starlette": frozenset({"HTTPConnection", "WebSocket", "BackgroundTask", "BackgroundTasks"}),
    "fastapi": frozenset({"BackgroundTasks"}),
    "sqlalchemy": frozenset({"Session", "AsyncSession", "Connection", "AsyncConnection"}),
    "psycopg": frozenset({"Connection", "AsyncConnection"}),
    "asyncpg": frozenset({"Connection", "PoolConnectionProxy"}),
    "aiosqlite": frozenset({"Connection"}),
}

#: The flags of code that can await.
_AWAITS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE

#: How deep functions that a factory holds are examined.
_DEPTH = 3

#: The code of factories that were reported.
_reported: weakref.WeakSet[Any] = weakref.WeakSet()


class RequestScopedWarning(UserWarning):
    """A factory that may run in the background holds an object that belongs to one request."""


# Filters name it so.
RequestScopedWarning.__module__ = "hotshelf"


def warn_of_request_scoped(factory: Callable[..., Any]) -> None:
    """Warns if a factory that may outlive its request holds an object of the request. Once for
    each factory."""
    code = _code(factory)
    if code in _reported:
        return
    found = None
    # Code of the objects may raise anything.
    with contextlib.suppress(Exception):
        found = next(_request_scoped(factory), None)
    if found is not None:
        _reported.add(code)
        _warn(factory, *found)


def _warn(factory: Callable[..., Any], name: str, kind: str) -> None:
    shown = getattr(factory, "__qualname__", None) or repr(factory)
    message = (
        f"the factory {shown} holds `{name}` ({kind}) and may run in the background, when its"
        " request has ended: open another one inside of the factory, or leave `background` out."
        " If the object lives longer than a request, silence this by"
        " warnings.filterwarnings('ignore', category=hotshelf.RequestScopedWarning)"
    )
    level = _stack_level()
    if level is not None:
        warnings.warn(message, RequestScopedWarning, stacklevel=level)
        return
    code = _code(factory)
    if isinstance(code, types.CodeType):
        warnings.warn_explicit(
            message, RequestScopedWarning, code.co_filename, code.co_firstlineno
        )
    else:
        warnings.warn(message, RequestScopedWarning, stacklevel=3)


def _stack_level() -> int | None:
    """Returns the stack level of the code that called this package for `_warn`; `None` if it is no
    coroutine, but a loop that runs the method as a task."""
    level = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        level += 1
        if package not in ("hotshelf", "fastapi_rc"):
            return level if frame.f_code.co_flags & _AWAITS else None
        frame = frame.f_back
    return None


def _request_scoped(factory: Any) -> Iterator[tuple[str, str]]:
    """Yields the objects of a request that a factory holds, by name and class."""
    for name, held in _held(factory, _DEPTH):
        for ancestor in type(held).__mro__:
            package = ancestor.__module__.partition(".")[0]
            if ancestor.__name__ in _CLASSES.get(package, ()):
                yield name, f"{package}.{ancestor.__name__}"


def _held(factory: Any, depth: int) -> Iterator[tuple[str, object]]:
    """Yields what a factory holds, with the name of each."""
    for name, held in _references(factory):
        yield name, held
        if depth > 1 and isinstance(held, _FUNCTIONS):
            yield from _held(held, depth - 1)
        elif not isinstance(held, type | types.ModuleType):
            for attribute, value in list(getattr(held, "__dict__", {}).items()):
                yield f"{name}.{attribute}", value


_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


def _references(factory: Any) -> Iterator[tuple[str, object]]:
    """Yields the objects that a factory refers to: its closure, its defaults, the arguments of a
    partial, and the object of a method."""
    while isinstance(factory, functools.partial):
        yield from ((f"argument {at}", held) for at, held in enumerate(factory.args))
        yield from factory.keywords.items()
        factory = factory.func
    owner = getattr(factory, "__self__", None)
    if owner is not None:
        yield "self", owner
        factory = getattr(factory, "__func__", factory)
    if not isinstance(factory, types.FunctionType):
        if owner is None:
            yield "self", factory
        return
    code = factory.__code__
    for name, cell in zip(code.co_freevars, factory.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            # It has no value yet.
            continue
    defaults = factory.__defaults__ or ()
    first = code.co_argcount - len(defaults)
    yield from zip(code.co_varnames[first : code.co_argcount], defaults, strict=True)
    yield from (factory.__kwdefaults__ or {}).items()


def _code(factory: Any) -> Any:
    """Returns what is the same for all factories of one definition."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    factory = getattr(factory, "__func__", factory)
    return getattr(factory, "__code__", type(factory))
