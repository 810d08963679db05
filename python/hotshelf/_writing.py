"""Writing to the source of truth and to the cache as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hotshelf._errors import CacheError
from hotshelf._hotshelf import Pending, Write
from hotshelf._pending import settled
from hotshelf._running import running

if TYPE_CHECKING:
    from hotshelf._options import Lifetime
    from hotshelf._service import CacheService

R = TypeVar("R")

#: The encoded form of a value, or the reason why it has none.
Encoded = tuple[bytes | None, str | None]


class Writing:
    """A write, and the keys that were taken over for it.

    Whatever becomes of the write, what it may have made outdated is removed.
    """

    __slots__ = ("_guard", "_places", "_service")

    def __init__(self, service: CacheService[Any]) -> None:
        self._service = service
        self._guard: Write | None = None
        self._places: frozenset[tuple[int, str]] = frozenset()

    async def begin(
        self, keys: list[tuple[Any, Any]], ttl: Lifetime | None, tags: Sequence[str]
    ) -> None:
        """Takes the keys over. With invalid options, what is written isn't stored."""
        self._places = self._service._places(keys)
        guard = self._service._core.write_guard(keys, ttl=ttl, tags=tags)
        if type(guard) is Pending:
            guard = await settled(guard)
        self._guard = cast("Write", guard)

    async def run(self, write: Callable[[], Any], prepare: Callable[[Any], R]) -> R:
        """Runs the user's write, and makes of its result what is to be stored."""
        try:
            with running(self._places):
                return prepare(await self._service._made(write))
        except Exception:
            await self.finish([])
            raise
        except BaseException:
            # Cancelled, or closed: nothing can be waited for any more.
            if self._guard is not None:
                self._guard.abandon()
            raise

    async def finish(self, values: list[Encoded | None]) -> None:
        """Stores what was written, for each key in their order, and removes the entries of
        those that have nothing."""
        if self._guard is None:
            return
        try:
            finishing = self._guard.finish(values)
            if type(finishing) is Pending:
                await settled(finishing)
        except CacheError:
            # The engine has counted and logged it.
            return
