"""What stands behind `cachemanager.client`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import Any, NamedTuple

import hotshelf
from fastapi_rc._off import OffCache
from hotshelf import CacheError


class NotAvailable(hotshelf.UnavailableError, RuntimeError):
    """There is no server: the cache is disabled."""


class View(NamedTuple):
    """All that tells one cache from another."""

    namespace: str
    model: Any
    default_ttl: float | timedelta
    use_jitter: bool
    prefix: str
    version: str
    options: tuple[tuple[str, Any], ...]


class Client(hotshelf.RedisClient):
    """The servers, and all caches on them.

    Services that are made for each request ask it for their cache, so that they share
    loads in flight and counters.
    """

    def __init__(
        self, manager: hotshelf.CacheManager, decode_responses: bool, timeout: float | None
    ) -> None:
        super().__init__(manager.store, decode_responses, timeout)
        self.manager = manager
        self._caches: dict[Hashable, hotshelf.CacheService[Any] | OffCache[Any]] = {}

    def cache(self, view: View) -> hotshelf.CacheService[Any] | OffCache[Any]:
        """Gives the cache of a view; one that is off if an option is wrong.

        Raises:
            Exception: If nothing can be made of the model, as long as it isn't whole.
        """
        try:
            cache = self._caches.get(view)
        except TypeError:
            # A model that can't be hashed.
            return self._made(view)
        if cache is None:
            cache = self._caches[view] = self._made(view)
        return cache

    def _made(self, view: View) -> hotshelf.CacheService[Any] | OffCache[Any]:
        options: dict[str, Any] = {**view._asdict(), **dict(view.options)}
        del options["options"]
        options.setdefault("key_layout", "fastapi_rc")
        try:
            return hotshelf.CacheService(self.manager, **options)
        except (CacheError, TypeError, ValueError) as error:
            return OffCache(view.namespace, error)


class DisabledClient(Client):
    """A client without servers: the factories of services run, all commands fail."""

    def __init__(self) -> None:
        super().__init__(_off(), decode_responses=True, timeout=None)

    async def execute_command(self, *words: Any) -> Any:
        """Fails.

        Raises:
            NotAvailable: Always.
        """
        raise NotAvailable("Redis is not available: the cache was initialized without a URL")

    async def scan_iter(self, match: Any = None, count: int | None = None) -> AsyncIterator[Any]:
        """Fails, as `execute_command`."""
        yield await self.execute_command()

    def pipeline(self, transaction: bool = True) -> hotshelf.Pipeline:
        """Fails, as `execute_command`."""
        raise NotAvailable("Redis is not available: the cache was initialized without a URL")


def _off() -> hotshelf.CacheManager:
    return hotshelf.CacheManager("memory://", enabled=False)
