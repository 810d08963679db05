"""Converts replies to what redis.asyncio returns, from both versions of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hotshelf._redis._typing import Word
from hotshelf._redis.information import clients, fields, info, text

#: Converts a reply, given the words of its command.
Reader = Callable[[Any, tuple[Word, ...]], Any]


def read(words: tuple[Word, ...], reply: Any, decode: bool) -> Any:
    """Converts a reply by the name of its command, its first word. Strings become `str`, or
    `bytes` unless `decode`."""
    name = text(words[0]).upper() if isinstance(words[0], str | bytes) else ""
    if name == "DUMP":
        return reply
    reply = decoded(reply) if decode else encoded(reply)
    reader = READERS.get(name)
    return reply if reader is None else reader(reply, words)


def decoded(reply: Any) -> Any:
    """Converts all strings of a reply to `str`."""
    match reply:
        case bytes():
            return reply.decode(errors="replace")
        case list():
            return [decoded(item) for item in reply]
        case dict():
            return {decoded(name): decoded(value) for name, value in reply.items()}
        case _:
            return reply


def encoded(reply: Any) -> Any:
    """Converts all strings of a reply to `bytes`."""
    match reply:
        case str():
            return reply.encode()
        case list():
            return [encoded(item) for item in reply]
        case dict():
            return {encoded(name): encoded(value) for name, value in reply.items()}
        case _:
            return reply


def pairs(reply: Any) -> list[tuple[Any, Any]]:
    """Converts a map, a flat list or a list of pairs to pairs."""
    if isinstance(reply, dict):
        return list(reply.items())
    if reply and isinstance(reply[0], list):
        return [(name, value) for name, value in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


def scored(reply: Any, cast: Callable[[Any], Any] = float) -> Any:
    """Converts members and scores to pairs."""
    return reply and [(member, cast(score)) for member, score in pairs(reply)]


def entries(reply: Any) -> Any:
    """Converts entries of a stream to pairs of ID and fields. A deleted entry has none."""
    if reply is None:
        return None
    return [
        (None, None) if entry is None else (entry[0], dict(pairs(entry[1] or []))) for entry in reply
    ]


def _ok(reply: Any, words: tuple[Word, ...]) -> bool:
    return text(reply) == "OK" if isinstance(reply, str | bytes) else bool(reply)


def _bool(reply: Any, words: tuple[Word, ...]) -> bool:
    return bool(reply)


def _bools(reply: Any, words: tuple[Word, ...]) -> list[bool]:
    return [bool(it) for it in reply]


def _float(reply: Any, words: tuple[Word, ...]) -> float | None:
    return None if reply is None else float(reply)


def _floats(reply: Any, words: tuple[Word, ...]) -> list[float | None]:
    return [None if it is None else float(it) for it in reply]


def _set(reply: Any, words: tuple[Word, ...]) -> set[Any]:
    return set(reply or ())


def _dict(reply: Any, words: tuple[Word, ...]) -> dict[Any, Any]:
    return dict(pairs(reply or []))


def _text(reply: Any, words: tuple[Word, ...]) -> Any:
    return text(reply) if isinstance(reply, bytes) else reply


def _set_result(reply: Any, words: tuple[Word, ...]) -> Any:
    if _has(words[3:], "GET"):
        return reply
    return None if reply is None else True


def _has(words: tuple[Word, ...], option: str) -> bool:
    return any(isinstance(word, str | bytes) and text(word).upper() == option for word in words)


def _with_scores(reply: Any, words: tuple[Word, ...]) -> Any:
    return scored(reply) if _has(words[2:], "WITHSCORES") else reply


def _rank(reply: Any, words: tuple[Word, ...]) -> Any:
    return [reply[0], float(reply[1])] if isinstance(reply, list) else reply


def _zadd(reply: Any, words: tuple[Word, ...]) -> Any:
    return float(reply) if isinstance(reply, str | bytes | float) else reply


def _popped(reply: Any, words: tuple[Word, ...]) -> Any:
    # A single pair without a count, in RESP3 not in a list.
    if reply and not isinstance(reply[0], list) and len(reply) == 2:
        return [(reply[0], float(reply[1]))]
    return scored(reply)


def _key_popped(reply: Any, words: tuple[Word, ...]) -> Any:
    return (reply[0], reply[1], float(reply[2])) if reply else None


def _tuple(reply: Any, words: tuple[Word, ...]) -> Any:
    return tuple(reply) if reply else None


def _turns(reply: Any, words: tuple[Word, ...]) -> Any:
    """Flattens pairs, which RESP3 has where RESP2 has strings in turn."""
    if not isinstance(reply, list) or not reply or not isinstance(reply[0], list):
        return reply
    return [_score_text(it, pair[0]) for pair in reply for it in pair]


def _score_text(it: Any, like: Any) -> Any:
    if not isinstance(it, float):
        return it
    score = repr(it).removesuffix(".0")
    return score if isinstance(like, str) else score.encode()


def _step(reply: Any, words: tuple[Word, ...]) -> Any:
    return int(reply[0]), reply[1]


def _field_step(reply: Any, words: tuple[Word, ...]) -> Any:
    fields = reply[1] if _has(words[3:], "NOVALUES") else dict(pairs(reply[1]))
    return int(reply[0]), fields


def read_scored_step(reply: Any, cast: Callable[[Any], Any] = float) -> Any:
    """Converts the reply of `ZSCAN`."""
    return int(reply[0]), scored(reply[1], cast)


def _object(reply: Any, words: tuple[Word, ...]) -> Any:
    is_number = text(words[1]).upper() in ("FREQ", "IDLETIME", "REFCOUNT")
    return int(reply) if is_number and reply is not None else reply


def _read_streams(reply: Any, words: tuple[Word, ...]) -> list[Any]:
    return [[name, entries(of_stream)] for name, of_stream in pairs(reply or [])]


def _claimed(reply: Any, words: tuple[Word, ...]) -> Any:
    return reply if _has(words[5:], "JUSTID") else entries(reply)


def _auto_claimed(reply: Any, words: tuple[Word, ...]) -> Any:
    if _has(words[5:], "JUSTID"):
        return reply[1]
    return [reply[0], entries(reply[1]), *reply[2:]]


def _pending(reply: Any, words: tuple[Word, ...]) -> Any:
    if len(words) > 3:
        names = ("message_id", "consumer", "time_since_delivered", "times_delivered")
        return [dict(zip(names, entry, strict=True)) for entry in reply]
    count, first, last, consumers = reply
    consumers = [{"name": name, "pending": int(number)} for name, number in consumers or ()]
    return {"pending": count, "min": first, "max": last, "consumers": consumers}


def _stream_info(reply: Any, words: tuple[Word, ...]) -> dict[str, Any]:
    found = fields(reply)
    if _has(words[2:], "FULL"):
        found["entries"] = entries(found["entries"])
        found["groups"] = [_group_info(group) for group in found["groups"]]
        return found
    for name in ("first-entry", "last-entry"):
        if found.get(name) is not None:
            [found[name]] = entries([found[name]])
    return found


def _group_info(group: Any) -> dict[str, Any]:
    found = fields(group)
    found["consumers"] = [fields(consumer) for consumer in found["consumers"]]
    return found


def _position(position: Any) -> tuple[float, float] | None:
    return None if position is None else (float(position[0]), float(position[1]))


def _places(reply: Any, words: tuple[Word, ...]) -> list[Any]:
    has_distance = _has(words[2:], "WITHDIST")

    def place(found: Any) -> Any:
        if not isinstance(found, list):
            return found
        name, *rest = found
        if has_distance:
            rest[0] = float(rest[0])
        return [name, *(_position(it) if isinstance(it, list) else it for it in rest)]

    return [place(found) for found in reply]


def _ping(reply: Any, words: tuple[Word, ...]) -> Any:
    return True if len(words) == 1 else reply


_SAME: dict[Reader, str] = {
    _ok: "FLUSHALL FLUSHDB HMSET LSET LTRIM MSET PFMERGE PSETEX RENAME RESTORE SETEX",
    _bool: "COPY EXPIRE EXPIREAT HEXISTS HSETNX MOVE MSETNX PERSIST PEXPIRE PEXPIREAT RENAMENX "
    "SETNX SISMEMBER SMOVE",
    _bools: "SMISMEMBER",
    _float: "GEODIST HINCRBYFLOAT INCRBYFLOAT ZINCRBY ZSCORE",
    _floats: "ZMSCORE",
    _set: "SDIFF SINTER SMEMBERS SUNION",
    _tuple: "BLPOP BRPOP",
    _popped: "ZPOPMAX ZPOPMIN",
    _key_popped: "BZPOPMAX BZPOPMIN",
    _rank: "ZRANK ZREVRANK",
    _turns: "HRANDFIELD ZDIFF ZRANDMEMBER",
    _with_scores: "ZINTER ZRANGE ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZUNION",
    _step: "SCAN SSCAN",
    _read_streams: "XREAD XREADGROUP",
}

#: The conversions, by name of the command.
READERS: Mapping[str, Reader] = {
    **{name: reader for reader, names in _SAME.items() for name in names.split()},
    "CLIENT INFO": lambda reply, words: clients(reply)[0],
    "CLIENT LIST": lambda reply, words: clients(reply),
    "CONFIG GET": lambda reply, words: {text(k): text(v) for k, v in pairs(reply)},
    "CONFIG RESETSTAT": _ok,
    "CONFIG SET": _ok,
    "GEOHASH": lambda reply, words: [None if it is None else text(it) for it in reply],
    "GEOPOS": lambda reply, words: [_position(it) for it in reply],
    "GEOSEARCH": _places,
    "HGETALL": _dict,
    "HSCAN": _field_step,
    "INFO": lambda reply, words: info(text(reply)),
    "OBJECT": _object,
    "PING": _ping,
    "PUBSUB NUMSUB": lambda reply, words: pairs(reply),
    "SCRIPT EXISTS": _bools,
    "SCRIPT FLUSH": _ok,
    "SCRIPT KILL": _ok,
    "SCRIPT LOAD": _text,
    "SET": _set_result,
    "TIME": lambda reply, words: (int(reply[0]), int(reply[1])),
    "XAUTOCLAIM": _auto_claimed,
    "XCLAIM": _claimed,
    "XGROUP CREATE": _ok,
    "XGROUP DESTROY": _bool,
    "XGROUP SETID": _ok,
    "XINFO CONSUMERS": lambda reply, words: [fields(it) for it in reply],
    "XINFO GROUPS": lambda reply, words: [fields(it) for it in reply],
    "XINFO STREAM": _stream_info,
    "XPENDING": _pending,
    "XRANGE": lambda reply, words: entries(reply),
    "XREVRANGE": lambda reply, words: entries(reply),
    "ZADD": _zadd,
    "ZSCAN": lambda reply, words: read_scored_step(reply),
}
