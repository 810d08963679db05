"""A typed view of one namespace."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, cast, overload

from hotshelf._codec import Codec, Undecodable, codec_of, in_short
from hotshelf._hotshelf import CacheError, Failed, Given, Pending, Ticket
from hotshelf._keys import canonical_params, listed, seconds
from hotshelf._pending import settled, settled_within
from hotshelf._running import around, running
from hotshelf._trouble import UNUSABLE, WRONG
from hotshelf._writing import Writing

if TYPE_CHECKING:
    from hotshelf._manager import CacheManager

logger = logging.getLogger("hotshelf")

T = TypeVar("T")
R = TypeVar("R")

Factory = Callable[[], Awaitable[T]] | Callable[[], T]
Params = Mapping[str, Any] | None
Lifetime = float | timedelta

#: An identifier, and the text of parameters.
_Key = tuple[str, str | None]

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

    It is cheap to make: views of the same names share their flights and counters. Methods
    never raise for trouble with the cache: it is logged and counted, and what they return
    says that there was nothing.
    """

    __slots__ = ("_codec", "_core", "_manager", "default_ttl", "model", "namespace",
                 "_patience", "negative_ttl", "prefix", "use_jitter", "version")

    def __init__(
        self,
        manager: CacheManager,
        namespace: str,
        model: type[T] | None = None,
        default_ttl: Lifetime = 300,
        use_jitter: bool = True,
        prefix: str = "cache",
        version: str = "v1",
        *,
        negative_ttl: Lifetime | None = None,
        foreign: bool = False,
        strict_plain: bool = False,
        epoch: bool = False,
        layout: int = 1,
        wait_timeout: Lifetime = 2.0,
        backend_budget: Lifetime = 0.25,
        max_value_bytes: int = 1 << 20,
    ) -> None:
        """Makes a view.

        Args:
            manager: What holds the connection.
            namespace: The third part of keys.
            model: What values are: a pydantic model, a dataclass, a `TypedDict`, any
                annotation that pydantic understands, `bytes`, or `None` for plain JSON.
            default_ttl: How long entries live, in seconds.
            use_jitter: Whether lifetimes are spread by ±10 %, so that not all end at once.
            prefix: The first part of keys.
            version: The second part of keys; change it when the model changes its shape.
            negative_ttl: How long it is remembered that a factory has found nothing
                (`None`); 0 for not at all. Default: as long as values live.
            foreign: Whether entries that plain Redis clients wrote are taken.
            strict_plain: Whether entries are bare JSON, without the white space behind it
                that holds what the cache knows of them; such entries carry no tags.
            epoch: Whether `invalidate_all` is one round trip, for one more key in each read.
            layout: How keys are written: 1 as fastapi-rc does, 2 injective.
            wait_timeout: How long to wait for another process's load, in seconds.
            backend_budget: How long a loading call waits for the backend in all, in seconds.
            max_value_bytes: The longest value that is stored.

        Raises:
            ConfigurationError, ValueError: For an option that is wrong.
            ClosedError: If the manager was never opened.
        """
        self._manager = manager
        self.namespace = namespace
        self.model = model
        self.default_ttl = default_ttl
        self.use_jitter = use_jitter
        self.prefix = prefix
        self.version = version
        self.negative_ttl = negative_ttl
        self._patience = seconds(wait_timeout) + seconds(backend_budget)
        self._codec: Codec[T] = codec_of(model)
        self._core = manager._cache(
            namespace,
            prefix=prefix,
            version=version,
            kind=self._codec.name,
            ttl=seconds(default_ttl),
            jitter=0.1 if use_jitter else 0.0,
            foreign=foreign,
            strict_plain=strict_plain,
            epoch=epoch,
            layout=layout,
            wait_timeout=seconds(wait_timeout),
            backend_budget=seconds(backend_budget),
            max_value_bytes=max_value_bytes,
        )
        if negative_ttl:
            self._core.check_lifetime(seconds(negative_ttl))

    def key(self, identifier: str, params: Params = None) -> str:
        """Gives the exact key of an entry.

        Raises:
            TypeError: If a parameter has no canonical form.
        """
        return self._core.key(str(identifier), canonical_params(params))

    async def get(self, identifier: str, params: Params = None) -> T | None:
        """Reads a value; `None` if there is none. Costs one round trip."""
        try:
            raw = self._core.read(str(identifier), canonical_params(params))
            if type(raw) is Pending:
                # As `settled` does, without a coroutine of its own for each hit.
                pending = raw
                try:
                    raw = await pending.future
                except BaseException:
                    pending.abandon()
                    raise
        except UNUSABLE as error:
            self._failed("cache: reading %s failed: %s", error)
            return None
        value = self._decoded(raw)
        return None if value is _MISSING else cast("T | None", value)

    async def get_many(self, identifiers: Iterable[str]) -> list[T | None]:
        """Reads many values, in the order of their identifiers. Costs one round trip."""
        names = listed(identifiers, "identifiers")
        try:
            raw, keys = self._of_usable(names, self._core.read_many)
            if type(raw) is Pending:
                raw = await settled(raw)
        except UNUSABLE as error:
            self._failed("cache: reading many of %s failed: %s", error)
            return [None] * len(names)
        found = iter(cast("list[Any]", raw))
        values = [_MISSING if key is None else self._decoded(next(found)) for key in keys]
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
        caller that is cancelled leaves its place to the one that has waited longest.

        A hit costs one round trip, a miss three. With the backend away the factory runs all
        the same, after its deadline at most.

        A factory, or a write, that asks for its own key computes by itself. One that asks for
        another key waits for another's load of it for `wait_timeout` at most, and then
        computes by itself: two that ask for each other's keys would wait for ever. So does
        one that hands the question for its own key to a task that it has not begun.

        Args:
            identifier: What names the entry.
            factory: Computes the value. `None` is a value, too: that there is none.
            ttl: How long the entry lives, in seconds.
            params: More of what names the entry; their order doesn't matter.
            tags: Names by which `CacheManager.invalidate_tag` finds the entry.
            negative_ttl: How long it is remembered that there is no value; 0: not at all.
            reload: Whether to compute it in any case.

        Raises:
            Exception: The factory's own.
        """
        runs = around()
        loaded: Any = None
        text: str | None = None
        try:
            text = canonical_params(params) if params else None
            # A factory that asks for its own key would wait for itself.
            if not (runs and any(self._place(identifier, text) in run.places for run in runs)):
                named = listed(tags, "tags") if tags else None
                lifetime = self._lifetime(ttl)
                loaded = self._core.load(str(identifier), text, named, lifetime, reload)
        except UNUSABLE as error:
            self._failed("cache: loading %s without it: %s", error)
            if reload and isinstance(error, WRONG):
                await self.delete(identifier, params)
        if type(loaded) is Pending:
            try:
                if runs:
                    # The other caller's factory may be waiting for what this one loads.
                    loaded = await settled_within(loaded, self._patience)
                else:
                    # As `settled` does, without a coroutine of its own for each hit.
                    pending = loaded
                    try:
                        loaded = await pending.future
                    except BaseException:
                        pending.abandon()
                        raise
            except asyncio.TimeoutError:
                self._core.count_degraded()
                logger.warning("cache: loading %s without waiting any longer", self.namespace)
                loaded = None
            except CacheError as error:
                self._failed("cache: loading %s without it: %s", error)
                loaded = None
        if type(loaded) is not bytes:
            match loaded:
                case Ticket():
                    return await self._lead(
                        loaded, factory, self._place(identifier, text), ttl, negative_ttl
                    )
                case Failed():
                    try:
                        raise loaded.exception.with_traceback(loaded.traceback)
                    finally:
                        # The traceback keeps this frame, which is not to keep the exception.
                        del loaded
                case Given():
                    return cast("T", loaded.value)
                case None:
                    return self._normal(await self._made(factory))
        value = self._decoded(loaded)
        if value is not _MISSING:
            return cast("T", value)
        if reload:
            return self._normal(await self._made(factory))
        # What stands there is no value of this cache: it is loaded over it.
        again = await self.get_or_set(
            identifier, factory, ttl, params, tags=tags, negative_ttl=negative_ttl, reload=True
        )
        return cast("T | None", again)

    async def _lead(
        self,
        ticket: Ticket,
        factory: Factory[T],
        place: tuple[int, str],
        ttl: Lifetime | None,
        negative_ttl: Lifetime | None,
    ) -> T:
        try:
            with running([place]):
                made = await self._made(factory)
        except Exception as error:
            ticket.fail(error)
            raise
        except BaseException:
            ticket.abandon()
            raise
        value, raw = self._prepared(made)
        try:
            ended = self._fill(ticket, value, raw, ttl, negative_ttl)
            if type(ended) is Pending:
                await settled(ended)
        except UNUSABLE as error:
            self._failed("cache: storing in %s failed: %s", error)
            ticket.abandon()
        return value

    def _fill(
        self,
        ticket: Ticket,
        value: T,
        raw: bytes | None,
        ttl: Lifetime | None,
        negative_ttl: Lifetime | None,
    ) -> Any:
        lifetime = self._lifetime(ttl)
        if value is None:
            negative = self.negative_ttl if negative_ttl is None else negative_ttl
            lifetime = lifetime if negative is None else seconds(negative)
        if raw is None or lifetime == 0:
            return ticket.share(value)
        try:
            return ticket.fill(None if value is None else raw, lifetime)
        except WRONG as error:
            self._failed("cache: a value of %s was not stored: %s", error)
            return ticket.share(value)

    def _normal(self, value: Any) -> T:
        """Gives a value as a hit would give it, if it has such a form."""
        try:
            return cast("T", self._codec.prepare(value)[0])
        except Exception:
            return cast("T", value)

    def _prepared(self, value: Any) -> tuple[T, bytes | None]:
        """Gives a value as a hit would give it, and its form in JSON, if it has one."""
        try:
            return self._codec.prepare(value)
        except Exception as error:
            # The model's own code may raise anything.
            self._core.count_unstorable()
            short = in_short(error)
            logger.warning("cache: a value of %s was not stored: %s", self.namespace, short)
            return cast("T", value), None

    async def set(
        self,
        identifier: str,
        value: T,
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        """Writes a value, and says whether that worked. Costs two round trips.

        It is for warm-up, batches and values that never change: of two writers the older
        may come last. After a write to the source of truth, `write_through` or `delete` is
        right. A value that can't be written removes what it was to replace.
        """
        _, raw = self._prepared(value)
        if raw is None:
            await self.delete(identifier, params)
            return False
        try:
            entry = (str(identifier), canonical_params(params), raw)
            named, lifetime = listed(tags, "tags"), self._lifetime(ttl)
            stored = self._core.insert([entry], ttl=lifetime, tags=named)
            if type(stored) is Pending:
                stored = await settled(stored)
        except UNUSABLE as error:
            self._failed("cache: writing %s failed: %s", error)
            if isinstance(error, WRONG):
                await self.delete(identifier, params)
            return False
        return bool(stored)

    async def set_many(
        self,
        values: Mapping[str, T],
        ttl: Lifetime | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        """Writes many values, and says whether that worked. Costs two round trips for each
        1,000; see `set` for what it is good for."""
        prepared = {str(name): self._prepared(value)[1] for name, value in values.items()}
        checked = self._checked([(name, None) for name in prepared])
        usable = [key for key in checked if key is not None]
        raws = [(name, text, prepared[name]) for name, text in usable]
        entries = [(name, text, raw) for name, text, raw in raws if raw is not None]
        outdated = [name for name, _, raw in raws if raw is None]
        if outdated:
            await self.delete_many(outdated)
        try:
            named, lifetime = listed(tags, "tags"), self._lifetime(ttl)
            stored = self._core.insert(entries, ttl=lifetime, tags=named)
            if type(stored) is Pending:
                stored = await settled(stored)
        except UNUSABLE as error:
            self._failed("cache: writing many of %s failed: %s", error)
            if isinstance(error, WRONG):
                await self.delete_many(name for name, _ in usable)
            return False
        return bool(stored) and len(entries) == len(values)

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
        await writing.begin([(identifier, params)], ttl, tags)
        value, raw = await writing.run(write, self._prepared)
        await writing.settle([None if value is None else raw])
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

        `write` gives the values by their identifiers. The entry of one that it doesn't name
        is removed, and so is one that it names beyond `identifiers`. As `write_through` in
        all else, for all of them together.

        Raises:
            Exception: The writer's own.
            TypeError: If `write` gives something else; all entries are removed then.
        """
        names = listed(identifiers, "identifiers")
        writing = Writing(self)
        await writing.begin([(name, None) for name in names], ttl, tags)
        written, values = await writing.run(write, self._prepared_many)
        await writing.settle([written.get(name) for name in names])
        beyond = written.keys() - set(names)
        if beyond:
            logger.warning("cache: a write of %s named more than it was for", self.namespace)
            await self.delete_many(beyond)
        return values

    async def delete(self, identifier: str, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        Call it after the change is committed: once it has answered `True`, nobody who asks
        later is given an older value, whether there was an entry or not. `False` says that
        the backend is in trouble. Costs one round trip.
        """
        try:
            removed = self._core.invalidate([(str(identifier), canonical_params(params))])
            if type(removed) is Pending:
                await settled(removed)
        except UNUSABLE as error:
            self._failed("cache: deleting from %s failed: %s", error, logging.ERROR)
            return False
        return True

    async def delete_many(self, identifiers: Iterable[str]) -> bool:
        """Removes many entries; see `delete`. Costs one round trip, in a Cluster one for each
        1,000. What can be no key makes the answer `False`; the others are removed.

        Raises:
            TypeError: For a text in place of a list of texts.
        """
        names = listed(identifiers, "identifiers")
        try:
            removed, keys = self._of_usable(names, self._core.invalidate)
            if type(removed) is Pending:
                await settled(removed)
        except UNUSABLE as error:
            self._failed("cache: deleting many of %s failed: %s", error, logging.ERROR)
            return False
        return None not in keys

    async def invalidate_pattern(self, pattern: str = "*", *, anywhere: bool = False) -> int:
        """Removes all entries whose identifier matches a glob pattern, and says how many.

        It walks over all keys of the server: prefer tags, or `delete` where you know the
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
            if isinstance(removed, Pending):
                removed = cast("int", await settled(removed))
        except UNUSABLE as error:
            self._failed("cache: invalidating %s failed: %s", error, logging.ERROR)
            return 0
        return removed

    async def invalidate_all(self) -> bool:
        """Removes all entries of the cache; one round trip if it has an epoch."""
        try:
            removed = self._core.invalidate_all()
            if type(removed) is Pending:
                await settled(removed)
        except CacheError as error:
            self._failed("cache: invalidating all of %s failed: %s", error, logging.ERROR)
            return False
        return True

    async def exists(self, identifier: str, params: Params = None) -> bool:
        """Says whether there is an entry that counts."""
        try:
            raw = self._core.read(str(identifier), canonical_params(params))
            if type(raw) is Pending:
                raw = await settled(raw)
        except UNUSABLE as error:
            self._failed("cache: reading %s failed: %s", error)
            return False
        return raw is not None

    async def get_ttl(self, identifier: str, params: Params = None) -> int:
        """Says how many seconds an entry still lives: -1 for ever, -2 if there is none."""
        try:
            millis = self._core.remaining(str(identifier), canonical_params(params))
            if type(millis) is Pending:
                millis = await settled(millis)
        except UNUSABLE as error:
            self._failed("cache: reading %s failed: %s", error)
            return -2
        left = cast("int", millis)
        return left if left < 0 else -(-left // 1000)

    def stats(self) -> Stats:
        """Gives what this cache has counted in this process."""
        return cast("Stats", self._core.stats())

    def _decoded(self, raw: Any) -> Any:
        """Gives the value of an entry; one that is none of ours is counted, and missing."""
        if raw is None:
            return _MISSING
        if raw is False or raw == b"null":
            return None
        try:
            return self._codec.decode(raw)
        except Undecodable as error:
            self._core.count_foreign()
            logger.warning("cache: an entry of %s is no %s: %s", self.namespace, self._codec.name, error)
            return _MISSING

    def _prepared_many(self, values: Any) -> tuple[dict[str, bytes | None], Mapping[str, T]]:
        """As `_prepared`, for many by their names: what is to be stored, and the values."""
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise TypeError(f"`write` gives what it has written by identifier, not a {kind}")
        prepared = {name: self._prepared(value) for name, value in values.items()}
        raws = {str(name): None if value is None else raw for name, (value, raw) in prepared.items()}
        return raws, {name: value for name, (value, _) in prepared.items()}

    def _checked(self, keys: Iterable[tuple[str, Params]]) -> list[_Key | None]:
        """Puts `None` where something can be no key: nothing is cached under it."""
        checked: list[_Key | None] = []
        for identifier, params in keys:
            try:
                key = str(identifier), canonical_params(params)
                self._core.key(*key)
            except UNUSABLE as error:
                self._failed("cache: a key of %s is left out: %s", error)
                checked.append(None)
            else:
                checked.append(key)
        return checked

    def _of_usable(
        self, names: list[str], ask: Callable[[list[_Key]], R]
    ) -> tuple[R, Sequence[_Key | None]]:
        """Asks for all at once; if there is one that can be no key, for the others. Gives the
        keys, too, as `_checked` does."""
        keys: list[_Key] = [(name, None) for name in names]
        try:
            return ask(keys), keys
        except WRONG:
            checked = self._checked((name, None) for name in names)
            return ask([key for key in checked if key is not None]), checked

    def _place(self, identifier: Any, params: str | None) -> tuple[int, str]:
        return id(self._manager), self._core.key(str(identifier), params)

    def _failed(self, text: str, error: Exception, level: int = logging.WARNING) -> None:
        """Logs trouble, and counts what the engine has not counted itself."""
        if not isinstance(error, CacheError):
            self._core.count_error()
        logger.log(level, text, self.namespace, error)

    @staticmethod
    def _lifetime(ttl: Lifetime | None) -> float | None:
        return None if ttl is None else seconds(ttl)

    @staticmethod
    async def _made(factory: Callable[[], Any]) -> Any:
        made = factory()
        return await made if inspect.isawaitable(made) else made
