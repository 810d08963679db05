"""Functions whose results are cached, without `await`."""

from __future__ import annotations

import inspect
from asyncio import _get_running_loop
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from typing_extensions import Concatenate, ParamSpec, Self

from hotshelf._blocking import wait
from hotshelf._cached import NOT_DECODED, BoundCall, CachedCall, CachedDecorator
from hotshelf._errors import ConfigurationError
from hotshelf._running import current_runs

if TYPE_CHECKING:
    from hotshelf.sync._service import CacheService

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class CachedFunction(CachedCall[P, R]):
    """A function whose results are cached. It is called, and looks, like the function: with its
    signature, defaults and types.

    Of all concurrent callers, in this process and in others, one runs it, in its own thread. What
    it raises reaches the callers; a failure of the cache doesn't. In a thread that runs an event
    loop, calls raise a `RuntimeError`.
    """

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the result of the function, from the cache if it is there."""
        identifier, params = self._key(*args, **kwargs)
        if params is None and self._peeks and not current_runs() and _get_running_loop() is None:
            found = self._service._core.peek(identifier)
            if type(found) not in NOT_DECODED:
                hit: R = found
                return hit
            value = self._service._peeked(found)
            if not self._service._is_undecodable(value):
                return cast("R", value)
        return wait(self._load(identifier, params, args, kwargs, False))

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function, and stores its result in place of what is cached."""
        identifier, params = self._key(*args, **kwargs)
        return wait(self._load(identifier, params, args, kwargs, True))

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Removes the result of a call with these arguments, and refuses calls in flight; those
        that aren't part of the key may be left out. Returns `False` if the backend failed.

        After it has returned `True`, no later call in any process gets an older result.

        Raises:
            KeyError, TypeError: If the arguments make no key.
        """
        return wait(self._invalidate(*self._key_of(args, kwargs)))

    def peek(self, *args: Any, **kwargs: Any) -> R | None:
        """Returns the cached result of a call with these arguments, or `None`; it never runs the
        function. Arguments that aren't part of the key may be left out."""
        identifier, params = self._key_of(args, kwargs)
        return cast("R | None", wait(self._service.get(identifier, params)))

    @property
    def service(self) -> CacheService[Any]:
        """The cache of the results."""
        return self._service.sync

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type[Any]
    ) -> CachedFunction[Q, R]: ...

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        return self if instance is None else _Bound(self, instance)


class _Bound(BoundCall):
    """A method of one object, whose results are cached."""

    def __init__(self, function: CachedFunction[..., Any], instance: Any) -> None:
        super().__init__(function, instance)
        self.__func__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.refresh(self.__self__, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        return wait(self.__func__._invalidate(*self._key_of(args, kwargs)))

    def peek(self, *args: Any, **kwargs: Any) -> Any:
        return self.service.get(*self._key_of(args, kwargs))

    @property
    def service(self) -> CacheService[Any]:
        return self.__func__.service


def only_sync(decorator: CachedDecorator) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
    """Returns the decorator for sync functions.

    Raises:
        ConfigurationError: If it is applied to an async one.
    """

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        if inspect.iscoroutinefunction(function):
            name = function.__qualname__
            raise ConfigurationError(
                f"{name} is async: use the decorator of the async class, hotshelf.CacheManager"
            )
        return cast("CachedFunction[P, R]", decorator(function))

    return decorate
