"""A typed view of one namespace."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from typing_extensions import TypedDict

from hotshelf._codec import Codec
from hotshelf._errors import CacheError, DecodeError, EncodeError
from hotshelf._hotshelf import Failed, Given, Pending, Ticket, mode_after_undecodable
from hotshelf._keys import dumped_params, listed, params_text
from hotshelf._options import DEFAULT_JITTER, KeyLayout, Lifetime, jitter_ratio, seconds
from hotshelf._pending import settled
from hotshelf._running import around, running
from hotshelf._writing import Encoded, Writing

if TYPE_CHECKING:
    from hotshelf._manager import CacheManager

logger = logging.getLogger("hotshelf")

T = TypeVar("T")

Factory = Callable[[], Awaitable[T]] | Callable[[], T]
Params = Mapping[str, Any] | None

_MISSING: Any = object()


class Stats(TypedDict):
    """What a cache has counted in this process."""

    hits: int
    misses: int
    loads: int
    load_errors: int
    coalesced: int
    errors: int
    foreign: int
    refused: int
    degraded: int
    handed_over: int
    unstorable: int


class CacheService(Generic[T]):
    """A typed view of the entries of one namespace.

    It is cheap to create: views of the same names share their flights and counters. Methods
    never raise when the cache fails: they return what they return for a miss, or `False`.
    Failures are counted, an outage is logged when it begins and when it ends, an invalid
    argument the first time.
    """

    __slots__ = ("_codec", "_core", "_manager", "jitter", "model", "namespace",
                 "negative_ttl", "prefix", "ttl", "version")

    def __init__(
        self,
        manager: CacheManager,
        namespace: str,
        model: type[T] | None = None,
        *,
        ttl: Lifetime = 300,
        jitter: bool | float = DEFAULT_JITTER,
        prefix: str = "cache",
        version: str = "v1",
        negative_ttl: Lifetime | None = None,
        foreign: bool = False,
        strict_plain: bool = False,
        epoch: bool = False,
        key_layout: KeyLayout = "injective",
        wait_timeout: Lifetime = 2.0,
        backend_budget: Lifetime = 0.25,
        max_waiters: int = 10_000,
        max_value_bytes: int = 1 << 20,
    ) -> None:
        """Creates a view.

        Args:
            manager: Holds the connection.
            namespace: The third part of keys.
            model: The type of the values: a pydantic model, a dataclass, a `TypedDict`, any
                annotation that pydantic understands, `bytes`, or `None` for plain JSON.
            ttl: How long entries live, in seconds.
            jitter: By which ratio lifetimes are spread at random, so that entries that were
                stored together don't expire together: 0.1, or `True`, for ±10 %, 0, or
                `False`, for not at all.
            prefix: The first part of keys.
            version: The second part of keys; change it when the model changes its shape.
            negative_ttl: How long a `None` of a factory is cached, in seconds; 0 for not at
                all. Default: as long as other values.
            foreign: Whether entries that plain Redis clients wrote are accepted.
            strict_plain: Whether entries are bare JSON, without the cache's metadata in the
                white space behind it; such entries carry no tags.
            epoch: Whether `invalidate_all` is one round trip, for one more key in each read.
            key_layout: How keys are written: `"injective"`, so that different identifiers and
                parameters make different keys, or `"fastapi_rc"`, as fastapi-rc does. There
                two queries can share a key: its hash has 48 bits, and a collision was searched
                for and found in 22 seconds.
            wait_timeout: How long to wait for another process's load, in seconds.
            backend_budget: How long a loading call waits for the backend in all, in seconds.
            max_waiters: How many calls of this process wait for one load of one key; calls
                beyond that load by themselves, without storing.
            max_value_bytes: The longest encoded value that is stored, in bytes.

        Raises:
            ConfigurationError: For an invalid option.
            ClosedError: If the manager was never opened.
        """
        self._manager = manager
        self.namespace = namespace
        self.model = model
        self.ttl = ttl
        self.jitter = jitter
        self.prefix = prefix
        self.version = version
        self.negative_ttl = negative_ttl
        self._codec: Codec[T] = Codec.of(model)
        self._core = manager._cache(
            namespace,
            prefix=prefix,
            version=version,
            kind=self._codec.name,
            ttl=seconds(ttl),
            jitter=jitter_ratio(jitter),
            negative_ttl=None if negative_ttl is None else seconds(negative_ttl),
            foreign=foreign,
            strict_plain=strict_plain,
            epoch=epoch,
            key_layout=key_layout,
            wait_timeout=seconds(wait_timeout),
            backend_budget=seconds(backend_budget),
            max_waiters=max_waiters,
            max_value_bytes=max_value_bytes,
        )

    def key(self, identifier: str, params: Params = None) -> str:
        """Returns the exact key of an entry.

        Raises:
            KeyError: If the identifier can't become a key.
            TypeError: If a parameter has no canonical form.
        """
        return self._core.key(identifier, dumped_params(params))

    async def get(self, identifier: str, params: Params = None) -> T | None:
        """Reads a value, or returns `None` for a miss. Costs one round trip."""
        text = params_text(params)
        try:
            raw = self._core.read(identifier, text)
            if type(raw) is Pending:
                # As `settled` does, without a coroutine of its own for each hit.
                pending = raw
                try:
                    raw = await pending.future
                except BaseException:
                    pending.abandon()
                    raise
        except CacheError:
            return None
        value = self._decoded(raw)
        return None if value is _MISSING else cast("T | None", value)

    async def get_many(self, identifiers: Iterable[str]) -> list[T | None]:
        """Reads many values, in the order of their identifiers. Costs one round trip.

        Raises:
            TypeError: For a string in place of a list of strings.
        """
        names = listed(identifiers, "identifiers")
        try:
            raws = self._core.read_many([(name, None) for name in names])
            if type(raws) is Pending:
                raws = await settled(raws)
        except CacheError:
            return [None] * len(names)
        values = [self._decoded(raw) for raw in cast("list[Any]", raws)]
        return [None if value is _MISSING else value for value in values]

    @overload
    async def get_or_set(
        self,
        identifier: str,
        factory: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
    ) -> T: ...

    @overload
    async def get_or_set(
        self,
        identifier: str,
        factory: Factory[T | None],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
    ) -> T | None: ...

    async def get_or_set(
        self,
        identifier: str,
        factory: Factory[Any],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
    ) -> T | None:
        """Reads a value, or computes it.

        Of all callers, in this process and in others, one runs its factory; the rest wait
        for it and are given its value or, in this process, its exception. The factory runs
        in the caller's own task, with its context variables, and may be sync or async. A
        caller that is cancelled hands over to the one that has waited longest.

        A hit costs one round trip, a miss three. While the backend is away the factory runs
        all the same, after the deadline at most.

        A factory, or a write, that asks for its own key computes by itself. One that asks for
        another key waits for another caller's load of it for `wait_timeout` at most, and then
        computes by itself: two that ask for each other's keys would wait for ever. So does
        one that passes the question for its own key to a task that it has not begun.

        Args:
            identifier: The last part of the key.
            factory: Computes the value. `None` is a value, too, and is cached.
            ttl: How long the entry lives, in seconds. With 0, or an invalid lifetime, the
                value isn't stored; an entry that exists is read all the same.
            params: Parameters that are hashed into the key; their order doesn't matter.
            tags: Names by which `CacheManager.invalidate_tag` finds the entry. With invalid
                ones every caller computes, and nothing is stored.
            negative_ttl: How long a `None` is cached, in seconds; 0 for not at all.
            reload: Whether to compute the value even if there is an entry.

        Raises:
            Exception: The factory's own.
        """
        text = params_text(params)
        mode = "reload" if reload else "use"
        runs = around()
        if runs and self._places([(identifier, text)]) & {it for run in runs for it in run.places}:
            # It would wait for itself.
            mode = "bypass"
        while True:
            loaded = self._core.load(
                identifier, text, tags, ttl, negative_ttl, mode, bool(runs)
            )
            if type(loaded) is Pending:
                # As `settled` does, without a coroutine of its own for each hit.
                pending = loaded
                try:
                    loaded = await pending.future
                except BaseException:
                    pending.abandon()
                    raise
            if type(loaded) is not bytes:
                match loaded:
                    case Ticket():
                        return await self._lead(loaded, factory, identifier, text)
                    case Failed():
                        try:
                            raise loaded.exception.with_traceback(loaded.traceback)
                        finally:
                            # The traceback keeps this frame, which is not to keep the exception.
                            del loaded
                    case Given():
                        return cast("T", loaded.value)
            value = self._decoded(loaded)
            if value is not _MISSING:
                return cast("T", value)
            mode = mode_after_undecodable(mode)

    async def _lead(
        self, ticket: Ticket, factory: Factory[T], identifier: Any, params: Any
    ) -> T:
        """Runs the factory, and completes the load with its result."""
        try:
            with running(self._places([(identifier, params)])):
                made = await self._made(factory)
        except Exception as error:
            ticket.fail(error)
            raise
        except BaseException:
            ticket.abandon()
            raise
        value, (raw, reason) = self._prepared(made)
        completing = ticket.complete(value, raw, reason)
        if type(completing) is Pending:
            await settled(completing)
        return value

    def _prepared(self, value: Any) -> tuple[T, Encoded]:
        """Returns a value as a hit would return it, and its encoded form, or the reason why
        it has none."""
        try:
            prepared, raw = self._codec.prepare(value)
        except EncodeError as error:
            return cast("T", value), (None, str(error))
        return prepared, (raw, None)

    async def set(
        self,
        identifier: str,
        value: T,
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        """Writes a value, and returns whether it is stored. Costs two round trips.

        It is for warm-up, batches and values that never change: of two writers the older
        may come last. After a write to the source of truth, `write_through` or `delete` is
        right. A value that can't be stored removes what it was to replace.
        """
        key = (identifier, params_text(params))
        return await self._insert([(key, *self._prepared(value)[1])], ttl, tags)

    async def set_many(
        self,
        values: Mapping[str, T],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        """Writes many values, and returns whether all are stored. Costs two round trips for
        each 1,000; see `set` for what it is good for."""
        entries = [((name, None), *self._prepared(value)[1]) for name, value in values.items()]
        return await self._insert(entries, ttl, tags)

    async def _insert(self, entries: Any, ttl: Lifetime | None, tags: Sequence[str]) -> bool:
        try:
            stored = self._core.insert(entries, ttl=ttl, tags=tags)
            if type(stored) is Pending:
                stored = await settled(stored)
        except CacheError:
            return False
        return bool(stored)

    async def write_through(
        self,
        identifier: str,
        write: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
    ) -> T:
        """Writes to the source of truth, and stores what was written.

        The key is taken over before `write` begins, so that no load that may have read the
        older value is stored; if anything is in doubt after it, the entry is removed. Costs
        two round trips beside the write. If the backend is away by then, an older entry may
        outlive the write; that is logged as an error, and counted.

        Raises:
            Exception: The writer's own; the entry is removed then, too.
        """
        writing = Writing(self)
        await writing.begin([(identifier, params_text(params))], ttl, tags)
        value, encoded = await writing.run(write, self._prepared)
        await writing.finish([None if value is None else encoded])
        return value

    async def write_through_many(
        self,
        identifiers: Iterable[str],
        write: Callable[[], Awaitable[Mapping[str, T]]] | Callable[[], Mapping[str, T]],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> Mapping[str, T]:
        """Writes many values to the source of truth at once, and stores what was written.

        `write` returns the values by their identifiers. The entry of one that it doesn't name
        is removed, and so is one that it names beyond `identifiers`. As `write_through` in
        all else, for all of them together.

        Raises:
            Exception: The writer's own.
            TypeError: If `write` returns something else; all entries are removed then.
        """
        names = listed(identifiers, "identifiers")
        writing = Writing(self)
        await writing.begin([(name, None) for name in names], ttl, tags)
        written, values = await writing.run(write, self._prepared_many)
        await writing.finish([written.get(name) for name in names])
        beyond = written.keys() - set(names)
        if beyond:
            logger.warning("cache: a write of %s named more than it was for", self.namespace)
            await self.delete_many(beyond)
        return values

    async def delete(self, identifier: str, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        Call it after the change is committed: once it has answered `True`, no later call is
        given an older value, whether there was an entry or not. `False` means that the
        backend fails. Costs one round trip.
        """
        return await self._done(self._core.invalidate, [(identifier, params_text(params))])

    async def delete_many(self, identifiers: Iterable[str]) -> bool:
        """Removes many entries; see `delete`. Costs one round trip, in a Cluster one for each
        1,000. An invalid identifier makes the answer `False`; the others are removed.

        Raises:
            TypeError: For a string in place of a list of strings.
        """
        names = listed(identifiers, "identifiers")
        return await self._done(self._core.invalidate, [(name, None) for name in names])

    async def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = False) -> int:
        """Removes all entries whose identifier matches a glob pattern, and returns how many.

        It scans all keys of the server: prefer tags, or `delete` where you know the
        identifiers. Those that users chose go into it through `escape_pattern`.

        Args:
            pattern: What identifiers are to match; `*` for all of them. Others begin with a
                literal part.
            anywhere: Whether they may begin with a wildcard, too. A `*` that a user has
                typed matches what belongs to others then.
        """
        try:
            if pattern == "*":
                removed = self._core.invalidate_all()
            else:
                removed = self._core.invalidate_pattern(pattern, anywhere)
            if type(removed) is Pending:
                removed = await settled(removed)
        except CacheError:
            return 0
        return cast("int", removed)

    async def invalidate_all(self) -> bool:
        """Removes all entries of the cache; one round trip if it has an epoch."""
        return await self._done(self._core.invalidate_all)

    async def exists(self, identifier: str, params: Params = None) -> bool:
        """Returns whether there is a valid entry."""
        try:
            raw = self._core.read(identifier, params_text(params))
            if type(raw) is Pending:
                raw = await settled(raw)
        except CacheError:
            return False
        return raw is not None

    async def get_ttl(self, identifier: str, params: Params = None) -> int:
        """Returns the remaining lifetime of an entry in seconds: -1 if it never expires, -2
        if there is no valid entry."""
        try:
            millis = self._core.remaining(identifier, params_text(params))
            if type(millis) is Pending:
                millis = await settled(millis)
        except CacheError:
            return -2
        left = cast("int", millis)
        return left if left < 0 else -(-left // 1000)

    def stats(self) -> Stats:
        """Returns what this cache has counted in this process."""
        return cast("Stats", self._core.stats())

    def _decoded(self, raw: Any) -> Any:
        """Returns the value of an entry; `_MISSING` for one that is not a value of this
        cache, which is counted."""
        if raw is None:
            return _MISSING
        if raw is False or raw == b"null":
            return None
        try:
            return self._codec.decode(raw)
        except DecodeError as error:
            self._core.undecodable(f"not a valid {self._codec.name}: {error}")
            return _MISSING

    def _prepared_many(self, values: Any) -> tuple[dict[str, Encoded | None], Mapping[str, T]]:
        """Returns the encoded forms of many values, and the values, by their names."""
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise TypeError(f"`write` returned a {kind}: return the values by identifier")
        prepared = {name: self._prepared(value) for name, value in values.items()}
        encoded = {str(name): None if value is None else raw for name, (value, raw) in prepared.items()}
        return encoded, {name: value for name, (value, _) in prepared.items()}

    def _places(self, keys: Iterable[tuple[Any, Any]]) -> frozenset[tuple[int, str]]:
        """Returns keys that are unique over all managers; invalid ones are skipped."""
        places = set()
        for identifier, params in keys:
            # Their own code may raise anything.
            with contextlib.suppress(Exception):
                places.add((id(self._manager), self._core.key(str(identifier), params)))
        return frozenset(places)

    @staticmethod
    async def _done(begin: Callable[..., Any], *arguments: Any) -> bool:
        """Runs an operation, and returns whether it succeeded."""
        try:
            pending = begin(*arguments)
            if type(pending) is Pending:
                await settled(pending)
        except CacheError:
            return False
        return True

    @staticmethod
    async def _made(factory: Callable[[], Any]) -> Any:
        made = factory()
        return await made if inspect.isawaitable(made) else made
