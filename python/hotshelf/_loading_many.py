"""Loads of many keys that a call leads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from hotshelf._background import LimitReached, in_time
from hotshelf._blocking import finished
from hotshelf._errors import own_copy
from hotshelf._hotshelf import Failed, ManyLoad, Pending, Unencoded, is_blocking
from hotshelf._keys import Identifier, comparable
from hotshelf._options import stale_condition
from hotshelf._pending import result_of
from hotshelf._running import running

if TYPE_CHECKING:
    from hotshelf._options import StaleIfErrorOn
    from hotshelf._service import CacheService

T = TypeVar("T")

logger = logging.getLogger("hotshelf")

#: A value, its encoded form, or the reason why it can't be encoded.
_Prepared = tuple[Any, bytes | None, str | None]

_ABSENT: _Prepared = (None, None, None)


class LoadOfMany(Generic[T]):
    """A call that loads what is missing of many keys."""

    __slots__ = ("_factory", "_names", "_serves_stale", "_service")

    def __init__(
        self,
        service: CacheService[T],
        names: Sequence[Identifier],
        factory: Callable[[list[Any]], Any],
        on: StaleIfErrorOn | None,
    ) -> None:
        self._service = service
        self._names = names
        self._factory = factory
        self._serves_stale = service._serves_stale if on is None else stale_condition(on)

    async def values(self, step: ManyLoad) -> list[Any]:
        """Loads what is missing, and returns the values in the order of the names. One that can't
        be decoded is `_UNDECODABLE`, as `CacheService._value` returns it."""
        own: dict[int, Any] = {}
        while (positions := step.positions) is not None:
            step = await self._load(step, positions, own)
        found = step.outcomes()
        if isinstance(found, Failed):
            try:
                raise own_copy(found.exception).with_traceback(found.traceback)
            finally:
                # Break the cycle: the traceback refers to this frame.
                del found
        return [
            own[at] if at in own else one.value if type(one) is Unencoded
            else self._service._value(one)
            for at, one in enumerate(found)
        ]  # fmt: skip

    async def _load(self, step: ManyLoad, positions: list[int], own: dict[int, Any]) -> ManyLoad:
        """Runs the factory in this task for the names at some positions, and returns the next
        step. Adds the values to `own`, by their positions."""
        service = self._service
        limit: Pending | None = None
        try:
            names = [self._names[at] for at in positions]
            # A sync factory of a thread can't be stopped.
            limit = None if is_blocking() else step.time_limit()
            with running(service._owned_keys([(name, None) for name in names])):
                run = self._run(names)
                made = await (run if limit is None else in_time(limit, run))
            # Code of the model may raise what is no `Exception`.
            prepared = self._prepared(made, names)
        except LimitReached:
            step.abandon()
        except Exception as error:
            following = await self._fail(step, error)
            if following is None:
                raise
            return following
        except BaseException:
            step.abandon()
            raise
        else:
            service._load_succeeded()
            own.update((at, value) for at, (value, _, _) in zip(positions, prepared, strict=True))
            with service._manager._observing.put(service, len(prepared)):
                completing = step.complete(prepared)
                if type(completing) is Pending:
                    completing = await result_of(completing)
            return cast("ManyLoad", completing)
        # The traceback of the future's own exception would refer to the future.
        raise own_copy(cast("BaseException", cast("Pending", limit).future.exception()))

    async def _run(self, names: list[Any]) -> dict[Any, Any]:
        """Runs the factory, and returns its values by comparable names."""
        # Invalid keys, which are not known to be the same, are asked for once, too.
        distinct: dict[Any, Any] = {}
        for name in names:
            distinct.setdefault(comparable(name), name)
        with self._service._manager._observing.load(self._service, len(distinct)):
            made = await finished(self._factory(list(distinct.values())))
        found = {comparable(name): value for name, value in _pairs(made)}
        if found and found.keys().isdisjoint(distinct):
            logger.warning(
                "cache: a factory of %s returned values for %d identifiers, none of which it was"
                " asked for", self._service.namespace, len(found),
            )
        return found

    def _prepared(self, made: dict[Any, Any], names: list[Any]) -> list[_Prepared]:
        """Returns the values of names, in their order."""
        prepare = self._service._prepare
        prepared: dict[Any, _Prepared] = {}
        for known, value in made.items():
            if value is not None:
                readable, (raw, reason) = prepare(value)
                prepared[known] = readable, raw, reason
        return [prepared.get(comparable(name), _ABSENT) for name in names]

    async def _fail(self, step: ManyLoad, error: Exception) -> ManyLoad | None:
        """Ends the loads of a factory that has raised an exception. Returns the next step if all of
        its keys have a value that is served instead."""
        rejects_stale = False
        failure = error
        if step.has_stale_values:
            try:
                rejects_stale = not self._serves_stale(error)
            except Exception as raised:
                rejects_stale = True
                failure = raised
        following = step.fail(failure, rejects_stale)
        if type(following) is Pending:
            following = await result_of(following)
        if failure is not error:
            raise failure
        if following is not None:
            self._service._load_failed(error)
        return cast("ManyLoad | None", following)


def _pairs(made: Any) -> list[tuple[Any, Any]]:
    """Returns the values that a factory returned, with their identifiers.

    Raises:
        TypeError: If they are neither a mapping nor pairs.
    """
    if isinstance(made, Mapping):
        return list(made.items())
    # Iterating runs code of the factory, whose exceptions are its own.
    pairs = list(made) if isinstance(made, Iterable) else [made]
    for pair in pairs:
        if not isinstance(pair, Sized) or isinstance(pair, str | bytes) or len(pair) != 2:
            kind = type(made).__name__
            raise TypeError(
                f"the factory returned a {kind}: return the values by identifier, or pairs"
            )
    return pairs
