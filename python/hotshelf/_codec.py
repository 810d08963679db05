"""Values as JSON, by the model that a cache declares."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

T = TypeVar("T")


class Undecodable(ValueError):
    """An entry is no value of this cache."""


class Codec(Generic[T]):
    """Writes values as JSON and reads them back as what they were.

    A pydantic model, a dataclass, a `TypedDict` or any other annotation is validated when it
    is read. `bytes` are written in base64. Without a model, values are what JSON makes of
    them.
    """

    __slots__ = ("_adapter", "_model", "name")

    def __init__(self, model: Any) -> None:
        self._model = model
        self._adapter: TypeAdapter[Any] | None = None
        if model is not None and model is not bytes:
            self._adapter = TypeAdapter(model)
        self.name = "json" if model is None else getattr(model, "__qualname__", str(model))

    def encode(self, value: Any) -> bytes:
        """Writes a value.

        Raises:
            Exception: That of pydantic or of json, if it has no form in JSON.
        """
        if self._model is bytes:
            return b'"' + base64.b64encode(value) + b'"'
        if self._adapter is not None:
            return self._adapter.dump_json(value, by_alias=self._round_trips_by_alias())
        if isinstance(value, BaseModel):
            return value.__pydantic_serializer__.to_json(value)
        if isinstance(value, bytes | bytearray | memoryview):
            raise TypeError("bytes would be read as text: say `model=bytes`")
        return _plain().dump_json(value)

    def decode(self, raw: bytes) -> Any:
        """Reads a value.

        Raises:
            Undecodable: If it is no value of this cache.
        """
        try:
            if self._model is bytes:
                text = json.loads(raw)
                return base64.b64decode(text, validate=True)
            if self._adapter is not None:
                return self._adapter.validate_json(raw)
            return json.loads(raw)
        except (ValidationError, ValueError, TypeError) as error:
            raise Undecodable(in_short(error)) from error

    def normalized(self, value: Any) -> Any:
        """Gives what a reader would be given, for one who has loaded the value.

        A factory may give a dict where the model is a class, or a model where the cache
        has none: a hit and a miss still return the same type.

        Raises:
            Exception: That of pydantic or of json, if it is no value of this cache.
        """
        return value if self._is_exactly_its(value) else self.packed(value)[0]

    def packed(self, value: Any) -> tuple[Any, bytes]:
        """Gives what a reader would be given, and how it is written.

        Raises:
            Exception: As `normalized`.
        """
        if value is None:
            return None, b"null"
        if self._is_exactly_its(value):
            return value, self.encode(value)
        if self._adapter is not None:
            value = self._adapter.validate_python(value)
        raw = self.encode(value)
        return self.decode(raw), raw

    def _is_exactly_its(self, value: Any) -> bool:
        return isinstance(self._model, type) and type(value) is self._model

    def _round_trips_by_alias(self) -> bool:
        """Says whether a model reads its fields by their aliases alone."""
        model = self._model
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
        if not any(field.alias for field in model.model_fields.values()):
            return False
        return not model.model_config.get("populate_by_name", False)


def in_short(error: Exception) -> str:
    """Says what is wrong with a value, and nothing of what it holds."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:3])


@lru_cache(maxsize=1)
def _plain() -> TypeAdapter[Any]:
    return TypeAdapter(Any)


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
