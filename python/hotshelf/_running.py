"""The factories and writes of users that run right now, so that none waits for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: A key, and the manager that it belongs to.
Place = tuple[int, str]


class Run:
    """A factory, or a write, that is running."""

    __slots__ = ("places", "under_way")

    def __init__(self, places: frozenset[Place]) -> None:
        self.places = places
        self.under_way = True


#: What has called this code, or begun its task. What has begun a task that goes on by itself
#: may have ended.
_runs: ContextVar[tuple[Run, ...]] = ContextVar("hotshelf_runs", default=())


def around() -> list[Run]:
    """Gives what has called this code, directly or not, and waits for it."""
    return [run for run in _runs.get() if run.under_way]


@contextmanager
def running(places: Iterable[Place]) -> Iterator[None]:
    """Marks what runs within it as what fills these keys."""
    run = Run(frozenset(places))
    before = _runs.get()
    within = (*before, run)
    _runs.set(within)
    try:
        yield
    finally:
        run.under_way = False
        # A coroutine may be closed in a context that isn't its own.
        if _runs.get() is within:
            _runs.set(before)
