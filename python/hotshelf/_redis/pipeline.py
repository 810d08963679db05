"""Commands that are sent together."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Self

from hotshelf import _hotshelf
from hotshelf._errors import CacheError, ConfigurationError, WatchError
from hotshelf._hotshelf import Pending
from hotshelf._pending import result_of
from hotshelf._redis._typing import Text, Word
from hotshelf._redis.everything import AllCommands
from hotshelf._redis.words import packed_all, packed_command

if TYPE_CHECKING:
    from hotshelf._redis.client import RedisClient

Read = Callable[[Any], Any]


class Pipeline(AllCommands[Text]):
    """Queues commands, and sends them together in one round trip.

    After `watch`, commands are sent at once until `multi`, over a connection of their own: await
    them. `execute` then raises a `WatchError`, and executes nothing, if a watched key has
    changed.

        async with redis.pipeline() as pipe:
            await pipe.watch("stock")
            left = int(await pipe.get("stock"))
            pipe.multi()
            pipe.set("stock", left - 1)
            await pipe.execute()
    """

    def __init__(self, client: RedisClient[Text], transaction: bool) -> None:
        self._client: RedisClient[Text] = client
        self._transaction = transaction
        self._commands: list[tuple[tuple[Word, ...], Read | None]] = []
        #: The scripts whose texts are queued.
        self._scripts: set[str] = set()
        self._optimistic: _hotshelf.Optimistic | None = None
        self._watching = False
        self._explicit = False

    def execute_command(
        self, *words: Word, read: Read | None = None, block: float | None = None
    ) -> Any:
        """Queues a command until `execute`; sends it if keys are watched, before `multi`."""
        if self._watching and not self._explicit:
            return self._execute_now(words, read)
        self._commands.append((words, read))
        return self

    def _known(self, reply: Any) -> Any:
        if self._watching and not self._explicit:
            return self._client._known(reply)
        self._commands.append(((), lambda _: reply))
        return self

    async def _execute_now(self, words: tuple[Word, ...], read: Read | None) -> Any:
        reply = self._connection().command(packed_command(words))
        if type(reply) is Pending:
            reply = await result_of(reply)
        return self._client._read(words, reply, read)

    async def watch(self, *names: Word) -> bool:
        """Watches keys, and sends commands at once from now on. Costs one round trip, and those
        of connecting the first time. In a Cluster all keys have to be in one slot."""
        if self._explicit:
            raise ConfigurationError("`watch` after `multi`: watch keys before")
        watched = self._connection().watch(packed_all(names))
        if type(watched) is Pending:
            await result_of(watched)
        self._watching = True
        return True

    def multi(self) -> None:
        """Queues commands again, after keys were watched and read."""
        if self._explicit:
            raise ConfigurationError("`multi` after `multi`: call `execute` before")
        if self._commands:
            raise ConfigurationError("`multi` after queued commands: call `execute` before")
        self._explicit = True

    @property
    def watching(self) -> bool:
        """Whether keys are watched."""
        return self._watching

    async def unwatch(self) -> bool:
        """Watches no keys any more, and queues commands again."""
        if self._watching:
            self._watching = False
            unwatched = self._connection().unwatch()
            if type(unwatched) is Pending:
                await result_of(unwatched)
        return True

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends the queued commands, and returns their replies in order. Costs one round
        trip.

        Raises:
            WatchError: If a watched key has changed. Nothing was executed.
            CacheError: The error of the first command that failed. With
                `raise_on_error=False`, errors of commands are returned among the replies.
        """
        commands, self._commands = self._commands, []
        is_watching, self._watching = self._watching, False
        is_transaction, self._explicit = self._transaction or self._explicit, False
        self._scripts = set()
        packed = [packed_command(words) for words, _ in commands if words]
        if is_watching:
            replies = self._connection().execute(packed)
        elif packed:
            replies = self._client._client.pipeline(packed, is_transaction)
        else:
            replies = []
        if type(replies) is Pending:
            replies = await result_of(replies)
        if replies is None:
            raise WatchError("a watched key has changed: nothing was executed")
        return self._read_all(commands, cast("list[Any]", replies), raise_on_error)

    def _read_all(
        self,
        commands: list[tuple[tuple[Word, ...], Read | None]],
        replies: list[Any],
        raise_on_error: bool,
    ) -> list[Any]:
        results: list[Any] = []
        received = iter(replies)
        for words, read in commands:
            reply = next(received) if words else None
            if isinstance(reply, CacheError):
                if raise_on_error:
                    name = words[0] if isinstance(words[0], str) else repr(words[0])
                    place = f"command {len(results) + 1} of the pipeline ({name}) has failed"
                    reply.args = (f"{place}: {reply}",)
                    raise reply
                results.append(reply)
            else:
                results.append(self._client._read(words, reply, read))
        return results

    def _connection(self) -> _hotshelf.Optimistic:
        if self._optimistic is None:
            self._optimistic = self._client._client.optimistic()
        return self._optimistic

    def _check_one_server(self, name: str, cure: str) -> None:
        self._client._check_one_server(name, cure)

    def _needs_text_of(self, sha: str) -> bool:
        """Whether a script is sent as text: the first time, or each time in a Cluster, whose
        nodes each have their own."""
        if self._watching and not self._explicit:
            return False
        is_queued = sha in self._scripts and not self._client._client.is_cluster()
        self._scripts.add(sha)
        return not is_queued

    def __len__(self) -> int:
        return len(self._commands)

    def __bool__(self) -> bool:
        return True

    async def reset(self) -> None:
        """Removes the queued commands, and closes the connection of watched keys."""
        self._commands, self._scripts = [], set()
        self._watching, self._explicit, self._optimistic = False, False, None

    async def aclose(self) -> None:
        """Removes the queued commands, and closes the connection of watched keys."""
        await self.reset()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Returns the pipeline: a queued command may be awaited like one that is sent."""
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reset()
