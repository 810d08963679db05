"""Writing to the source of truth and to the cache as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hotshelf._hotshelf import Pending, Write
from hotshelf._keys import listed
from hotshelf._pending import settled
from hotshelf._running import running
from hotshelf._trouble import UNUSABLE, WRONG

if TYPE_CHECKING:
    from hotshelf._service import CacheService, Lifetime, Params

R = TypeVar("R")


class Writing:
    """A write, and the keys that were taken over for it.

    Whatever becomes of the write, what it may have made outdated is removed.
    """

    __slots__ = ("_claim", "_kept", "_places", "_service", "_stores")

    def __init__(self, service: CacheService[Any]) -> None:
        self._service = service
        self._claim: Write | None = None
        #: Which of the keys are some.
        self._kept: list[bool] = []
        self._places: list[tuple[int, str]] = []
        self._stores = True

    async def begin(
        self, keys: list[tuple[str, Params]], ttl: Lifetime | None, tags: Sequence[str]
    ) -> None:
        """Takes the keys over. With options that are wrong, what is written isn't stored."""
        service = self._service
        checked = service._checked(keys)
        named = [key for key in checked if key is not None]
        self._kept = [key is not None for key in checked]
        self._places = [service._place(*key) for key in named]
        try:
            try:
                lifetime = service._lifetime(ttl)
                claim = service._core.claim(named, ttl=lifetime, tags=listed(tags, "tags"))
            except WRONG as error:
                service._failed("cache: what is written to %s is not stored: %s", error)
                self._stores = False
                claim = service._core.claim(named)
            if type(claim) is Pending:
                claim = await settled(claim)
            self._claim = cast("Write", claim)
        except UNUSABLE as error:
            service._failed("cache: writing %s without it: %s", error)

    async def run(self, write: Callable[[], Any], prepare: Callable[[Any], R]) -> R:
        """Lets the user write, and makes of the result what is to be stored."""
        try:
            with running(self._places):
                return prepare(await self._service._made(write))
        except Exception:
            await self.settle([])
            raise
        except BaseException:
            # Cancelled, or closed: nothing can be waited for any more.
            if self._claim is not None:
                self._claim.abandon()
            raise

    async def settle(self, raw: list[bytes | None]) -> None:
        """Stores what was written, for each key in their order, and removes the entries of
        those that have nothing."""
        if self._claim is None:
            return
        try:
            kept = [value for value, kept in zip(raw, self._kept, strict=False) if kept]
            settling = self._claim.settle(kept if self._stores else [])
            if type(settling) is Pending:
                await settled(settling)
        except UNUSABLE as error:
            text = "cache: an outdated entry of %s may still be there: %s"
            self._service._failed(text, error, logging.ERROR)
