"""Lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import listed, options


class Lists(Commands[Text]):
    """Commands on lists.

    Those that block have a connection that no other command uses meanwhile. Their `timeout` is
    in seconds; 0 waits forever.
    """

    @command
    def lpush(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("LPUSH", name, *values)

    @command
    def rpush(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("RPUSH", name, *values)

    @command
    def lpushx(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("LPUSHX", name, *values)

    @command
    def rpushx(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("RPUSHX", name, *values)

    @command
    def lpop(self, name: Word, count: int | None = None) -> Reply[Any]:
        """Returns the first item or `None`; with `count`, a list of items or `None`."""
        return self._send("LPOP", name, *_given(count))

    @command
    def rpop(self, name: Word, count: int | None = None) -> Reply[Any]:
        """Returns the last item or `None`; with `count`, a list of items or `None`."""
        return self._send("RPOP", name, *_given(count))

    @command
    def lrange(self, name: Word, start: int, end: int) -> Reply[list[Text]]:
        return self._send("LRANGE", name, start, end)

    @command
    def llen(self, name: Word) -> Reply[int]:
        return self._send("LLEN", name)

    @command
    def ltrim(self, name: Word, start: int, end: int) -> Reply[bool]:
        return self._send("LTRIM", name, start, end)

    @command
    def lindex(self, name: Word, index: int) -> Reply[Text | None]:
        return self._send("LINDEX", name, index)

    @command
    def linsert(self, name: Word, where: str, refvalue: Word, value: Word) -> Reply[int]:
        return self._send("LINSERT", name, where, refvalue, value)

    @command
    def lset(self, name: Word, index: int, value: Word) -> Reply[bool]:
        return self._send("LSET", name, index, value)

    @command
    def lrem(self, name: Word, count: int, value: Word) -> Reply[int]:
        return self._send("LREM", name, count, value)

    @command
    def lpos(
        self,
        name: Word,
        value: Word,
        rank: int | None = None,
        count: int | None = None,
        maxlen: int | None = None,
    ) -> Reply[Any]:
        """Returns the index of a value or `None`; with `count`, a list of them."""
        rest = options(rank=rank, count=count, maxlen=maxlen)
        return self._send("LPOS", name, value, *rest)

    @command
    def lmove(
        self, first_list: Word, second_list: Word, src: str = "LEFT", dest: str = "RIGHT"
    ) -> Reply[Text | None]:
        return self._send("LMOVE", first_list, second_list, src, dest)

    @command
    def rpoplpush(self, src: Word, dst: Word) -> Reply[Text | None]:
        return self._send("RPOPLPUSH", src, dst)

    @command
    def lmpop(
        self, num_keys: int, *args: Word, direction: str, count: int | None = 1
    ) -> Reply[Any]:
        return self._send("LMPOP", num_keys, *args, direction, *options(count=count))

    # Commands that block

    @command
    def blpop(
        self, keys: Word | Iterable[Word], timeout: float | None = 0
    ) -> Reply[tuple[Text, Text] | None]:
        """Waits for an item of one of the lists, and returns the key and the item."""
        return self._send_blocking(timeout, "BLPOP", *listed(keys), timeout or 0)

    @command
    def brpop(
        self, keys: Word | Iterable[Word], timeout: float | None = 0
    ) -> Reply[tuple[Text, Text] | None]:
        """Waits for an item of one of the lists, and returns the key and the item."""
        return self._send_blocking(timeout, "BRPOP", *listed(keys), timeout or 0)

    @command
    def blmove(
        self,
        first_list: Word,
        second_list: Word,
        timeout: float,
        src: str = "LEFT",
        dest: str = "RIGHT",
    ) -> Reply[Text | None]:
        return self._send_blocking(
            timeout, "BLMOVE", first_list, second_list, src, dest, timeout or 0
        )

    @command
    def brpoplpush(self, src: Word, dst: Word, timeout: float | None = 0) -> Reply[Text | None]:
        return self._send_blocking(timeout, "BRPOPLPUSH", src, dst, timeout or 0)

    @command
    def blmpop(
        self,
        timeout: float,
        numkeys: int,
        *args: Word,
        direction: str,
        count: int | None = 1,
    ) -> Reply[Any]:
        words: list[Word] = [timeout or 0, numkeys, *args, direction, *options(count=count)]
        return self._send_blocking(timeout, "BLMPOP", *words)


def _given(count: int | None) -> list[Word]:
    return [] if count is None else [count]
