"""The connection to the backend, without `await`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, overload

from typing_extensions import ParamSpec, Self, Unpack

from hotshelf import _manager
from hotshelf._blocking import wait
from hotshelf._cached import CallTags
from hotshelf._manager import Health
from hotshelf._options import CachedOptions, CacheManagerOptions, CacheServiceOptions, Duration
from hotshelf._signature import KeyFunction
from hotshelf.sync._cached import CachedFunction, only_sync
from hotshelf.sync._redis import RedisClient
from hotshelf.sync._service import CacheService

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class CacheManager:
    """A connection to Redis or Valkey, or an in-memory backend, and the caches on it, whose
    methods block their thread.

    It has the methods of `hotshelf.CacheManager`, with the same arguments and results. All threads
    of a process share one connection to each server. It connects on first use, and reconnects in
    the background, in one thread. It works in forked processes.

    `asynchronous` is the same manager for event loops; `hotshelf.CacheManager.sync` returns this
    one. So a process may use both, on the same entries, loads in flight and counters.
    """

    def __init__(
        self, url: str | Any = _manager._NO_URL, **options: Unpack[CacheManagerOptions]
    ) -> None:
        """Creates a manager. It doesn't connect yet; see `hotshelf.CacheManager` for the URL and
        the options.

        Raises:
            ConfigurationError: For an invalid URL or option.
        """
        self._manager = _manager.CacheManager(url, **options)
        self._manager._blocking = self

    @classmethod
    def _of(cls, manager: _manager.CacheManager) -> CacheManager:
        """Returns the view of a manager."""
        view = cls.__new__(cls)
        view._manager = manager
        return view

    @property
    def asynchronous(self) -> _manager.CacheManager:
        """The same manager, with methods to `await`."""
        return self._manager

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(
        self, url: str | Any = _manager._NO_URL, **options: Unpack[CacheManagerOptions]
    ) -> None:
        """Sets the URL of a manager that was created without one, or was closed.

        Raises:
            ConfigurationError: For an invalid URL, or if the manager is already open.
        """
        self._manager.open(url, **options)

    @property
    def is_open(self) -> bool:
        """Whether the manager is open."""
        return self._manager.is_open

    @property
    def redis(self) -> RedisClient[str]:
        """A client for commands and pipelines on the servers.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        return RedisClient(self._manager.redis)

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
        """Returns a cache, also for use as a dependency of FastAPI: `Depends(products)`.

        Args:
            namespace: The third part of keys.
            model: The type of the values; see `hotshelf.CacheService`.
            options: The keyword options of `hotshelf.CacheService`.

        Raises:
            TypeError: For an unknown option.
            ConfigurationError: For an invalid option, or a model that pydantic doesn't support.
        """
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
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Returns a decorator for a function whose results are cached, in a cache of its own, with
        the options of `hotshelf.CacheManager.cached`:

            @cache.cached(ttl="15m")
            def rate(currency: str) -> Decimal: ...

        Raises:
            ConfigurationError: As `CacheService.cached`; and if the type of the results isn't known.
        """
        return only_sync(
            self._manager.cached(
                misplaced, name=name, model=model, key=key, skip=skip, vary=vary, tags=tags,
                ttl=ttl, negative_ttl=negative_ttl, background=background, **options,
            )
        )  # fmt: skip

    def lifespan(self, app: Any = None) -> AbstractAsyncContextManager[None]:
        """Connects when an application starts, and closes when it shuts down; see
        `hotshelf.CacheManager.lifespan`."""
        return self._manager.lifespan(app)

    def ping(self) -> bool:
        """Returns whether the backend answers; `False` if the manager is closed. Costs one
        round trip. A failure is logged."""
        return wait(self._manager.ping())

    def health(self) -> Health:
        """Returns the state of the backend and the counters of all caches. It contains no
        passwords and no keys. Costs one round trip.

        Raises:
            ClosedError: If the manager was never opened.
        """
        return wait(self._manager.health())

    def metrics_text(self) -> str:
        """Returns all counters in the text format of Prometheus; see
        `hotshelf.CacheManager.metrics_text`.

        Raises:
            ClosedError: If the manager was never opened.
        """
        return self._manager.metrics_text()

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Returns the latest events, oldest first; see `hotshelf.CacheManager.events`.

        Raises:
            ClosedError: If the manager was never opened.
        """
        return self._manager.events(since)

    def invalidate_tag(self, name: str, *, prefixes: Iterable[str] = ()) -> bool:
        """Invalidates all entries that carry a tag; see `invalidate_tags`. Costs one round
        trip, however many entries there are."""
        return wait(self._manager.invalidate_tag(name, prefixes=prefixes))

    def invalidate_tags(self, names: Iterable[str], *, prefixes: Iterable[str] = ()) -> bool:
        """Invalidates all entries that carry one of the tags, and refuses their loads in flight.
        Costs one round trip. Call it after the change is committed. Returns `False` if the backend
        failed, if the manager is not open, or if some of the names are invalid; the valid ones
        are invalidated anyway; see `hotshelf.CacheManager.invalidate_tags` for `prefixes`.

        Raises:
            TypeError: For a string instead of a list of strings.
        """
        return wait(self._manager.invalidate_tags(names, prefixes=prefixes))

    def consistency_token(self) -> str:
        """Returns a token for the changes that were applied before this call; see
        `hotshelf.CacheManager.consistency_token`.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        return self._manager.consistency_token()

    def set_enabled(self, enabled: bool) -> None:
        """Switches all caches on or off. Invalidations are executed in both cases.

        Raises:
            ClosedError: Before `open`, and after `close`.
        """
        self._manager.set_enabled(enabled)

    def close(self) -> bool:
        """Finishes what was begun, and closes all connections, also those of event loops. Services
        of the manager then run factories without a cache, until it is opened again. Returns
        whether this succeeded, within two seconds. Factories that run in the background go on."""
        return wait(self._manager.close())
