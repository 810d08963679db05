"""Sends commands."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Literal, cast, overload

from typing_extensions import Self

from hotshelf import _hotshelf
from hotshelf._errors import ConfigurationError, WatchError
from hotshelf._hotshelf import Pending, Store
from hotshelf._pending import result_of
from hotshelf._redis._typing import Text, Word
from hotshelf._redis.everything import AllCommands
from hotshelf._redis.lock import Lock
from hotshelf._redis.pipeline import Pipeline
from hotshelf._redis.pubsub import PubSub
from hotshelf._redis.replies import decoded, encoded, read
from hotshelf._redis.scans import ScanIterators
from hotshelf._redis.script import Script
from hotshelf._redis.waiting import pause
from hotshelf._redis.words import packed, packed_command


class RedisClient(ScanIterators[Text], AllCommands[Text], Generic[Text]):
    """Sends commands to the servers, over the connections of the cache.

    The methods are those of `redis.asyncio`. Commands that block, subscriptions and watched keys
    have connections of their own. Commands that change the state of a connection (`SELECT`,
    `CLIENT REPLY`) are refused. The cache's guarantees don't hold for cache keys that are
    written with it.

    The timeout of a command, or of one step of a scan, is `timeout` in seconds; the default
    is the manager's `store_timeout`. Strings in replies are `str`, or `bytes` with
    `decode_responses=False`.

    Raises:
        ServerError: For an error reply. `PermissionError`, `WrongTypeError`, `NoScriptError`
            and `OutOfMemoryError` derive from it.
        TimeoutError: If the server doesn't answer in time.
        UnavailableError: If the server can't be reached.
        ConfigurationError: For invalid arguments, and with `memory://`, which has no server.
    """

    @overload
    def __init__(
        self: RedisClient[str],
        store: Store,
        decode_responses: Literal[True] = True,
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RedisClient[bytes],
        store: Store,
        decode_responses: Literal[False],
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, store: Store, decode_responses: bool = True, timeout: float | None = None
    ) -> None: ...
    def __init__(
        self, store: Store, decode_responses: bool = True, timeout: float | None = None
    ) -> None:
        self.store = store
        self.decode_responses = decode_responses
        self._client = _hotshelf.Client(store, timeout)

    async def execute_command(
        self,
        *words: Word,
        read: Callable[[Any], Any] | None = None,
        block: float | None = None,
    ) -> Any:
        """Sends a command, and returns its reply. Costs one round trip.

        Args:
            words: The name and the arguments.
            read: Converts the reply, in place of the conversion by the command's name.
            block: For how many seconds the server may take, for a command that blocks. It has a
                connection that no other command uses meanwhile.
        """
        if block is None:
            reply = self._client.command(packed_command(words))
        else:
            seconds = None if math.isinf(block) else block
            reply = self._client.blocking(packed_command(words), seconds)
        if type(reply) is Pending:
            reply = await result_of(reply)
        return self._read(words, reply, read)

    def _read(
        self, words: tuple[Word, ...], reply: Any, convert: Callable[[Any], Any] | None = None
    ) -> Any:
        """Converts a reply to the type that redis.asyncio returns."""
        if convert is None:
            return read(words, reply, self.decode_responses)
        return convert(decoded(reply) if self.decode_responses else encoded(reply))

    def _known(self, reply: Any) -> Any:
        return _returned(reply)

    def _check_one_server(self, name: str, cure: str) -> None:
        if self._client.is_cluster():
            raise ConfigurationError(f"{name} is for one server, not for a Cluster: {cure}")

    def _needs_text_of(self, sha: str) -> bool:
        """Whether a script is sent as text, and not by its hash."""
        return False

    async def scan_iter(
        self, match: Word | None = None, count: int | None = None, _type: str | None = None
    ) -> AsyncIterator[Text]:
        """Iterates over the keys that match a glob pattern, on all primaries; `_type` is that of
        their values. Costs one round trip for each 1,000 keys of the server; `count` is
        ignored."""
        pattern = packed("*" if match is None else match)
        scan = self._client.scan(pattern, None if _type is None else packed(_type))
        while True:
            step = scan.step()
            if type(step) is Pending:
                step = await result_of(step)
            if step is None:
                return
            for key in cast("list[Any]", step):
                yield decoded(key) if self.decode_responses else key

    def pipeline(self, transaction: bool = True) -> Pipeline[Text]:
        """Creates a pipeline. Its commands are sent together, by default as a transaction."""
        return Pipeline(self, transaction)

    async def transaction(
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
        async with self.pipeline() as pipe:
            while True:
                try:
                    if watches:
                        await pipe.watch(*watches)
                    value = func(pipe)
                    if inspect.isawaitable(value) and value is not pipe:
                        value = await value
                    replies = await pipe.execute()
                    return value if value_from_callable else replies
                except WatchError:
                    if watch_delay:
                        await pause(watch_delay)

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
            self,
            name,
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            thread_local=thread_local,
            raise_on_release_error=raise_on_release_error,
        )

    def pubsub(self, ignore_subscribe_messages: bool = False) -> PubSub:
        """Creates a subscriber, with a connection of its own."""
        return PubSub(self._client.pub_sub(), self.decode_responses, ignore_subscribe_messages)

    def register_script(self, script: str | bytes) -> Script:
        """Creates a callable for a Lua script."""
        return Script(self, script)

    async def aclose(self) -> None:
        """Does nothing: the connections belong to the manager."""

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


async def _returned(reply: Any) -> Any:
    return reply
