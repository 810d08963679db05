"""A typed view of one namespace."""

from __future__ import annotations

import contextlib
import copy as copying
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from typing_extensions import ParamSpec, Self, Unpack

from hotshelf._cached import CachedDecorator, CallTags, cached_function, check_called
from hotshelf._codecs import CodecName, ValueCodec, codec_for
from hotshelf._context import LoadContext, OuterLoad
from hotshelf._diagnosis import Explanation, Trace
from hotshelf._errors import CacheError, ConfigurationError, DecodeError, EncodeError
from hotshelf._hotshelf import (
    Encoded,
    Failed,
    ManyLoad,
    Missing,
    Pending,
    Refresh,
    Ticket,
    Unencoded,
    is_blocking,
    mode_after_undecodable,
)
from hotshelf._keys import Identifier, comparable, dumped_params, listed, params_text
from hotshelf._loading import BlockingLoad, Load, Made
from hotshelf._loading_many import LoadOfMany
from hotshelf._options import (
    DEFAULT_JITTER,
    CacheServiceOptions,
    Copy,
    Duration,
    KeyLayout,
    Lifetime,
    LoadOptions,
    StaleIfErrorOn,
    early_factor,
    jitter_ratio,
    seconds,
    seconds_or_none,
    stale_condition,
)
from hotshelf._pending import result_of
from hotshelf._response import encoded_response
from hotshelf._running import Run, active_runs, current_runs, running
from hotshelf._signature import KeyFunction
from hotshelf._stats import Stats
from hotshelf._warming import Warmed, Warming
from hotshelf._writing import EncodedValue, GuardedWrite

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hotshelf._manager import CacheManager
    from hotshelf.sync import CacheService as BlockingService

logger = logging.getLogger("hotshelf")

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K", bound=Identifier)

Factory = Callable[[], Awaitable[T]] | Callable[[], T]
Found = Mapping[K, T | None] | Iterable[tuple[K, T | None]]
ManyFactory = Callable[[list[K]], Awaitable[Found[K, T]]] | Callable[[list[K]], Found[K, T]]
ContextFactory = Callable[[LoadContext[T]], Awaitable[R]] | Callable[[LoadContext[T]], R]
Params = Mapping[str, Any] | None

#: The types of what the engine returns instead of a decoded value.
_INTERNAL = frozenset((Pending, bytes, Encoded, Missing, Ticket, Refresh, Failed, Unencoded))

#: Those of them with which a call goes on.
_LOADING = frozenset((Ticket, Refresh, Failed, Unencoded))

_UNDECODABLE: Any = object()

#: The default of `tags`: code of other objects may raise anything.
_NO_TAGS: tuple[str, ...] = ()

_COPIERS: dict[Copy, Callable[[Any], Any] | None] = {
    "none": None,
    "shallow": copying.copy,
    "deep": copying.deepcopy,
}


class CacheService(Generic[T]):
    """A typed view of the entries of one namespace.

    It is cheap to create: views of the same name share loads in flight and counters. It is a
    dependency of FastAPI by itself: `Annotated[CacheService[Product], Depends(products)]`. Until
    its manager is open, and after it was closed, factories run without a cache. Methods never
    raise when the cache fails: they return the same as for a miss, or `False`. Failures
    are counted. An outage is logged when it begins and when it ends, an invalid argument the
    first time.
    """

    __slots__ = ("__weakref__", "_blocking", "_codec", "_copy", "_core", "_loads_fail", "_manager", "_options",
                 "_serves_stale", "jitter", "model", "namespace", "negative_ttl", "prefix", "ttl",
                 "version")

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
        *,
        ttl: Duration = 300,
        jitter: bool | float = DEFAULT_JITTER,
        prefix: str = "cache",
        version: str = "v1",
        negative_ttl: Duration | None = None,
        foreign: bool = False,
        strict_plain: bool = False,
        epoch: bool = False,
        key_layout: KeyLayout = "injective",
        wait_timeout: Duration = 2.0,
        backend_budget: Duration = 0.25,
        max_waiters: int = 10_000,
        max_value_bytes: int = 1 << 20,
        near: bool = True,
        stale_while_revalidate: Duration = 0,
        stale_if_error: Duration = 0,
        stale_if_error_on: StaleIfErrorOn = Exception,
        error_throttle: Duration = 30,
        early_refresh: bool | float = 0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
        error_backoff: Duration = 0,
        hold: Duration = 0,
        plain_readers: bool = False,
        codec: CodecName | ValueCodec[Any] | None = None,
        copy: Copy = "none",
        default_ttl: Duration | None = None,
    ) -> None:
        """Creates a view.

        Args:
            manager: The manager whose backend stores the entries.
            namespace: The third part of keys.
            model: The type of the values: a pydantic model, a dataclass, a `TypedDict`, any
                annotation that pydantic supports, `bytes`, or `None` for plain JSON.
            ttl: The lifetime of entries: seconds, a `timedelta`, or text such as `"15m"`, as are
                all durations here.
            jitter: The ratio by which lifetimes vary at random, so that entries stored
                together don't expire together: 0.1 or `True` for ±10 %, 0 or `False` to turn
                it off.
            prefix: The first part of keys.
            version: The second part of keys. Change it when the structure of the model
                changes.
            negative_ttl: The lifetime of a `None` that a factory returned, in seconds; with
                0 it isn't cached. Default: the same as for other values.
            foreign: Whether to accept entries that were not written by hotshelf.
            strict_plain: Whether to write entries as bare JSON, without the cache's metadata
                in trailing white space. Such entries carry no tags.
            epoch: Whether `invalidate_all` costs a single round trip. Each read then reads
                one more key.
            key_layout: `"injective"`: different identifiers and parameters have different
                keys. `"fastapi_rc"`: the keys of fastapi-rc, in which two sets of parameters
                can share a key, as their hash has 48 bits. A search for such a collision
                took 22 seconds.
            wait_timeout: The maximum time to wait for another process, in seconds. It begins
                anew whenever that extends its lease, which it does while its factory runs.
            backend_budget: The maximum time that a loading call waits for the backend in
                total, in seconds.
            max_waiters: The maximum number of calls in this process that wait for one load
                of a key. Further calls run their own factories, and store nothing.
            max_value_bytes: The maximum size of an encoded value, in bytes. A larger one is
                returned and not stored.
            near: Whether entries are kept in the manager's near tier, if it has one.
            stale_while_revalidate: For how long a value is served after its `ttl`, while one
                caller loads it anew: in the background for calls with `background=True`,
                otherwise in one call, which waits for it. An invalidated value is never served,
                and methods without a factory return no stale value. Default: 0, off.
            stale_if_error: For how long after its `ttl` a value may be served if its factory
                raises an exception, or takes longer than `soft_timeout`. Default: 0, off.
            stale_if_error_on: The exceptions that a stale value answers: a type, a tuple of
                types, or a function of the exception; an exception group is one of these types
                if all exceptions in it are. Others are raised. Default: all.
            error_throttle: How long a failed load of a key with a stale value isn't repeated, by
                any process, in seconds.
            early_refresh: How early single callers load a value anew before it ends, as a factor
                (beta of XFetch). With 1 or `True`, the optimum, a value that took 100 ms to load is
                loaded anew some 100 ms before its end, at random. Default: 0, off.
            soft_timeout: How long a call waits for a load, its own or that of another caller,
                before it is given the stale value, if there is one, in seconds. The load goes on
                in the background with `background=True`; otherwise the factory is cancelled. A
                sync factory can't be interrupted.
            hard_timeout: How long a call waits for a load before it raises `LoadTimeoutError`,
                in seconds. What becomes of the load is as for `soft_timeout`.
            error_backoff: How long a failed load of a key without a value isn't repeated, by any
                process, in seconds: calls raise `LoadBackoffError` meanwhile. Default: 0, off.
            hold: For how long a key is loaded and not stored after it was invalidated, in
                seconds: for factories that read from replicas of the database, whose lag must
                be shorter. All processes must set the same. Default: 0, off.
            plain_readers: Whether plain clients read the entries. Then these must not outlive
                their `ttl`, and a stale window is an error.
            codec: How values are encoded: `"json"`; `"raw"` for bytes and text as they are;
                `"msgpack"` for MessagePack, with `hotshelf[msgpack]`; or an object with the
                methods `encode` and `decode`. Default: `"raw"` for `model=bytes`, otherwise
                `"json"`.
            copy: What a hit in the memory of this process returns, from `memory://` or the near
                tier: with `"none"` the same object for all callers, which must not change it;
                with `"shallow"` or `"deep"` a copy, as `copy.copy` or `copy.deepcopy` makes it.
            default_ttl: The same as `ttl`, by its name in fastapi-rc.

        Raises:
            ConfigurationError: For an invalid option, or a model that pydantic doesn't support.
                Types that the model refers to may be defined later, before the first use.
        """
        self._manager = manager
        self._blocking: BlockingService[T] | None = None
        self.namespace = namespace
        self.model = model
        self.ttl = ttl = ttl if default_ttl is None else default_ttl
        self.jitter = jitter
        self.prefix = prefix
        self.version = version
        self.negative_ttl = negative_ttl
        self._codec = codec_for(namespace, model, codec)
        if copy not in _COPIERS:
            message = f'invalid `copy` {copy!r}: use "none", "shallow" or "deep"'
            raise ConfigurationError(message)
        self._copy = _COPIERS[copy]
        self._options: dict[str, Any] = dict(
            prefix=prefix,
            version=version,
            kind=self._codec.name,
            format=self._codec.format,
            keeps_objects=self._codec.keeps_objects,
            ttl=seconds("ttl", ttl),
            jitter=jitter_ratio(jitter),
            negative_ttl=None if negative_ttl is None else seconds("negative_ttl", negative_ttl),
            foreign=foreign,
            strict_plain=strict_plain,
            epoch=epoch,
            key_layout=key_layout,
            wait_timeout=seconds("wait_timeout", wait_timeout),
            backend_budget=seconds("backend_budget", backend_budget),
            max_waiters=max_waiters,
            max_value_bytes=max_value_bytes,
            near=bool(near),
            stale_while_revalidate=seconds("stale_while_revalidate", stale_while_revalidate),
            stale_if_error=seconds("stale_if_error", stale_if_error),
            error_throttle=seconds("error_throttle", error_throttle),
            early_refresh=early_factor(early_refresh),
            soft_timeout=seconds_or_none("soft_timeout", soft_timeout),
            hard_timeout=seconds_or_none("hard_timeout", hard_timeout),
            error_backoff=seconds("error_backoff", error_backoff),
            hold=seconds("hold", hold),
            plain_readers=bool(plain_readers),
        )
        self._serves_stale = stale_condition(stale_if_error_on)
        #: Whether the last exception of a factory was answered by a stale value.
        self._loads_fail = False
        manager._add(self)

    def _attach(self) -> None:
        """Uses the servers that the manager was opened with last."""
        core = self._manager._cache(self.namespace, **self._options)
        self._core = self._manager._observing.core(self, core.decoded_by(self._codec.number))

    async def __call__(self) -> Self:
        """Returns the cache itself, as a dependency of FastAPI."""
        return self

    @property
    def sync(self) -> BlockingService[T]:
        """The same cache, with methods that block their thread."""
        from hotshelf.sync import CacheService

        # The same object each time, as a key of `dependency_overrides`.
        if self._blocking is None:
            self._blocking = CacheService._of(self)
        return self._blocking

    def key(self, identifier: Identifier, params: Params = None) -> str:
        """Returns the exact key of an entry.

        Raises:
            KeyError: If the identifier is not valid in a key.
            TypeError: If a parameter has no canonical form.
        """
        return self._core.key(identifier, dumped_params(params))

    async def get(
        self,
        identifier: Identifier,
        params: Params = None,
        *,
        after: str | None = None,
        trace: Trace | None = None,
        tags_into: OuterLoad | None = None,
    ) -> T | None:
        """Returns the value of an entry, or `None` on a miss. Costs one round trip, and none for
        an entry in the memory of this process.

        Args:
            identifier: The last part of the key.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            after: A token of `CacheManager.consistency_token`, for a value that is no older.
            trace: Collects where the value comes from.
            tags_into: The load that the value is a part of; see `get_or_set`.
        """
        if trace is not None or tags_into is not None:
            return await self._get_observed(identifier, params, after, trace, tags_into)
        try:
            text = None if params is None else params_text(params)
            found = self._core.read(identifier, text, after)
            if type(found) is Pending:
                # The same as `result_of`, without another coroutine for each hit.
                pending = found
                try:
                    found = await pending.future
                except BaseException:
                    pending.abandon()
                    raise
        except CacheError:
            return None
        if type(found) not in _INTERNAL and self._copy is None:
            hit: T = found
            return hit
        value = self._value(found)
        return None if value is _UNDECODABLE else cast("T | None", value)

    async def _get_observed(
        self,
        identifier: Identifier,
        params: Params,
        after: str | None,
        trace: Trace | None,
        tags_into: OuterLoad | None,
    ) -> T | None:
        collected = None if trace is None else trace._begin()
        inherited = None if tags_into is None else tags_into._inherited
        try:
            found = self._core.read(
                identifier, params_text(params), after, collected, inherited
            )
            if type(found) is Pending:
                found = await result_of(found)
            value = self._value(found)
            if value is _UNDECODABLE:
                if collected is not None:
                    collected.undecodable()
                return None
        except CacheError:
            return None
        finally:
            if trace is not None:
                trace._end()
        return cast("T | None", value)

    async def get_many(self, identifiers: Iterable[Identifier]) -> list[T | None]:
        """Returns the values of many entries, in the order of the identifiers. Costs one round
        trip.

        Raises:
            TypeError: For a string instead of a list.
        """
        names = listed(identifiers, "identifiers")
        try:
            found = self._core.read_many([(name, None) for name in names])
            if type(found) is Pending:
                found = await result_of(found)
        except CacheError:
            return [None] * len(names)
        values = [self._value(one) for one in cast("list[Any]", found)]
        return [None if value is _UNDECODABLE else value for value in values]

    @overload
    async def get_or_set(
        self,
        identifier: Identifier,
        factory: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        **options: Unpack[LoadOptions],
    ) -> T: ...

    @overload
    async def get_or_set(
        self,
        identifier: Identifier,
        factory: Factory[T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        **options: Unpack[LoadOptions],
    ) -> T | None: ...

    @overload
    async def get_or_set(
        self,
        identifier: Identifier,
        factory: ContextFactory[T, T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        **options: Unpack[LoadOptions],
    ) -> T: ...

    @overload
    async def get_or_set(
        self,
        identifier: Identifier,
        factory: ContextFactory[T, T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        **options: Unpack[LoadOptions],
    ) -> T | None: ...

    async def get_or_set(
        self,
        identifier: Identifier,
        factory: Callable[..., Any],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
        after: str | None = None,
        background: bool = False,
        stale_if_error_on: StaleIfErrorOn | None = None,
        trace: Trace | None = None,
        tags_into: OuterLoad | None = None,
        with_context: bool = False,
    ) -> T | None:
        """Returns the value of an entry, or computes and stores it.

        Of all concurrent callers, in this process and in others, one runs its factory. The
        others wait, and get its value or, in this process and if they waited when it began, its
        exception. The factory runs in
        the caller's own task, with its context variables, and may be sync or async. If that
        caller is cancelled, the one that has waited longest takes over.

        A hit costs one round trip, a miss three. While the backend is unreachable, the
        factory runs without the cache, after the backend's timeouts at most.

        A value that is older than its `ttl`, in a cache with `stale_while_revalidate`, is
        returned to all callers but one, which runs its factory and waits for it. With
        `background=True` none of them waits.

        A call from within a factory or a write bypasses the cache for the key that is being
        computed. For another key it waits for a load of another caller for `wait_timeout` and
        `backend_budget` at most, and then runs its own factory, as two factories that need
        each other's keys would deadlock. A factory does deadlock if it waits for a task that
        it did not start, and that calls this method for the same key.

        Args:
            identifier: The last part of the key: a `str`, an `int`, a `UUID`, or a tuple of
                these. Anything else is an invalid key.
            factory: Computes the value. `None` is a value, too, and is cached.
            ttl: The lifetime of the entry, in seconds. Default: that of the cache. With 0 or
                an invalid lifetime, the value isn't stored; an existing entry is still read.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            tags: The tags of the entry, for `CacheManager.invalidate_tag`. With invalid tags
                every caller runs its factory, and nothing is stored.
            negative_ttl: The lifetime of a `None`, in seconds; with 0 it isn't cached.
                Default: that of the cache.
            reload: Whether to run the factory even if there is an entry.
            after: A token of `CacheManager.consistency_token`, for a value that is no older.
            background: Whether the factory may run in a task of its own, with a copy of the
                context variables, and outlive this call: a stale value is returned at once and
                loaded anew in the background, and a load that takes longer than
                `soft_timeout` or `hard_timeout` goes on. Such a factory must not use objects that
                belong to a request, such as its database session: it opens its own. A factory
                that holds one is warned of. `CacheManager.close` cancels what still runs.
            stale_if_error_on: The exceptions that a stale value answers. Default: those of the
                cache.
            trace: Collects where the value comes from.
            tags_into: The load that the value is a part of: the `LoadContext` of the factory that
                makes the call. What that factory returns is then invalidated with each tag of
                this value, as its entry carries them. If this value has no entry, or its tag is
                invalidated meanwhile, the outer one isn't stored. Both caches need the same
                `prefix`. The invalidation of this value's key isn't passed on.
            with_context: Whether the factory takes a `LoadContext`, by which it sees the
                previous value, and decides on the lifetime and the tags of what it returns. The
                call says so, since decorators and `partial` hide what a factory takes.

        Raises:
            Exception: The exception of the factory.
            LoadTimeoutError: If the load takes longer than `hard_timeout`.
            LoadBackoffError: If a load has failed within `error_backoff`.
        """
        mode = "reload" if reload else "use"
        plain = params is None and after is None and tags is _NO_TAGS and not reload
        if plain and trace is None and tags_into is None and not current_runs():
            # Most calls, and most of these are hits.
            found = self._core.peek(identifier)
            if type(found) not in _INTERNAL and self._copy is None:
                hit: T = found
                return hit
            if type(found) is not Missing:
                value = self._value(found)
                if value is not _UNDECODABLE:
                    return cast("T", value)
                mode = mode_after_undecodable(mode)
        text = None if params is None else params_text(params)
        runs = current_runs() and active_runs()
        if runs:
            mode = self._mode_within(runs, identifier, text, mode)
        collected = None if trace is None else trace._begin()
        inherited = None if tags_into is None else tags_into._inherited
        try:
            while True:
                found = self._core.load(
                    identifier, text, tags, ttl, negative_ttl, mode, bool(runs), after, False,
                    background, collected, inherited,
                )
                if type(found) is Pending:
                    # The same as `result_of`, without another coroutine for each hit.
                    pending = found
                    try:
                        found = await pending.future
                    except BaseException:
                        pending.abandon()
                        raise
                if type(found) not in _LOADING:
                    value = self._value(found)
                    if value is not _UNDECODABLE:
                        return cast("T", value)
                else:
                    if trace is not None and isinstance(found, Ticket | Refresh):
                        trace._load_begins()
                    load = self._load_type()(
                        self, (identifier, text), factory, takes_context=with_context,
                        background=background, on=stale_if_error_on,
                    )
                    made = await load.made(found)
                    if made is not None:
                        return cast("T", made.value)
                if collected is not None:
                    collected.undecodable()
                mode = mode_after_undecodable(mode)
        finally:
            if trace is not None:
                trace._end()

    async def get_or_load_many(
        self,
        identifiers: Iterable[K],
        factory: ManyFactory[K, T],
        *,
        ttl: Lifetime | None = None,
        tags: Sequence[str] = _NO_TAGS,
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
        after: str | None = None,
        stale_if_error_on: StaleIfErrorOn | None = None,
    ) -> list[T | None]:
        """Returns the values of many entries, in the order of the identifiers, and loads those
        that are missing with one call of the factory.

        The factory takes the list of the missing identifiers, each once, and returns the values
        by identifier: a mapping, or an iterable of pairs. An identifier that it leaves out has no
        value: that is `None`, which is cached as the `None` of another factory is. In the result a
        cached `None` is `None`.

        Each key behaves as in `get_or_set`: of all concurrent callers, in this process and in
        others, one loads it, and an invalidation refuses its value and no other. The factory runs
        in the caller's own task, and before the call waits for others, so that two calls never
        wait for each other. It runs again, for other identifiers, only if other callers were
        about to load them, and have not.

        Costs one round trip for each 1,000 identifiers; if some are missing, two more for each
        1,000 of these, or three with tags.

        Args:
            identifiers: The last parts of the keys.
            factory: Computes the values of identifiers; sync or async.
            ttl: The lifetime of the entries, in seconds. Default: that of the cache.
            tags: The tags of all these entries, for `CacheManager.invalidate_tag`.
            negative_ttl: The lifetime of a `None`, in seconds; with 0 it isn't cached.
                Default: that of the cache.
            reload: Whether to load all of them.
            after: A token of `CacheManager.consistency_token`, for values that are no older.
            stale_if_error_on: The exceptions that stale values answer; see `get_or_set`.

        Raises:
            Exception: The exception of the factory, unless all identifiers that it was asked for
                have a stale value; or that of another caller's factory.
            LoadTimeoutError: If a load takes longer than `hard_timeout`. `soft_timeout` doesn't
                apply to the factory of this call.
            LoadBackoffError: If a load of one of them has failed within `error_backoff`.
            TypeError: For a string instead of a list, or if the factory returns neither a mapping
                nor pairs.
        """
        names = listed(identifiers, "identifiers")
        values: list[T | None] = [None] * len(names)
        mode = "reload" if reload else "use"
        runs = current_runs() and active_runs()
        wanted = list(range(len(names)))
        while wanted:
            wanted_names = [names[at] for at in wanted]
            load = LoadOfMany(self, wanted_names, factory, stale_if_error_on)
            own = self._own_positions(runs, wanted_names) if runs else ()
            step = self._core.load_many(
                [(name, None) for name in wanted_names], own, tags=tags, ttl=ttl,
                negative_ttl=negative_ttl, mode=mode, nested=bool(runs), after=after,
            )
            if type(step) is Pending:
                step = await result_of(step)
            undecodable = []
            for at, value in zip(wanted, await load.values(cast("ManyLoad", step)), strict=True):
                if value is _UNDECODABLE:
                    undecodable.append(at)
                else:
                    values[at] = value
            wanted, mode = undecodable, mode_after_undecodable(mode)
        return values

    @overload
    async def response(
        self,
        identifier: Identifier,
        factory: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[LoadOptions],
    ) -> Response: ...

    @overload
    async def response(
        self,
        identifier: Identifier,
        factory: Factory[T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[False] = False,
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[LoadOptions],
    ) -> Response | None: ...

    @overload
    async def response(
        self,
        identifier: Identifier,
        factory: ContextFactory[T, T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[LoadOptions],
    ) -> Response: ...

    @overload
    async def response(
        self,
        identifier: Identifier,
        factory: ContextFactory[T, T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        with_context: Literal[True],
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[LoadOptions],
    ) -> Response | None: ...

    async def response(
        self,
        identifier: Identifier,
        factory: Callable[..., Any],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
        after: str | None = None,
        background: bool = False,
        stale_if_error_on: StaleIfErrorOn | None = None,
        trace: Trace | None = None,
        tags_into: OuterLoad | None = None,
        with_context: bool = False,
        request: Request | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response | None:
        """Returns an entry as an HTTP response, or computes and stores it: the encoded value as it
        is stored, with its media type and an `ETag`. A hit is neither decoded nor encoded.

        Return it from an endpoint of FastAPI or Starlette: it bypasses the response model, so
        an entry that was stored with another model is sent as it is. Change `version` with the
        model. It has the names that the model reads back: field names with `populate_by_name`,
        where FastAPI sends aliases, and no computed fields with `extra="forbid"`. Returns `None`
        if the factory does, for the endpoint to answer: `raise HTTPException(404)`.

        Args:
            identifier: The last part of the key.
            factory: Computes the value.
            ttl: The lifetime of the entry, in seconds. Default: that of the cache.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            tags: The tags of the entry, for `CacheManager.invalidate_tag`.
            negative_ttl: The lifetime of a `None`, in seconds; with 0 it isn't cached.
                Default: that of the cache.
            reload: Whether to run the factory even if there is an entry.
            after: A token of `CacheManager.consistency_token`, for a value that is no older.
            background: Whether the factory may run in a task of its own; see `get_or_set`.
            stale_if_error_on: The exceptions that a stale value answers; see `get_or_set`.
            trace: Collects where the value comes from.
            tags_into: The load that the value is a part of; see `get_or_set`.
            with_context: Whether the factory takes a `LoadContext`; see `get_or_set`.
            request: The request, for its `If-None-Match`: a client that has the value already
                is sent an empty response of status 304.
            headers: Further headers of the response, such as `Cache-Control`.

        Raises:
            Exception: The exception of the factory.
            LoadTimeoutError: If the load takes longer than `hard_timeout`.
            LoadBackoffError: If a load has failed within `error_backoff`.
            EncodeError: If the value can't be encoded.
        """
        text = None if params is None else params_text(params)
        mode = "reload" if reload else "use"
        runs = active_runs()
        if runs:
            mode = self._mode_within(runs, identifier, text, mode)
        collected = None if trace is None else trace._begin()
        inherited = None if tags_into is None else tags_into._inherited
        try:
            while True:
                found = self._core.load(
                    identifier, text, tags, ttl, negative_ttl, mode, bool(runs), after, True,
                    background, collected, inherited,
                )
                if type(found) is Pending:
                    found = await result_of(found)
                if type(found) in _LOADING:
                    if trace is not None and isinstance(found, Ticket | Refresh):
                        trace._load_begins()
                    load = self._load_type()(
                        self, (identifier, text), factory, takes_context=with_context,
                        background=background, on=stale_if_error_on, encoded=True,
                    )
                    made = await load.made(found)
                    # Encoded values aren't decoded.
                    value, (raw, reason) = cast("Made", made)
                    if value is not None and raw is None:
                        raise EncodeError(f"the value can't be encoded: {reason}")
                    found = None if value is None else raw
                elif self._options["foreign"] and self._value(found) is _UNDECODABLE:
                    # A plain client may have written anything.
                    if collected is not None:
                        collected.undecodable()
                    mode = mode_after_undecodable(mode)
                    continue
                if found is None or found == self._codec.null:
                    return None
                return encoded_response(found, self._codec.media_type, request, headers)
        finally:
            if trace is not None:
                trace._end()

    @staticmethod
    def _load_type() -> type[Load[Any]]:
        return BlockingLoad if is_blocking() else Load

    def _mode_within(
        self, runs: Iterable[Run], identifier: Any, params: Any, mode: str
    ) -> str:
        """Returns the mode of a call that is made inside factories or writes."""
        computing = {key for run in runs for key in run.keys}
        # The call would wait for itself.
        is_own = self._owned_keys([(identifier, params)]) & computing
        return "own_key" if is_own else mode

    def _own_positions(self, runs: Iterable[Run], names: list[Any]) -> list[int]:
        """Returns the positions of the keys that a call inside factories or writes would wait for
        itself for."""
        computing = {key for run in runs for key in run.keys}
        return [
            at for at, name in enumerate(names) if self._owned_keys([(name, None)]) & computing
        ]

    def _prepare(self, value: Any) -> tuple[T, EncodedValue]:
        """Returns a value as a hit would return it, and its encoded form, or the reason why
        it can't be encoded."""
        try:
            prepared, raw = self._codec.prepare(value)
        except EncodeError as error:
            return cast("T", value), (None, str(error))
        return prepared, (raw, None)

    async def set(
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
        `delete`. A value that can't be stored removes the existing entry.

        Args:
            identifier: The last part of the key.
            value: The value. `None` is a value, too.
            ttl: The lifetime of the entry, in seconds. Default: that of the cache.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            tags: The tags of the entry, for `CacheManager.invalidate_tag`.
        """
        key = (identifier, params_text(params))
        return await self._insert([(key, *self._prepare(value)[1])], ttl, tags)

    async def set_many(
        self,
        values: Mapping[Any, T],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> bool:
        """Inserts many values, and returns whether all were stored; see `set` for its use.
        Costs two round trips for each 1,000."""
        entries = [((name, None), *self._prepare(value)[1]) for name, value in values.items()]
        return await self._insert(entries, ttl, tags)

    async def _insert(self, entries: Any, ttl: Lifetime | None, tags: Sequence[str]) -> bool:
        try:
            stored = self._core.insert(entries, ttl=ttl, tags=tags)
            if type(stored) is Pending:
                stored = await result_of(stored)
        except CacheError:
            return False
        return bool(stored)

    @overload
    async def write_through(
        self,
        identifier: Identifier,
        write: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T: ...

    @overload
    async def write_through(
        self,
        identifier: Identifier,
        write: Factory[T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T | None: ...

    async def write_through(
        self,
        identifier: Identifier,
        write: Factory[T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> T | None:
        """Writes to the source of truth, and stores the written value.

        The key is taken over before `write` begins, so that a load that may have read the
        older value isn't stored. If the outcome is uncertain, the entry is removed. Costs two
        round trips in addition to the write. If the backend becomes unreachable during the
        write, an older entry may survive it; this is logged as an error, and counted.

        Args:
            identifier: The last part of the key.
            write: Writes, and returns the new value; sync or async. `None` removes the entry.
            ttl: The lifetime of the entry, in seconds. Default: that of the cache.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            tags: The tags of the entry, for `CacheManager.invalidate_tag`; at most 128.

        Raises:
            Exception: The exception of `write`. The entry is removed.
        """
        writing = GuardedWrite(self)
        await writing.begin([(identifier, params_text(params))], ttl, tags)
        value, encoded = await writing.run(write, self._prepare)
        await writing.finish([None if value is None else encoded])
        return value

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
    ) -> CachedDecorator:
        """Returns a decorator for an async function whose results are cached: an endpoint or a
        method, too. It keeps its signature and types, and gains `invalidate`, `refresh`, `peek`,
        `key` and `cache_info`:

            @products.cached(key=lambda id: id, skip=["db"], ttl="15m")
            async def fetch(id: int, db: Database) -> Product: ...

            await fetch(42, db)
            await fetch.invalidate(42)

        Each parameter is part of the key, or left out on purpose: `self`, too. Responses, background
        tasks, sessions and connections are always left out. What the result depends on otherwise
        (the object of a method, a global or a context variable, a user behind a dependency) is not
        known to the cache: make it part of the key. On a hit the function doesn't run, nor what it
        does to a response or with background tasks.

        Args:
            key: Returns the identifier of a call. It takes the parameters that identify the value,
                by name; with `**_` it takes all of them. Functions of one cache that return the
                same identifier share an entry. Without it, all parameters do: those annotated
                as `str`, `int` or `UUID` are the identifier, others are hashed into the key. Then
                the cache is for this function alone.
            skip: The parameters that aren't part of the key, such as a database.
            vary: Returns what tells users apart, from the request that the function takes. It
                is hashed into the key. A function that takes a request needs it, or a `skip` of
                the request; one that reads its cookies, its headers or its user, or takes
                credentials, needs it in any case.
            tags: The tags of the entries: names, or a function that takes parameters, by name. If it
                takes the `result`, too, its tags are late ones (`LoadContext.tags`).
            ttl: The lifetime of the entries, in seconds, or text such as `"15m"`. Default: that
                of the cache.
            negative_ttl: The lifetime of a `None`. Default: that of the cache.
            background: Whether the function may run in a task of its own; see `get_or_set`.
            stale_if_error_on: The exceptions that a stale value answers; see `get_or_set`.

        Raises:
            ConfigurationError: For a parameter that can't be part of a key, or is forgotten; for a
                function whose result depends on its user, without `vary`; for a function that
                isn't async.
        """
        check_called(misplaced, "service.cached")

        def decorate(function: Callable[..., Any]) -> Any:
            return cached_function(
                function, self, key=key, skip=skip, vary=vary, tags=tags, ttl=ttl,
                negative_ttl=negative_ttl, background=background,
                stale_if_error_on=stale_if_error_on,
            )  # fmt: skip

        return cast("CachedDecorator", decorate)

    async def warm(
        self,
        identifiers: Iterable[K],
        factory: Callable[[K], Awaitable[T | None]] | Callable[[K], T | None],
        *,
        ttl: Lifetime | None = None,
        tags: Sequence[str] | Callable[[K], Sequence[str]] = _NO_TAGS,
        concurrency: int = 8,
        stagger: float = 0.5,
        progress: Callable[[int], object] | None = None,
    ) -> Warmed[K]:
        """Loads entries before they are asked for: some at once, and so that they don't end
        together. Those that are cached already are skipped; each behaves as in `get_or_set`.

        Costs as much for each identifier as a call that loads it. Exceptions of factories don't
        stop it. What is loaded stays if it is cancelled.

        Args:
            identifiers: The last parts of the keys.
            factory: Computes the value of an identifier, which it takes; sync or async. It runs in
                tasks of this call, several at once, so they can't share a database session.
            ttl: The lifetime of the entries, in seconds. Default: that of the cache.
            tags: The tags of the entries, or a function of the identifier: the same as those of
                later calls.
            concurrency: How many factories run at once.
            stagger: The share of the lifetime, from 0 to 1, over which the ends of the entries are
                spread: with 0.5, entries live for half of it at least.
            progress: Is called after each identifier, with the number of those that are done.

        Raises:
            ConfigurationError: For an invalid option.
            TypeError: For a string instead of a list.
        """
        names = listed(identifiers, "identifiers")
        warming = self._warming(factory, ttl, tags, stagger, progress)
        return await warming.run(names, concurrency)

    def _warming(
        self,
        factory: Callable[[K], Any],
        ttl: Lifetime | None,
        tags: Sequence[str] | Callable[[K], Sequence[str]],
        stagger: float,
        progress: Callable[[int], object] | None,
    ) -> Warming[K]:
        lifetime = seconds("ttl", self.ttl if ttl is None else ttl)
        return Warming(
            self, factory, ttl=lifetime, tags=tags, stagger=stagger, progress=progress
        )

    async def write_through_many(
        self,
        identifiers: Iterable[Identifier],
        write: Callable[[], Awaitable[Mapping[K, T]]] | Callable[[], Mapping[K, T]],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> Mapping[K, T]:
        """Writes many values to the source of truth at once, and stores the written values.

        `write` returns a mapping from identifiers to values. An entry is removed if its
        identifier is missing from the mapping, or is in the mapping but not in
        `identifiers`. Otherwise the same as `write_through`, for all keys together.

        Raises:
            Exception: The exception of `write`. All entries are removed.
            TypeError: For a string instead of a list of strings, or if `write` doesn't return
                a mapping. All entries are removed in the latter case.
        """
        names = listed(identifiers, "identifiers")
        writing = GuardedWrite(self)
        await writing.begin([(name, None) for name in names], ttl, tags)
        written, values = await writing.run(write, self._prepare_many)
        await writing.finish([written.get(comparable(name)) for name in names])
        extra = written.keys() - set(map(comparable, names))
        if extra:
            logger.warning(
                "cache: a write of %s returned values for %d unexpected identifiers;"
                " removing their entries", self.namespace, len(extra),
            )
            await self.delete_many(extra)
        return values

    async def delete(self, identifier: Identifier, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        Call it after the change is committed. After it has returned `True`, no later call
        gets an older value, whether there was an entry or not. Returns `False` if the backend
        failed. Costs one round trip.
        """
        return await self._succeeded(self._core.invalidate, [(identifier, params_text(params))])

    async def delete_many(self, identifiers: Iterable[Identifier]) -> bool:
        """Removes many entries; see `delete`. Costs one round trip, in a Cluster one for
        each 1,000.

        Returns `False` if the backend failed, or if an identifier is invalid; the entries of
        the valid ones are removed anyway.

        Raises:
            TypeError: For a string instead of a list.
        """
        names = listed(identifiers, "identifiers")
        return await self._delete_all([(name, None) for name in names])

    async def _delete_all(self, keys: Iterable[tuple[Any, Params]]) -> bool:
        texts = [(name, None if it is None else params_text(it)) for name, it in keys]
        return await self._succeeded(self._core.invalidate, texts)

    async def expire(self, identifier: Identifier, params: Params = None) -> bool:
        """Makes the value of an entry stale, as if its `ttl` had ended, and returns whether there
        was one; `False` if the backend failed. Costs two round trips.

        Calls with a factory load it anew, and may be given it meanwhile or if that fails, as the
        cache's options allow. Without a stale window it is a miss. It is no invalidation: a load
        in flight goes on, and may store what it has read before.

        Raises:
            ConfigurationError: In a cache with `strict_plain` or `plain_readers`: plain clients
                can't tell a stale entry from a fresh one.
        """
        try:
            expired = self._core.expire(identifier, params_text(params))
            if type(expired) is Pending:
                expired = await result_of(expired)
        except ConfigurationError:
            raise
        except CacheError:
            return False
        return bool(expired)

    async def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = False) -> int:
        """Removes all entries whose identifier matches a glob pattern, and returns their
        number; 0 if the backend failed.

        It scans all keys of the server, twice, 1,000 in each round trip. Prefer tags, or
        `delete` for known identifiers. Use `escape_pattern` for user input.

        Args:
            pattern: The glob pattern: `*` for all entries, or a pattern that begins with a
                literal part.
            anywhere: Whether the pattern may begin with a wildcard. A `*` in user input then
                matches the entries of other users.
        """
        try:
            if pattern == "*":
                removed = self._core.invalidate_all()
            else:
                removed = self._core.invalidate_pattern(pattern, anywhere)
            if type(removed) is Pending:
                removed = await result_of(removed)
        except CacheError:
            return 0
        return cast("int", removed)

    async def invalidate_all(self) -> bool:
        """Removes all entries of the cache, and returns whether this succeeded. Costs one round
        trip with `epoch`; otherwise it is the same as `invalidate_pattern("*")`."""
        return await self._succeeded(self._core.invalidate_all)

    async def exists(self, identifier: Identifier, params: Params = None) -> bool:
        """Returns whether there is a valid entry that isn't stale; `False` if the backend failed.
        Costs one round trip."""
        try:
            found = self._core.read(identifier, params_text(params))
            if type(found) is Pending:
                found = await result_of(found)
        except CacheError:
            return False
        return type(found) is not Missing

    async def get_ttl(self, identifier: Identifier, params: Params = None) -> int:
        """Returns for how long an entry is fresh in seconds, rounded up: -1 if it never expires,
        -2 if there is no valid entry, it is stale, or the backend failed."""
        try:
            millis = self._core.remaining(identifier, params_text(params))
            if type(millis) is Pending:
                millis = await result_of(millis)
        except CacheError:
            return -2
        left = cast("int", millis)
        return left if left < 0 else -(-left // 1000)

    async def explain(
        self,
        identifier: Identifier,
        params: Params = None,
        *,
        tags: Sequence[str] = _NO_TAGS,
    ) -> Explanation:
        """Returns what is known of a key, and what a call would find: its entry with age, tags and
        their versions, whether the near tier answers, and why it would be a miss. For people and
        their tools: `print(await products.explain(id))`.

        Costs five round trips at most, and counts neither a hit nor a miss. Values aren't decoded.

        Args:
            identifier: The last part of the key.
            params: Parameters that are hashed into the key.
            tags: The tags that the explained call passes.

        Raises:
            CacheError: If the backend fails, or the identifier, a parameter or a tag is invalid.
        """
        explained = self._core.explain(identifier, params_text(params), tags)
        if type(explained) is Pending:
            explained = await result_of(explained)
        return Explanation._of(*cast("tuple[dict[str, Any], str]", explained))

    def stats(self) -> Stats:
        """Returns the counters of this cache in this process."""
        return cast("Stats", self._core.stats())

    def _value(self, found: Any) -> Any:
        """Returns the value that was read: `None` for a miss, `_UNDECODABLE` for an entry that
        can't be decoded."""
        if type(found) in _INTERNAL:
            return self._decoded(found)
        if self._copy is None or found is None:
            return found
        try:
            return self._copy(found)
        except Exception as error:
            # It could be copied before. Code of the value may raise anything.
            self._core.undecodable(f"can't be copied: {type(error).__name__}")
            return _UNDECODABLE

    def _peeked(self, found: Any) -> Any:
        """Returns the value of what `peek` has found; what is undecodable if it has found none."""
        return _UNDECODABLE if type(found) is Missing else self._value(found)

    @staticmethod
    def _is_undecodable(value: Any) -> bool:
        return value is _UNDECODABLE

    def _load_failed(self, error: Exception) -> None:
        """Notes an exception of a factory that no caller gets. The first one is a warning."""
        level = logging.DEBUG if self._loads_fail else logging.WARNING
        self._loads_fail = True
        logger.log(
            level, "cache: a load of %s failed (%s); callers get stale values while there are any",
            self.namespace, type(error).__name__, exc_info=error,
        )

    def _load_succeeded(self) -> None:
        if self._loads_fail:
            self._loads_fail = False
            logger.info("cache: loads of %s succeed again", self.namespace)

    def _decoded(self, found: Any) -> Any:
        """Decodes an entry, and keeps the value where the entry is in the memory of this process.
        Returns `None` for a miss, `_UNDECODABLE` for an entry that can't be decoded, which is
        counted."""
        if type(found) is Missing:
            return None
        raw = found if type(found) is bytes else found.raw
        if raw == self._codec.null:
            return None
        try:
            value: Any = self._codec.decode(raw)
        except DecodeError as error:
            self._core.undecodable(f"not a valid {self._codec.name}: {error}")
            return _UNDECODABLE
        if type(found) is Encoded and self._codec.keeps_objects:
            self._keep(found, value)
        return value

    def _keep(self, entry: Encoded, value: Any) -> None:
        if self._copy is not None:
            # The caller may change its value, as later callers may change theirs.
            try:
                value = self._copy(value)
            except Exception:
                # What can't be copied is decoded each time. Code of the value may raise anything.
                return
        entry.keep(value)

    def _prepare_many(self, values: Any) -> tuple[dict[str, EncodedValue | None], Mapping[Any, T]]:
        """Returns the encoded forms and the prepared values, by identifier."""
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise TypeError(f"`write` returned a {kind}: return the values by identifier")
        prepared = {name: self._prepare(value) for name, value in values.items()}
        encoded = {
            comparable(name): None if value is None else raw
            for name, (value, raw) in prepared.items()
        }
        return encoded, {name: value for name, (value, _) in prepared.items()}

    def _owned_keys(self, keys: Iterable[tuple[Any, Any]]) -> frozenset[tuple[int, str]]:
        """Returns keys that are unique across managers. Invalid ones are skipped."""
        owned = set()
        for identifier, params in keys:
            # Code of the identifier may raise anything.
            with contextlib.suppress(Exception):
                owned.add((id(self._manager), self._core.key(identifier, params)))
        return frozenset(owned)

    @staticmethod
    async def _succeeded(begin: Callable[..., Any], *arguments: Any) -> bool:
        """Runs an operation, and returns whether it succeeded."""
        try:
            pending = begin(*arguments)
            if type(pending) is Pending:
                await result_of(pending)
        except CacheError:
            return False
        return True
