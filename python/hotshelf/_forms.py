"""The forms of arguments that are hashed into keys."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from hotshelf._keys import NoForm, canonical

#: What JSON has a form of its own for.
_EXACT = frozenset((str, int, float, bool, type(None)))


def form_of_argument(name: str, value: Any) -> Any:
    """Returns the form of an argument of this name, or a `NoForm`: a call goes on without the cache
    then."""
    try:
        return form_of(value)
    except Exception as error:
        # Code of the value may raise anything.
        cure = "pass `key`, a function of what identifies it, or leave it out with `skip`"
        return NoForm(f"the argument {name!r} can't be part of a key ({error}): {cure}")


def form_of(value: Any) -> Any:
    """Returns the form of an argument, of which JSON is made.

    Values that differ have different forms: each names its class, and a model or a dataclass has
    all its fields, those that it leaves out when it is dumped included.

    Raises:
        TypeError: If the value has no canonical form.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    return {"is": f"{kind.__module__}.{kind.__qualname__}", "of": _content(value)}


def _content(value: Any) -> Any:
    match value:
        case Enum():
            return value.name
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case list() | tuple():
            return [form_of(one) for one in value]
        case set() | frozenset():
            return sorted(map(form_of, value), key=_text)
        case Mapping():
            return sorted(([form_of(key), form_of(one)] for key, one in value.items()), key=_text)
        case BaseModel():
            extra, private = value.__pydantic_extra__ or {}, value.__pydantic_private__ or {}
            return {name: form_of(one) for name, one in {**vars(value), **extra, **private}.items()}
        case _ if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return {field.name: form_of(getattr(value, field.name)) for field in fields}
        case str() | int() | float():
            # Of a class of its own.
            return repr(value)
        case _:
            return canonical(value)


_text: Callable[[Any], str] = json.dumps
