"""Filling a cache before it is used."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hotshelf._blocking import check_may_block, wait
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
        _check_concurrency(concurrency)
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

    def run_in_threads(self, names: list[K], concurrency: int) -> Warmed[K]:
        """Loads keys in threads, and counts in this one. When it is interrupted, loads that run
        end before it does.

        Raises:
            RuntimeError: If an event loop runs in this thread, which would be blocked.
        """
        check_may_block()
        _check_concurrency(concurrency)
        with ThreadPoolExecutor(concurrency, "hotshelf-warm") as pool:
            try:
                loads = [pool.submit(self._in_context(*each)) for each in enumerate(names)]
                for load in as_completed(loads):
                    self._count(*load.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return Warmed(self._loaded, self._cached, self._failed)

    def _in_context(self, position: int, name: K) -> Callable[[], tuple[K, bool | Exception]]:
        """Returns a load of a key, with a copy of the context variables."""
        context = contextvars.copy_context()
        return lambda: (name, context.run(lambda: wait(self._load(position, name))))

    async def _work(self, numbered: Iterable[tuple[int, K]]) -> None:
        """Loads what is left of the keys, which all workers share, one after another."""
        for position, name in numbered:
            self._count(name, await self._load(position, name))

    def _count(self, name: K, loaded: bool | Exception) -> None:
        if isinstance(loaded, Exception):
            self._failed.append((name, loaded))
        elif loaded:
            self._loaded += 1
        else:
            self._cached += 1
        if self._progress is not None:
            self._progress(self._loaded + self._cached + len(self._failed))

    async def _load(self, position: int, name: K) -> bool | Exception:
        """Returns whether this call loaded the key, or why that failed."""
        share = 1 - self._stagger * (position * _GOLDEN % 1)
        identifier: Any = name
        trace = Trace()
        try:
            tags = self._tags(name) if callable(self._tags) else self._tags
            await self._service.get_or_set(
                identifier, lambda: self._factory(name), max(self._ttl * share, _SHORTEST),
                tags=tags, trace=trace,
            )  # fmt: skip
        except Exception as error:
            return error
        return trace.outcome.loaded


def _check_concurrency(concurrency: int) -> None:
    if not isinstance(concurrency, int) or concurrency < 1:
        message = f"invalid `concurrency` {concurrency!r}: use a whole number from 1 on"
        raise ConfigurationError(message)
