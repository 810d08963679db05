"""Functions whose results are cached."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

from typing_extensions import Concatenate, ParamSpec, Self

from hotshelf._blocking import finished
from hotshelf._errors import ConfigurationError
from hotshelf._hotshelf import Encoded, Missing
from hotshelf._keys import list_of_names
from hotshelf._options import seconds
from hotshelf._running import current_runs
from hotshelf._signature import CallKey, KeyFunction, call_key

if TYPE_CHECKING:
    from hotshelf import sync
    from hotshelf._context import LoadContext
    from hotshelf._options import Duration, LoadOptions
    from hotshelf._service import CacheService
    from hotshelf._stats import Stats

logger = logging.getLogger("hotshelf")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

#: What the memory of the process may return instead of a decoded value.
NOT_DECODED = frozenset((Encoded, Missing, bytes))

#: The arguments of a call that leaves them out.
_EMPTY: dict[Any, Any] = {
    inspect.Parameter.VAR_POSITIONAL: (),
    inspect.Parameter.VAR_KEYWORD: {},
}

#: The tags of a result: names, or a function of the result and of parameters, by name.
CallTags = Sequence[str] | Callable[..., Sequence[str]]


class CachedCall(Generic[P, R]):
    """What async and sync functions have in common whose results are cached."""

    # What a call reads is in slots, which are faster than the dict of the function's own attributes.
    __slots__ = ("__dict__", "__weakref__", "_function", "_is_method", "_key", "_needs", "_options",
                 "_peeks", "_service", "_signature", "_tags", "_tags_fail", "_tags_given",
                 "_tags_of_result", "_ttl")

    def __init__(
        self,
        function: Callable[P, Any],
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
        self._is_method = next(iter(self._signature.parameters), None) in ("self", "cls")
        self._ttl = ttl
        self._options = options
        #: Returns the tags of a call, and whether it takes the result.
        self._tags = tags if callable(tags) else None
        #: What the function of the tags is given.
        self._tags_given = tuple(inspect.signature(tags).parameters) if callable(tags) else ()
        self._tags_of_result = "result" in self._tags_given
        self._tags_fail = False
        if not callable(tags) and tags:
            options["tags"] = list_of_names(tags, "tags")
        #: Whether a value in the memory of this process is a hit by its key alone.
        self._peeks = not tags and service._copy is None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        raise NotImplementedError

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
        if self._tags_of_result:
            run = self._tagged(run, args, kwargs)
            options["with_context"] = True
        elif self._tags is not None:
            names = self._tag_names(args, kwargs)
            if names is None:
                return cast("R", await finished(run()))
            options["tags"] = names
        made = await self._service.get_or_set(identifier, run, self._ttl, params, **options)
        return cast("R", made)

    def _tagged(
        self, run: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[LoadContext[Any]], Any]:
        """Returns a factory that adds the tags of its result."""

        async def load(context: LoadContext[Any]) -> Any:
            result = await run()
            add_tags(context, result)
            return result

        def load_here(context: LoadContext[Any]) -> Any:
            result = run()
            add_tags(context, result)
            return result

        def add_tags(context: LoadContext[Any], result: Any) -> None:
            names = self._tag_names(args, kwargs, result=result)
            if names is None:
                context.skip_store()
            else:
                context.tags(*names)

        return load if inspect.iscoroutinefunction(self._function) else load_here

    def _tag_names(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], **result: Any
    ) -> Sequence[str] | None:
        """Returns the tags of a call; `None` if their function fails, which is logged once: the
        caller is given the result all the same, and it isn't stored."""
        tags = cast("Callable[..., Sequence[str]]", self._tags)
        try:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {**bound.arguments, **result}
            names = tags(**{it: given[it] for it in self._tags_given})
            names = list_of_names([names] if isinstance(names, str) else names, "tags")
        except Exception as error:
            if not self._tags_fail:
                logger.warning("the tags of %r fail, nothing is stored: %r", self, error)
            self._tags_fail = True
            return None
        self._tags_fail = False
        return names

    def _entry(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[CacheService[Any], tuple[Any, dict[str, Any] | None]]:
        """Returns the cache and the key of a call.

        Raises:
            KeyError, TypeError: If the arguments make no key.
        """
        key = self._key_of(args, kwargs)
        self._service.key(*key)
        return self._service, key

    async def _invalidate(self, identifier: Any, params: dict[str, Any] | None) -> bool:
        # Raises for an invalid key: `False` is for a backend that fails.
        self._service.key(identifier, params)
        return await self._service.delete(identifier, params)

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Returns the exact key of a call with these arguments. Those that aren't part of it may be
        left out."""
        return self._service.key(*self._key_of(args, kwargs))

    def _key_of(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], owner: Any = None
    ) -> tuple[Any, dict[str, Any] | None]:
        """Returns the key of a call, whose other arguments may be missing: the object of a method
        is, unless the key depends on it."""
        parameters = self._signature.parameters
        if self._is_method and (owner is not None or next(iter(parameters)) not in self._needs):
            args = (owner, *args)
        bound = self._signature.bind_partial(*args, **kwargs)
        for name, parameter in parameters.items():
            if name not in bound.arguments and name not in self._needs:
                bound.arguments[name] = _EMPTY.get(parameter.kind)
        # In the order of the signature, as `args` needs it.
        names = [name for name in parameters if name in bound.arguments]
        bound.arguments = {name: bound.arguments[name] for name in names}
        return self._key(*bound.args, **bound.kwargs)

    def cache_info(self) -> Stats:
        """Returns the counters of the function's cache in this process."""
        return self._service.stats()

    def __reduce__(self) -> str:
        # By its name, like a function.
        return self._function.__qualname__

    def __repr__(self) -> str:
        return f"<cached {self._function!r}>"


class CachedFunction(CachedCall[P, R]):
    """An async function whose results are cached. It is called, and looks, like the function:
    with its signature, defaults and types.

    Of all concurrent callers, in this process and in others, one runs it. What it raises reaches
    the callers; a failure of the cache doesn't.
    """

    __slots__ = ()

    def __init__(
        self,
        function: Callable[P, Awaitable[R]],
        service: CacheService[Any],
        key: CallKey,
        tags: CallTags,
        options: LoadOptions,
        ttl: float | None,
    ) -> None:
        super().__init__(function, service, key, tags, options, ttl)
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the result of the function, from the cache if it is there."""
        identifier, params = self._key(*args, **kwargs)
        if params is None and self._peeks and not current_runs():
            found = self._service._core.peek(identifier)
            if type(found) not in NOT_DECODED:
                hit: R = found
                return hit
            value = self._service._peeked(found)
            if not self._service._is_undecodable(value):
                return cast("R", value)
        return await self._load(identifier, params, args, kwargs, False)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function, and stores its result in place of what is cached."""
        identifier, params = self._key(*args, **kwargs)
        return await self._load(identifier, params, args, kwargs, True)

    async def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Removes the result of a call with these arguments, and refuses calls in flight; those
        that aren't part of the key may be left out. Returns `False` if the backend failed.

        After it has returned `True`, no later call in any process gets an older result.

        Raises:
            KeyError, TypeError: If the arguments make no key.
        """
        return await self._invalidate(*self._key_of(args, kwargs))

    async def peek(self, *args: Any, **kwargs: Any) -> R | None:
        """Returns the cached result of a call with these arguments, or `None`; it never runs the
        function. Arguments that aren't part of the key may be left out."""
        identifier, params = self._key_of(args, kwargs)
        return cast("R | None", await self._service.get(identifier, params))

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


class BoundCall:
    """What async and sync methods of one object have in common whose results are cached."""

    def __init__(self, function: CachedCall[..., Any], instance: Any) -> None:
        functools.update_wrapper(self, function)
        del self.__dict__["__wrapped__"]
        self.__self__ = instance
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @property
    def __signature__(self) -> inspect.Signature:
        signature = self._function._signature
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def key(self, *args: Any, **kwargs: Any) -> str:
        return self._function._service.key(*self._key_of(args, kwargs))

    def _entry(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[CacheService[Any], tuple[Any, dict[str, Any] | None]]:
        key = self._key_of(args, kwargs)
        self._function._service.key(*key)
        return self._function._service, key

    def _key_of(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any] | None]:
        return self._function._key_of(args, kwargs, self.__self__)

    def cache_info(self) -> Stats:
        return self._function.cache_info()

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self._function._function.__name__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundCall):
            return NotImplemented
        return self.__self__ is other.__self__ and self._function is other._function

    def __hash__(self) -> int:
        return hash((id(self.__self__), id(self._function)))

    def __repr__(self) -> str:
        return f"<bound {self._function!r} of {self.__self__!r}>"


class _Bound(BoundCall):
    """An async method of one object, whose results are cached."""

    def __init__(self, function: CachedFunction[..., Any], instance: Any) -> None:
        super().__init__(function, instance)
        self.__func__ = function
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await self.__func__(self.__self__, *args, **kwargs)

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        return await self.__func__.refresh(self.__self__, *args, **kwargs)

    async def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        return await self.__func__._invalidate(*self._key_of(args, kwargs))

    async def peek(self, *args: Any, **kwargs: Any) -> Any:
        return await self.service.get(*self._key_of(args, kwargs))

    @property
    def service(self) -> CacheService[Any]:
        return self.__func__.service


class CachedDecorator(Protocol):
    """A decorator for a function whose results are cached."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> CachedFunction[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> sync.CachedFunction[P, R]: ...


def cached_function(
    function: Callable[P, Any],
    service: CacheService[Any],
    *,
    key: KeyFunction | None = None,
    skip: Sequence[str] = (),
    vary: Callable[[Any], Any] | None = None,
    tags: CallTags = (),
    ttl: Duration | None = None,
    is_own: bool = False,
    **options: Any,
) -> Any:
    """Returns a function whose results are cached.

    Raises:
        ConfigurationError: For a function that can't be cached so, and says why.
    """
    from hotshelf.sync._cached import CachedFunction as SyncFunction

    name = check_cacheable(function)
    call = call_key(function, key=key, skip=list_of_names(skip or (), "skip"), vary=vary)
    if "cls" in call.needs and next(iter(inspect.signature(function).parameters)) == "cls":
        raise ConfigurationError(
            f"`cls` of {name} can't be part of a key: leave it out with `skip`, and put @classmethod"
            " above the decorator; subclasses then share the entries"
        )
    if callable(tags):
        _check_tags(name, function, tags)
    if call.is_derived or is_own:
        service._manager._claim(service, function)
    if options.get("negative_ttl") is not None:
        options["negative_ttl"] = seconds("negative_ttl", options["negative_ttl"])
    lifetime = None if ttl is None else seconds("ttl", ttl)
    kind = CachedFunction if inspect.iscoroutinefunction(function) else SyncFunction
    return kind(function, service, call, tags, cast("LoadOptions", options), lifetime)


def check_cacheable(function: Any) -> str:
    """Checks that results of a function can be cached, and returns its name.

    Raises:
        ConfigurationError: If they can't.
    """
    name: str = getattr(function, "__qualname__", repr(function))
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ConfigurationError(f"put @{kind} above the decorator that caches {name}")
    if not isinstance(function, types.FunctionType) and not hasattr(function, "__wrapped__"):
        raise ConfigurationError(f"{name} is no function: only functions can be cached")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name} is a generator, whose values can't be cached: return a list")
    return name


def _check_tags(name: str, function: Callable[..., Any], tags: Callable[..., Any]) -> None:
    """Checks that a function of tags takes what there is.

    Raises:
        ConfigurationError: If it doesn't.
    """
    known = {*inspect.signature(function).parameters, "result"}
    unknown = [it for it in inspect.signature(tags).parameters if it not in known]
    if unknown or inspect.iscoroutinefunction(tags):
        raise ConfigurationError(
            f"`tags` of {name} must be a function of `result` and of its parameters, by their"
            f" names, and not async: not of {', '.join(map(repr, unknown)) or 'an await'}"
        )


def check_called(misplaced: object, decorator: str) -> None:
    """Checks that a decorator was called with options, and not with a function.

    Raises:
        TypeError: If it wasn't.
    """
    if misplaced is not None:
        raise TypeError(f"write @{decorator}() with parentheses, and its options by name")


def full_name(function: Callable[..., Any]) -> str:
    """Returns the name of a function and its module: of a program, that under which it was
    started, since all are called `__main__`."""
    module = function.__module__
    if module == "__main__":
        program = sys.modules["__main__"]
        spec, file = getattr(program, "__spec__", None), getattr(program, "__file__", None)
        module = spec.name if spec else Path(file).stem if file else module
    return f"{module}.{function.__qualname__}"


def is_same(function: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Returns whether two functions do the same: their code is, and what they close over."""

    def parts(of: Any) -> tuple[Any, Sequence[Any]]:
        of = inspect.unwrap(of)
        return getattr(of, "__code__", of), getattr(of, "__closure__", None) or ()

    (code, cells), (other_code, others) = parts(function), parts(other)
    try:
        pairs = [(one.cell_contents, two.cell_contents) for one, two in zip(cells, others)]
    except ValueError:
        # Not assigned yet.
        return function is other
    return code == other_code and all(one is two for one, two in pairs)
