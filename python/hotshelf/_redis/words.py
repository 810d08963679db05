"""Converts arguments to words of commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._typing import Word


def packed(word: Word) -> bytes:
    """Converts a word to bytes."""
    match word:
        case bytes():
            return word
        case str():
            return word.encode()
        case bool():
            raise TypeError(f"invalid argument {word!r} of a command: use 0 or 1")
        case int() | float():
            return repr(word).encode()
        case bytearray() | memoryview():
            return bytes(word)
    kind = type(word).__name__
    raise TypeError(f"invalid argument of type {kind} of a command: encode it as str or bytes")


def packed_all(words: Iterable[Word]) -> list[bytes]:
    """Converts words to bytes."""
    return [packed(word) for word in words]


def packed_command(words: tuple[Word, ...]) -> list[bytes]:
    """Converts the words of a command to bytes. Its name may be several words: `CONFIG GET`."""
    if words and isinstance(words[0], str) and " " in words[0]:
        words = (*words[0].split(), *words[1:])
    return packed_all(words)


def listed(first: Word | Iterable[Word], more: Iterable[Word] = ()) -> list[Word]:
    """Returns a list of one word or several, and of more."""
    alone = isinstance(first, str | bytes | bytearray | memoryview | int | float)
    return [first, *more] if alone else [*first, *more]  # type: ignore[list-item, misc]


def flat(mapping: Mapping[Any, Any]) -> list[Word]:
    """Returns the keys and values of a mapping in turn."""
    return [word for pair in mapping.items() for word in pair]


def flags(**wanted: bool | None) -> list[Word]:
    """Returns the names of the options that are set."""
    return [name.upper() for name, is_wanted in wanted.items() if is_wanted]


def options(**values: Word | None) -> list[Word]:
    """Returns the names and values of the options that have one."""
    given = ((name.upper(), value) for name, value in values.items() if value is not None)
    return [word for option in given for word in option]


def seconds(time: int | timedelta) -> int:
    """Returns a lifetime in seconds."""
    return int(time.total_seconds()) if isinstance(time, timedelta) else time


def millis(time: int | timedelta) -> int:
    """Returns a lifetime in milliseconds."""
    return int(time.total_seconds() * 1000) if isinstance(time, timedelta) else time


def at_seconds(when: int | datetime) -> int:
    """Returns a point in time in seconds since 1970."""
    return int(when.timestamp()) if isinstance(when, datetime) else when


def at_millis(when: int | datetime) -> int:
    """Returns a point in time in milliseconds since 1970."""
    return int(when.timestamp() * 1000) if isinstance(when, datetime) else when


def expiry(
    ex: int | timedelta | None,
    px: int | timedelta | None,
    exat: int | datetime | None,
    pxat: int | datetime | None,
) -> list[Word]:
    """Returns the options of an expiry."""
    return options(
        ex=None if ex is None else seconds(ex),
        px=None if px is None else millis(px),
        exat=None if exat is None else at_seconds(exat),
        pxat=None if pxat is None else at_millis(pxat),
    )


def limit(offset: int | None, count: int | None, names: str) -> list[Word]:
    """Returns the option `LIMIT`; `names` are those of the two arguments."""
    if offset is None and count is None:
        return []
    if offset is None or count is None:
        raise ConfigurationError(f"{names} belong together: set both, or none")
    return ["LIMIT", offset, count]
