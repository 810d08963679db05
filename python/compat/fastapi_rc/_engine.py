"""The client behind `cachemanager.client`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import Any, NamedTuple

import hotshelf
from fastapi_rc._off import OffCache
from hotshelf import CacheError


class NotAvailable(hotshelf.UnavailableError, RuntimeError):
    """The cache is disabled: it was initialized without a URL."""


class View(NamedTuple):
    """The options of a service, by which its cache is found."""

    namespace: str
    model: Any
    default_ttl: float | timedelta
    use_jitter: bool
    prefix: str
    version: str
    options: tuple[tuple[str, Any], ...]


class Client(hotshelf.RedisClient):
    """The raw client, and the caches on its servers.

    Services are created for each request and look their cache up here, so that they share
    loads in flight and counters.
    """

    def __init__(
        self, manager: hotshelf.CacheManager, decode_responses: bool, timeout: float | None
    ) -> None:
        super().__init__(manager.store, decode_responses, timeout)
        self.manager = manager
        self._caches: dict[Hashable, hotshelf.CacheService[Any] | OffCache[Any]] = {}

    def cache(self, view: View) -> hotshelf.CacheService[Any] | OffCache[Any]:
        """Returns the cache of a view, or an `OffCache` if an option is invalid.

        Raises:
            Exception: Raised by pydantic, for a model that refers to undefined types.
        """
        try:
            cache = self._caches.get(view)
        except TypeError:
            # The model isn't hashable.
            return self._create(view)
        if cache is None:
            cache = self._caches[view] = self._create(view)
        return cache

    def _create(self, view: View) -> hotshelf.CacheService[Any] | OffCache[Any]:
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
    """A client without servers: services run their factories, and all commands fail."""

    def __init__(self) -> None:
        super().__init__(_disabled_manager(), decode_responses=True, timeout=None)

    async def execute_command(self, *words: Any, read: Any = None, block: Any = None) -> Any:
        """Fails.

        Raises:
            NotAvailable: Always.
        """
        raise NotAvailable("Redis is not available: the cache was initialized without a URL")

    async def scan_iter(
        self, match: Any = None, count: int | None = None, _type: str | None = None
    ) -> AsyncIterator[Any]:
        """Fails like `execute_command`."""
        yield await self.execute_command()

    def pipeline(self, transaction: bool = True) -> hotshelf.Pipeline:
        """Fails like `execute_command`."""
        raise NotAvailable("Redis is not available: the cache was initialized without a URL")

    def pubsub(self, ignore_subscribe_messages: bool = False) -> hotshelf.PubSub:
        """Fails like `execute_command`."""
        raise NotAvailable("Redis is not available: the cache was initialized without a URL")


def _disabled_manager() -> hotshelf.CacheManager:
    return hotshelf.CacheManager("memory://", enabled=False)
