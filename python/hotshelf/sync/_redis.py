"""A client with the methods of `redis.Redis`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from typing_extensions import Self

from hotshelf import _redis
from hotshelf._blocking import wait, wait_for_each
from hotshelf._errors import LockError, WatchError
from hotshelf._redis._typing import BlockingCommands, Text, Word
from hotshelf._redis.everything import AllCommands
from hotshelf._redis.pubsub import Handler, Message


class RedisClient(BlockingCommands, AllCommands[Text]):
    """Sends commands to the servers, over the connections of the cache, and blocks until they reply.

    The methods are those of `redis.Redis`; see `hotshelf.RedisClient`, also for what they raise.
    """

    def __init__(self, client: _redis.RedisClient[Text]) -> None:
        self._client: _redis.RedisClient[Text] = client

    @property
    def asynchronous(self) -> _redis.RedisClient[Text]:
        """The same client, with methods to `await`."""
        return self._client

    def execute_command(
        self,
        *words: Word,
        read: Callable[[Any], Any] | None = None,
        block: float | None = None,
    ) -> Any:
        """Sends a command, and returns its reply; see `hotshelf.RedisClient.execute_command`."""
        return wait(self._client.execute_command(*words, read=read, block=block))

    def _known(self, reply: Any) -> Any:
        return reply

    def _check_one_server(self, name: str, cure: str) -> None:
        self._client._check_one_server(name, cure)

    def scan_iter(
        self, match: Word | None = None, count: int | None = None, _type: str | None = None
    ) -> Iterator[Text]:
        """Iterates over the keys that match a glob pattern, on all primaries. Costs one round trip
        for each 1,000 keys of the server."""
        return wait_for_each(self._client.scan_iter(match, count, _type))

    def hscan_iter(
        self,
        name: Word,
        match: Word | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> Iterator[Any]:
        """Iterates over pairs of field and value; with `no_values`, over fields."""
        return wait_for_each(self._client.hscan_iter(name, match, count, no_values))

    def sscan_iter(
        self, name: Word, match: Word | None = None, count: int | None = None
    ) -> Iterator[Text]:
        """Iterates over members."""
        return wait_for_each(self._client.sscan_iter(name, match, count))

    def zscan_iter(
        self,
        name: Word,
        match: Word | None = None,
        count: int | None = None,
        score_cast_func: Callable[[Any], Any] = float,
    ) -> Iterator[tuple[Text, Any]]:
        """Iterates over pairs of member and score."""
        return wait_for_each(self._client.zscan_iter(name, match, count, score_cast_func))

    def pipeline(self, transaction: bool = True) -> Pipeline[Text]:
        """Creates a pipeline. Its commands are sent together, by default as a transaction."""
        return Pipeline(self._client.pipeline(transaction))

    def transaction(
        self,
        func: Callable[[Pipeline[Text]], Any],
        *watches: Word,
        value_from_callable: bool = False,
        watch_delay: float | None = None,
    ) -> Any:
        """Executes what a function queues on a pipeline, which watches keys. It is called again,
        after `watch_delay` seconds, whenever one of them has changed.

        Returns the replies; with `value_from_callable`, what the function returns.
        """
        with self.pipeline() as pipe:
            while True:
                try:
                    if watches:
                        pipe.watch(*watches)
                    value = func(pipe)
                    replies = pipe.execute()
                    return value if value_from_callable else replies
                except WatchError:
                    if watch_delay:
                        time.sleep(watch_delay)

    def lock(
        self,
        name: Word,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        lock_class: type[Lock] | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> Lock:
        """Creates a lock that processes share."""
        return (lock_class or Lock)(
            self._client.lock(
                name, timeout, sleep, blocking, blocking_timeout, None, thread_local,
                raise_on_release_error,
            )
        )  # fmt: skip

    def pubsub(self, ignore_subscribe_messages: bool = False) -> PubSub:
        """Creates a subscriber, with a connection of its own."""
        return PubSub(self._client.pubsub(ignore_subscribe_messages))

    def register_script(self, script: str | bytes) -> Script:
        """Creates a callable for a Lua script."""
        return Script(self._client.register_script(script))

    def close(self) -> None:
        """Does nothing: the connections belong to the manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Pipeline(AllCommands[Text]):
    """Queues commands, and sends them together in one round trip; see `hotshelf.Pipeline`.

    After `watch`, commands return their replies until `multi`.
    """

    def __init__(self, pipeline: _redis.Pipeline[Text]) -> None:
        self._pipeline: _redis.Pipeline[Text] = pipeline

    def execute_command(
        self,
        *words: Word,
        read: Callable[[Any], Any] | None = None,
        block: float | None = None,
    ) -> Any:
        """Queues a command until `execute`; sends it if keys are watched, before `multi`."""
        return self._queued(self._pipeline.execute_command(*words, read=read, block=block))

    def _known(self, reply: Any) -> Any:
        return self._queued(self._pipeline._known(reply))

    def _queued(self, queued: Any) -> Any:
        return self if queued is self._pipeline else wait(queued)

    def _check_one_server(self, name: str, cure: str) -> None:
        self._pipeline._check_one_server(name, cure)

    def watch(self, *names: Word) -> bool:
        """Watches keys, and sends commands at once from now on."""
        return wait(self._pipeline.watch(*names))

    def multi(self) -> None:
        """Queues commands again, after keys were watched and read."""
        self._pipeline.multi()

    @property
    def watching(self) -> bool:
        """Whether keys are watched."""
        return self._pipeline.watching

    def unwatch(self) -> bool:
        """Watches no keys any more, and queues commands again."""
        return wait(self._pipeline.unwatch())

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends the queued commands, and returns their replies in order. Costs one round trip.

        Raises:
            WatchError: If a watched key has changed. Nothing was executed.
            CacheError: The error of the first command that failed. With
                `raise_on_error=False`, errors of commands are returned among the replies.
        """
        return wait(self._pipeline.execute(raise_on_error))

    def __len__(self) -> int:
        return len(self._pipeline)

    def __bool__(self) -> bool:
        return True

    def reset(self) -> None:
        """Removes the queued commands, and closes the connection of watched keys."""
        wait(self._pipeline.reset())

    close = reset

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()


class Script:
    """A Lua script: call it with `keys` and `args`; see `hotshelf.Script`."""

    def __init__(self, script: _redis.Script) -> None:
        self._script = script

    @property
    def script(self) -> str | bytes:
        """The text."""
        return self._script.script

    @property
    def sha(self) -> str:
        """The hash of the text."""
        return self._script.sha

    def __call__(
        self,
        keys: Iterable[Word] | None = None,
        args: Iterable[Word] | None = None,
        client: RedisClient[Any] | Pipeline[Any] | None = None,
    ) -> Any:
        """Runs the script, and returns its reply."""
        if isinstance(client, Pipeline):
            wait(self._script(keys, args, client._pipeline))
            return client
        sender = None if client is None else client._client
        return wait(self._script(keys, args, sender))


class Lock:
    """A lock that processes share; see `hotshelf.Lock`.

    with redis.lock("import", timeout=60, blocking_timeout=5):
        ...
    """

    def __init__(self, lock: _redis.Lock) -> None:
        self._lock = lock

    @property
    def name(self) -> Word:
        """The key."""
        return self._lock.name

    def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Acquires the lock. Returns `False` if another owner has it, and had it until the wait
        timed out."""
        return wait(self._lock.acquire(blocking, blocking_timeout, token))

    def release(self) -> None:
        """Releases the lock.

        Raises:
            LockError: If it isn't acquired. `LockNotOwnedError` if it was lost: it has timed out.
        """
        wait(self._lock.release())

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds so many seconds to the remaining time, or replaces it by them.

        Raises:
            LockError: If it isn't acquired, or has no timeout. `LockNotOwnedError` if it was lost.
        """
        return wait(self._lock.extend(additional_time, replace_ttl))

    def reacquire(self) -> bool:
        """Sets the remaining time to `timeout` again.

        Raises:
            LockError: If it isn't acquired, or has no timeout. `LockNotOwnedError` if it was lost.
        """
        return wait(self._lock.reacquire())

    def locked(self) -> bool:
        """Returns `True` if any owner has the lock."""
        return wait(self._lock.locked())

    def owned(self) -> bool:
        """Returns `True` if this object has the lock."""
        return wait(self._lock.owned())

    def __enter__(self) -> Self:
        if not self.acquire():
            raise LockError("the lock has another owner: it wasn't released in time")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        wait(self._lock.__aexit__(kind, error, traceback))


class PubSub:
    """Subscriptions to channels, on a connection of their own; see `hotshelf.PubSub`.

    with redis.pubsub() as messages:
        messages.subscribe("orders")
        for message in messages.listen():
            ...
    """

    def __init__(self, messages: _redis.PubSub) -> None:
        self._messages = messages

    @property
    def channels(self) -> dict[Any, Handler | None]:
        """The channels, with their handlers."""
        return self._messages.channels

    @property
    def patterns(self) -> dict[Any, Handler | None]:
        """The patterns, with their handlers."""
        return self._messages.patterns

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions, or confirmations to receive."""
        return self._messages.subscribed

    def subscribe(self, *args: Word | Iterable[Word], **kwargs: Handler) -> None:
        """Subscribes to channels, those of keywords with a handler."""
        wait(self._messages.subscribe(*args, **kwargs))

    def psubscribe(self, *args: Word | Iterable[Word], **kwargs: Handler) -> None:
        """Subscribes to the channels that match patterns."""
        wait(self._messages.psubscribe(*args, **kwargs))

    def unsubscribe(self, *args: Word | Iterable[Word]) -> None:
        """Unsubscribes from channels, by default from all."""
        wait(self._messages.unsubscribe(*args))

    def punsubscribe(self, *args: Word | Iterable[Word]) -> None:
        """Unsubscribes from patterns, by default from all."""
        wait(self._messages.punsubscribe(*args))

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> Message | None:
        """Returns the next message or confirmation, or `None` if nothing arrives within `timeout`
        seconds. A timeout of `None` waits forever. A message with a handler is passed to it
        instead.

        Raises:
            UnavailableError: If the connection was lost: messages may be missing.
        """
        return wait(self._messages.get_message(ignore_subscribe_messages, timeout))

    def listen(self) -> Iterator[Message]:
        """Iterates over messages and confirmations, until there are no subscriptions."""
        return wait_for_each(self._messages.listen())

    def close(self) -> None:
        """Cancels all subscriptions, and closes the connection."""
        wait(self._messages.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
