"""The connection to the backend, and the caches on it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar, cast

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from typing_extensions import TypedDict, Unpack

from hotshelf import _hotshelf
from hotshelf._errors import CacheError, ClosedError, ConfigurationError
from hotshelf._hotshelf import Pending, Store, declare_prefix
from hotshelf._keys import is_text, list_of_names
from hotshelf._options import CacheServiceOptions, check_names
from hotshelf._pending import result_of
from hotshelf._redis import RedisClient
from hotshelf._service import CacheService, Stats

logger = logging.getLogger("hotshelf")

T = TypeVar("T")

_DEFAULT_PREFIX = "cache"
declare_prefix(_DEFAULT_PREFIX)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hotshelf.after_fork)


class Health(TypedDict):
    """The state of a backend, and the counters of its caches.

    Attributes:
        backend: `redis` or `memory`.
        address: The addresses of the servers, without passwords.
        enabled: Whether the caches are on.
        available: Whether the backend answered.
        server: Information about the server; `None` if it didn't answer.
        caches: The counters of each cache, by its name.
    """

    backend: str
    address: str
    enabled: bool
    available: bool
    server: dict[str, Any] | None
    caches: dict[str, Stats]


class CacheManager:
    """A connection to Redis or Valkey, or an in-memory backend, and the caches on it.

    It connects on first use, and reconnects in the background. It works on any number of
    event loops, each with its own connections, and in forked processes.
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
        """Creates a manager. It doesn't connect yet.

        Args:
            url: `redis://…`, `rediss://…`, `unix:///…`, `redis+sentinel://…/service`,
                `redis+cluster://…`, or `memory://` for the memory of this process. Without
                one, call `open` before use.
            connect_timeout: The timeout of connecting, handshake included, in seconds.
            read_timeout: The timeout of a read, in seconds.
            store_timeout: The timeout of a write, in seconds.
            client_name: The name that `CLIENT LIST` shows.
            memory_capacity: The capacity of `memory://`, in bytes.
            enabled: Whether the caches are initially on.

        Raises:
            ConfigurationError: For an invalid URL. The text never shows the password.
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
        """Sets the URL of a manager that was created without one, or was closed. It doesn't
        connect yet.

        Services that were created before it was closed keep their old servers.

        Args:
            url: As for the constructor.
            options: Overrides for the keyword options of the constructor.

        Raises:
            ConfigurationError: For an invalid URL, or if the manager is already open.
        """
        if self._store is not None:
            message = "the manager is already open: call close() first, or create another one"
            raise ConfigurationError(message)
        self._store = Store(url, **{**self._options, **options})
        self._cores.clear()

    @property
    def store(self) -> Store:
        """The engine's handle of the backend, which the caches use.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        if self._store is None:
            raise ClosedError("the manager is not open: pass a URL to CacheManager, or call open()")
        return self._store

    @property
    def _latest(self) -> Store:
        """The open store, or else the closed one, whose operations fail."""
        return self._store or self._closed or self.store

    @property
    def is_open(self) -> bool:
        """Whether the manager is open."""
        return self._store is not None

    @property
    def redis(self) -> RedisClient:
        """A client for commands and pipelines on the servers.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        return RedisClient(self.store)

    def service(
        self,
        namespace: str,
        model: type[T] | None = None,
        **options: Unpack[CacheServiceOptions],
    ) -> Callable[[], CacheService[T]]:
        """Returns a FastAPI dependency that returns a cache.

        Args:
            namespace: The third part of keys.
            model: The type of the values; see `CacheService`.
            options: The keyword options of `CacheService`.

        Raises:
            TypeError: For an unknown option.
            ConfigurationError: For an invalid option, if the manager is open.
        """
        check_names(namespace, options)

        def cache() -> CacheService[T]:
            return CacheService(self, namespace, model, **options)

        if self.is_open:
            # Report an invalid option at the declaration, not at the first request. A model
            # may refer to types that are defined later.
            with contextlib.suppress(PydanticUserError, PydanticUndefinedAnnotation):
                cache()
        # A worker may have to invalidate a tag before its first read.
        declare_prefix(options.get("prefix", _DEFAULT_PREFIX))
        return cache

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Connects when the application starts, and closes when it shuts down. Costs one
        round trip at startup.

        An unreachable server is not an error: the application starts, and a warning is
        logged. An application that is restarted, as in tests, reopens the same servers.
        """
        if self._store is None and self._closed is not None:
            self._closed.reopen()
            self._store = self._closed
        if not await self.ping():
            logger.warning("cache: the server doesn't answer; starting without it, factories run")
        try:
            yield
        finally:
            await self.close()

    async def ping(self) -> bool:
        """Returns whether the backend answers; `False` if the manager is closed. Costs one
        round trip. A failure is logged."""
        if self._store is None:
            return False
        try:
            answer = self._store.ping()
            if type(answer) is Pending:
                await result_of(answer)
        except CacheError as error:
            logger.warning("cache: ping failed: %s", error)
            return False
        return True

    async def health(self) -> Health:
        """Returns the state of the backend and the counters of all caches. It contains no
        passwords and no keys. Costs one round trip.

        Raises:
            ClosedError: If the manager was never opened.
        """
        store = self._latest
        server: dict[str, Any] | None
        try:
            info = store.info()
            if type(info) is Pending:
                info = await result_of(info)
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
        """Invalidates all entries that carry a tag; see `invalidate_tags`. Costs one round
        trip, however many entries there are."""
        return await self.invalidate_tags([name], prefixes=prefixes)

    async def invalidate_tags(
        self, names: Iterable[str], *, prefixes: Iterable[str] = ()
    ) -> bool:
        """Invalidates all entries that carry one of the tags, and refuses their loads in
        flight. Costs one round trip.

        Call it after the change is committed. Returns `False` if the backend failed, if the
        manager is not open, or if some of the names are invalid; the valid ones are
        invalidated anyway.

        Args:
            names: The names of the tags.
            prefixes: Further cache prefixes. Tags belong to the prefix of a cache: this
                method covers the default prefix and those of all services that this process
                has declared or created. Pass prefixes that only other processes use.

        Raises:
            TypeError: For a string instead of a list of strings.
        """
        all_prefixes = [prefix for prefix in list_of_names(prefixes, "prefixes") if is_text(prefix)]
        try:
            done = self.store.invalidate_tags(all_prefixes, list_of_names(names, "names"))
            if type(done) is Pending:
                await result_of(done)
        except CacheError:
            return False
        return True

    def set_enabled(self, enabled: bool) -> None:
        """Switches all caches on or off.

        While they are off, factories run, and nothing is read or stored. Invalidations are
        still executed, and a write or a reload removes the entry that it would have replaced.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        self.store.set_enabled(enabled)

    async def close(self) -> None:
        """Closes all connections. Services of the manager then run factories without a cache."""
        store, self._store = self._store, None
        self._closed = store or self._closed
        self._cores.clear()
        if store is not None:
            closing = store.close()
            if type(closing) is Pending:
                await result_of(closing)

    def _cache(self, namespace: str, **options: Any) -> _hotshelf.Cache:
        """Returns the engine's view of a cache, from a dict: creating one is slow."""
        key = (namespace, *options.values())
        core = self._cores.get(key)
        if core is None:
            core = self._cores[key] = _hotshelf.Cache(self._latest, namespace, **options)
            declare_prefix(options["prefix"])
        return core
