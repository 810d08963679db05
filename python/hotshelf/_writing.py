"""Writes to the source of truth and to the cache as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hotshelf._blocking import finished
from hotshelf._errors import CacheError
from hotshelf._hotshelf import Pending, WriteGuard
from hotshelf._pending import result_of
from hotshelf._running import running

if TYPE_CHECKING:
    from hotshelf._options import Lifetime
    from hotshelf._service import CacheService

R = TypeVar("R")

#: The encoded form of a value, or the reason why it can't be encoded.
EncodedValue = tuple[bytes | None, str | None]


class GuardedWrite:
    """A write, and the keys that it has taken over.

    However the write ends, entries that it may have made outdated are removed.
    """

    __slots__ = ("_guard", "_keys", "_owned", "_service")

    def __init__(self, service: CacheService[Any]) -> None:
        self._service = service
        #: `None` if nothing can be taken over, as the system is out of files.
        self._guard: WriteGuard | None = None
        self._keys: list[tuple[Any, Any]] = []
        self._owned: frozenset[tuple[int, str]] = frozenset()

    async def begin(
        self, keys: list[tuple[Any, Any]], ttl: Lifetime | None, tags: Sequence[str]
    ) -> None:
        """Takes the keys over. With invalid options, values aren't stored."""
        self._keys = keys
        self._owned = self._service._owned_keys(keys)
        with suppress(CacheError):
            guard = self._service._core.write_guard(keys, ttl=ttl, tags=tags)
            if type(guard) is Pending:
                guard = await result_of(guard)
            self._guard = cast("WriteGuard", guard)

    async def run(self, write: Callable[[], Any], prepare: Callable[[Any], R]) -> R:
        """Runs the user's write, and returns its result as `prepare` converts it."""
        try:
            with running(self._owned):
                return prepare(await finished(write()))
        except Exception:
            await self.finish([])
            raise
        except BaseException:
            # Cancelled or closed: awaiting is no longer possible.
            if self._guard is not None:
                self._guard.abandon()
            elif self._keys:
                with suppress(CacheError):
                    self._service._core.invalidate(self._keys)
            raise

    async def finish(self, values: list[EncodedValue | None]) -> None:
        """Stores the values of the keys, in their order, and removes the entries of keys
        whose value is `None`."""
        if self._guard is None:
            if self._keys:
                await self._service._succeeded(self._service._core.invalidate, self._keys)
            return
        try:
            with self._service._manager._observing.put(self._service, len(values)):
                finishing = self._guard.finish(values)
                if type(finishing) is Pending:
                    await result_of(finishing)
        except CacheError:
            # The engine has counted and logged it.
            return
