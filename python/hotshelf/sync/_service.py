"""A typed view of one namespace, without `await`."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from typing_extensions import ParamSpec, Self, Unpack

from hotshelf import _service
from hotshelf._blocking import wait
from hotshelf._cached import CallTags
from hotshelf._context import LoadContext, OuterLoad
from hotshelf._diagnosis import Explanation, Trace
from hotshelf._keys import Identifier, listed
from hotshelf._options import (
    CacheServiceOptions,
    Duration,
    Lifetime,
    LoadOptions,
    StaleIfErrorOn,
)
from hotshelf._running import current_runs
from hotshelf._signature import KeyFunction
from hotshelf._stats import Stats
from hotshelf._warming import Warmed
from hotshelf.sync._cached import CachedFunction, only_sync

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hotshelf.sync._manager import CacheManager

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K", bound=Identifier)

Params = Mapping[str, Any] | None
Found = Mapping[K, T | None] | Iterable[tuple[K, T | None]]

_NO_TAGS: tuple[str, ...] = ()


class CacheService(Generic[T]):
    """A typed view of the entries of one namespace, whose methods block their thread.

    It has the methods of `hotshelf.CacheService`, with the same arguments, results and costs, for
    code without an event loop: `def` endpoints, Celery tasks, scripts. Factories are sync. Threads
    may share it, and forked processes. Both classes share loads in flight, the near tier and
    counters: `asynchronous` is the other view of the same cache.

    In a thread that runs an event loop, its methods raise a `RuntimeError`.
    """

    __slots__ = ("__weakref__", "_service")

    @overload
    def __init__(
        self,
        manager: CacheManager,
        namespace: str,
        model: type[T],
        **options: Unpack[CacheServiceOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        manager: CacheManager,
        namespace: str,
        model: Any = None,
        **options: Unpack[CacheServiceOptions],
    ) -> None: ...

    def __init__(
        self,
        manager: CacheManager,
        namespace: str,
        model: Any = None,
        **options: Unpack[CacheServiceOptions],
    ) -> None:
        """Creates a view; see `hotshelf.CacheService` for the options."""
        self._service: _service.CacheService[T] = manager.asynchronous.service(
            namespace, model, **options
        )
        self._service._blocking = self

    @classmethod
    def _of(cls, service: _service.CacheService[T]) -> CacheService[T]:
        """Returns the view of a cache."""
        view: CacheService[T] = cls.__new__(cls)
        view._service = service
        return view

    async def __call__(self) -> Self:
        """Returns the cache itself, as a dependency of FastAPI."""
        return self

    @property
    def asynchronous(self) -> _service.CacheService[T]:
        """The same cache, with methods to `await`."""
        return self._service

    @property
    def namespace(self) -> str:
        """The third part of keys."""
        return self._service.namespace

    @property
    def model(self) -> Any:
        """The type of the values."""
        return self._service.model

    @property
    def prefix(self) -> str:
        """The first part of keys."""
        return self._service.prefix

    @property
    def version(self) -> str:
        """The second part of keys."""
        return self._service.version

    @property
    def ttl(self) -> Duration:
        """The lifetime of entries."""
        return self._service.ttl

    @property
    def negative_ttl(self) -> Duration | None:
        """The lifetime of a `None`."""
        return self._service.negative_ttl

    @property
    def jitter(self) -> bool | float:
        """The ratio by which lifetimes vary."""
        return self._service.jitter

    def key(self, identifier: Identifier, params: Params = None) -> str:
        """Returns the exact key of an entry.

        Raises:
            KeyError: If the identifier is not valid in a key.
            TypeError: If a parameter has no canonical form.
        """
        return self._service.key(identifier, params)

    def get(
        self,
        identifier: Identifier,
        params: Params = None,
        *,
        after: str | None = None,
        trace: Trace | None = None,
        tags_into: OuterLoad | None = None,
    ) -> T | None:
        """Returns the value of an entry, or `None` on a miss. Costs one round trip, and none for
        an entry in the memory of this process."""
        plain = params is None and after is None and trace is None and tags_into is None
        service = self._service
        if plain and service._copy is None and _get_running_loop() is None:
            found = service._core.peek(identifier)
            if type(found) not in _service._INTERNAL:
                hit: T | None = found
                return hit
            value = service._peeked(found)
            if not service._is_undecodable(value):
                return cast("T | None", value)
        return wait(
            self._service.get(identifier, params, after=after, trace=trace, tags_into=tags_into)
        )

    def get_many(self, identifiers: Iterable[Identifier]) -> list[T | None]:
        """Returns the values of many entries, in the order of the identifiers. Costs one round
        trip.

        Raises:
            TypeError: For a string instead of a list.
        """
        return wait(self._service.get_many(identifiers))

    @overload
    def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[[], T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        **options: Unpack[LoadOptions],
    ) -> T: ...

    @overload
    def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[[], T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        **options: Unpack[LoadOptions],
    ) -> T | None: ...

    @overload
    def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[[LoadContext[T]], T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        **options: Unpack[LoadOptions],
    ) -> T: ...

    @overload
    def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[[LoadContext[T]], T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        **options: Unpack[LoadOptions],
    ) -> T | None: ...

    def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[..., Any],
        ttl: Lifetime | None = None,
        params: Params = None,
        **options: Any,
    ) -> T | None:
        """Returns the value of an entry, or computes and stores it.

        Of all concurrent callers, in this process and in others, sync and async, one runs its
        factory, in its own thread. The others wait, and get its value or, in this process and if
        they waited when it began, its exception. A hit costs one round trip, a miss three; a hit
        in the memory of this process none.

        `soft_timeout` and `hard_timeout` bound the wait for another caller's load. A factory of
        this call can't be stopped: they bound it with `background=True`, which runs it in a thread
        of a pool, and reloads stale values there.

        Args:
            identifier: The last part of the key.
            factory: Computes the value. `None` is a value, too, and is cached.
            ttl: The lifetime of the entry, in seconds. Default: that of the cache.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            options: Those of `LoadOptions`, and `with_context`; see
                `hotshelf.CacheService.get_or_set`.

        Raises:
            Exception: The exception of the factory.
            LoadTimeoutError: If the load takes longer than `hard_timeout`.
            LoadBackoffError: If a load has failed within `error_backoff`.
            TypeError: If the factory is async.
        """
        plain = params is None and not options and not current_runs()
        service = self._service
        if plain and service._copy is None and _get_running_loop() is None:
            # Most calls, and most of these are hits.
            found = service._core.peek(identifier)
            if type(found) not in _service._INTERNAL:
                hit: T = found
                return hit
            value = service._peeked(found)
            if not service._is_undecodable(value):
                return cast("T", value)
        loading = self._service.get_or_set(identifier, factory, ttl, params, **options)
        made: T | None = wait(loading)
        return made

    def get_or_load_many(
        self,
        identifiers: Iterable[K],
        factory: Callable[[list[K]], Found[K, T]],
        *,
        ttl: Lifetime | None = None,
        tags: Sequence[str] = _NO_TAGS,
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
        after: str | None = None,
        stale_if_error_on: StaleIfErrorOn | None = None,
    ) -> list[T | None]:
        """Returns the values of many entries, in the order of the identifiers, and loads those
        that are missing with one call of the factory, which takes the list of them and returns
        the values by identifier; see `hotshelf.CacheService.get_or_load_many`.

        Raises:
            Exception: The exception of the factory, unless all identifiers that it was asked for
                have a stale value; or that of another caller's factory.
            TypeError: For a string instead of a list, or if the factory returns neither a mapping
                nor pairs, or is async.
        """
        return wait(
            self._service.get_or_load_many(
                identifiers, factory, ttl=ttl, tags=tags, negative_ttl=negative_ttl, reload=reload,
                after=after, stale_if_error_on=stale_if_error_on,
            )
        )  # fmt: skip

    def response(
        self,
        identifier: Identifier,
        factory: Callable[..., Any],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
        with_context: bool = False,
        **options: Unpack[LoadOptions],
    ) -> Response | None:
        """Returns an entry as an HTTP response, or computes and stores it: the encoded value as
        it is stored, with its media type and an `ETag`; `None` if the factory returns that. See
        `hotshelf.CacheService.response`."""
        chosen: dict[str, Any] = {**options, "with_context": with_context}
        made: Response | None = wait(
            self._service.response(
                identifier, factory, ttl, params, request=request, headers=headers, **chosen
            )
        )
        return made

    def set(
        self,
        identifier: Identifier,
        value: T,
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> bool:
        """Inserts a value, and returns whether it was stored. Costs two round trips.

        Use it for warm-up, batches and values that never change: of two concurrent writers,
        the older may win. After a write to the source of truth, use `write_through` or
        `delete`.
        """
        return wait(self._service.set(identifier, value, ttl, params, tags=tags))

    def set_many(
        self,
        values: Mapping[Any, T],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> bool:
        """Inserts many values, and returns whether all were stored; see `set` for its use.
        Costs two round trips for each 1,000."""
        return wait(self._service.set_many(values, ttl, tags=tags))

    @overload
    def write_through(
        self,
        identifier: Identifier,
        write: Callable[[], T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T: ...

    @overload
    def write_through(
        self,
        identifier: Identifier,
        write: Callable[[], T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T | None: ...

    def write_through(
        self,
        identifier: Identifier,
        write: Callable[[], T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T | None:
        """Writes to the source of truth, and stores the written value. `write` writes, and returns
        the new value; `None` removes the entry. Costs two round trips in addition to the write;
        see `hotshelf.CacheService.write_through`.

        Raises:
            Exception: The exception of `write`. The entry is removed.
        """
        return wait(self._service.write_through(identifier, write, ttl, params, tags=tags))

    def write_through_many(
        self,
        identifiers: Iterable[Identifier],
        write: Callable[[], Mapping[K, T]],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> Mapping[K, T]:
        """Writes many values to the source of truth at once, and stores the written values, which
        `write` returns by identifier; see `hotshelf.CacheService.write_through_many`.

        Raises:
            Exception: The exception of `write`. All entries are removed.
            TypeError: For a string instead of a list of strings, or if `write` doesn't return
                a mapping. All entries are removed in the latter case.
        """
        return wait(self._service.write_through_many(identifiers, write, ttl, tags=tags))

    def cached(
        self,
        misplaced: None = None,
        /,
        *,
        key: KeyFunction | None = None,
        skip: Sequence[str] = (),
        vary: Callable[[Any], Any] | None = None,
        tags: CallTags = _NO_TAGS,
        ttl: Duration | None = None,
        negative_ttl: Duration | None = None,
        background: bool = False,
        stale_if_error_on: StaleIfErrorOn | None = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Returns a decorator for a function whose results are cached, with the options of
        `hotshelf.CacheService.cached`:

            @products.cached(key=lambda id: id, skip=["db"], ttl="15m")
            def fetch(id: int, db: Database) -> Product: ...

            fetch(42, db)
            fetch.invalidate(42)

        Raises:
            ConfigurationError: For a parameter that can't be part of a key, or is forgotten; for a
                function whose result depends on its user, without `vary`; for an async function.
        """
        return only_sync(
            self._service.cached(
                misplaced, key=key, skip=skip, vary=vary, tags=tags, ttl=ttl,
                negative_ttl=negative_ttl, background=background,
                stale_if_error_on=stale_if_error_on,
            )
        )  # fmt: skip

    def warm(
        self,
        identifiers: Iterable[K],
        factory: Callable[[K], T | None],
        *,
        ttl: Lifetime | None = None,
        tags: Sequence[str] | Callable[[K], Sequence[str]] = _NO_TAGS,
        concurrency: int = 8,
        stagger: float = 0.5,
        progress: Callable[[int], object] | None = None,
    ) -> Warmed[K]:
        """Loads entries before they are asked for, in `concurrency` threads, and so that they
        don't end together; see `hotshelf.CacheService.warm`. `progress` is called in this thread.

        Raises:
            ConfigurationError: For an invalid option.
            TypeError: For a string instead of a list.
        """
        names = listed(identifiers, "identifiers")
        warming = self._service._warming(factory, ttl, tags, stagger, progress)
        return warming.run_in_threads(names, concurrency)

    def delete(self, identifier: Identifier, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        Call it after the change is committed. After it has returned `True`, no later call
        gets an older value, whether there was an entry or not. Returns `False` if the backend
        failed. Costs one round trip.
        """
        return wait(self._service.delete(identifier, params))

    def delete_many(self, identifiers: Iterable[Identifier]) -> bool:
        """Removes many entries; see `delete`. Costs one round trip, in a Cluster one for each
        1,000. Returns `False` if the backend failed, or if an identifier is invalid; the entries
        of the valid ones are removed anyway.

        Raises:
            TypeError: For a string instead of a list.
        """
        return wait(self._service.delete_many(identifiers))

    def expire(self, identifier: Identifier, params: Params = None) -> bool:
        """Makes the value of an entry stale, as if its `ttl` had ended, and returns whether there
        was one; `False` if the backend failed. Costs two round trips. It is no invalidation.

        Raises:
            ConfigurationError: In a cache with `strict_plain` or `plain_readers`.
        """
        return wait(self._service.expire(identifier, params))

    def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = False) -> int:
        """Removes all entries whose identifier matches a glob pattern, and returns their number; 0
        if the backend failed. It scans all keys of the server, twice. Prefer tags."""
        return wait(self._service.invalidate_pattern(pattern, anywhere=anywhere))

    def invalidate_all(self) -> bool:
        """Removes all entries of the cache, and returns whether this succeeded. Costs one round
        trip with `epoch`; otherwise it is the same as `invalidate_pattern("*")`."""
        return wait(self._service.invalidate_all())

    def exists(self, identifier: Identifier, params: Params = None) -> bool:
        """Returns whether there is a valid entry that isn't stale; `False` if the backend failed.
        Costs one round trip."""
        return wait(self._service.exists(identifier, params))

    def get_ttl(self, identifier: Identifier, params: Params = None) -> int:
        """Returns for how long an entry is fresh in seconds, rounded up: -1 if it never expires,
        -2 if there is no valid entry, it is stale, or the backend failed."""
        return wait(self._service.get_ttl(identifier, params))

    def explain(
        self,
        identifier: Identifier,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> Explanation:
        """Returns what is known of a key, and what a call would find. Costs five round trips at
        most.

        Raises:
            CacheError: If the backend fails, or the identifier, a parameter or a tag is invalid.
        """
        return wait(self._service.explain(identifier, params, tags=tags))

    def stats(self) -> Stats:
        """Returns the counters of this cache in this process."""
        return self._service.stats()
