"""Keys from the arguments of functions."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel

from hotshelf._errors import ConfigurationError
from hotshelf._forms import form_of_argument
from hotshelf._injected import (
    credentials,
    default_of,
    is_known,
    is_request,
    markers,
    personal_reads,
    without_annotated,
)

#: Types that are part of the identifier itself. Others are hashed in forms that name their types:
#: `1` and `"1"` differ then.
_PLAIN = (int, str, UUID)

_SCALARS = (
    bytes, int, str, float, bool, type(None), UUID, date, datetime, time, timedelta, Decimal, PurePath,
)  # fmt: skip
_CONTAINERS = (list, tuple, set, frozenset, dict, Mapping, Collection, Iterable)

#: The kinds of `*args` and `**kwargs`.
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

#: Returns the identifier of a call: it is given the arguments that its parameters name.
KeyFunction = Callable[..., Any]

#: What a key is made of: the identifier, and parameters that are hashed.
KeyParts = tuple[Any, "dict[str, Any] | None"]


class CallKey(NamedTuple):
    """How the key of a call follows from its arguments."""

    #: Takes the arguments of a call.
    of: Callable[..., KeyParts]
    #: The parameters that it depends on.
    needs: frozenset[str]
    #: Whether the key consists of the arguments alone, so that another function of the same cache
    #: would share its entries.
    is_derived: bool


def call_key(
    function: Callable[..., Any],
    *,
    key: KeyFunction | None,
    skip: Collection[str],
    vary: Callable[[Any], Any] | None,
) -> CallKey:
    """Returns how the key of a call of a function follows from its arguments.

    Raises:
        ConfigurationError: For a parameter that can't be part of a key and isn't left out on
            purpose, and for a function that depends on its user without `vary`.
    """
    parameters = dict(inspect.signature(function).parameters)
    hints = _hints(function)
    annotations = {name: hints.get(name, it.annotation) for name, it in parameters.items()}
    name = getattr(function, "__qualname__", repr(function))
    for unknown in set(skip) - set(parameters):
        raise ConfigurationError(f"{name} has no parameter {unknown!r}: remove it from `skip`")
    request = next((it for it in parameters if is_request(annotations[it])), None)
    named = None if key is None else _named_by(name, key, parameters)
    _check_user(name, function, parameters, annotations, request, vary, named or ())
    left_out = {it for it in parameters if it in skip or is_known(annotations[it])}
    if vary is not None and request is not None:
        left_out.add(request)
    wanted = [it for it in parameters if it not in left_out]
    source = _Source(name, parameters)
    if vary is not None:
        source.vary(vary, request, name)
    if key is not None:
        forgotten = [] if named is None else [it for it in wanted if it not in named]
        if forgotten:
            raise ConfigurationError(_forgotten(name, forgotten))
        source.call(key, list(parameters) if named is None else named)
        return CallKey(source.compiled(), source.needs, is_derived=False)
    unusable = [it for it in wanted if not _may_be_key(parameters[it], annotations[it])]
    if unusable:
        raise ConfigurationError(_unusable(name, unusable, parameters, annotations))
    plain = [it for it in wanted if _is_plain(parameters[it], annotations[it])]
    others = [it for it in wanted if it not in plain]
    source.parts(plain, others, getattr(function, "__name__", name))
    return CallKey(source.compiled(), source.needs, is_derived=True)


def _is_plain(parameter: inspect.Parameter, annotation: Any) -> bool:
    """Returns whether an argument is readable in the key."""
    is_header = "Header" in markers(parameter, annotation)
    is_one = parameter.kind not in VARIADIC and not is_header
    return is_one and without_annotated(annotation) in _PLAIN


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the annotations of a function, resolved as far as that is possible now."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:
        # A name may be defined for type checkers alone.
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
        hints = {}
        for name, annotation in getattr(function, "__annotations__", {}).items():
            try:
                hints[name] = (
                    eval(annotation, namespace) if isinstance(annotation, str) else annotation
                )
            except Exception:
                continue
        return hints


def return_type(function: Callable[..., Any]) -> Any:
    """Returns the type of the values of a function.

    Raises:
        ConfigurationError: If it isn't known.
    """
    hints = _hints(function)
    if "return" not in hints:
        name = getattr(function, "__qualname__", repr(function))
        raise ConfigurationError(
            f"the type that {name} returns isn't known: annotate it, or pass `model`"
        )
    return hints["return"]


def _check_user(
    name: str,
    function: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    annotations: Mapping[str, Any],
    request: str | None,
    vary: Callable[[Any], Any] | None,
    in_key: Collection[str],
) -> None:
    """Checks that a function whose result depends on its user has a `vary`."""
    if vary is not None:
        if not callable(vary) or inspect.iscoroutinefunction(vary):
            raise ConfigurationError(f"`vary` of {name} must be a function that isn't async")
        return
    for it, parameter in parameters.items():
        marker = credentials(parameter, annotations[it])
        if marker is not None and it not in in_key:
            raise ConfigurationError(
                f"the result of {name} depends on its user by {it!r} ({marker}): pass"
                " `vary`, a function of the request that returns what tells users apart"
            )
    read = personal_reads(function) if request is not None and request not in in_key else None
    if read is not None:
        raise ConfigurationError(
            f"{name} reads `{request}.{read}`, so that its result may depend on the user: pass"
            f" `vary`, such as `vary=lambda request: request.{read}…`; `vary=lambda request: None`"
            " if it doesn't"
        )


def _named_by(
    name: str, key: KeyFunction, parameters: Mapping[str, inspect.Parameter]
) -> list[str] | None:
    """Returns the parameters that a key function takes, in its order; `None` if it takes all.

    Raises:
        ConfigurationError: If it takes one that the function doesn't have.
    """
    try:
        taken = inspect.signature(key).parameters
    except (TypeError, ValueError) as error:
        message = f"invalid `key` {key!r} of {name}: use a function, such as `lambda id: id`"
        raise ConfigurationError(message) from error
    for it, parameter in taken.items():
        is_needed = parameter.default is parameter.empty and parameter.kind not in VARIADIC
        if is_needed and it not in parameters:
            raise ConfigurationError(
                f"`key` takes {it!r}, which {name} doesn't: use the names of its parameters"
            )
    if any(it.kind is inspect.Parameter.VAR_KEYWORD for it in taken.values()):
        return None
    return [it for it in taken if it in parameters]


def _forgotten(name: str, forgotten: list[str]) -> str:
    names = ", ".join(map(repr, forgotten))
    return (
        f"the parameters {names} of {name} are not part of the key: add them to the parameters of"
        f" `key`, or leave them out on purpose with `skip`"
    )


def _unusable(
    name: str,
    unusable: list[str],
    parameters: Mapping[str, inspect.Parameter],
    annotations: Mapping[str, Any],
) -> str:
    def shown(it: str) -> str:
        if "Depends" in markers(parameters[it], annotations[it]):
            return f"{it!r} (Depends)"
        kind = without_annotated(annotations[it])
        return f"{it!r} ({getattr(kind, '__name__', kind)})"

    first, skipped = unusable[0], ", ".join(map(repr, unusable))
    if is_request(annotations[first]):
        cure = (
            "pass `vary`, a function of the request that returns what the result depends on,"
            f" or leave it out with `skip=[{skipped}]` if it depends on none of it"
        )
    else:
        cure = (
            f"if the result depends on them, pass `key`, a function of what identifies it, such as"
            f" `key=lambda {first}: {first}.id`; if it doesn't, leave them out with"
            f" `skip=[{skipped}]`"
        )
    return f"{', '.join(map(shown, unusable))} of {name} can't be part of a key: {cure}"


def _may_be_key(parameter: inspect.Parameter, annotation: Any) -> bool:
    """Returns whether the values of a parameter have a canonical form, as far as its annotation
    says."""
    if "Depends" in markers(parameter, annotation) or parameter.name in ("self", "cls"):
        return False
    if is_request(annotation):
        return False
    if annotation is inspect.Parameter.empty:
        return True
    return _has_form(annotation)


def _has_form(annotation: Any) -> bool:
    annotation = without_annotated(annotation)
    if annotation is Any or annotation is None or isinstance(annotation, TypeVar):
        return True
    if isinstance(annotation, str):
        # A name that only type checkers know.
        return False
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType):
        return all(map(_has_form, get_args(annotation)))
    kind = origin or annotation
    if hasattr(kind, "__value__"):
        return _has_form(kind.__value__)
    if not isinstance(kind, type):
        return True
    if issubclass(kind, _SCALARS) or issubclass(kind, enum.Enum | BaseModel):
        return True
    if dataclasses.is_dataclass(kind):
        return True
    if issubclass(kind, _CONTAINERS):
        return all(it is Ellipsis or _has_form(it) for it in get_args(annotation))
    return False


class _Source:
    """A function with the parameters of another one, which returns a key. It is compiled, so that
    arguments are bound at the cost of a call."""

    def __init__(self, name: str, parameters: Mapping[str, inspect.Parameter]) -> None:
        self._name = name
        self._parameters = parameters
        self._namespace: dict[str, Any] = {}
        self._identifier = "None"
        self._params: list[str] = []
        self.needs: frozenset[str] = frozenset()

    def vary(self, vary: Callable[[Any], Any], request: str | None, name: str) -> None:
        """Adds what tells users apart.

        Raises:
            ConfigurationError: If there is no request.
        """
        if request is None:
            raise ConfigurationError(
                f"{name} has no parameter of type Request, which `vary` needs: add one"
            )
        # No parameter has that name.
        self._params.append(f"'vary()': {self._held('vary', vary)}({request})")
        self.needs |= {request}

    def call(self, key: KeyFunction, names: list[str]) -> None:
        """Takes the identifier from a function."""
        self.needs |= set(names)
        positional, keywords = VARIADIC
        # A call by position is faster.
        by_position = all(
            it.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and it.name in names
            for it in inspect.signature(key).parameters.values()
        )
        arguments = [
            f"**{it}" if kind is keywords else it if by_position else f"{it}={it}"
            for it in names
            if (kind := self._parameters[it].kind) is not positional
        ]
        self._identifier = f"{self._held('key', key)}({', '.join(arguments)})"

    def parts(self, plain: list[str], others: list[str], default: str) -> None:
        """Makes the key of arguments; without plain ones, with a default identifier."""
        match plain:
            case []:
                self._identifier = repr(default)
            case [only]:
                self._identifier = only
            case several:
                self._identifier = f"({', '.join(several)})"
        form = self._held("form", form_of_argument)
        self._params += [f"{it!r}: {form}({it!r}, {it})" for it in others]
        self.needs |= {*plain, *others}

    def _held(self, what: str, value: Any) -> str:
        """Returns a name by which the function finds a value: that of no parameter."""
        name = f"_hotshelf_{what}"
        while name in self._parameters:
            name += "_"
        self._namespace[name] = value
        return name

    def compiled(self) -> Callable[..., KeyParts]:
        """Returns the function."""
        parameters = []
        for name, parameter in self._parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                held = self._held(f"default_{name}", default_of(parameter.default))
                parameter = parameter.replace(default=_Name(held))
            parameters.append(parameter.replace(annotation=inspect.Parameter.empty))
        signature = inspect.Signature(parameters)
        params = f"{{{', '.join(self._params)}}}" if self._params else "None"
        exec(f"def call{signature}: return {self._identifier}, {params}", self._namespace)
        compiled: Callable[..., KeyParts] = self._namespace["call"]
        # Wrong arguments are reported by this name.
        compiled.__name__ = compiled.__qualname__ = self._name
        return compiled


class _Name(NamedTuple):
    """A default value that is written by a name."""

    name: str

    def __repr__(self) -> str:
        return self.name
