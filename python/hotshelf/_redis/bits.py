"""Strings as bits."""

from __future__ import annotations

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command


class Bits(Commands[Text]):
    """Commands on the bits of strings."""

    @command
    def setbit(self, name: Word, offset: int, value: int) -> Reply[int]:
        return self._send("SETBIT", name, offset, int(bool(value)))

    @command
    def getbit(self, name: Word, offset: int) -> Reply[int]:
        return self._send("GETBIT", name, offset)

    @command
    def bitcount(
        self, key: Word, start: int | None = None, end: int | None = None, mode: str | None = None
    ) -> Reply[int]:
        if (start is None) != (end is None):
            raise ConfigurationError("`start` and `end` belong together: set both, or none")
        return self._send("BITCOUNT", key, *_range(start, end, mode))

    @command
    def bitop(self, operation: str, dest: Word, *keys: Word) -> Reply[int]:
        return self._send("BITOP", operation, dest, *keys)

    @command
    def bitpos(
        self,
        key: Word,
        bit: int,
        start: int | None = None,
        end: int | None = None,
        mode: str | None = None,
    ) -> Reply[int]:
        if bit not in (0, 1):
            raise ConfigurationError(f"invalid bit {bit!r}: use 0 or 1")
        if start is None and end is not None:
            raise ConfigurationError("`end` needs a `start`: use 0 for the whole string")
        return self._send("BITPOS", key, bit, *_range(start, end, mode))


def _range(start: int | None, end: int | None, mode: str | None) -> list[Word]:
    return [word for word in (start, end, mode) if word is not None]
