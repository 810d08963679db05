"""The connection to the backend, and the caches on it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from typing_extensions import ParamSpec, TypedDict, Unpack

from hotshelf import _hotshelf
from hotshelf._background import BackgroundTasks
from hotshelf._blocking import BackgroundThreads
from hotshelf._cached import (
    CachedDecorator,
    CallTags,
    cached_function,
    check_cacheable,
    check_called,
    full_name,
    is_same,
)
from hotshelf._errors import CacheError, ClosedError, ConfigurationError
from hotshelf._hotshelf import Pending, Store, declare_prefix
from hotshelf._keys import is_text, list_of_names
from hotshelf._options import (
    DEFAULT_JITTER,
    CacheManagerOptions,
    CachedOptions,
    CacheServiceOptions,
    Duration,
    check_names,
    checked_options,
    seconds,
)
from hotshelf._near import Near
from hotshelf._observing import Observing
from hotshelf._pending import result_of
from hotshelf._redis import RedisClient
from hotshelf._service import CacheService
from hotshelf._signature import KeyFunction, return_type
from hotshelf._stats import Stats
from hotshelf._tls import Tls

if TYPE_CHECKING:
    from hotshelf.sync import CacheManager as BlockingManager

logger = logging.getLogger("hotshelf")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_DEFAULT_PREFIX = "cache"


class _NoUrl:
    """Stands for a URL that was not passed."""

    def __repr__(self) -> str:
        return "<no URL>"


_NO_URL: Any = _NoUrl()
declare_prefix(_DEFAULT_PREFIX)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hotshelf.before_fork,
        after_in_parent=_hotshelf.after_fork_in_parent,
        after_in_child=_hotshelf.after_fork,
    )


class Health(TypedDict):
    """The state of a backend, and the counters of its caches.

    Attributes:
        backend: `redis` or `memory`.
        address: The addresses of the servers, without passwords.
        enabled: Whether the caches are on.
        available: Whether the backend answered.
        server: Information about the server; `None` if it didn't answer.
        near: The state of the near tier; `None` without one.
        caches: The counters of each cache, by its name.
    """

    backend: str
    address: str
    enabled: bool
    available: bool
    server: dict[str, Any] | None
    near: dict[str, float] | None
    caches: dict[str, Stats]


class CacheManager:
    """A connection to Redis or Valkey, or an in-memory backend, and the caches on it.

    It connects on first use, and reconnects in the background. It works on any number of
    event loops, each with its own connections, and in forked processes.
    """

    _blocking: BlockingManager | None = None

    def __init__(
        self,
        url: str | Any = _NO_URL,
        *,
        connect_timeout: float = 0.25,
        read_timeout: float = 0.1,
        store_timeout: float = 0.25,
        client_name: str | None = None,
        user: str | None = None,
        password: str | None = None,
        db: int | None = None,
        protocol: Literal[2, 3] | None = None,
        tls: Tls | bool | None = None,
        sentinel_tls: Tls | bool | None = None,
        memory_capacity: int = 64 << 20,
        near: Near | bool = False,
        enabled: bool = True,
    ) -> None:
        """Creates a manager. It doesn't connect yet.

        Args:
            url: `redis://…`, `rediss://…`, `unix:///…`, `redis+sentinel://…/service`,
                `redis+cluster://…`, or `memory://` for the memory of this process; a pydantic
                URL such as `RedisDsn`, too. Without one, call `open` before use: until then
                factories run without a cache. With `None`, as from an environment variable
                that isn't set, the caches are off, which is logged.
            connect_timeout: The timeout of connecting, handshake included, in seconds.
            read_timeout: The timeout of a read, in seconds.
            store_timeout: The timeout of a write, in seconds.
            client_name: The name that `CLIENT LIST` shows.
            user: The user. Default: the URL's.
            password: The password. Default: the URL's.
            db: The number of the database. Default: the URL's, or 0.
            protocol: The version of RESP, 2 or 3. Default: the URL's, or 3, and 2 for servers
                and proxies that don't know it.
            tls: The certificates, or `True` for TLS with the system's, as with `rediss://`.
            sentinel_tls: The same for connections to Sentinels; `False` disables TLS there.
                Default: as for servers.
            memory_capacity: The capacity of `memory://`, in bytes.
            near: Whether to keep what is read from a server in the memory of this process, too:
                `True`, or `Near` with options. Of no use for `memory://`.
            enabled: Whether the caches are initially on.

        Raises:
            ConfigurationError: For an invalid URL or timeout. The text never shows the password.
        """
        self._options: dict[str, Any] = {
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "store_timeout": store_timeout,
            "client_name": client_name,
            "user": user,
            "password": password,
            "db": db,
            "protocol": protocol,
            "tls": tls,
            "sentinel_tls": sentinel_tls,
            "memory_capacity": memory_capacity,
            "near": near,
            "enabled": enabled,
        }
        self._store: Store | None = None
        self._redis: RedisClient | None = None
        self._closed: Store | None = None
        #: The store of services until the manager is open: nothing is cached.
        self._unopened: Store | None = None
        #: What replaces the servers in tests, and what it replaces: the open and the closed store.
        self._replacement: Store | None = None
        self._replaced: tuple[Store | None, Store | None] = None, None
        self._cores: dict[Any, _hotshelf.Cache] = {}
        self._background = BackgroundTasks()
        self._threads = BackgroundThreads()
        #: The functions whose arguments are the keys of a cache.
        self._claims: dict[tuple[str, str, str], Callable[..., Any]] = {}
        self._services: weakref.WeakSet[CacheService[Any]] = weakref.WeakSet()
        self._observing = Observing()
        #: The number of lifespans that have begun and not ended.
        self._lifespans = 0
        if url is not _NO_URL:
            self.open(url)

    def open(self, url: str | Any = _NO_URL, **options: Unpack[CacheManagerOptions]) -> None:
        """Sets the URL of a manager that was created without one, or was closed. It doesn't
        connect yet. Its services use the new servers from then on.

        Args:
            url: As for the constructor. Without one, a manager that was closed uses its
                previous servers again.
            options: Overrides for the keyword options of the constructor.

        Raises:
            ConfigurationError: For an invalid URL, or if the manager is already open.
        """
        if self._store is not None:
            message = "the manager is already open: call close() first, or create another one"
            raise ConfigurationError(message)
        if url is _NO_URL:
            if self._closed is None:
                raise ConfigurationError("no URL: pass one, or `memory://`")
            self._closed.reopen()
            self._store = self._closed
            return
        chosen = checked_options({**self._options, **_switched_off(url), **options})
        text = _text(url)
        self._use(Store(text, **chosen) if self._replacement is None else self._replacement)
        if self._replacement is None and self.store.backend == "memory" and url is not None:
            _warn_of_workers()

    def _use(self, store: Store | None) -> None:
        """Uses a store, and attaches all services to it."""
        self._store = store
        self._cores.clear()
        for service in list(self._services):
            service._attach()

    def _stand_in(self, store: Store | None) -> None:
        """Replaces the servers by a store for tests, or restores them. A manager that isn't open
        uses it when it is opened.

        Raises:
            ConfigurationError: If they are replaced already.
        """
        if store is None:
            self._replacement = None
            opened, self._closed = self._replaced
            self._use(opened)
            return
        if self._replacement is not None:
            raise ConfigurationError("the manager is in memory already: leave `in_memory` first")
        self._replaced = self._store, self._closed
        self._replacement = store
        self._closed = None if self._closed is None else store
        self._use(None if self._store is None else store)

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
        store = self.store
        if self._redis is None or self._redis.store is not store:
            self._redis = RedisClient(store)
        return self._redis

    @property
    def sync(self) -> BlockingManager:
        """The same manager, with methods that block their thread."""
        from hotshelf.sync import CacheManager

        if self._blocking is None:
            self._blocking = CacheManager._of(self)
        return self._blocking

    @overload
    def service(
        self, namespace: str, model: type[T], **options: Unpack[CacheServiceOptions]
    ) -> CacheService[T]: ...

    @overload
    def service(
        self, namespace: str, model: Any = None, **options: Unpack[CacheServiceOptions]
    ) -> CacheService[Any]: ...

    def service(
        self, namespace: str, model: Any = None, **options: Unpack[CacheServiceOptions]
    ) -> CacheService[Any]:
        """Returns a cache. Use it anywhere, and as a dependency of FastAPI: `Depends(products)`.

        It may be declared before the manager is open. Its model may be any annotation that
        pydantic supports, such as `Optional[Product]` or `Annotated[int, Gt(0)]`; for those
        that are no classes, annotate the variable: `products: CacheService[Product | None]`.

        Args:
            namespace: The third part of keys.
            model: The type of the values; see `CacheService`.
            options: The keyword options of `CacheService`.

        Raises:
            TypeError: For an unknown option.
            ConfigurationError: For an invalid option, or a model that pydantic doesn't support.
        """
        check_names(namespace, options)
        # A worker may have to invalidate a tag before its first read.
        declare_prefix(options.get("prefix", _DEFAULT_PREFIX))
        return CacheService(self, namespace, model, **options)

    def cached(
        self,
        misplaced: None = None,
        /,
        *,
        name: str | None = None,
        model: Any = None,
        key: KeyFunction | None = None,
        skip: Sequence[str] = (),
        vary: Callable[[Any], Any] | None = None,
        tags: CallTags = (),
        ttl: Duration = 300,
        negative_ttl: Duration | None = None,
        background: bool = False,
        **options: Unpack[CachedOptions],
    ) -> CachedDecorator:
        """Returns a decorator for an async function whose results are cached, in a cache of its
        own:

            @cache.cached(ttl="15m")
            async def rate(currency: str) -> Decimal: ...

        Args:
            name: The third part of keys. Default: the module and the name of the function.
            model: The type of the results. Default: the annotation of the function.
            key: Returns the identifier of a call; see `CacheService.cached`, also for `skip`,
                `vary`, `tags` and `background`.
            skip: The parameters that aren't part of the key.
            vary: Returns what tells users apart.
            tags: The tags of the entries.
            ttl: The lifetime of the entries, in seconds, or text such as `"15m"`.
            negative_ttl: The lifetime of a `None`. Default: the same.
            background: Whether the function may run in a task of its own.
            options: The keyword options of `CacheService`.

        Raises:
            ConfigurationError: As `CacheService.cached`; and if the type of the results isn't known.
        """
        check_called(misplaced, "cache.cached")

        def decorate(function: Callable[..., Any]) -> Any:
            check_cacheable(function)
            namespace = full_name(function) if name is None else name
            kind = return_type(function) if model is None else model
            chosen = cast("CacheServiceOptions", {**options, "ttl": seconds("ttl", ttl)})
            if negative_ttl is not None:
                chosen["negative_ttl"] = seconds("negative_ttl", negative_ttl)
            service = self.service(namespace, kind, **chosen)
            return cached_function(
                function, service, key=key, skip=skip, vary=vary, tags=tags,
                background=background, is_own=True,
            )  # fmt: skip

        return cast("CachedDecorator", decorate)

    def _claim(self, service: CacheService[Any], function: Callable[..., Any]) -> None:
        """Notes that the keys of a cache are the arguments of a function.

        Raises:
            ConfigurationError: If they are those of another function.
        """
        place = (service.prefix, service.version, service.namespace)
        earlier = self._claims.get(place)
        if earlier is not None and not is_same(function, earlier):
            mine, other = full_name(function), full_name(earlier)
            if mine != other or "<locals>" in mine:
                which = f"{mine} and {other}" if mine != other else f"two functions {mine}"
                raise ConfigurationError(
                    f"{which} would share the entries of the cache {service.namespace!r}: give"
                    " each a `name` of its own, or a `key` that tells them apart"
                )
            logger.warning(
                "cache: %s is defined anew: what the cache holds of it is served on until its"
                " ttl ends", mine,
            )
        self._claims[place] = function

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Connects when the application starts, and closes when it shuts down. Costs one
        round trip at startup.

        An unreachable server is not an error: the application starts, and a warning is
        logged. An application that is restarted, as in tests, reopens the same servers. Of
        several lifespans of one manager, such as those of mounted applications, the last one
        closes it.
        """
        if self._store is None and self._closed is not None:
            self.open()
        self._lifespans += 1
        try:
            if not await self.ping():
                logger.warning(
                    "cache: the server doesn't answer; starting without it, factories run"
                )
            yield
        finally:
            self._lifespans -= 1
            if self._lifespans == 0:
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
            "near": store.near(),
            "caches": cast("dict[str, Stats]", store.stats()),
        }

    def metrics_text(self) -> str:
        """Returns all counters, and the state of the backend as far as it is known without asking,
        in the text format of Prometheus, with the names of Micrometer's convention. Costs no round
        trip.

            @app.get("/metrics")
            def metrics() -> PlainTextResponse:
                return PlainTextResponse(cache.metrics_text())

        `hotshelf.prometheus` adds them to the registry of `prometheus_client`, and
        `hotshelf.opentelemetry` to a meter.

        Raises:
            ClosedError: If the manager was never opened.
        """
        return self._latest.metrics_text()

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Returns the latest events, oldest first, at most 256: a backend that begins to fail or
        works again, invalidations with their outcome, factories that took longer than a second.
        Each has a `number`, a `kind` and an `age` in seconds.

        Args:
            since: The first number to return.

        Raises:
            ClosedError: If the manager was never opened.
        """
        return self._latest.events(since)

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
        tags = list_of_names(names, "names")
        with contextlib.suppress(CacheError), self._observing.invalidate_tags(len(tags)):
            done = self.store.invalidate_tags(all_prefixes, tags)
            if type(done) is Pending:
                await result_of(done)
            return True
        return False

    def consistency_token(self) -> str:
        """Returns a token for the changes that were applied before this call: `delete`, `set`,
        `write_through` and `invalidate_tags` that returned `True`.

        A call that presents it as `after=` gets no older value, in any process, and so reads
        what its user has written. Hand it on with the response, such as in a header. Of several
        tokens, the last one is enough. It contains nothing but random bits, and needs no secrecy.
        Without near tiers no call gets an older value anyway.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        return self.store.consistency_token()

    def set_enabled(self, enabled: bool) -> None:
        """Switches all caches on or off.

        While they are off, factories run, and nothing is read or stored. Invalidations are
        still executed, and a write or a reload removes the entry that it would have replaced.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        self.store.set_enabled(enabled)

    async def close(self) -> bool:
        """Finishes what was begun, and closes all connections. Services of the manager then run
        factories without a cache, until it is opened again.

        Factories that run in the background are cancelled. Invalidations whose callers were
        cancelled are completed, the leases of factories that still run are released, so that
        other processes don't wait for them, and keys that are being written are invalidated.
        Returns whether this succeeded, within two seconds; if it did not, what is left is logged.
        """
        store, self._store = self._store, None
        self._closed = store or self._closed
        if store is None:
            return True
        await self._background.cancel()
        self._threads.close()
        closing = store.close()
        if type(closing) is Pending:
            closing = await result_of(closing)
        return cast("bool", closing)

    def _observe(self, observing: Observing) -> None:
        """Tells of the calls of all caches, from now on."""
        self._observing = observing
        for service in list(self._services):
            service._attach()

    def _add(self, service: CacheService[Any]) -> None:
        """Attaches a service to the servers, now and whenever the manager is opened."""
        service._attach()
        self._services.add(service)

    def _cache(self, namespace: str, **options: Any) -> _hotshelf.Cache:
        """Returns the engine's view of a cache, from a dict: creating one is slow."""
        store = self._store or self._closed or self._unopened
        if store is self._replacement is not None and options["jitter"] == DEFAULT_JITTER:
            options["jitter"] = 0.0
        key = (namespace, *options.values())
        core = self._cores.get(key)
        if core is None:
            if store is None:
                # Of no use in memory, and not converted yet.
                unused = dict.fromkeys(("tls", "sentinel_tls", "near"))
                off = {**self._options, **unused, "enabled": False}
                store = self._unopened = Store("memory://", **off)
            core = self._cores[key] = _hotshelf.Cache(store, namespace, **options)
            declare_prefix(options["prefix"])
        return core


def _text(url: Any) -> str:
    """Returns the text of a URL; `None` stands for caches that are off.

    Raises:
        ConfigurationError: For an object that is neither text nor a URL of pydantic.
    """
    if url is None:
        logger.warning("cache: the URL is None; the caches are off, factories run")
        return "memory://"
    if isinstance(url, str):
        return url
    if hasattr(url, "unicode_string"):
        return str(url)
    kind = type(url).__name__
    raise ConfigurationError(f"invalid URL of type {kind}: use text or a URL of pydantic")


def _switched_off(url: Any) -> dict[str, Any]:
    return {"enabled": False} if url is None else {}


def _warn_of_workers() -> None:
    """Warns if the process seems to be one of several workers, which share no memory."""
    workers = os.environ.get("WEB_CONCURRENCY", "1")
    if multiprocessing.parent_process() is not None or workers not in ("", "0", "1"):
        logger.warning(
            "cache: memory:// belongs to one process: with several workers each has its own"
            " cache, and an invalidation reaches one of them; use Redis"
        )
