"""Sets, and HyperLogLogs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import listed


class Sets(Commands[Text]):
    """Commands on sets and HyperLogLogs."""

    @command
    def sadd(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("SADD", name, *values)

    @command
    def srem(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("SREM", name, *values)

    @command
    def smembers(self, name: Word) -> Reply[set[Text]]:
        return self._send("SMEMBERS", name)

    @command
    def sismember(self, name: Word, value: Word) -> Reply[bool]:
        return self._send("SISMEMBER", name, value)

    @command
    def smismember(
        self, name: Word, values: Word | Iterable[Word], *args: Word
    ) -> Reply[list[bool]]:
        return self._send("SMISMEMBER", name, *listed(values, args))

    @command
    def scard(self, name: Word) -> Reply[int]:
        return self._send("SCARD", name)

    @command
    def smove(self, src: Word, dst: Word, value: Word) -> Reply[bool]:
        return self._send("SMOVE", src, dst, value)

    @command
    def spop(self, name: Word, count: int | None = None) -> Reply[Any]:
        """Removes and returns a random member or `None`; with `count`, a list of members."""
        return self._send("SPOP", name, *([] if count is None else [count]))

    @command
    def srandmember(self, name: Word, number: int | None = None) -> Reply[Any]:
        """Returns a random member or `None`; with `number`, a list of members."""
        return self._send("SRANDMEMBER", name, *([] if number is None else [number]))

    @command
    def sdiff(self, keys: Word | Iterable[Word], *args: Word) -> Reply[set[Text]]:
        return self._send("SDIFF", *listed(keys, args))

    @command
    def sdiffstore(self, dest: Word, keys: Word | Iterable[Word], *args: Word) -> Reply[int]:
        return self._send("SDIFFSTORE", dest, *listed(keys, args))

    @command
    def sinter(self, keys: Word | Iterable[Word], *args: Word) -> Reply[set[Text]]:
        return self._send("SINTER", *listed(keys, args))

    @command
    def sinterstore(self, dest: Word, keys: Word | Iterable[Word], *args: Word) -> Reply[int]:
        return self._send("SINTERSTORE", dest, *listed(keys, args))

    @command
    def sintercard(self, numkeys: int, keys: Sequence[Word], limit: int = 0) -> Reply[int]:
        return self._send("SINTERCARD", numkeys, *keys, "LIMIT", limit)

    @command
    def sunion(self, keys: Word | Iterable[Word], *args: Word) -> Reply[set[Text]]:
        return self._send("SUNION", *listed(keys, args))

    @command
    def sunionstore(self, dest: Word, keys: Word | Iterable[Word], *args: Word) -> Reply[int]:
        return self._send("SUNIONSTORE", dest, *listed(keys, args))

    @command
    def pfadd(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("PFADD", name, *values)

    @command
    def pfcount(self, *sources: Word) -> Reply[int]:
        return self._send("PFCOUNT", *sources)

    @command
    def pfmerge(self, dest: Word, *sources: Word) -> Reply[bool]:
        return self._send("PFMERGE", dest, *sources)
