"""Loads that a call leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from hotshelf._background import LimitReached, cancel_task, end_limit, in_time
from hotshelf._blocking import finished
from hotshelf._context import LoadContext
from hotshelf._errors import LoadTimeoutError, own_copy
from hotshelf._hotshelf import Failed, Missing, Pending, Refresh, Ticket, Unencoded
from hotshelf._options import stale_condition
from hotshelf._pending import result_of
from hotshelf._request_scoped import warn_of_request_scoped
from hotshelf._running import running
from hotshelf._writing import EncodedValue

if TYPE_CHECKING:
    from hotshelf._options import StaleIfErrorOn
    from hotshelf._service import CacheService

T = TypeVar("T")


class Made(NamedTuple):
    """The value of a call, and its encoded form, or the reason why it can't be encoded."""

    value: Any
    encoded: EncodedValue


class Load(Generic[T]):
    """A call that has found no value, or one that is to be loaded anew."""

    __slots__ = ("_background", "_encoded", "_factory", "_key", "_on", "_service",
                 "_takes_context")

    def __init__(
        self,
        service: CacheService[T],
        key: tuple[Any, Any],
        factory: Callable[..., Any],
        *,
        takes_context: bool,
        background: bool,
        on: StaleIfErrorOn | None,
        encoded: bool = False,
    ) -> None:
        """`encoded` is whether the caller takes the encoded form of stored values."""
        self._service = service
        self._key = key
        self._factory = factory
        self._takes_context = takes_context
        self._background = background
        self._on = on
        self._encoded = encoded

    async def made(self, found: Any) -> Made | None:
        """Loads a value, or returns the result of another caller's load. Returns `None` for a
        stored value that can't be decoded."""
        if self._background or self._on is not None:
            self._check(found)
        match found:
            case Ticket() if self._background:
                return await self._lead_apart(found)
            case Ticket():
                return await self._lead_here(found)
            case Refresh():
                return self._begin_refresh(found)
            case Failed():
                try:
                    raise own_copy(found.exception).with_traceback(found.traceback)
                finally:
                    # Break the cycle: the traceback refers to this frame.
                    del found
        value = cast("Unencoded", found).value
        return Made(value, self._service._prepare(value)[1])

    def _check(self, found: Any) -> None:
        """Checks the arguments of the call, before its factory runs."""
        try:
            if self._on is not None:
                stale_condition(self._on)
            if self._background:
                warn_of_request_scoped(self._factory)
        except BaseException:
            if isinstance(found, Ticket | Refresh):
                found.abandon()
            raise

    async def _lead_here(self, ticket: Ticket) -> Made:
        """Runs the factory for its caller, which stops it at its time limit."""
        return await self._lead(ticket, ticket.time_limit())

    async def _lead(self, ticket: Ticket, limit: Pending | None = None) -> Made:
        """Runs the factory in this task, and completes the load with its result or exception."""
        service = self._service
        context = LoadContext(service, ticket) if self._takes_context else None
        try:
            with running(service._owned_keys([self._key])):
                run = self._run(context)
                made = await (run if limit is None else in_time(limit, run))
            # Code of the model may raise what is no `Exception`.
            value, encoded = service._prepare(made)
            if context is not None:
                context._decide(ticket)
        except LimitReached:
            ticket.abandon()
        except Exception as error:
            instead = await self._fail(ticket, error, context)
            if instead is None:
                raise
            return instead
        except BaseException:
            ticket.abandon()
            raise
        else:
            service._load_succeeded()
            unchanged = context is not None and context._is_unchanged(made)
            with service._manager._observing.put(service, 1):
                completing = ticket.complete(value, *encoded, unchanged=unchanged)
                if type(completing) is Pending:
                    await result_of(completing)
            return Made(value, encoded)
        return self._on_limit(cast("Pending", limit))

    async def _run(self, context: LoadContext[T] | None) -> Any:
        with self._service._manager._observing.load(self._service, 1):
            return await finished(self._factory() if context is None else self._factory(context))

    async def _fail(
        self, ticket: Ticket, error: Exception, context: LoadContext[T] | None
    ) -> Made | None:
        """Ends a load whose factory has raised an exception. Returns the value that the caller is
        given instead."""
        if context is not None:
            context._decide(ticket)
        failure = error
        if type(ticket.previous) is not Missing:
            on = self._service._serves_stale if self._on is None else stale_condition(self._on)
            try:
                if not on(error):
                    ticket.decide(rejects_stale=True)
            except Exception as raised:
                ticket.decide(rejects_stale=True)
                failure = raised
        instead = ticket.fail(failure)
        if type(instead) is Pending:
            instead = await result_of(instead)
        if failure is not error:
            raise failure
        made = self._stored(instead)
        if made is not None:
            self._service._load_failed(error)
        return made

    def _stored(self, found: Any) -> Made | None:
        """Returns a stored value that was found; `None` if there is none, or if it can't be
        decoded."""
        if type(found) is Missing:
            return None
        if self._encoded:
            return Made(found, (found, None))
        value = self._service._value(found)
        return None if self._service._is_undecodable(value) else Made(value, (None, None))

    def _on_limit(self, limit: Pending) -> Made:
        """Returns the value that a call is given when it stops waiting, or raises."""
        error = limit.future.exception()
        if error is not None:
            # The traceback of the future's own exception would refer to the future.
            raise own_copy(error)
        return self._instead(limit.future.result())

    def _instead(self, found: Any) -> Made:
        """Returns the stored value that a call is given when it stops waiting.

        Raises:
            LoadTimeoutError: If it can't be decoded.
        """
        made = self._stored(found)
        if made is None:
            raise LoadTimeoutError("the load takes longer than `soft_timeout`")
        return made

    async def _lead_apart(self, ticket: Ticket) -> Made:
        """Runs the factory in a task of its own, which goes on when the caller stops waiting."""
        limit = ticket.time_limit()
        if limit is None:
            return await self._lead(ticket)
        leading = asyncio.get_running_loop().create_task(self._lead(ticket))
        tasks = self._service._manager._background
        try:
            await asyncio.wait((leading, limit.future), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            end_limit(limit)
            tasks.keep(leading)
            cancel_task(leading)
            raise
        if leading.done():
            end_limit(limit)
            try:
                return leading.result()
            finally:
                # Break the cycle: the traceback of its exception refers to this frame.
                del leading
        tasks.keep(leading)
        leading.add_done_callback(self._note_failure)
        return self._on_limit(limit)

    def _begin_refresh(self, refresh: Refresh) -> Made | None:
        """Loads a value anew in the background, and returns it."""
        made = self._stored(refresh.value)
        if made is None:
            refresh.abandon()
            return None
        self._start_refresh(refresh)
        return made

    def _start_refresh(self, refresh: Refresh) -> None:
        refreshing = asyncio.get_running_loop().create_task(self._refresh(refresh))
        self._service._manager._background.keep(refreshing)
        refreshing.add_done_callback(self._note_failure)

    async def _refresh(self, refresh: Refresh) -> None:
        ticket = refresh.begin()
        if type(ticket) is Pending:
            ticket = await result_of(ticket)
        if ticket is not None:
            await self._lead(cast("Ticket", ticket))

    def _note_failure(self, task: asyncio.Task[Any] | Future[Any]) -> None:
        """Notes an exception that no caller gets."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._service._load_failed(error)


class BlockingLoad(Load[T]):
    """A load of a thread without an event loop."""

    __slots__ = ()

    async def _lead_here(self, ticket: Ticket) -> Made:
        """Runs the factory for its caller. A sync factory can't be stopped."""
        return await self._lead(ticket)

    async def _lead_apart(self, ticket: Ticket) -> Made:
        """Runs the factory in another thread, which goes on when the caller stops waiting."""
        limit = ticket.limit()
        threads = self._service._manager._threads
        leading = None if limit is None else threads.lead(lambda: self._lead(ticket))
        if limit is None or leading is None:
            return await self._lead(ticket)
        leading.add_done_callback(lambda _: limit.end())
        try:
            found = limit.wait()
        except BaseException:
            leading.add_done_callback(self._note_failure)
            raise
        if leading.cancelled():
            # The manager was closed before the load has begun.
            return await self._lead(ticket)
        if leading.done():
            return leading.result()
        leading.add_done_callback(self._note_failure)
        return self._instead(found)

    def _start_refresh(self, refresh: Refresh) -> None:
        refreshing = self._service._manager._threads.start(lambda: self._refresh(refresh))
        if refreshing is None:
            refresh.abandon()
        else:
            refreshing.add_done_callback(self._note_failure)
