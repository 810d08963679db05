"""Strings and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hotshelf._redis._commands import Commands, only_one
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import expiry, flags, flat, listed, millis, seconds


class Strings(Commands[Text]):
    """Commands on strings and numbers."""

    @command
    def get(self, name: Word) -> Reply[Text | None]:
        return self._send("GET", name)

    @command
    def set(
        self,
        name: Word,
        value: Word,
        ex: int | timedelta | None = None,
        px: int | timedelta | None = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: int | datetime | None = None,
        pxat: int | datetime | None = None,
    ) -> Reply[Any]:
        """Returns `True`, or `None` if `nx` or `xx` isn't met; with `get`, the value before."""
        only_one(ex=ex, px=px, exat=exat, pxat=pxat, keepttl=keepttl)
        only_one(nx=nx, xx=xx)
        rest = flags(nx=nx, xx=xx, keepttl=keepttl, get=get)
        return self._send("SET", name, value, *expiry(ex, px, exat, pxat), *rest)

    @command
    def setex(self, name: Word, time: int | timedelta, value: Word) -> Reply[bool]:
        return self._send("SETEX", name, seconds(time), value)

    @command
    def psetex(self, name: Word, time_ms: int | timedelta, value: Word) -> Reply[bool]:
        return self._send("PSETEX", name, millis(time_ms), value)

    @command
    def setnx(self, name: Word, value: Word) -> Reply[bool]:
        return self._send("SETNX", name, value)

    @command
    def getex(
        self,
        name: Word,
        ex: int | timedelta | None = None,
        px: int | timedelta | None = None,
        exat: int | datetime | None = None,
        pxat: int | datetime | None = None,
        persist: bool = False,
    ) -> Reply[Text | None]:
        """Returns the value, and sets or removes its expiry."""
        only_one(ex=ex, px=px, exat=exat, pxat=pxat, persist=persist)
        return self._send("GETEX", name, *expiry(ex, px, exat, pxat), *flags(persist=persist))

    @command
    def getdel(self, name: Word) -> Reply[Text | None]:
        return self._send("GETDEL", name)

    @command
    def getset(self, name: Word, value: Word) -> Reply[Text | None]:
        return self._send("GETSET", name, value)

    @command
    def append(self, key: Word, value: Word) -> Reply[int]:
        return self._send("APPEND", key, value)

    @command
    def strlen(self, name: Word) -> Reply[int]:
        return self._send("STRLEN", name)

    @command
    def getrange(self, key: Word, start: int, end: int) -> Reply[Text]:
        return self._send("GETRANGE", key, start, end)

    @command
    def setrange(self, name: Word, offset: int, value: Word) -> Reply[int]:
        return self._send("SETRANGE", name, offset, value)

    @command
    def substr(self, name: Word, start: int, end: int = -1) -> Reply[Text]:
        return self._send("SUBSTR", name, start, end)

    @command
    def incr(self, name: Word, amount: int = 1) -> Reply[int]:
        return self._send("INCRBY", name, amount)

    incrby = incr

    @command
    def decr(self, name: Word, amount: int = 1) -> Reply[int]:
        return self._send("DECRBY", name, amount)

    decrby = decr

    @command
    def incrbyfloat(self, name: Word, amount: float = 1.0) -> Reply[float]:
        return self._send("INCRBYFLOAT", name, amount)

    @command
    def mget(self, keys: Word | Iterable[Word], *args: Word) -> Reply[list[Text | None]]:
        names = listed(keys, args)
        return self._send("MGET", *names) if names else self._known([])

    @command
    def mset(self, mapping: Mapping[Any, Word]) -> Reply[bool]:
        return self._send("MSET", *flat(mapping))

    @command
    def msetnx(self, mapping: Mapping[Any, Word]) -> Reply[bool]:
        return self._send("MSETNX", *flat(mapping))

    @command
    def lcs(
        self,
        key1: Word,
        key2: Word,
        len: bool | None = False,
        idx: bool | None = False,
        minmatchlen: int | None = 0,
        withmatchlen: bool | None = False,
    ) -> Reply[Any]:
        """Returns the longest common subsequence, its length with `len`, or with `idx` the ranges
        that match."""
        rest = flags(len=len, idx=idx)
        if minmatchlen:
            rest += ["MINMATCHLEN", minmatchlen]
        return self._send("LCS", key1, key2, *rest, *flags(withmatchlen=withmatchlen))
