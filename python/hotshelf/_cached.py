"""Functions whose results are cached."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from typing_extensions import Concatenate, ParamSpec, Self

from hotshelf._errors import ConfigurationError
from hotshelf._hotshelf import Encoded, Missing
from hotshelf._keys import list_of_names
from hotshelf._options import seconds_of
from hotshelf._running import current_runs
from hotshelf._signature import VARIADIC, CallKey, KeyFunction, call_key

if TYPE_CHECKING:
    from hotshelf._context import LoadContext
    from hotshelf._options import Lifetime, LoadOptions
    from hotshelf._service import CacheService
    from hotshelf._stats import Stats

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

#: What the memory of the process may return instead of a decoded value.
_NOT_DECODED = frozenset((Encoded, Missing, bytes))

#: The arguments of a call that leaves them out.
_EMPTY: dict[Any, Any] = {
    inspect.Parameter.VAR_POSITIONAL: (),
    inspect.Parameter.VAR_KEYWORD: {},
}

#: The tags of a result: names, or a function of the result and of parameters, by name.
CallTags = Sequence[str] | Callable[..., Sequence[str]]


class CachedFunction(Generic[P, R]):
    """An async function whose results are cached. It is called, and looks, like the function:
    with its signature, defaults and types.

    Of all concurrent callers, in this process and in others, one runs it. What it raises reaches
    the callers; a failure of the cache doesn't.
    """

    def __init__(
        self,
        function: Callable[P, Awaitable[R]],
        service: CacheService[Any],
        key: CallKey,
        tags: CallTags,
        options: LoadOptions,
        ttl: float | None,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._service = service
        self._signature = inspect.signature(function)
        self._key = key.of
        self._needs = key.needs
        parameters = self._signature.parameters
        self._is_method = next(iter(parameters), None) in ("self", "cls")
        self._optional = {
            name for name, it in parameters.items()
            if it.default is not inspect.Parameter.empty or it.kind in VARIADIC
        }  # fmt: skip
        self._ttl = ttl
        self._options = options
        #: Returns the tags of a result.
        self._tags = tags if callable(tags) else None
        if not callable(tags) and tags:
            options["tags"] = list_of_names(tags, "tags")
        #: Whether a value in the memory of this process is a hit by its key alone.
        self._peeks = not tags and service._copy is None
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the result of the function, from the cache if it is there."""
        identifier, params = self._key(*args, **kwargs)
        if params is None and self._peeks and not current_runs():
            found = self._service._core.peek(identifier)
            if type(found) not in _NOT_DECODED:
                return cast("R", found)
        return await self._load(identifier, params, args, kwargs, False)

    async def _load(
        self,
        identifier: Any,
        params: dict[str, Any] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reload: bool,
    ) -> R:
        run: Callable[..., Any] = functools.partial(self._function, *args, **kwargs)
        options: dict[str, Any] = {**self._options, "reload": reload}
        if self._tags is not None:
            run = self._tagged(self._tags, run, args, kwargs)
            options["with_context"] = True
        made = await self._service.get_or_set(identifier, run, self._ttl, params, **options)
        return cast("R", made)

    def _tagged(
        self,
        tags: Callable[..., Sequence[str]],
        run: Callable[[], Awaitable[R]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Callable[[LoadContext[Any]], Awaitable[R]]:
        """Returns a factory that adds the tags of its result."""

        async def load(context: LoadContext[Any]) -> R:
            result = await run()
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {**bound.arguments, "result": result}
            named = inspect.signature(tags).parameters
            context.tags(*tags(**{name: given[name] for name in named if name in given}))
            return result

        return load

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function, and stores its result in place of what is cached."""
        identifier, params = self._key(*args, **kwargs)
        return await self._load(identifier, params, args, kwargs, True)

    async def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Removes the result of a call with these arguments, and refuses calls in flight; those
        that aren't part of the key may be left out. Returns whether this succeeded.

        After it has returned `True`, no later call in any process gets an older result.
        """
        return await self._service.delete(*self._key_of(args, kwargs))

    async def peek(self, *args: Any, **kwargs: Any) -> R | None:
        """Returns the cached result of a call with these arguments, or `None`; it never runs the
        function. Arguments that aren't part of the key may be left out."""
        identifier, params = self._key_of(args, kwargs)
        return cast("R | None", await self._service.get(identifier, params))

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Returns the exact key of a call with these arguments. Those that aren't part of it may be
        left out."""
        return self._service.key(*self._key_of(args, kwargs))

    def _key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns the key of a call, whose other arguments may be missing."""
        bound = self._signature.bind_partial(*args, **kwargs)
        if self._is_method and not self._needs <= {*bound.arguments, *self._optional}:
            # By its class, which binds a method of its own and not this one.
            bound = self._signature.bind_partial(None, *args, **kwargs)
        for name, parameter in self._signature.parameters.items():
            if name not in bound.arguments and name not in self._needs:
                bound.arguments[name] = _EMPTY.get(parameter.kind)
        # In the order of the signature, as `args` needs it.
        names = [name for name in self._signature.parameters if name in bound.arguments]
        bound.arguments = {name: bound.arguments[name] for name in names}
        return self._key(*bound.args, **bound.kwargs)

    def cache_info(self) -> Stats:
        """Returns the counters of the function's cache in this process."""
        return self._service.stats()

    @property
    def service(self) -> CacheService[Any]:
        """The cache of the results."""
        return self._service

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type[Any]
    ) -> CachedFunction[Q, R]: ...

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        return self if instance is None else _Bound(self, instance)

    def __repr__(self) -> str:
        return f"<cached {self._function!r}>"


class _Bound:
    """A method whose results are cached, of one object."""

    def __init__(self, function: CachedFunction[..., Any], instance: Any) -> None:
        functools.update_wrapper(self, function)
        self.__self__ = instance
        self._cached = function

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return self._cached(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._cached, name)
        if name in ("invalidate", "key", "peek", "refresh"):
            return functools.partial(attribute, self.__self__)
        return attribute


def cached_function(
    function: Callable[P, Coroutine[Any, Any, R]],
    service: CacheService[Any],
    *,
    key: KeyFunction | None = None,
    skip: Sequence[str] = (),
    vary: Callable[[Any], Any] | None = None,
    tags: CallTags = (),
    ttl: Lifetime | str | None = None,
    **options: Any,
) -> CachedFunction[P, R]:
    """Returns a function whose results are cached.

    Raises:
        ConfigurationError: For a function that can't be cached so, and says why.
    """
    check_cacheable(function)
    call = call_key(function, key=key, skip=list_of_names(skip, "skip"), vary=vary)
    if call.is_derived:
        service._manager._claim(service, function)
    if options.get("negative_ttl") is not None:
        options["negative_ttl"] = seconds_of("negative_ttl", options["negative_ttl"])
    lifetime = None if ttl is None else seconds_of("ttl", ttl)
    return CachedFunction(function, service, call, tags, cast("LoadOptions", options), lifetime)


def check_cacheable(function: Any) -> None:
    """Checks that a function is async.

    Raises:
        ConfigurationError: If it isn't.
    """
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ConfigurationError(f"put @{kind} above the decorator that caches the function")
    if not inspect.iscoroutinefunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise ConfigurationError(f"{name} is not async: only `async def` functions can be cached")
