"""The client behind `cachemanager.client`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import Any, NamedTuple

import hotshelf
from fastapi_rc._off import OffCache
from hotshelf import CacheError


class NotAvailable(hotshelf.UnavailableError, RuntimeError):
    """The cache is disabled: it has no server."""


class View(NamedTuple):
    """Everything that distinguishes one cache from another."""

    namespace: str
    model: Any
    default_ttl: float | timedelta
    use_jitter: bool
    prefix: str
    version: str
    options: tuple[tuple[str, Any], ...]


class Client(hotshelf.RedisClient):
    """The servers, and all caches on them.

    Services that are created for each request look their cache up here, so that they share
    loads in flight and counters.
    """

    def __init__(
        self, manager: hotshelf.CacheManager, decode_responses: bool, timeout: float | None
    ) -> None:
        super().__init__(manager.store, decode_responses, timeout)
        self.manager = manager
        self._caches: dict[Hashable, hotshelf.CacheService[Any] | OffCache[Any]] = {}

    def cache(self, view: View) -> hotshelf.CacheService[Any] | OffCache[Any]:
        """Returns the cache of a view; for an invalid option, one that is off.

        Raises:
            Exception: That of pydantic, for a model that names types that are not defined yet.
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
        options: dict[str, Any] = {"key_layout": "fastapi_rc", **dict(view.options)}
        try:
            for name, own in (("ttl", "default_ttl"), ("jitter", "use_jitter")):
                if name in options:
                    raise TypeError(f"unknown option {name!r}: use {own!r}")
            return hotshelf.CacheService(
                self.manager,
                view.namespace,
                view.model,
                ttl=view.default_ttl,
                jitter=bool(view.use_jitter),
                prefix=view.prefix,
                version=view.version,
                **options,
            )
        except (CacheError, TypeError, ValueError) as error:
            return OffCache(view.namespace, error)


class DisabledClient(Client):
    """A client without servers: the factories of services run, and all commands fail."""

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
