"""Filling a cache before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hotshelf._diagnosis import Trace
from hotshelf._errors import ConfigurationError

if TYPE_CHECKING:
    from hotshelf._service import CacheService

K = TypeVar("K")

#: The golden ratio, less one: its multiples spread evenly, however many there are.
_GOLDEN = 0.618033988749895

#: An entry of no lifetime isn't stored.
_SHORTEST = 0.001


@dataclass(frozen=True)
class Warmed(Generic[K]):
    """The result of `CacheService.warm`.

    Attributes:
        loaded: The number of identifiers that were loaded.
        cached: The number of those that were cached before, or loaded by others.
        failed: The identifiers whose load has failed, and why.
    """

    loaded: int
    cached: int
    failed: list[tuple[K, Exception]]


class Warming(Generic[K]):
    """Loads many keys, some at once."""

    __slots__ = ("_cached", "_factory", "_failed", "_loaded", "_progress", "_service", "_stagger",
                 "_tags", "_ttl")

    def __init__(
        self,
        service: CacheService[Any],
        factory: Callable[[K], Any],
        *,
        ttl: float,
        tags: Sequence[str] | Callable[[K], Sequence[str]],
        stagger: float,
        progress: Callable[[int], object] | None,
    ) -> None:
        if isinstance(stagger, bool) or not 0 <= stagger <= 1:
            raise ConfigurationError(f"invalid `stagger` {stagger!r}: use a share from 0 to 1")
        self._service = service
        self._factory = factory
        self._ttl = ttl
        self._tags = tags
        self._stagger = stagger
        self._progress = progress
        self._loaded = 0
        self._cached = 0
        self._failed: list[tuple[K, Exception]] = []

    async def run(self, names: list[K], concurrency: int) -> Warmed[K]:
        """Loads keys. When it is cancelled, or an exception isn't one of a load, its tasks end
        before it does."""
        if not isinstance(concurrency, int) or concurrency < 1:
            message = f"invalid `concurrency` {concurrency!r}: use a whole number from 1 on"
            raise ConfigurationError(message)
        numbered = enumerate(names)
        create_task = asyncio.get_running_loop().create_task
        workers = [create_task(self._work(numbered)) for _ in range(min(concurrency, len(names)))]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        return Warmed(self._loaded, self._cached, self._failed)

    async def _work(self, numbered: Iterable[tuple[int, K]]) -> None:
        """Loads what is left of the keys, which all workers share, one after another."""
        for position, name in numbered:
            trace = Trace()
            try:
                await self._load(position, name, trace)
            except Exception as error:
                self._failed.append((name, error))
            else:
                self._loaded += trace.outcome.loaded
                self._cached += not trace.outcome.loaded
            if self._progress is not None:
                self._progress(self._loaded + self._cached + len(self._failed))

    async def _load(self, position: int, name: K, trace: Trace) -> None:
        share = 1 - self._stagger * (position * _GOLDEN % 1)
        tags = self._tags(name) if callable(self._tags) else self._tags
        identifier: Any = name
        await self._service.get_or_set(
            identifier, lambda: self._factory(name), max(self._ttl * share, _SHORTEST),
            tags=tags, trace=trace,
        )  # fmt: skip
