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


def members(name: str, owner: type) -> Iterator[str]:
    for attribute, value in sorted(vars(owner).items()):
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


def private_bases(owner: type) -> Iterator[type]:
    public = {value for value in vars(hotshelf).values() if inspect.isclass(value)}
    for base in owner.__mro__[1:]:
        if base.__module__.startswith("hotshelf._") and base not in public:
            yield base


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
    modules = {"sqlalchemy": sqlalchemy, "testing": testing}
    values = {name: getattr(hotshelf, name) for name in sorted(hotshelf.__all__)} | modules
    listed = [*values.values(), *vars(hotshelf.sync).values()]
    classes = [it for it in listed if inspect.isclass(it)]
    bases = dict.fromkeys(base for it in classes for base in private_bases(it))
    lines = [line for name, value in values.items() for line in described(name, value)]
    lines += [line for base in bases for line in described(f"({base.__name__})", base)]
    found = "\n".join(lines) + "\n"
    if os.environ.get("HOTSHELF_ACCEPT"):
        LISTING.parent.mkdir(exist_ok=True)
        LISTING.write_text(found)
    assert found == LISTING.read_text(), "accept it by HOTSHELF_ACCEPT=1, if it is meant"
