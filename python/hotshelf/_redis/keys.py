"""Keys and their lifetimes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import (
    at_millis,
    at_seconds,
    flags,
    limit,
    listed,
    millis,
    options,
    seconds,
)


class Keys(Commands[Text]):
    """Commands on keys of any type."""

    @command
    def delete(self, *names: Word) -> Reply[int]:
        return self._send("DEL", *names)

    @command
    def unlink(self, *names: Word) -> Reply[int]:
        return self._send("UNLINK", *names)

    @command
    def exists(self, *names: Word) -> Reply[int]:
        return self._send("EXISTS", *names)

    @command
    def touch(self, *args: Word) -> Reply[int]:
        return self._send("TOUCH", *args)

    @command
    def type(self, name: Word) -> Reply[Text]:
        return self._send("TYPE", name)

    @command
    def keys(self, pattern: Word = "*") -> Reply[list[Text]]:
        return self._send("KEYS", pattern)

    @command
    def randomkey(self) -> Reply[Text | None]:
        return self._send("RANDOMKEY")

    @command
    def rename(self, src: Word, dst: Word) -> Reply[bool]:
        return self._send("RENAME", src, dst)

    @command
    def renamenx(self, src: Word, dst: Word) -> Reply[bool]:
        return self._send("RENAMENX", src, dst)

    @command
    def copy(
        self,
        source: Word,
        destination: Word,
        destination_db: int | str | None = None,
        replace: bool = False,
    ) -> Reply[bool]:
        rest = options(db=destination_db) + flags(replace=replace)
        return self._send("COPY", source, destination, *rest)

    @command
    def move(self, name: Word, db: int) -> Reply[bool]:
        return self._send("MOVE", name, db)

    @command
    def sort(
        self,
        name: Word,
        start: int | None = None,
        num: int | None = None,
        by: Word | None = None,
        get: Word | Iterable[Word] | None = None,
        desc: bool = False,
        alpha: bool = False,
        store: Word | None = None,
        groups: bool = False,
    ) -> Reply[Any]:
        """Returns the sorted items, or their number with `store`; with `groups`, a tuple for
        each item, of what `get` names."""
        parts = [] if get is None else listed(get)
        if groups and len(parts) < 2:
            raise ConfigurationError("`groups` needs a `get` with at least two patterns")
        words: list[Word] = ["SORT", name, *options(by=by)]
        words += limit(start, num, "`start` and `num`")
        words += [word for part in parts for word in ("GET", part)]
        words += flags(desc=desc, alpha=alpha) + options(store=store)
        return self._send(*words, read=partial(_grouped, len(parts)) if groups else None)

    @command
    def dump(self, name: Word) -> Reply[bytes | None]:
        """Returns the value in the format of `restore`, always as bytes."""
        return self._send("DUMP", name)

    @command
    def restore(
        self,
        name: Word,
        ttl: float,
        value: Word,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> Reply[bool]:
        rest = flags(replace=replace, absttl=absttl) + options(idletime=idletime, freq=frequency)
        return self._send("RESTORE", name, ttl, value, *rest)

    @command
    def object(self, infotype: str, key: Word) -> Reply[Any]:
        return self._send("OBJECT", infotype, key)

    @command
    def memory_usage(self, key: Word, samples: int | None = None) -> Reply[int | None]:
        return self._send("MEMORY", "USAGE", key, *options(samples=samples))

    # Lifetimes

    @command
    def expire(
        self,
        name: Word,
        time: int | timedelta,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Reply[bool]:
        return self._send("EXPIRE", name, seconds(time), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    @command
    def pexpire(
        self,
        name: Word,
        time: int | timedelta,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Reply[bool]:
        return self._send("PEXPIRE", name, millis(time), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    @command
    def expireat(
        self,
        name: Word,
        when: int | datetime,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Reply[bool]:
        return self._send("EXPIREAT", name, at_seconds(when), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    @command
    def pexpireat(
        self,
        name: Word,
        when: int | datetime,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Reply[bool]:
        return self._send("PEXPIREAT", name, at_millis(when), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    @command
    def persist(self, name: Word) -> Reply[bool]:
        return self._send("PERSIST", name)

    @command
    def ttl(self, name: Word) -> Reply[int]:
        return self._send("TTL", name)

    @command
    def pttl(self, name: Word) -> Reply[int]:
        return self._send("PTTL", name)

    @command
    def expiretime(self, key: Word) -> Reply[int]:
        return self._send("EXPIRETIME", key)

    @command
    def pexpiretime(self, key: Word) -> Reply[int]:
        return self._send("PEXPIRETIME", key)


def _grouped(size: int, reply: Any) -> Any:
    if not isinstance(reply, list):
        return reply
    return [tuple(reply[start : start + size]) for start in range(0, len(reply), size)]
