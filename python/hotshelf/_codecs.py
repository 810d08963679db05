"""The codecs of caches, beside that of JSON."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import to_jsonable_python

from hotshelf._codec import BY_NAME, Codec, name_of, numbers, summary
from hotshelf._errors import ConfigurationError, DecodeError, EncodeError

T = TypeVar("T")

CodecName = Literal["json", "raw", "msgpack"]


class ValueCodec(Protocol[T]):
    """An application's own codec, for `CacheService(codec=...)`.

    Its format is named after the attribute `name`, or else after the class: entries of another
    format are misses. A codec whose values are large beside their encoded form, such as one that
    compresses, may have the attribute `keeps_objects = False`: hits in memory are then decoded
    each time.
    """

    def encode(self, value: T, /) -> bytes:
        """Encodes a value. With any exception, the value is returned and not stored."""
        ...

    def decode(self, raw: bytes, /) -> T:
        """Decodes what `encode` returned. With any exception, the entry is a miss."""
        ...


class RawCodec:
    """Stores bytes and text as they are."""

    format = "raw bytes"
    null: bytes | None = None

    def __init__(self, model: type[bytes] | type[str]) -> None:
        self._model = model
        self.keeps_objects = model is not bytes
        self.media_type = (
            "application/octet-stream" if model is bytes else "text/plain; charset=utf-8"
        )
        self.name = model.__name__
        self.number = next(numbers)

    def prepare(self, value: Any) -> tuple[Any, bytes]:
        """Same as `Codec.prepare`."""
        if self._model is str and isinstance(value, str):
            try:
                raw = str.encode(value)
            except UnicodeEncodeError as error:
                raise EncodeError("the text has no UTF-8 form") from error
            return raw.decode(), raw
        if self._model is bytes and isinstance(value, bytes | bytearray | memoryview):
            raw = bytes(value)
            return raw, raw
        raise EncodeError(f"invalid value of type {type(value).__name__}: use {self.name}")

    def decode(self, raw: bytes) -> Any:
        """Same as `Codec.decode`."""
        if self._model is bytes:
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("not UTF-8") from error


class MessagePackCodec(Codec[T]):
    """Encodes values as MessagePack, by the rules of `Codec`, but bytes as bytes."""

    __slots__ = ("_pack", "_unpack")

    format = "MessagePack"
    null: bytes | None = b"\xc0"
    media_type = "application/vnd.msgpack"

    def __init__(self, model: type[T] | None) -> None:
        msgpack = importlib.import_module("msgpack")
        self._pack: Callable[[Any], bytes] = partial(msgpack.packb, default=to_jsonable_python)
        self._unpack: Callable[[bytes], Any] = partial(msgpack.unpackb, strict_map_key=False)
        super().__init__(model)

    def _parser(self) -> Callable[[bytes], Any]:
        if self._model is None:
            return self._unpack
        self._adapter = TypeAdapter(self._model)
        validate: Callable[..., Any] = self._adapter.validator.validate_python
        return lambda raw: validate(self._unpack(raw), **BY_NAME)

    def _dump(self, adapter: TypeAdapter[Any], value: Any, options: dict[str, Any]) -> bytes:
        return self._pack(adapter.dump_python(value, warnings=False, **options))

    def _dump_untyped(self, value: Any) -> bytes:
        return self._pack(value)


class OwnCodec(Generic[T]):
    """Adapts an application's codec."""

    null: bytes | None = None
    media_type = "application/octet-stream"

    def __init__(self, model: Any, codec: ValueCodec[T]) -> None:
        self._codec = codec
        name = getattr(codec, "name", None)
        self.format = name if isinstance(name, str) and name else type(codec).__qualname__
        self.keeps_objects = bool(getattr(codec, "keeps_objects", True))
        self.name = self.format if model is None else name_of(model)
        self.number = next(numbers)

    def prepare(self, value: T) -> tuple[T, bytes]:
        """Same as `Codec.prepare`."""
        if value is None:
            raise EncodeError("None is a negative, and has no encoded form")
        try:
            raw: Any = self._codec.encode(value)
            if not isinstance(raw, bytes):
                raise TypeError(f"`encode` returned a {type(raw).__name__}: return bytes")
            return self._codec.decode(raw), raw
        except Exception as error:
            raise EncodeError(summary(error)) from error

    def decode(self, raw: bytes) -> T:
        """Same as `Codec.decode`."""
        try:
            return self._codec.decode(raw)
        except Exception as error:
            raise DecodeError(summary(error)) from error


class DeferredCodec(Generic[T]):
    """The codec of a model that refers to types which are not defined yet."""

    keeps_objects = True

    def __init__(self, model: Any, kind: type[Codec[Any]]) -> None:
        self._model = model
        self._kind = kind
        self.name = name_of(model)
        self.number = next(numbers)
        self.format = kind.format
        self.null = kind.null
        self.media_type = kind.media_type

    def prepare(self, value: Any) -> tuple[T, bytes]:
        """Same as `Codec.prepare`, and an `EncodeError` while a type is undefined."""
        try:
            codec: Codec[T] = _codec_of(self._kind, self._model)
        except PydanticUserError as error:
            raise EncodeError(_UNDEFINED) from error
        return codec.prepare(value)

    def decode(self, raw: bytes) -> T:
        """Same as `Codec.decode`, and a `DecodeError` while a type is undefined."""
        try:
            codec: Codec[T] = _codec_of(self._kind, self._model)
        except PydanticUserError as error:
            raise DecodeError(_UNDEFINED) from error
        return codec.decode(raw)


_UNDEFINED = "the model refers to an undefined type: define it before the first call"

AnyCodec = Codec[Any] | RawCodec | OwnCodec[Any] | DeferredCodec[Any]


def codec_for(
    namespace: str, model: Any, codec: CodecName | ValueCodec[Any] | None
) -> AnyCodec:
    """Returns the codec of a cache.

    Raises:
        ConfigurationError: For a model that pydantic doesn't support, or an unknown codec.
    """
    if codec is None:
        codec = "raw" if model is bytes else "json"
    match codec:
        case "raw" if model in (bytes, str, None):
            return _raw_codec_of(model or bytes)
        case "raw":
            raise ConfigurationError(
                f"the codec of the cache {namespace!r} stores bytes or text: use `model=bytes`,"
                " `model=str`, or another codec"
            )
        case "json":
            return _with_model(namespace, model, Codec)
        case "msgpack":
            try:
                return _with_model(namespace, model, MessagePackCodec)
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"the codec of the cache {namespace!r} needs the package msgpack: install"
                    " hotshelf[msgpack]"
                ) from error
        case str():
            raise ConfigurationError(
                f"invalid `codec` {codec!r} of the cache {namespace!r}: use \"json\", \"raw\","
                " \"msgpack\", or an object with the methods `encode` and `decode`"
            )
        case _ if _is_codec(codec):
            try:
                key: Any = codec
                return _own_codec_of(model, key)
            except TypeError:
                # One of them isn't hashable.
                return OwnCodec(model, codec)
        case _:
            raise ConfigurationError(
                f"invalid `codec` {codec!r} of the cache {namespace!r}: use an object with the"
                " methods `encode` and `decode`, which aren't async"
            )


def _with_model(namespace: str, model: Any, kind: Any) -> AnyCodec:
    try:
        return _codec_of(kind, model)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        undefined = isinstance(error, PydanticUndefinedAnnotation) or (
            isinstance(error, PydanticUserError) and error.code == "class-not-fully-defined"
        )
        if undefined:
            try:
                return _deferred_codec_of(model, kind)
            except TypeError:
                # The annotation isn't hashable.
                return DeferredCodec(model, kind)
        # Pydantic raises exceptions of its own, and others for what isn't a type at all.
        raise ConfigurationError(
            f"invalid model {name_of(model)} of the cache {namespace!r}: pydantic doesn't support"
            " it; use a pydantic model, a dataclass or a TypedDict, and convert other objects to"
            " one"
        ) from error


def _codec_of(kind: type[Codec[Any]], model: Any) -> Codec[Any]:
    if kind is Codec:
        return Codec.of(model)
    try:
        return _packed_codec_of(model)
    except TypeError:
        # The annotation isn't hashable.
        return MessagePackCodec(model)


def _is_codec(codec: Any) -> bool:
    methods = [getattr(codec, name, None) for name in ("encode", "decode")]
    usable = (callable(it) and not inspect.iscoroutinefunction(it) for it in methods)
    return not inspect.isclass(codec) and all(usable)


# Services may be created for each request: the objects that hits have left in memory are those of
# one codec.


@lru_cache(maxsize=2)
def _raw_codec_of(model: type[bytes] | type[str]) -> RawCodec:
    return RawCodec(model)


@lru_cache(maxsize=512)
def _own_codec_of(model: Any, codec: Any) -> OwnCodec[Any]:
    return OwnCodec(model, codec)


@lru_cache(maxsize=512)
def _deferred_codec_of(model: Any, kind: Any) -> DeferredCodec[Any]:
    return DeferredCodec(model, kind)


@lru_cache(maxsize=512)
def _packed_codec_of(model: Any) -> MessagePackCodec[Any]:
    return MessagePackCodec(model)
