"""Hashes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import flags, flat, listed


class Hashes(Commands[Text]):
    """Commands on hashes."""

    @command
    def hget(self, name: Word, key: Word) -> Reply[Text | None]:
        return self._send("HGET", name, key)

    @command
    def hset(
        self,
        name: Word,
        key: Word | None = None,
        value: Word | None = None,
        mapping: Mapping[Any, Word] | None = None,
        items: Sequence[Word] | None = None,
    ) -> Reply[int]:
        """Sets one field, those of a mapping, and those of a list of names and values in turn.
        Returns the number of new fields."""
        words: list[Word] = []
        if key is not None and value is not None:
            words += [key, value]
        words += [*flat(mapping or {}), *(items or ())]
        if not words:
            raise ConfigurationError("no fields to set: pass `key` and `value`, or `mapping`")
        return self._send("HSET", name, *words)

    @command
    def hmset(self, name: Word, mapping: Mapping[Any, Word]) -> Reply[bool]:
        """Sets fields. Deprecated like its command: use `hset`."""
        warnings.warn("`hmset` is deprecated: use `hset`", DeprecationWarning, stacklevel=2)
        if not mapping:
            raise ConfigurationError("no fields to set: pass a `mapping` with at least one")
        return self._send("HMSET", name, *flat(mapping))

    @command
    def hsetnx(self, name: Word, key: Word, value: Word) -> Reply[bool]:
        return self._send("HSETNX", name, key, value)

    @command
    def hgetall(self, name: Word) -> Reply[dict[Text, Text]]:
        return self._send("HGETALL", name)

    @command
    def hmget(
        self, name: Word, keys: Word | Iterable[Word], *args: Word
    ) -> Reply[list[Text | None]]:
        return self._send("HMGET", name, *listed(keys, args))

    @command
    def hdel(self, name: Word, *keys: Word) -> Reply[int]:
        return self._send("HDEL", name, *keys)

    @command
    def hexists(self, name: Word, key: Word) -> Reply[bool]:
        return self._send("HEXISTS", name, key)

    @command
    def hincrby(self, name: Word, key: Word, amount: int = 1) -> Reply[int]:
        return self._send("HINCRBY", name, key, amount)

    @command
    def hincrbyfloat(self, name: Word, key: Word, amount: float = 1.0) -> Reply[float]:
        return self._send("HINCRBYFLOAT", name, key, amount)

    @command
    def hkeys(self, name: Word) -> Reply[list[Text]]:
        return self._send("HKEYS", name)

    @command
    def hvals(self, name: Word) -> Reply[list[Text]]:
        return self._send("HVALS", name)

    @command
    def hlen(self, name: Word) -> Reply[int]:
        return self._send("HLEN", name)

    @command
    def hstrlen(self, name: Word, key: Word) -> Reply[int]:
        return self._send("HSTRLEN", name, key)

    @command
    def hrandfield(
        self, key: Word, count: int | None = None, withvalues: bool = False
    ) -> Reply[Any]:
        """Returns a random field, or a list of them with `count`; with `withvalues`, fields and
        values in turn."""
        words: list[Word] = [] if count is None else [count]
        return self._send("HRANDFIELD", key, *words, *flags(withvalues=withvalues))
