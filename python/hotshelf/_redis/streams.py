"""Streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import flags, flat, options


class Streams(Commands[Text]):
    """Commands on the entries of streams. An entry is a pair of its ID and its fields."""

    @command
    def xadd(
        self,
        name: Word,
        fields: Mapping[Any, Word],
        id: Word = "*",
        maxlen: int | None = None,
        approximate: bool = True,
        nomkstream: bool = False,
        minid: Word | None = None,
        limit: int | None = None,
    ) -> Reply[Text | None]:
        if not fields:
            raise ConfigurationError("no fields: pass at least one")
        words = flags(nomkstream=nomkstream) + _trim(maxlen, minid, approximate, limit)
        return self._send("XADD", name, *words, id, *flat(fields))

    @command
    def xlen(self, name: Word) -> Reply[int]:
        return self._send("XLEN", name)

    @command
    def xrange(
        self, name: Word, min: Word = "-", max: Word = "+", count: int | None = None
    ) -> Reply[list[tuple[Text, dict[Text, Text]]]]:
        return self._send("XRANGE", name, min, max, *options(count=_count(count)))

    @command
    def xrevrange(
        self, name: Word, max: Word = "+", min: Word = "-", count: int | None = None
    ) -> Reply[list[tuple[Text, dict[Text, Text]]]]:
        return self._send("XREVRANGE", name, max, min, *options(count=_count(count)))

    @command
    def xdel(self, name: Word, *ids: Word) -> Reply[int]:
        return self._send("XDEL", name, *ids)

    @command
    def xtrim(
        self,
        name: Word,
        maxlen: int | None = None,
        approximate: bool = True,
        minid: Word | None = None,
        limit: int | None = None,
    ) -> Reply[int]:
        words = _trim(maxlen, minid, approximate, limit)
        if not words:
            raise ConfigurationError("no limit of the stream: set `maxlen` or `minid`")
        return self._send("XTRIM", name, *words)

    @command
    def xread(
        self,
        streams: Mapping[Any, Word],
        count: int | None = None,
        block: int | None = None,
    ) -> Reply[list[Any]]:
        """Returns `[name, entries]` of each stream with entries after the given ID. `block` is
        for how many milliseconds to wait for the first; 0 waits forever."""
        words = options(count=_count(count), block=_block(block)) + _after(streams)
        if block is None:
            return self._send("XREAD", *words)
        return self._send_blocking(block / 1000, "XREAD", *words)

    @command
    def xinfo_stream(self, name: Word, full: bool = False) -> Reply[dict[str, Any]]:
        return self._send("XINFO STREAM", name, *flags(full=full))


class Groups(Commands[Text]):
    """Commands on the groups of consumers of a stream."""

    @command
    def xgroup_create(
        self,
        name: Word,
        groupname: Word,
        id: Word = "$",
        mkstream: bool = False,
        entries_read: int | None = None,
    ) -> Reply[bool]:
        rest = flags(mkstream=mkstream) + options(entriesread=entries_read)
        return self._send("XGROUP CREATE", name, groupname, id, *rest)

    @command
    def xgroup_destroy(self, name: Word, groupname: Word) -> Reply[bool]:
        return self._send("XGROUP DESTROY", name, groupname)

    @command
    def xgroup_createconsumer(self, name: Word, groupname: Word, consumername: Word) -> Reply[int]:
        return self._send("XGROUP CREATECONSUMER", name, groupname, consumername)

    @command
    def xgroup_delconsumer(self, name: Word, groupname: Word, consumername: Word) -> Reply[int]:
        return self._send("XGROUP DELCONSUMER", name, groupname, consumername)

    @command
    def xgroup_setid(
        self, name: Word, groupname: Word, id: Word, entries_read: int | None = None
    ) -> Reply[bool]:
        rest = options(entriesread=entries_read)
        return self._send("XGROUP SETID", name, groupname, id, *rest)

    @command
    def xreadgroup(
        self,
        groupname: Word,
        consumername: Word,
        streams: Mapping[Any, Word],
        count: int | None = None,
        block: int | None = None,
        noack: bool = False,
    ) -> Reply[list[Any]]:
        """Returns what `xread` returns, for a consumer of a group."""
        words: list[Word] = ["XREADGROUP", "GROUP", groupname, consumername]
        words += options(count=_count(count), block=_block(block)) + flags(noack=noack)
        words += _after(streams)
        return self._send(*words) if block is None else self._send_blocking(block / 1000, *words)

    @command
    def xack(self, name: Word, groupname: Word, *ids: Word) -> Reply[int]:
        return self._send("XACK", name, groupname, *ids)

    @command
    def xpending(self, name: Word, groupname: Word) -> Reply[dict[str, Any]]:
        return self._send("XPENDING", name, groupname)

    @command
    def xpending_range(
        self,
        name: Word,
        groupname: Word,
        min: Word,
        max: Word,
        count: int,
        consumername: Word | None = None,
        idle: int | None = None,
    ) -> Reply[list[dict[str, Any]]]:
        words: list[Word] = [*options(idle=idle), min, max, count]
        words += [] if consumername is None else [consumername]
        return self._send("XPENDING", name, groupname, *words)

    @command
    def xclaim(
        self,
        name: Word,
        groupname: Word,
        consumername: Word,
        min_idle_time: int,
        message_ids: Sequence[Word],
        idle: int | None = None,
        time: int | None = None,
        retrycount: int | None = None,
        force: bool = False,
        justid: bool = False,
    ) -> Reply[list[Any]]:
        """Returns the claimed entries; with `justid`, their IDs."""
        if not message_ids:
            raise ConfigurationError("no entries to claim: pass at least one ID")
        words: list[Word] = [groupname, consumername, min_idle_time, *message_ids]
        words += options(idle=idle, time=time, retrycount=retrycount)
        return self._send("XCLAIM", name, *words, *flags(force=force, justid=justid))

    @command
    def xautoclaim(
        self,
        name: Word,
        groupname: Word,
        consumername: Word,
        min_idle_time: int,
        start_id: Word = "0-0",
        count: int | None = None,
        justid: bool = False,
    ) -> Reply[list[Any]]:
        """Returns the next start, the claimed entries, and the IDs of deleted ones; with
        `justid`, the IDs of the claimed ones."""
        words = [*options(count=count), *flags(justid=justid)]
        start: list[Word] = [groupname, consumername, min_idle_time, start_id]
        return self._send("XAUTOCLAIM", name, *start, *words)

    @command
    def xinfo_groups(self, name: Word) -> Reply[list[dict[str, Any]]]:
        return self._send("XINFO GROUPS", name)

    @command
    def xinfo_consumers(self, name: Word, groupname: Word) -> Reply[list[dict[str, Any]]]:
        return self._send("XINFO CONSUMERS", name, groupname)


def _trim(
    maxlen: int | None, minid: Word | None, approximate: bool, limit: int | None
) -> list[Word]:
    if maxlen is not None and minid is not None:
        raise ConfigurationError("`maxlen` and `minid` exclude one another: use one of them")
    if maxlen is None and minid is None:
        return []
    if maxlen is not None and (isinstance(maxlen, bool) or maxlen < 0):
        raise ConfigurationError(f"invalid `maxlen` {maxlen!r}: use a whole number, 0 or more")
    kind: list[Word] = ["MINID"] if maxlen is None else ["MAXLEN"]
    bound = minid if maxlen is None else maxlen
    assert bound is not None
    return [*kind, *(["~"] if approximate else []), bound, *options(limit=limit)]


def _count(count: int | None) -> int | None:
    if count is not None and count < 1:
        raise ConfigurationError(f"invalid `count` {count!r}: use a whole number, 1 or more")
    return count


def _block(block: int | None) -> int | None:
    if block is not None and block < 0:
        raise ConfigurationError(f"invalid `block` {block!r}: use milliseconds, 0 or more")
    return block


def _after(streams: Mapping[Any, Word]) -> list[Word]:
    if not streams:
        raise ConfigurationError("no streams: pass a mapping of names to IDs")
    return ["STREAMS", *streams.keys(), *streams.values()]
