"""Encodes values as JSON and validates them against a model."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import logging
import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from hotshelf._errors import ConfigurationError, DecodeError, EncodeError

logger = logging.getLogger("hotshelf")

T = TypeVar("T")
M = TypeVar("M")

#: Options to validate by field name as well as by alias, if pydantic supports it.
_BY_NAME: dict[str, Any] = (
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

    __slots__ = ("_adapter", "_compared", "_formats", "_model", "_parse", "name")

    def __init__(self, model: type[T] | None) -> None:
        """Creates a codec. This takes milliseconds for a large model; `of` reuses codecs.

        Raises:
            Exception: Raised by pydantic, for a model that it doesn't support.
        """
        self._model: Any = model
        self._adapter: TypeAdapter[Any] | None = None
        if model is None:
            self._parse: Callable[[bytes], Any] = partial(json.loads, parse_constant=_reject)
        elif model is bytes:
            self._parse = _parse_base64
        else:
            self._adapter = TypeAdapter(model)
            # `TypeAdapter.validate_json` only wraps this method, at a cost for each call.
            self._parse = partial(self._adapter.validator.validate_json, **_BY_NAME)
        #: The name of the model, for logs.
        self.name: str = "json" if model is None else getattr(model, "__qualname__", str(model))
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
            raise EncodeError(_summary(error)) from error

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
            raise DecodeError(_summary(error)) from error
        return value

    def _prepare(self, value: Any) -> tuple[Any, bytes]:
        if value is None:
            return value, b"null"
        if self._model is bytes:
            return value, b'"' + base64.b64encode(value) + b'"'
        if self._adapter is None:
            if isinstance(value, bytes | bytearray | memoryview):
                raise TypeError("invalid value of type bytes: use `model=bytes`")
            raw = _untyped_adapter().dump_json(value)
            return self.decode(raw), raw
        if type(value) is not self._model:
            value = self._adapter.validate_python(value)
        return self._readable(self._adapter, value)

    def _readable(self, adapter: TypeAdapter[Any], value: Any) -> tuple[Any, bytes]:
        """Returns a value as decoded from the first format that can be decoded, and its JSON."""
        first_error: Exception | None = None
        for chosen in self._formats:
            # The warnings of pydantic show values.
            raw = adapter.dump_json(value, warnings=False, **chosen)
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


class DeferredCodec(Generic[T]):
    """The codec of a model that refers to types which are not defined yet."""

    __slots__ = ("_model", "name")

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name: str = getattr(model, "__qualname__", str(model))

    def prepare(self, value: Any) -> tuple[T, bytes]:
        """Same as `Codec.prepare`, and an `EncodeError` while a type is undefined."""
        try:
            codec: Codec[T] = Codec.of(self._model)
        except PydanticUserError as error:
            raise EncodeError(f"the model refers to an undefined type: define it before the first call") from error
        return codec.prepare(value)

    def decode(self, raw: bytes) -> T:
        """Same as `Codec.decode`, and a `DecodeError` while a type is undefined."""
        try:
            codec: Codec[T] = Codec.of(self._model)
        except PydanticUserError as error:
            raise DecodeError(f"the model refers to an undefined type: define it before the first call") from error
        return codec.decode(raw)


def codec_for(namespace: str, model: Any) -> Codec[Any] | DeferredCodec[Any]:
    """Returns the codec of a cache's model.

    Raises:
        ConfigurationError: For a model that pydantic doesn't support.
    """
    try:
        return Codec.of(model)
    except PydanticUndefinedAnnotation:
        return DeferredCodec(model)
    except Exception as error:
        if isinstance(error, PydanticUserError) and error.code == "class-not-fully-defined":
            return DeferredCodec(model)
        # Pydantic raises exceptions of its own, and others for what isn't a type at all.
        name = getattr(model, "__qualname__", str(model))
        raise ConfigurationError(
            f"invalid model {name} of the cache {namespace!r}: pydantic doesn't support it; use"
            " a pydantic model, a dataclass or a TypedDict, and convert other objects to one"
        ) from error


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


def _summary(error: Exception) -> str:
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
