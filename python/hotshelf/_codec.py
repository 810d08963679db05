"""Values as JSON, by the model that a cache declares."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hotshelf._errors import DecodeError, EncodeError

T = TypeVar("T")
M = TypeVar("M")

#: Accepts names beside aliases, where pydantic supports it.
_BY_NAME: dict[str, Any] = (
    {"by_alias": True, "by_name": True}
    if "by_name" in inspect.signature(TypeAdapter.validate_json).parameters
    else {}
)


class Codec(Generic[T]):
    """Writes values as JSON and reads them back, by the same rules as a `CacheService`.

    The model is a pydantic model, a dataclass, a `TypedDict` or any other annotation that
    pydantic understands: values are validated when they are read. `bytes` are written in
    base64. Without a model, values come back as the types of JSON.
    """

    __slots__ = ("_adapter", "_formats", "_model", "_parse", "name")

    def __init__(self, model: type[T] | None) -> None:
        """Creates a codec. It takes milliseconds for a large model; `of` reuses codecs.

        Raises:
            Exception: That of pydantic, for a model that it doesn't understand.
        """
        self._model: Any = model
        self._adapter: TypeAdapter[Any] | None = None
        if model is None:
            self._parse: Callable[[bytes], Any] = partial(json.loads, parse_constant=_refuse)
        elif model is bytes:
            self._parse = _parse_base64
        else:
            self._adapter = TypeAdapter(model)
            # The adapter's own method passes seven options on, to this one.
            self._parse = partial(self._adapter.validator.validate_json, **_BY_NAME)
        #: The name of the model, for logs.
        self.name: str = "json" if model is None else getattr(model, "__qualname__", str(model))
        self._formats = _formats(model)

    @staticmethod
    def of(model: type[M] | None) -> Codec[M]:
        """Returns the codec of a model, which is created once for the process."""
        key: Any = model
        try:
            return _codec_of(key)
        except TypeError:
            # An annotation that can't be hashed.
            return Codec(model)

    def prepare(self, value: Any) -> tuple[T, bytes]:
        """Returns a value as `decode` will return it, and its JSON.

        What the model accepts is converted: of a dict, a model class becomes an instance,
        so that a miss and a hit of a cache return the same type. The JSON is decoded once:
        a value that couldn't be read back is an error here.

        Raises:
            EncodeError: For a value that has no JSON form, or one that can't be read back.
                Its text never shows the value.
        """
        try:
            return self._prepare(value)
        except Exception as error:
            # The model's own code may raise anything.
            raise EncodeError(_in_short(error)) from error

    def decode(self, raw: bytes) -> T:
        """Reads a value from JSON.

        Raises:
            DecodeError: For bytes that are not a value of the model. Its text never shows
                the bytes.
        """
        try:
            value: T = self._parse(raw)
        except Exception as error:
            # The model's own code may raise anything.
            raise DecodeError(_in_short(error)) from error
        return value

    def _prepare(self, value: Any) -> tuple[Any, bytes]:
        if value is None:
            return value, b"null"
        if self._model is bytes:
            return value, b'"' + base64.b64encode(value) + b'"'
        if self._adapter is None:
            if isinstance(value, bytes | bytearray | memoryview):
                raise TypeError("bytes would be read as text: use `model=bytes`")
            raw = _plain().dump_json(value)
            return self.decode(raw), raw
        if type(value) is not self._model:
            value = self._adapter.validate_python(value)
        return self._readable(self._adapter, value)

    def _readable(self, adapter: TypeAdapter[Any], value: Any) -> tuple[Any, bytes]:
        """Writes a value in the first format that can be read back, and reads it."""
        first_error: Exception | None = None
        for chosen in self._formats:
            raw = adapter.dump_json(value, **chosen)
            try:
                read = self.decode(raw)
            except DecodeError as error:
                first_error = first_error or error
                continue
            if chosen is not self._formats[0]:
                self._formats = [chosen, *(it for it in self._formats if it is not chosen)]
            return read, raw
        raise first_error or ValueError("no format of the model can be read back")


def _in_short(error: Exception) -> str:
    """Describes an invalid value without showing any part of it."""
    if not isinstance(error, ValidationError):
        # Another exception's text may be the value's own.
        return str(error) if isinstance(error, ValueError | TypeError) else type(error).__name__
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = []
    for one in found[:3]:
        place = ".".join(map(str, one["loc"]))
        texts.append(f"{place}: {one['msg']}" if place else one["msg"])
    return "; ".join(texts)


def _formats(model: Any) -> list[dict[str, Any]]:
    """Returns the ways in which values can be written: the first that can be read is kept.

    Most models read aliases, some names only. Computed fields are written too, unless the
    model refuses them when it is read.
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
    raise ValueError(f"{constant} is not valid JSON")


def _parse_base64(raw: bytes) -> bytes:
    return base64.b64decode(json.loads(raw), validate=True)


@lru_cache(maxsize=1)
def _plain() -> TypeAdapter[Any]:
    return TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))


@lru_cache(maxsize=512)
def _codec_of(model: Any) -> Codec[Any]:
    return Codec(model)
