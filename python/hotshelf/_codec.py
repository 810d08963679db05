"""Encodes values as JSON, and validates them against a model."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import logging
import math
from collections.abc import Callable, Iterator
from itertools import count
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hotshelf._errors import DecodeError, EncodeError

logger = logging.getLogger("hotshelf")

T = TypeVar("T")
M = TypeVar("M")

#: The numbers of codecs in this process.
numbers = count()

#: Options to validate by field name as well as by alias, if pydantic supports it.
BY_NAME: dict[str, Any] = (
    {"by_alias": True, "by_name": True}
    if "by_name" in inspect.signature(TypeAdapter.validate_json).parameters
    else {}
)


class Codec(Generic[T]):
    """Encodes values as JSON and decodes them, by the same rules as a `CacheService`.

    The model is a pydantic model, a dataclass, a `TypedDict` or any other annotation that
    pydantic supports; values are validated when they are decoded. `bytes` are encoded as
    base64. Without a model, decoded values have the types of JSON.
    """

    __slots__ = ("_adapter", "_compared", "_formats", "_model", "_parse",
                 "keeps_objects", "name", "number")

    #: The name of the format, which caches of one name agree on.
    format = "JSON"
    #: What `None` is encoded as.
    null: bytes | None = b"null"
    media_type = "application/json"

    def __init__(self, model: type[T] | None) -> None:
        """Creates a codec. This takes milliseconds for a large model; `of` reuses codecs.

        Raises:
            Exception: Raised by pydantic, for a model that it doesn't support.
        """
        self._model: Any = model
        self._adapter: TypeAdapter[Any] | None = None
        #: The name of the model, for logs.
        self.name: str = "json" if model is None else name_of(model)
        #: Objects that are kept in memory are those of one codec.
        self.number = next(numbers)
        self._parse: Callable[[bytes], Any] = self._parser()
        #: Whether decoded values can be kept beside encoded ones: bytes are not worth it, and an
        #: iterator is read once.
        self.keeps_objects = model is not bytes and not _has_iterator(self._adapter)
        self._formats = _formats(model)
        #: Whether a value was compared with what reads back.
        self._compared = False

    @staticmethod
    def of(model: type[M] | None) -> Codec[M]:
        """Returns the codec of a model. It is created once per process."""
        key: Any = model
        try:
            return _codec_of(key)
        except TypeError:
            # The annotation isn't hashable.
            return Codec(model)

    def prepare(self, value: Any) -> tuple[T, bytes]:
        """Returns a value as `decode` will return it, and its JSON.

        Input that the model accepts is converted, such as a dict to an instance of a model
        class, so that a cache miss and a cache hit return the same type. The JSON is decoded
        once, to detect a value that can't be decoded later.

        Raises:
            EncodeError: For a value that has no JSON form, or can't be decoded from it. Its
                text never shows the value.
        """
        try:
            return self._prepare(value)
        except Exception as error:
            # Code of the model may raise anything.
            raise EncodeError(summary(error)) from error

    def decode(self, raw: bytes) -> T:
        """Returns the value of JSON bytes.

        Raises:
            DecodeError: For bytes that are not a valid value of the model. Its text never
                shows the bytes.
        """
        try:
            value: T = self._parse(raw)
        except Exception as error:
            # Code of the model may raise anything.
            raise DecodeError(summary(error)) from error
        return value

    def _parser(self) -> Callable[[bytes], Any]:
        """Returns the function that decodes bytes, and sets the adapter of a model."""
        if self._model is None:
            return partial(json.loads, parse_constant=_reject)
        if self._model is bytes:
            return _parse_base64
        self._adapter = TypeAdapter(self._model)
        # `TypeAdapter.validate_json` only wraps this method, at a cost for each call.
        return partial(self._adapter.validator.validate_json, **BY_NAME)

    def _dump(self, adapter: TypeAdapter[Any], value: Any, options: dict[str, Any]) -> bytes:
        # The warnings of pydantic show values.
        return adapter.dump_json(value, warnings=False, **options)

    def _dump_untyped(self, value: Any) -> bytes:
        """Encodes a value without a model, or bytes."""
        if self._model is bytes:
            return b'"' + base64.b64encode(value) + b'"'
        if isinstance(value, bytes | bytearray | memoryview):
            raise TypeError("invalid value of type bytes: use `model=bytes`")
        return _untyped_adapter().dump_json(value)

    def _prepare(self, value: Any) -> tuple[Any, bytes]:
        if value is None and self.null is not None:
            return value, self.null
        if self._adapter is None:
            raw = self._dump_untyped(value)
            return self.decode(raw), raw
        if type(value) is not self._model:
            value = self._adapter.validate_python(value)
        return self._readable(self._adapter, value)

    def _readable(self, adapter: TypeAdapter[Any], value: Any) -> tuple[Any, bytes]:
        """Returns a value as decoded from the first format that can be decoded, and its JSON."""
        first_error: Exception | None = None
        for chosen in self._formats:
            raw = self._dump(adapter, value, chosen)
            try:
                read = self.decode(raw)
            except DecodeError as error:
                first_error = first_error or error
                continue
            if chosen is not self._formats[0]:
                self._formats = [chosen, *(it for it in self._formats if it is not chosen)]
            if not self._compared:
                self._compared = True
                self._warn_of_changes(value, read)
            return read, raw
        raise first_error or ValueError("the model can't decode its own JSON")

    def _warn_of_changes(self, value: Any, read: Any) -> None:
        """Warns once if the first value changes when it is stored and read back."""
        try:
            changed = next(_changes(value, read, ""), None)
        except Exception:
            # Code of the model may raise anything.
            return
        if changed is not None:
            logger.warning(
                "cache: values of %s change when they are stored and read back: %s differs"
                " (an excluded or secret field, or a validator that isn't idempotent); callers"
                " get the changed value", self.name, changed,
            )


def name_of(model: Any) -> str:
    """Returns the name of a model, for logs."""
    return getattr(model, "__qualname__", str(model))


def summary(error: Exception) -> str:
    """Returns the text of an error, without any part of the value."""
    if not isinstance(error, ValidationError):
        # The text of another exception may contain the value.
        return str(error) if isinstance(error, ValueError | TypeError) else type(error).__name__
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = []
    for one in found[:3]:
        path = ".".join(map(str, one["loc"]))
        texts.append(f"{path}: {one['msg']}" if path else one["msg"])
    return "; ".join(texts)


def _changes(value: Any, read: Any, path: str) -> Iterator[str]:
    """Yields the paths of fields that differ."""
    fields: list[str] = []
    if type(value) is type(read):
        if isinstance(value, BaseModel):
            fields = list(type(value).model_fields)
        elif dataclasses.is_dataclass(value):
            fields = [field.name for field in dataclasses.fields(value)]
    if fields:
        for name in fields:
            inner = f"{path}.{name}" if path else name
            yield from _changes(getattr(value, name), getattr(read, name), inner)
    elif value != read and not (_is_nan(value) and _is_nan(read)):
        yield f"field {path!r}" if path else "the value"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _formats(model: Any) -> list[dict[str, Any]]:
    """Returns the options of encoding, in the order in which they are tried.

    Most models validate by alias, some by name only. Computed fields are included, unless
    the model rejects them on validation.
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


def _has_iterator(adapter: TypeAdapter[Any] | None) -> bool:
    """Returns whether values of a model contain iterators, as `Iterable` does."""
    waiting: list[Any] = [] if adapter is None else [adapter.core_schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("type") == "generator":
                return True
            waiting.extend(it for name, it in one.items() if name != "metadata")
        elif isinstance(one, list | tuple):
            waiting.extend(one)
    return False


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def _parse_base64(raw: bytes) -> bytes:
    return base64.b64decode(json.loads(raw), validate=True)


@lru_cache(maxsize=1)
def _untyped_adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))


@lru_cache(maxsize=512)
def _codec_of(model: Any) -> Codec[Any]:
    return Codec(model)
