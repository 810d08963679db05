"""Runs coroutines of this package in threads that have no event loop."""

from __future__ import annotations

import contextvars
import inspect
import os
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from hotshelf._hotshelf import is_blocking, set_blocking

R = TypeVar("R")


def wait(coroutine: Coroutine[Any, Any, R]) -> R:
    """Runs a coroutine to its end in this thread. It never suspends: operations of the engine block
    the thread instead of returning what is awaited.

    Raises:
        RuntimeError: If an event loop runs in this thread, which would be blocked.
    """
    try:
        check_may_block()
    except RuntimeError:
        coroutine.close()
        raise
    before = set_blocking(True)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        set_blocking(before)
    coroutine.close()
    raise RuntimeError("this coroutine can't be run without an event loop")


def check_may_block() -> None:
    """Checks that a call may block this thread.

    Raises:
        RuntimeError: If an event loop runs in it.
    """
    if _get_running_loop() is not None or "trio" in sys.modules or "gevent" in sys.modules:
        error = _refusal()
        if error is not None:
            raise RuntimeError(error)


def _refusal() -> str | None:
    """Returns why a call can't block its thread, if it can't."""
    if _get_running_loop() is not None:
        return (
            "this call blocks, and an event loop is running in this thread: await the method of the"
            " async class, as in `await service.asynchronous.get(…)`, or make the call in a thread,"
            " as `asyncio.to_thread` does"
        )
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return (
            "this call blocks, and trio is running in this thread: make it in another one, as"
            " `trio.to_thread.run_sync` does"
        )
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "this call blocks all greenlets of its thread: hotshelf.sync doesn't support gevent"
    return None


def wait_for_each(iterator: AsyncIterator[R]) -> Iterator[R]:
    """Iterates in this thread over what an asynchronous iterator yields."""
    while True:
        try:
            yield wait(_next(iterator))
        except StopAsyncIteration:
            return


async def _next(iterator: AsyncIterator[R]) -> R:
    return await iterator.__anext__()


async def finished(made: Any) -> Any:
    """Returns what a function of the application has returned, and awaits it if it is async.

    Raises:
        TypeError: If it is async, and there is no event loop.
    """
    if not inspect.isawaitable(made):
        return made
    if is_blocking():
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError(
            "the function is async, and hotshelf.sync takes sync ones: await the method of the"
            " async class instead, as in `await service.asynchronous.get_or_set(…)`"
        )
    return await made


class BackgroundThreads:
    """The threads in which loads of a manager go on without their callers: a pool, as large as
    `ThreadPoolExecutor` makes it."""

    __slots__ = ("_here", "_pool", "_process")

    def __init__(self) -> None:
        #: Is set in threads of the pool.
        self._here = threading.local()
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def lead(self, work: Callable[[], Coroutine[Any, Any, R]]) -> Future[R] | None:
        """Runs a coroutine that the caller waits for in a thread of the pool. Returns `None` in such
        a thread, since all of them could wait for each other."""
        return None if getattr(self._here, "works", False) else self.start(work)

    def start(self, work: Callable[[], Coroutine[Any, Any, R]]) -> Future[R] | None:
        """Runs a coroutine in a thread of the pool, with a copy of the context variables. Returns
        `None` if there is no thread any more, since the interpreter ends."""
        if self._pool is None or self._process != os.getpid():
            # The threads of a forked process stay with its parent.
            self._pool = ThreadPoolExecutor(thread_name_prefix="hotshelf-load")
            self._process = os.getpid()
        context = contextvars.copy_context()

        def run() -> R:
            self._here.works = True
            return context.run(lambda: wait(work()))

        try:
            return self._pool.submit(run)
        except RuntimeError:
            return None

    def close(self) -> None:
        """Drops the loads that haven't begun. Those that run go on."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.shutdown(wait=False, cancel_futures=True)


