"""Keys, byte for byte the same as in fastapi-rc, and lifetimes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel

#: What names an entry.
Identifier = str | int | UUID | tuple[Any, ...]


class NoForm:
    """Stands for a parameter that has no canonical form."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def canonical(value: Any) -> Any:
    """Returns the canonical form of a value that JSON has no form for.

    The forms are those of Rust's chrono, uuid and rust_decimal. Dates and times are written
    in RFC 3339, with `Z` for UTC and 0, 3 or 6 digits of a second's fraction, as few as
    possible; a UUID has 36 characters; a `Decimal` has all its digits. A `timedelta` becomes
    its seconds, an `Enum` its value, a set a sorted list.

    Raises:
        TypeError: For any other type.
    """
    match value:
        case Enum():
            return value.value
        case datetime() | time():
            return _clock_text(value)
        case date():
            return value.isoformat()
        case UUID() | PurePath():
            return str(value)
        case Decimal():
            return format(value, "f")
        case timedelta():
            return value.total_seconds()
        case set() | frozenset():
            return sorted(value)
        case BaseModel():
            return value.model_dump()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        case Mapping():
            return dict(value)
        case NoForm():
            raise TypeError(value.reason)
        case _:
            kind = type(value).__name__
            raise TypeError(f"invalid parameter of type {kind}: pass a string instead")


def _clock_text(value: datetime | time) -> str:
    micros = value.microsecond
    digits = "seconds" if micros == 0 else "microseconds" if micros % 1000 else "milliseconds"
    text = value.isoformat(timespec=digits)
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def canonical_params(params: Any) -> str | None:
    """Returns the text of parameters that is hashed into a key, or `None` if they are empty.

    The text is that of `json.dumps(params, sort_keys=True)`, with dates, UUIDs, decimals and
    similar types in their canonical forms (`canonical`).

    Raises:
        TypeError: If a parameter has no canonical form.
    """
    return dumped_params(params) if params else None


def dumped_params(params: Any) -> str | None:
    """Returns the text of parameters, even if they are empty; `None` for `None`.

    Raises:
        TypeError: If a parameter has no canonical form.
    """
    return None if params is None else json.dumps(params, sort_keys=True, default=canonical)


def params_text(params: Any) -> str | Exception | None:
    """Returns the text of parameters, or the exception that was raised instead, which the
    engine counts and logs."""
    try:
        return dumped_params(params)
    except Exception as error:
        # Code of the parameters may raise anything.
        return error


def build_cache_key(
    namespace: str,
    identifier: str,
    params: Mapping[str, Any] | None = None,
    prefix: str = "cache",
    version: str = "v1",
    include_version: bool = True,
) -> str:
    """Returns the key of an entry in fastapi-rc's layout:
    `{prefix}:{version}:{namespace}:{identifier}[:{hash}]`.

    Raises:
        TypeError: If a parameter has no canonical form.
    """
    parts = [prefix, version] if include_version else [prefix]
    parts += [namespace, identifier]
    text = canonical_params(params)
    if text is not None:
        parts.append(hashlib.sha256(text.encode()).hexdigest()[:12])
    return ":".join(parts)


def get_ttl_with_jitter(base_ttl: int, jitter_percent: float = 0.1) -> int:
    """Returns a lifetime in seconds with random jitter, by default ±10 %."""
    jitter = int(base_ttl * jitter_percent)
    return base_ttl + random.randint(-jitter, jitter)


def listed(identifiers: Iterable[Any], what: str) -> list[Any]:
    """Returns identifiers as a list.

    Raises:
        TypeError: For a single string, whose characters would each become an identifier.
    """
    if isinstance(identifiers, str | bytes):
        raise TypeError(f"`{what}` must be a list: use [{identifiers!r}], not {identifiers!r}")
    return list(identifiers)


def comparable(identifier: Any) -> Any:
    """Returns an equal object for identifiers of the same key, such as `7` and `"7"`."""
    if isinstance(identifier, tuple):
        return tuple(map(comparable, identifier))
    return str(identifier)


def list_of_names(names: Iterable[Any], what: str) -> list[str]:
    """Returns names as strings.

    Raises:
        TypeError: For a single string, whose characters would each become a name.
    """
    if isinstance(names, str | bytes):
        raise TypeError(f"`{what}` must be a list of strings: use [{names!r}], not {names!r}")
    return [str(name) for name in names]


def is_text(name: str) -> bool:
    """Returns whether a name is valid in a key: not empty, and encodable as UTF-8."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def escape_pattern(text: str) -> str:
    """Returns a pattern that matches only this string."""
    return "".join("\\" + char if char in "*?[]\\^-," else char for char in text)
