"""Tracks the factories and writes that are running, so that none waits for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The `id` of a manager, and a key of one of its caches.
OwnedKey = tuple[int, str]


class Run:
    """A run of a factory or a write."""

    __slots__ = ("keys", "active")

    def __init__(self, keys: frozenset[OwnedKey]) -> None:
        self.keys = keys
        self.active = True


#: The runs that called this code or started its task, outermost first. A task may outlive the
#: run that started it.
_runs: ContextVar[tuple[Run, ...]] = ContextVar("hotshelf_runs", default=())


#: Returns the runs that called this code or started its task, whether or not they are active.
current_runs = _runs.get


def active_runs() -> list[Run]:
    """Returns the runs that called this code, directly or not, and are still active."""
    return [run for run in _runs.get() if run.active]


@contextmanager
def running(keys: Iterable[OwnedKey]) -> Iterator[None]:
    """Marks the enclosed code as a run that fills these keys."""
    run = Run(frozenset(keys))
    outer = _runs.get()
    inner = (*outer, run)
    _runs.set(inner)
    try:
        yield
    finally:
        run.active = False
        # A coroutine may be closed in another context.
        if _runs.get() is inner:
            _runs.set(outer)
