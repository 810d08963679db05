"""Values as JSON, by the model that a cache declares."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")

#: Names are taken beside aliases, where pydantic can do that.
_BY_NAME: dict[str, Any] = (
    {"by_alias": True, "by_name": True}
    if "by_name" in inspect.signature(TypeAdapter.validate_json).parameters
    else {}
)


class Undecodable(ValueError):
    """An entry is no value of this cache."""


class Codec(Generic[T]):
    """Writes values as JSON and reads them back as what they were.

    A pydantic model, a dataclass, a `TypedDict` or any other annotation is validated when it
    is read. `bytes` are written in base64. Without a model, values are what JSON makes of
    them.
    """

    __slots__ = ("_adapter", "_manners", "_model", "_parse", "name")

    def __init__(self, model: Any) -> None:
        self._model = model
        self._adapter: TypeAdapter[Any] | None = None
        if model is None:
            self._parse: Callable[[bytes], Any] = partial(json.loads, parse_constant=_refuse)
        elif model is bytes:
            self._parse = _parse_base64
        else:
            self._adapter = TypeAdapter(model)
            # The adapter's own method passes seven options on, to this one.
            self._parse = partial(self._adapter.validator.validate_json, **_BY_NAME)
        self.name = "json" if model is None else getattr(model, "__qualname__", str(model))
        self._manners = _manners(model)

    def prepare(self, value: Any) -> tuple[Any, bytes]:
        """Gives a value as a reader will be given it, and its form in JSON.

        A factory may give a dict where the model is a class: then a hit and a miss still
        return the same type. What could not be read back is an error here, not a miss each
        time that it is read.

        Raises:
            Exception: That of pydantic or of json, if it has no such form.
        """
        if value is None:
            return value, b"null"
        if self._model is bytes:
            return value, b'"' + base64.b64encode(value) + b'"'
        if self._adapter is None:
            if isinstance(value, bytes | bytearray | memoryview):
                raise TypeError("bytes would be read as text: say `model=bytes`")
            raw = _plain().dump_json(value)
            return self.decode(raw), raw
        if type(value) is not self._model:
            value = self._adapter.validate_python(value)
        return self._readable(self._adapter, value)

    def decode(self, raw: bytes) -> Any:
        """Reads a value.

        Raises:
            Undecodable: If it is no value of this cache.
        """
        try:
            return self._parse(raw)
        except Exception as error:
            # The model's own code may raise anything.
            raise Undecodable(in_short(error)) from error

    def _readable(self, adapter: TypeAdapter[Any], value: Any) -> tuple[Any, bytes]:
        """Writes a value in the first manner in which it can be read back, and reads it."""
        trouble: Exception | None = None
        for manner in self._manners:
            raw = adapter.dump_json(value, **manner)
            try:
                read = self.decode(raw)
            except Undecodable as error:
                trouble = trouble or error
                continue
            if manner is not self._manners[0]:
                self._manners = [manner, *(it for it in self._manners if it is not manner)]
            return read, raw
        raise trouble or Undecodable("it can't be written")


def in_short(error: Exception) -> str:
    """Says what is wrong with a value, and nothing of what it holds."""
    if not isinstance(error, ValidationError):
        # The text of any other may be the value's own.
        return str(error) if isinstance(error, ValueError | TypeError) else type(error).__name__
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:3])


def _manners(model: Any) -> list[dict[str, Any]]:
    """The ways in which values can be written: the first that can be read is kept.

    Most models read aliases, some names only. Computed fields go along, unless the model
    refuses them when it is read.
    """
    by_name = (
        isinstance(model, type)
        and issubclass(model, BaseModel)
        and bool(model.model_config.get("populate_by_name"))
    )
    return [
        {"by_alias": by_alias, "round_trip": round_trip}
        for round_trip in (False, True)
        for by_alias in (not by_name, by_name)
    ]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _parse_base64(raw: bytes) -> bytes:
    return base64.b64decode(json.loads(raw), validate=True)


@lru_cache(maxsize=1)
def _plain() -> TypeAdapter[Any]:
    return TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))


@lru_cache(maxsize=512)
def _codec_of(model: Any) -> Codec[Any]:
    return Codec(model)


def codec_of(model: Any) -> Codec[Any]:
    """Gives the codec of a model; making one takes time, so that each is made once."""
    try:
        return _codec_of(model)
    except TypeError:
        # An annotation that can't be hashed.
        return Codec(model)
