"""Subscriptions to channels."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

from typing_extensions import Self

from hotshelf import _hotshelf
from hotshelf._errors import ConfigurationError
from hotshelf._hotshelf import Pending
from hotshelf._pending import result_of
from hotshelf._redis._typing import Word
from hotshelf._redis.waiting import pause
from hotshelf._redis.words import listed, packed

#: `type`, `pattern`, `channel` and `data` of a message.
Message = dict[str, Any]

#: `type`, `pattern`, `channel` and `data`, as they were received.
Received = tuple[str, bytes | None, bytes, bytes | int]

#: Is called with each message, in place of the caller of `get_message`.
Handler = Callable[[Message], Any]


class PubSub:
    """Subscriptions to channels, on a connection of their own.

        async with redis.pubsub() as messages:
            await messages.subscribe("orders")
            async for message in messages.listen():
                ...

    If the connection is lost, `get_message` and `listen` raise an `UnavailableError`, since
    messages may be missing. The next call connects again, and renews all subscriptions.
    """

    def __init__(
        self, core: _hotshelf.PubSub, decode_responses: bool, ignore_subscribe_messages: bool
    ) -> None:
        self.ignore_subscribe_messages = ignore_subscribe_messages
        #: The handlers, by name; `None` for a subscription without one.
        self.channels: dict[Any, Handler | None] = {}
        self.patterns: dict[Any, Handler | None] = {}
        self._core = core
        self._decode = decode_responses
        self._was_subscribed = False
        #: What callers that were cancelled have received.
        self._returned: deque[Received] = deque()
        #: The number of confirmations that weren't received yet.
        self._unread = 0

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions, or confirmations to receive."""
        return bool(self.channels or self.patterns or self._unread)

    async def subscribe(self, *args: Word | Iterable[Word], **kwargs: Handler) -> None:
        """Subscribes to channels, those of keywords with a handler. Costs one round trip, and
        those of connecting the first time."""
        await self._subscribe(self.channels, args, kwargs)

    async def psubscribe(self, *args: Word | Iterable[Word], **kwargs: Handler) -> None:
        """Subscribes to the channels that match patterns."""
        await self._subscribe(self.patterns, args, kwargs)

    async def unsubscribe(self, *args: Word | Iterable[Word]) -> None:
        """Unsubscribes from channels, by default from all."""
        await self._unsubscribe(self.channels, args)

    async def punsubscribe(self, *args: Word | Iterable[Word]) -> None:
        """Unsubscribes from patterns, by default from all."""
        await self._unsubscribe(self.patterns, args)

    async def _subscribe(
        self,
        known: dict[Any, Handler | None],
        args: tuple[Word | Iterable[Word], ...],
        handlers: dict[str, Handler],
    ) -> None:
        names: dict[Any, Handler | None] = {self._name(name): None for name in _names(args)}
        names.update({self._name(name): handler for name, handler in handlers.items()})
        if not names:
            raise ConfigurationError("no channels: pass at least one name")
        known.update(names)
        self._was_subscribed = True
        self._unread += len(names)
        try:
            await self._done(
                self._core.subscribe([packed(name) for name in names], known is self.patterns)
            )
        except BaseException:
            self._unread -= len(names)
            raise

    async def _unsubscribe(
        self, known: dict[Any, Handler | None], args: tuple[Word | Iterable[Word], ...]
    ) -> None:
        names = [self._name(name) for name in _names(args)] or list(known)
        if not names:
            return
        patterns = known is self.patterns
        self._unread += len(names)
        await self._done(self._core.unsubscribe([packed(name) for name in names], patterns))
        for name in names:
            known.pop(name, None)

    async def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> Message | None:
        """Returns the next message or confirmation, or `None` if nothing arrives within `timeout`
        seconds. A timeout of `None` waits forever. A message with a handler is passed to it
        instead.

        Raises:
            UnavailableError: If the connection was lost: messages may be missing.
        """
        if not self._was_subscribed:
            raise ConfigurationError("no subscriptions: call `subscribe` or `psubscribe` first")
        received = self._returned.popleft() if self._returned else await self._next(timeout)
        if received is None:
            return None
        return await self._handled(received, ignore_subscribe_messages)

    async def _next(self, timeout: float | None) -> Received | None:
        received = self._core.next(timeout)
        if type(received) is not Pending:
            return received
        try:
            return cast("Received | None", await result_of(received))
        except asyncio.CancelledError:
            future = received.future
            if future.done() and not future.cancelled() and not future.exception():
                # It was received in the turn in which the caller was cancelled.
                self._returned.extend([future.result()] if future.result() else [])
            raise

    async def listen(self) -> AsyncIterator[Message]:
        """Iterates over messages and confirmations, until there are no subscriptions."""
        while self.subscribed:
            message = await self.get_message(timeout=None)
            if message is not None:
                yield message

    async def run(
        self,
        *,
        exception_handler: Callable[[BaseException, PubSub], Any] | None = None,
        poll_timeout: float = 1.0,
    ) -> None:
        """Passes messages to their handlers, until the task is cancelled. Each subscription
        needs a handler; more may follow. An exception is raised, unless there is a handler of exceptions."""
        for name, handler in [*self.channels.items(), *self.patterns.items()]:
            if handler is None:
                raise ConfigurationError(f"the subscription {name!r} has no handler: add one")
        self._was_subscribed = True
        while True:
            try:
                await self.get_message(ignore_subscribe_messages=True, timeout=poll_timeout)
            except Exception as error:
                if exception_handler is None:
                    raise
                await _awaited(exception_handler(error, self))
            # Other tasks run even if nothing was awaited.
            await pause(0)

    async def _handled(
        self, received: Received, ignore: bool
    ) -> Message | None:
        kind, pattern, channel, data = received
        message: Message = {
            "type": kind,
            "pattern": None if pattern is None else self._name(pattern),
            "channel": self._name(channel),
            "data": self._name(data) if isinstance(data, bytes) else data,
        }
        if kind not in ("message", "pmessage"):
            self._unread -= 1
            return None if ignore or self.ignore_subscribe_messages else message
        known, name = (
            (self.channels, message["channel"])
            if pattern is None
            else (self.patterns, message["pattern"])
        )
        handler = known.get(name)
        if handler is None:
            return message
        await _awaited(handler(message))
        return None

    def _name(self, name: Any) -> Any:
        """Converts a name to the type of replies."""
        return packed(name).decode(errors="replace") if self._decode else packed(name)

    async def _done(self, result: Any) -> Any:
        return await result_of(result) if type(result) is Pending else result

    async def aclose(self) -> None:
        """Cancels all subscriptions, and closes the connection."""
        self.channels, self.patterns, self._unread = {}, {}, 0
        self._was_subscribed = False
        self._returned.clear()
        await self._done(self._core.close())

    async def close(self) -> None:
        """Is `aclose`. Deprecated, as in redis-py."""
        warnings.warn("`close` is deprecated: use `aclose`", DeprecationWarning, stacklevel=2)
        await self.aclose()

    async def reset(self) -> None:
        """Is `aclose`. Deprecated, as in redis-py."""
        warnings.warn("`reset` is deprecated: use `aclose`", DeprecationWarning, stacklevel=2)
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _names(args: tuple[Word | Iterable[Word], ...]) -> list[Word]:
    return [name for arg in args for name in listed(arg)]


async def _awaited(result: Any) -> None:
    if inspect.isawaitable(result):
        await result
