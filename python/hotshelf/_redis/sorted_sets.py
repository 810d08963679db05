"""Sorted sets: members, scores and single ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import flags, listed, options


class SortedSets(Commands[Text]):
    """Commands on the members of sorted sets."""

    @command
    def zadd(
        self,
        name: Word,
        mapping: Mapping[Any, Any],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Reply[Any]:
        """Adds members with scores, and returns the number of new ones; with `ch`, of changed
        ones, and with `incr`, the new score or `None`."""
        if not mapping:
            raise ConfigurationError("no members to add: pass a `mapping` with at least one")
        if nx and (xx or gt or lt) or gt and lt:
            raise ConfigurationError(
                "`nx` excludes `xx`, `gt` and `lt`, and `gt` excludes `lt`: use one of them"
            )
        if incr and len(mapping) != 1:
            raise ConfigurationError("`incr` is for one member: pass a `mapping` with one item")
        words = flags(nx=nx, xx=xx, gt=gt, lt=lt, ch=ch, incr=incr)
        for member, score in mapping.items():
            words += [score, member]
        return self._send("ZADD", name, *words)

    @command
    def zrem(self, name: Word, *values: Word) -> Reply[int]:
        return self._send("ZREM", name, *values)

    @command
    def zcard(self, name: Word) -> Reply[int]:
        return self._send("ZCARD", name)

    @command
    def zcount(self, name: Word, min: float | str, max: float | str) -> Reply[int]:
        return self._send("ZCOUNT", name, min, max)

    @command
    def zlexcount(self, name: Word, min: Word, max: Word) -> Reply[int]:
        return self._send("ZLEXCOUNT", name, min, max)

    @command
    def zscore(self, name: Word, value: Word) -> Reply[float | None]:
        return self._send("ZSCORE", name, value)

    @command
    def zmscore(self, key: Word, members: Iterable[Word]) -> Reply[list[float | None]]:
        members = listed(members)
        if not members:
            raise ConfigurationError("no members: pass at least one")
        return self._send("ZMSCORE", key, *members)

    @command
    def zincrby(self, name: Word, amount: float, value: Word) -> Reply[float]:
        return self._send("ZINCRBY", name, amount, value)

    @command
    def zrank(self, name: Word, value: Word, withscore: bool = False) -> Reply[Any]:
        """Returns the rank of a member or `None`; with `withscore`, a list of both."""
        return self._send("ZRANK", name, value, *flags(withscore=withscore))

    @command
    def zrevrank(self, name: Word, value: Word, withscore: bool = False) -> Reply[Any]:
        """Returns the rank of a member from the end or `None`; with `withscore`, a list of
        both."""
        return self._send("ZREVRANK", name, value, *flags(withscore=withscore))

    @command
    def zrandmember(
        self, key: Word, count: int | None = None, withscores: bool = False
    ) -> Reply[Any]:
        """Returns a random member, or a list of them with `count`; with `withscores`, members
        and scores in turn."""
        words: list[Word] = [] if count is None else [count]
        return self._send("ZRANDMEMBER", key, *words, *flags(withscores=withscores))

    @command
    def zpopmin(self, name: Word, count: int | None = None) -> Reply[list[tuple[Text, float]]]:
        return self._send("ZPOPMIN", name, *([] if count is None else [count]))

    @command
    def zpopmax(self, name: Word, count: int | None = None) -> Reply[list[tuple[Text, float]]]:
        return self._send("ZPOPMAX", name, *([] if count is None else [count]))

    @command
    def bzpopmin(
        self, keys: Word | Iterable[Word], timeout: float = 0
    ) -> Reply[tuple[Text, Text, float] | None]:
        """Waits for a member of one of the sets, for `timeout` seconds or forever, and returns
        the key, the member and its score."""
        return self._send_blocking(timeout, "BZPOPMIN", *listed(keys), timeout or 0)

    @command
    def bzpopmax(
        self, keys: Word | Iterable[Word], timeout: float = 0
    ) -> Reply[tuple[Text, Text, float] | None]:
        """Waits for a member of one of the sets, for `timeout` seconds or forever, and returns
        the key, the member and its score."""
        return self._send_blocking(timeout, "BZPOPMAX", *listed(keys), timeout or 0)

    @command
    def zmpop(
        self,
        num_keys: int,
        keys: Iterable[Word],
        min: bool | None = False,
        max: bool | None = False,
        count: int | None = 1,
    ) -> Reply[Any]:
        return self._send("ZMPOP", num_keys, *keys, _end(min, max), *options(count=count))

    @command
    def bzmpop(
        self,
        timeout: float,
        numkeys: int,
        keys: Iterable[Word],
        min: bool | None = False,
        max: bool | None = False,
        count: int | None = 1,
    ) -> Reply[Any]:
        words: list[Word] = [timeout, numkeys, *keys, _end(min, max), *options(count=count)]
        return self._send_blocking(timeout, "BZMPOP", *words)

    @command
    def zremrangebylex(self, name: Word, min: Word, max: Word) -> Reply[int]:
        return self._send("ZREMRANGEBYLEX", name, min, max)

    @command
    def zremrangebyrank(self, name: Word, min: int, max: int) -> Reply[int]:
        return self._send("ZREMRANGEBYRANK", name, min, max)

    @command
    def zremrangebyscore(self, name: Word, min: float | str, max: float | str) -> Reply[int]:
        return self._send("ZREMRANGEBYSCORE", name, min, max)


def _end(min: bool | None, max: bool | None) -> str:
    if bool(min) == bool(max):
        raise ConfigurationError("invalid end of the set: set one of `min` and `max`")
    return "MIN" if min else "MAX"
