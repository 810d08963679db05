"""Parses what servers tell about themselves."""

from __future__ import annotations

from typing import Any


def text(word: Any) -> str:
    """Returns a string as `str`."""
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


def fields(reply: Any) -> dict[str, Any]:
    """Converts names and values to a dictionary with `str` as keys."""
    if not isinstance(reply, dict):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    return {text(name): value for name, value in reply.items()}


def info(reply: str) -> dict[str, Any]:
    """Parses `INFO`: values become numbers where possible, and lists of fields dictionaries."""
    found: dict[str, Any] = {}
    for line in reply.splitlines():
        if line and not line.startswith("#") and ":" in line:
            name, value = line.split(":", 1)
            found[name] = _info_value(value)
    return found


def clients(reply: Any) -> list[dict[str, Any]]:
    """Parses `CLIENT LIST`."""
    lines = (line for line in text(reply).splitlines() if line)
    return [dict(field.split("=", 1) for field in line.split(" ") if "=" in field) for line in lines]


def _info_value(value: str) -> Any:
    if "," in value and "=" in value:
        parts = (part.rsplit("=", 1) for part in value.split(",") if "=" in part)
        return {name: _number(part) for name, part in parts}
    return _number(value)


def _number(value: str) -> int | float | str:
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value
