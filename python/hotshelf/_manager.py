"""The connection, and all caches on it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, cast

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from hotshelf import _hotshelf
from hotshelf._errors import CacheError, ClosedError, ConfigurationError
from hotshelf._hotshelf import Pending, Store, declare_prefix
from hotshelf._keys import is_text, listed
from hotshelf._pending import settled
from hotshelf._redis import RedisClient
from hotshelf._service import CacheService, Stats

logger = logging.getLogger("hotshelf")

T = TypeVar("T")

_DEFAULT_PREFIX = "cache"
declare_prefix(_DEFAULT_PREFIX)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hotshelf.after_fork)


class Health(TypedDict):
    """How a cache is doing."""

    backend: str
    address: str
    enabled: bool
    available: bool
    server: dict[str, Any] | None
    caches: dict[str, Stats]


class CacheManager:
    """The connection to Redis or Valkey, or the process's own memory, and all caches on it.

    It connects by itself when something is first asked, and again when the connection is
    lost. It works on any number of event loops, each with connections of its own, and in
    processes that were forked off.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        connect_timeout: float = 0.25,
        read_timeout: float = 0.1,
        store_timeout: float = 0.25,
        client_name: str | None = None,
        memory_capacity: int = 64 << 20,
        enabled: bool = True,
    ) -> None:
        """Makes a manager; nothing is sent yet.

        Args:
            url: `redis://…`, `rediss://…`, `unix:///…`, `redis+sentinel://…/service`,
                `redis+cluster://…`, or `memory://` for the process's own memory. Without
                one, call `open` before use.
            connect_timeout: How long connecting may take, in seconds.
            read_timeout: How long a read may take, in seconds.
            store_timeout: How long a write may take, in seconds.
            client_name: The name that `CLIENT LIST` shows.
            memory_capacity: The bytes that `memory://` may hold.
            enabled: Whether the caches are on at first.

        Raises:
            ConfigurationError: For a URL that is wrong; it never shows the password.
        """
        self._options: dict[str, Any] = {
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "store_timeout": store_timeout,
            "client_name": client_name,
            "memory_capacity": memory_capacity,
            "enabled": enabled,
        }
        self._store: Store | None = None
        self._closed: Store | None = None
        self._cores: dict[Any, _hotshelf.Cache] = {}
        if url is not None:
            self.open(url)

    def open(self, url: str, **options: Any) -> None:
        """Sets where the servers are, for a manager that was made without.

        Services that were made before belong to the servers before.

        Raises:
            ConfigurationError: As the constructor, and if it is open already.
        """
        if self._store is not None:
            raise ConfigurationError("it is open already: close() it first, or make another")
        self._store = Store(url, **{**self._options, **options})
        self._cores.clear()

    @property
    def store(self) -> Store:
        """The store behind it.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        if self._store is None:
            raise ClosedError("the cache is not open: give CacheManager a URL, or call open()")
        return self._store

    @property
    def _latest(self) -> Store:
        """The store, or the one that was closed: it answers all with an error."""
        return self._store or self._closed or self.store

    @property
    def is_open(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    @property
    def redis(self) -> RedisClient:
        """The servers themselves: any command, any pipeline."""
        return RedisClient(self.store)

    def service(
        self,
        namespace: str,
        model: type[T] | None = None,
        *,
        ttl: float | timedelta = 300,
        jitter: bool = True,
        prefix: str = _DEFAULT_PREFIX,
        version: str = "v1",
        **options: Any,
    ) -> Callable[[], CacheService[T]]:
        """Gives a dependency for FastAPI that gives a cache.

        `options` are those of `CacheService`.

        Raises:
            ConfigurationError, ValueError, TypeError: For an option that is wrong, if the
                manager is open.
        """

        def cache() -> CacheService[T]:
            return CacheService(
                self, namespace, model, ttl, jitter, prefix, version, **options
            )

        if self.is_open:
            # What is wrong shows when it is declared, not with the first request. Only a
            # model may name what is defined further down.
            with contextlib.suppress(PydanticUserError, PydanticUndefinedAnnotation):
                cache()
        # A worker may be asked to invalidate before it has read anything.
        declare_prefix(prefix)
        return cache

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Connects when an application starts, and closes when it ends.

        A server that is away is no error: the application starts without. One that is
        started again, as tests do, opens the same servers again.
        """
        if self._store is None and self._closed is not None:
            self._closed.reopen()
            self._store = self._closed
        if not await self.ping():
            logger.warning("the cache server doesn't answer; serving without it for now")
        try:
            yield
        finally:
            await self.close()

    async def ping(self) -> bool:
        """Says whether the backend answers. Costs one round trip."""
        if self._store is None:
            return False
        try:
            answer = self._store.ping()
            if type(answer) is Pending:
                await settled(answer)
        except CacheError as error:
            logger.warning("cache: ping failed: %s", error)
            return False
        return True

    async def health(self) -> Health:
        """Says how the cache is doing. It holds no password and no key.

        Raises:
            ClosedError: Before it was first opened.
        """
        store = self._latest
        server: dict[str, Any] | None
        try:
            info = store.info()
            if type(info) is Pending:
                info = await settled(info)
            server = cast("dict[str, Any]", info)
        except CacheError:
            server = None
        return {
            "backend": store.backend,
            "address": store.address,
            "enabled": store.enabled,
            "available": server is not None,
            "server": server,
            "caches": cast("dict[str, Stats]", store.stats()),
        }

    async def invalidate_tag(self, name: str, *, prefixes: Iterable[str] = ()) -> bool:
        """Invalidates all entries that carry a tag, however many; see `invalidate_tags`."""
        return await self.invalidate_tags([name], prefixes=prefixes)

    async def invalidate_tags(
        self, names: Iterable[str], *, prefixes: Iterable[str] = ()
    ) -> bool:
        """Invalidates all entries that carry one of the tags, and refuses their loads in
        flight. Costs one round trip.

        Tags belong to the prefix of a cache. Reached are the default one, those of all
        services that this process has declared or made, and `prefixes`: name here what
        other processes alone use.

        Call it after the change is committed. `False` means that the backend fails, or that
        some of the names are invalid: the others are invalidated all the same.

        Raises:
            TypeError: For a text in place of a list of texts.
        """
        reached = [prefix for prefix in listed(prefixes, "prefixes") if is_text(prefix)]
        try:
            done = self.store.invalidate_tags(reached, listed(names, "names"))
            if type(done) is Pending:
                await settled(done)
        except CacheError:
            return False
        return True

    def set_enabled(self, enabled: bool) -> None:
        """Switches all caches on or off. While they are off, factories run and nothing is
        read or stored. Invalidations go on, and a write or a reload removes the entry that
        it would have replaced."""
        self.store.set_enabled(enabled)

    async def close(self) -> None:
        """Lets all connections go."""
        store, self._store = self._store, None
        self._closed = store or self._closed
        self._cores.clear()
        if store is not None:
            closing = store.close()
            if type(closing) is Pending:
                await settled(closing)

    def _cache(self, namespace: str, **options: Any) -> _hotshelf.Cache:
        """Gives the engine's view of a cache: making one takes time, so it is kept."""
        key = (namespace, *options.values())
        core = self._cores.get(key)
        if core is None:
            core = self._cores[key] = _hotshelf.Cache(self._latest, namespace, **options)
            declare_prefix(options["prefix"])
        return core
