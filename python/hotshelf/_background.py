"""Work in the background, and calls that stop waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from hotshelf._hotshelf import Pending

R = TypeVar("R")

#: How long closing a manager waits for cancelled tasks, in seconds.
_CANCELLATION_TIMEOUT = 1.0


class LimitReached(BaseException):
    """A call has stopped waiting for its factory."""


class BackgroundTasks:
    """The loads that run in the background, on all event loops of a manager."""

    __slots__ = ("_process", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._process = os.getpid()

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keeps a task until it is done, which nobody waits for."""
        tasks = self._tasks
        if self._process != os.getpid():
            # Those of a forked process belong to its parent. They are kept, since the interpreter
            # complains of tasks that are dropped.
            _inherited.append(tasks)
            tasks = self._tasks = set()
            self._process = os.getpid()
        tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                # Or asyncio reports that it was never retrieved.
                task.exception()

        task.add_done_callback(done)

    async def cancel(self) -> None:
        """Cancels all tasks, and waits for those of this loop, for a second at most."""
        if not self._tasks or self._process != os.getpid():
            return
        loop = asyncio._get_running_loop()
        # `hotshelf.sync` has no loop.
        current = None if loop is None else asyncio.current_task()
        tasks = [task for task in list(self._tasks) if task is not current]
        for task in tasks:
            cancel_task(task)
        here = [task for task in tasks if task.get_loop() is loop]
        if here:
            await asyncio.wait(here, timeout=_CANCELLATION_TIMEOUT)


_inherited: list[set[asyncio.Task[Any]]] = []


def cancel_task(task: asyncio.Task[Any]) -> None:
    """Cancels a task, from any thread."""
    loop = task.get_loop()
    if loop is asyncio._get_running_loop():
        task.cancel()
        return
    # It fails if the loop is closed, and with it the task.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(task.cancel)


async def in_time(limit: Pending, work: Coroutine[Any, Any, R]) -> R:
    """Awaits a coroutine in the task of its caller, and cancels it when the limit is reached.

    Raises:
        LimitReached: If it was cancelled.
    """
    task = asyncio.current_task()
    if task is None:
        # A coroutine that is driven by hand can't be cancelled.
        end_limit(limit)
        return await work
    reached = False

    def stop(future: asyncio.Future[Any]) -> None:
        nonlocal reached
        if not future.cancelled():
            # Retrieved, or asyncio reports an exception.
            future.exception()
            reached = True
            task.cancel()

    before = task.cancelling() if sys.version_info >= (3, 11) else 0
    limit.future.add_done_callback(stop)
    try:
        return await work
    except BaseException as error:
        if reached and not _was_cancelled_otherwise(task, before):
            raise LimitReached from error
        raise
    finally:
        if reached and sys.version_info >= (3, 11):
            task.uncancel()
        limit.future.remove_done_callback(stop)
        if not reached:
            end_limit(limit)


def _was_cancelled_otherwise(task: asyncio.Task[Any], before: int) -> bool:
    """Returns whether there is another request to cancel a task than that of its limit."""
    return sys.version_info >= (3, 11) and task.cancelling() > before + 1


def end_limit(limit: Pending) -> None:
    """Stops a limit that was not reached."""
    limit.future.cancel()
    limit.abandon()
