"""Scans: steps, and iterators over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.replies import read_scored_step
from hotshelf._redis.words import flags, options


class Scans(Commands[Text]):
    """Commands that return a part of a collection, and the cursor of the next part; it is 0 at
    the end."""

    @command
    def scan(
        self,
        cursor: int = 0,
        match: Word | None = None,
        count: int | None = None,
        _type: str | None = None,
    ) -> Reply[tuple[int, list[Text]]]:
        """Returns a part of the server's keys. In a Cluster use `scan_iter`."""
        self._check_one_server("SCAN", "use `scan_iter`, which scans all of them")
        return self._send("SCAN", cursor, *options(match=match, count=count, type=_type))

    @command
    def hscan(
        self,
        name: Word,
        cursor: int = 0,
        match: Word | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> Reply[tuple[int, Any]]:
        """Returns a dictionary of fields; with `no_values`, a list of their names."""
        rest = options(match=match, count=count) + flags(novalues=no_values)
        return self._send("HSCAN", name, cursor, *rest)

    @command
    def sscan(
        self, name: Word, cursor: int = 0, match: Word | None = None, count: int | None = None
    ) -> Reply[tuple[int, list[Text]]]:
        return self._send("SSCAN", name, cursor, *options(match=match, count=count))

    @command
    def zscan(
        self,
        name: Word,
        cursor: int = 0,
        match: Word | None = None,
        count: int | None = None,
        score_cast_func: Callable[[Any], Any] = float,
    ) -> Reply[tuple[int, list[tuple[Text, Any]]]]:
        read = None if score_cast_func is float else partial(read_scored_step, cast=score_cast_func)
        return self._send("ZSCAN", name, cursor, *options(match=match, count=count), read=read)


class ScanIterators(Scans[Text]):
    """Iterators over whole collections. Items may be returned more than once."""

    async def hscan_iter(
        self,
        name: Word,
        match: Word | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> AsyncIterator[Any]:
        """Iterates over pairs of field and value; with `no_values`, over fields."""
        async for fields in _parts(
            lambda cursor: self.hscan(name, cursor, match, count, no_values)
        ):
            for field in fields if no_values else fields.items():
                yield field

    async def sscan_iter(
        self, name: Word, match: Word | None = None, count: int | None = None
    ) -> AsyncIterator[Text]:
        """Iterates over members."""
        async for members in _parts(lambda cursor: self.sscan(name, cursor, match, count)):
            for member in members:
                yield member

    async def zscan_iter(
        self,
        name: Word,
        match: Word | None = None,
        count: int | None = None,
        score_cast_func: Callable[[Any], Any] = float,
    ) -> AsyncIterator[tuple[Text, Any]]:
        """Iterates over pairs of member and score."""
        async for members in _parts(
            lambda cursor: self.zscan(name, cursor, match, count, score_cast_func)
        ):
            for member in members:
                yield member


async def _parts(step: Callable[[int], Awaitable[tuple[int, Any]]]) -> AsyncIterator[Any]:
    cursor = 0
    while True:
        cursor, part = await step(cursor)
        yield part
        if not cursor:
            return
