"""The connection, and all caches on it."""

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
from hotshelf._keys import is_text, listed
from hotshelf._options import CacheServiceOptions, check_names
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
    """The state of a backend, and the counters of its caches."""

    backend: str
    address: str
    enabled: bool
    available: bool
    server: dict[str, Any] | None
    caches: dict[str, Stats]


class CacheManager:
    """The connection to Redis or Valkey, or the process's own memory, and all caches on it.

    It connects when it is first used, and again when the connection is lost. It works on any
    number of event loops, each with connections of its own, and in forked processes.
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
        """Creates a manager; nothing is sent yet.

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
            ConfigurationError: For an invalid URL; the text never shows the password.
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
        """Sets the URL of a manager that was created without one.

        Services that were created before it was closed keep the servers that they had.

        Raises:
            ConfigurationError: For an invalid URL, and if the manager is open already.
        """
        if self._store is not None:
            message = "the manager is already open: close() it first, or create another one"
            raise ConfigurationError(message)
        self._store = Store(url, **{**self._options, **options})
        self._cores.clear()

    @property
    def store(self) -> Store:
        """The store that the caches use.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        if self._store is None:
            raise ClosedError("the manager is not open: pass a URL to CacheManager, or call open()")
        return self._store

    @property
    def _latest(self) -> Store:
        """The store, or the one that was closed, whose operations fail."""
        return self._store or self._closed or self.store

    @property
    def is_open(self) -> bool:
        """Whether the manager is open."""
        return self._store is not None

    @property
    def redis(self) -> RedisClient:
        """The servers themselves: any command, any pipeline."""
        return RedisClient(self.store)

    def service(
        self,
        namespace: str,
        model: type[T] | None = None,
        **options: Unpack[CacheServiceOptions],
    ) -> Callable[[], CacheService[T]]:
        """Returns a dependency for FastAPI that returns a cache.

        Args:
            namespace: The third part of keys.
            model: What values are; see `CacheService`.
            options: The keyword options of `CacheService`.

        Raises:
            TypeError: For an option that doesn't exist.
            ConfigurationError: For an invalid option, if the manager is open.
        """
        check_names(namespace, options)

        def cache() -> CacheService[T]:
            return CacheService(self, namespace, model, **options)

        if self.is_open:
            # An invalid option is an error of the declaration, not of the first request. A
            # model may name types that are defined later.
            with contextlib.suppress(PydanticUserError, PydanticUndefinedAnnotation):
                cache()
        # A worker may be asked to invalidate before it has read anything.
        declare_prefix(options.get("prefix", _DEFAULT_PREFIX))
        return cache

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Connects when an application starts, and closes when it ends.

        An unreachable server is not an error: the application starts without it. An
        application that starts again, as in tests, opens the same servers again.
        """
        if self._store is None and self._closed is not None:
            self._closed.reopen()
            self._store = self._closed
        if not await self.ping():
            logger.warning("cache: the server doesn't answer; serving without it for now")
        try:
            yield
        finally:
            await self.close()

    async def ping(self) -> bool:
        """Returns whether the backend answers. Costs one round trip."""
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
        """Returns the state of the backend and the counters of all caches, without passwords
        and keys. Costs one round trip.

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

        Tags belong to the prefix of a cache. Those of the default prefix, of all services
        that this process has declared or created, and of `prefixes` are invalidated: pass
        the prefixes there that only other processes use.

        Call it after the change is committed. `False` means that the backend failed, or that
        some of the names are invalid: the others are invalidated all the same.

        Raises:
            TypeError: For a string in place of a list of strings.
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
        """Closes all connections."""
        store, self._store = self._store, None
        self._closed = store or self._closed
        self._cores.clear()
        if store is not None:
            closing = store.close()
            if type(closing) is Pending:
                await settled(closing)

    def _cache(self, namespace: str, **options: Any) -> _hotshelf.Cache:
        """Returns the engine's view of a cache. Creating one takes time, so it is kept."""
        key = (namespace, *options.values())
        core = self._cores.get(key)
        if core is None:
            core = self._cores[key] = _hotshelf.Cache(self._latest, namespace, **options)
            declare_prefix(options["prefix"])
        return core
