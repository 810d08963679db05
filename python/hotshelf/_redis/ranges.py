"""Sorted sets: ranges, and what several sets have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.replies import scored
from hotshelf._redis.words import flags, limit, listed, options

#: Converts a score, which is a string in redis-py, to the type of the caller.
Cast = Callable[[Any], Any]


class Ranges(Commands[Text]):
    """Commands that return members of sorted sets: a list of members, or of pairs of member and
    score with `withscores`."""

    @command
    def zrange(
        self,
        name: Word,
        start: Word,
        end: Word,
        desc: bool = False,
        withscores: bool = False,
        score_cast_func: Cast = float,
        byscore: bool = False,
        bylex: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Reply[list[Any]]:
        if not byscore and not bylex and offset is None and num is None and desc:
            # Servers before 6.2 know no option of `ZRANGE`.
            words: list[Word] = ["ZREVRANGE", name, start, end]
        else:
            words = ["ZRANGE", name, start, end]
            words += _options(desc, byscore, bylex, offset, num)
        return self._send(
            *words, *flags(withscores=withscores), read=_reader(withscores, score_cast_func)
        )

    @command
    def zrevrange(
        self,
        name: Word,
        start: int,
        end: int,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Reply[list[Any]]:
        words = ("ZREVRANGE", name, start, end, *flags(withscores=withscores))
        return self._send(*words, read=_reader(withscores, score_cast_func))

    @command
    def zrangestore(
        self,
        dest: Word,
        name: Word,
        start: Word,
        end: Word,
        byscore: bool = False,
        bylex: bool = False,
        desc: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Reply[int]:
        rest = _options(desc, byscore, bylex, offset, num)
        return self._send("ZRANGESTORE", dest, name, start, end, *rest)

    @command
    def zrangebyscore(
        self,
        name: Word,
        min: float | str,
        max: float | str,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Reply[list[Any]]:
        words: list[Word] = ["ZRANGEBYSCORE", name, min, max, *flags(withscores=withscores)]
        words += limit(start, num, "`start` and `num`")
        return self._send(*words, read=_reader(withscores, score_cast_func))

    @command
    def zrevrangebyscore(
        self,
        name: Word,
        max: float | str,
        min: float | str,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Reply[list[Any]]:
        words: list[Word] = ["ZREVRANGEBYSCORE", name, max, min, *flags(withscores=withscores)]
        words += limit(start, num, "`start` and `num`")
        return self._send(*words, read=_reader(withscores, score_cast_func))

    @command
    def zrangebylex(
        self, name: Word, min: Word, max: Word, start: int | None = None, num: int | None = None
    ) -> Reply[list[Text]]:
        return self._send("ZRANGEBYLEX", name, min, max, *limit(start, num, "`start` and `num`"))

    @command
    def zrevrangebylex(
        self, name: Word, max: Word, min: Word, start: int | None = None, num: int | None = None
    ) -> Reply[list[Text]]:
        rest = limit(start, num, "`start` and `num`")
        return self._send("ZREVRANGEBYLEX", name, max, min, *rest)

    # Several sets

    @command
    def zdiff(self, keys: Word | Iterable[Word], withscores: bool = False) -> Reply[list[Any]]:
        names = listed(keys)
        return self._send("ZDIFF", len(names), *names, *flags(withscores=withscores))

    @command
    def zdiffstore(self, dest: Word, keys: Word | Iterable[Word]) -> Reply[int]:
        names = listed(keys)
        return self._send("ZDIFFSTORE", dest, len(names), *names)

    @command
    def zinter(
        self,
        keys: Sequence[Word] | Mapping[Any, float],
        aggregate: str | None = None,
        withscores: bool = False,
    ) -> Reply[list[Any]]:
        """`keys` may be a mapping of names to weights."""
        return self._send("ZINTER", *_weighted(keys, aggregate), *flags(withscores=withscores))

    @command
    def zinterstore(
        self, dest: Word, keys: Sequence[Word] | Mapping[Any, float], aggregate: str | None = None
    ) -> Reply[int]:
        return self._send("ZINTERSTORE", dest, *_weighted(keys, aggregate))

    @command
    def zintercard(self, numkeys: int, keys: Sequence[Word], limit: int = 0) -> Reply[int]:
        return self._send("ZINTERCARD", numkeys, *keys, "LIMIT", limit)

    @command
    def zunion(
        self,
        keys: Sequence[Word] | Mapping[Any, float],
        aggregate: str | None = None,
        withscores: bool = False,
    ) -> Reply[list[Any]]:
        """`keys` may be a mapping of names to weights."""
        return self._send("ZUNION", *_weighted(keys, aggregate), *flags(withscores=withscores))

    @command
    def zunionstore(
        self, dest: Word, keys: Sequence[Word] | Mapping[Any, float], aggregate: str | None = None
    ) -> Reply[int]:
        return self._send("ZUNIONSTORE", dest, *_weighted(keys, aggregate))


def _reader(withscores: bool, cast: Cast) -> Callable[[Any], Any] | None:
    return partial(scored, cast=cast) if withscores and cast is not float else None


def _options(
    desc: bool, byscore: bool, bylex: bool, offset: int | None, num: int | None
) -> list[Word]:
    if byscore and bylex:
        raise ConfigurationError("`byscore` and `bylex` exclude one another: use one of them")
    return flags(byscore=byscore, bylex=bylex, rev=desc) + limit(offset, num, "`offset` and `num`")


def _weighted(
    keys: Sequence[Word] | Mapping[Any, float], aggregate: str | None
) -> list[Word]:
    words: list[Word] = [len(keys), *keys]
    if isinstance(keys, Mapping):
        words += ["WEIGHTS", *keys.values()]
    return words + options(aggregate=aggregate)
