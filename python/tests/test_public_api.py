"""The public API is as listed, so that it changes on purpose only.

`HOTSHELF_ACCEPT=1 pytest test_public_api.py` writes the listing again.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import Any

import hotshelf
from conftest import TESTS
from hotshelf import sqlalchemy, testing

LISTING = TESTS / "data" / "public_api.txt"


def attributes(owner: type) -> dict[str, Any]:
    """Returns the attributes of a class, and of its private bases."""
    private = (it for it in owner.__mro__ if it.__module__.startswith("hotshelf._") or it is owner)
    return {name: value for base in reversed(list(private)) for name, value in vars(base).items()}


def members(name: str, owner: type) -> Iterator[str]:
    for attribute, value in sorted(attributes(owner).items()):
        if attribute.startswith("_") and attribute != "__init__":
            continue
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if isinstance(value, property):
            yield f"{name}.{attribute}: property"
        elif inspect.isfunction(value):
            kind = "async def" if inspect.iscoroutinefunction(value) else "def"
            yield f"{kind} {name}.{attribute}{inspect.signature(value)}"
    for key, annotation in sorted(getattr(owner, "__annotations__", {}).items()):
        if not key.startswith("_") and hasattr(owner, "__total__"):
            yield f"{name}[{key!r}]: {getattr(annotation, '__forward_arg__', annotation)}"


def described(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(f"{base.__module__}.{base.__name__}" for base in value.__bases__)
        yield f"class {name}({bases})"
        yield from members(name, value)
    elif inspect.ismodule(value):
        for member in sorted(value.__all__):
            yield from described(f"{name}.{member}", getattr(value, member))
    elif inspect.isfunction(value):
        yield f"def {name}{inspect.signature(value)}"
    elif callable(value):
        yield f"def {name}{getattr(value, '__text_signature__', '(...)')}"
    else:
        yield f"{name}: {type(value).__name__}"


def test_public_api_is_as_listed() -> None:
    names = [(name, getattr(hotshelf, name)) for name in sorted(hotshelf.__all__)]
    modules = [("sqlalchemy", sqlalchemy), ("testing", testing)]
    lines = [line for each in [*names, *modules] for line in described(*each)]
    found = "\n".join(lines) + "\n"
    if os.environ.get("HOTSHELF_ACCEPT"):
        LISTING.parent.mkdir(exist_ok=True)
        LISTING.write_text(found)
    assert found == LISTING.read_text(), "accept it by HOTSHELF_ACCEPT=1, if it is meant"
