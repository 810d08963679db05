"""A client with the methods of redis.asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import Any, cast

from hotshelf import _hotshelf
from hotshelf._errors import CacheError
from hotshelf._hotshelf import Pending, Store
from hotshelf._pending import result_of

Word = str | bytes | int | float


def _packed(word: Word) -> bytes:
    match word:
        case bytes():
            return word
        case str():
            return word.encode()
        case bool():
            raise TypeError(f"invalid argument {word!r} of a command: use 0 or 1")
        case int() | float():
            return repr(word).encode()
    kind = type(word).__name__
    raise TypeError(f"invalid argument of type {kind} of a command: encode it as str or bytes")


def _packed_all(words: Iterable[Word]) -> list[bytes]:
    return [_packed(word) for word in words]


def _seconds(time: int | timedelta) -> int:
    return int(time.total_seconds()) if isinstance(time, timedelta) else time


def _millis(time: int | timedelta) -> int:
    return int(time.total_seconds() * 1000) if isinstance(time, timedelta) else time


class Commands:
    """The commonly used commands; `execute_command` sends any other one.

    On a client, each returns a coroutine and costs one round trip. On a pipeline, each is
    queued until `execute`.
    """

    def execute_command(self, *words: Word) -> Any:
        """Sends a command."""
        raise NotImplementedError

    # Strings and numbers

    def get(self, name: Word) -> Any:
        return self.execute_command("GET", name)

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
    ) -> Any:
        words: list[Word] = ["SET", name, value]
        if ex is not None:
            words += ["EX", _seconds(ex)]
        if px is not None:
            words += ["PX", _millis(px)]
        for word, wanted in (("NX", nx), ("XX", xx), ("KEEPTTL", keepttl), ("GET", get)):
            if wanted:
                words.append(word)
        return self.execute_command(*words)

    def setex(self, name: Word, time: int | timedelta, value: Word) -> Any:
        return self.execute_command("SETEX", name, _seconds(time), value)

    def setnx(self, name: Word, value: Word) -> Any:
        return self.execute_command("SETNX", name, value)

    def getdel(self, name: Word) -> Any:
        return self.execute_command("GETDEL", name)

    def append(self, key: Word, value: Word) -> Any:
        return self.execute_command("APPEND", key, value)

    def incr(self, name: Word, amount: int = 1) -> Any:
        return self.execute_command("INCRBY", name, amount)

    incrby = incr

    def decr(self, name: Word, amount: int = 1) -> Any:
        return self.execute_command("DECRBY", name, amount)

    decrby = decr

    def incrbyfloat(self, name: Word, amount: float = 1.0) -> Any:
        return self.execute_command("INCRBYFLOAT", name, amount)

    def mget(self, keys: Word | Iterable[Word], *args: Word) -> Any:
        return self.execute_command("MGET", *_list(keys, args))

    def mset(self, mapping: Mapping[Any, Word]) -> Any:
        return self.execute_command("MSET", *_flat(mapping))

    # Keys

    def delete(self, *names: Word) -> Any:
        return self.execute_command("DEL", *names)

    def unlink(self, *names: Word) -> Any:
        return self.execute_command("UNLINK", *names)

    def exists(self, *names: Word) -> Any:
        return self.execute_command("EXISTS", *names)

    def expire(self, name: Word, time: int | timedelta) -> Any:
        return self.execute_command("EXPIRE", name, _seconds(time))

    def pexpire(self, name: Word, time: int | timedelta) -> Any:
        return self.execute_command("PEXPIRE", name, _millis(time))

    def persist(self, name: Word) -> Any:
        return self.execute_command("PERSIST", name)

    def ttl(self, name: Word) -> Any:
        return self.execute_command("TTL", name)

    def pttl(self, name: Word) -> Any:
        return self.execute_command("PTTL", name)

    def type(self, name: Word) -> Any:
        return self.execute_command("TYPE", name)

    def keys(self, pattern: Word = "*") -> Any:
        return self.execute_command("KEYS", pattern)

    # Hashes

    def hget(self, name: Word, key: Word) -> Any:
        return self.execute_command("HGET", name, key)

    def hset(
        self,
        name: Word,
        key: Word | None = None,
        value: Word | None = None,
        mapping: Mapping[Any, Word] | None = None,
    ) -> Any:
        words: list[Word] = ["HSET", name]
        if key is not None and value is not None:
            words += [key, value]
        words += _flat(mapping or {})
        return self.execute_command(*words)

    def hgetall(self, name: Word) -> Any:
        return self.execute_command("HGETALL", name)

    def hdel(self, name: Word, *keys: Word) -> Any:
        return self.execute_command("HDEL", name, *keys)

    def hexists(self, name: Word, key: Word) -> Any:
        return self.execute_command("HEXISTS", name, key)

    def hincrby(self, name: Word, key: Word, amount: int = 1) -> Any:
        return self.execute_command("HINCRBY", name, key, amount)

    def hkeys(self, name: Word) -> Any:
        return self.execute_command("HKEYS", name)

    def hvals(self, name: Word) -> Any:
        return self.execute_command("HVALS", name)

    def hlen(self, name: Word) -> Any:
        return self.execute_command("HLEN", name)

    def hmget(self, name: Word, keys: Word | Iterable[Word], *args: Word) -> Any:
        return self.execute_command("HMGET", name, *_list(keys, args))

    # Lists

    def lpush(self, name: Word, *values: Word) -> Any:
        return self.execute_command("LPUSH", name, *values)

    def rpush(self, name: Word, *values: Word) -> Any:
        return self.execute_command("RPUSH", name, *values)

    def lpop(self, name: Word) -> Any:
        return self.execute_command("LPOP", name)

    def rpop(self, name: Word) -> Any:
        return self.execute_command("RPOP", name)

    def lrange(self, name: Word, start: int, end: int) -> Any:
        return self.execute_command("LRANGE", name, start, end)

    def llen(self, name: Word) -> Any:
        return self.execute_command("LLEN", name)

    def ltrim(self, name: Word, start: int, end: int) -> Any:
        return self.execute_command("LTRIM", name, start, end)

    # Sets

    def sadd(self, name: Word, *values: Word) -> Any:
        return self.execute_command("SADD", name, *values)

    def srem(self, name: Word, *values: Word) -> Any:
        return self.execute_command("SREM", name, *values)

    def smembers(self, name: Word) -> Any:
        return self.execute_command("SMEMBERS", name)

    def sismember(self, name: Word, value: Word) -> Any:
        return self.execute_command("SISMEMBER", name, value)

    def scard(self, name: Word) -> Any:
        return self.execute_command("SCARD", name)

    # Sorted sets

    def zadd(self, name: Word, mapping: Mapping[Any, float], nx: bool = False, xx: bool = False) -> Any:
        words: list[Word] = ["ZADD", name]
        words += [word for word, wanted in (("NX", nx), ("XX", xx)) if wanted]
        for member, score in mapping.items():
            words += [score, member]
        return self.execute_command(*words)

    def zrem(self, name: Word, *values: Word) -> Any:
        return self.execute_command("ZREM", name, *values)

    def zscore(self, name: Word, value: Word) -> Any:
        return self.execute_command("ZSCORE", name, value)

    def zincrby(self, name: Word, amount: float, value: Word) -> Any:
        return self.execute_command("ZINCRBY", name, amount, value)

    def zcard(self, name: Word) -> Any:
        return self.execute_command("ZCARD", name)

    def zrank(self, name: Word, value: Word) -> Any:
        return self.execute_command("ZRANK", name, value)

    def zrange(self, name: Word, start: int, end: int, desc: bool = False, withscores: bool = False) -> Any:
        words: list[Word] = ["ZREVRANGE" if desc else "ZRANGE", name, start, end]
        if withscores:
            words.append("WITHSCORES")
        return self.execute_command(*words)

    # Servers and messages

    def ping(self) -> Any:
        return self.execute_command("PING")

    def info(self, section: str | None = None) -> Any:
        return self.execute_command("INFO", *([section] if section else []))

    def dbsize(self) -> Any:
        return self.execute_command("DBSIZE")

    def publish(self, channel: Word, message: Word) -> Any:
        return self.execute_command("PUBLISH", channel, message)

    def eval(self, script: str, numkeys: int, *keys_and_args: Word) -> Any:
        return self.execute_command("EVAL", script, numkeys, *keys_and_args)

    def flushdb(self) -> Any:
        return self.execute_command("FLUSHDB")

    def flushall(self) -> Any:
        return self.execute_command("FLUSHALL")


class RedisClient(Commands):
    """Sends commands to the servers, over the connections of the cache.

    Don't send commands that block a connection or change its state (`SELECT`, `SUBSCRIBE`,
    `BLPOP`). The cache's guarantees don't hold for cache keys that are written with it.

    The timeout of a command, or of one step of a scan, is `timeout` in seconds; the default
    is the manager's `store_timeout`.

    Raises:
        ServerError: For an error reply. `PermissionError`, `WrongTypeError`, `NoScriptError`
            and `OutOfMemoryError` derive from it.
        TimeoutError: If the server doesn't answer in time.
        UnavailableError: If the server can't be reached.
        ConfigurationError: With `memory://`, which has no server.
    """

    def __init__(
        self, store: Store, decode_responses: bool = True, timeout: float | None = None
    ) -> None:
        self.store = store
        self.decode_responses = decode_responses
        self._client = _hotshelf.Client(store, timeout)

    async def execute_command(self, *words: Word) -> Any:
        """Sends a command, and returns its reply. Costs one round trip."""
        reply = self._client.command(_packed_all(words))
        if type(reply) is Pending:
            reply = await result_of(reply)
        return self._read(words, reply)

    def _read(self, words: tuple[Word, ...], reply: Any) -> Any:
        """Converts a reply to the type that redis.asyncio returns."""
        reply = _decoded(reply) if self.decode_responses else reply
        name = str(words[0]).upper()
        match name:
            case "INFO":
                return _info(reply if isinstance(reply, str) else reply.decode())
            case "PING" | "MSET" | "FLUSHDB" | "FLUSHALL" | "SETEX" | "LTRIM":
                return True
            case "SET" if not any(str(word).upper() == "GET" for word in words[3:]):
                return True if reply is not None else None
            case "EXPIRE" | "PEXPIRE" | "PERSIST" | "HEXISTS" | "SISMEMBER" | "SETNX":
                return bool(reply)
            case "SMEMBERS":
                return set(reply)
            case "HGETALL" if isinstance(reply, list):
                return dict(zip(reply[::2], reply[1::2], strict=True))
            case "ZRANGE" | "ZREVRANGE" if "WITHSCORES" in words:
                return _scored(reply)
            case "ZSCORE" | "ZINCRBY" | "INCRBYFLOAT" if reply is not None:
                return float(reply)
            case _:
                return reply

    async def scan_iter(
        self, match: Word | None = None, count: int | None = None
    ) -> AsyncIterator[Any]:
        """Iterates over the keys that match a glob pattern, on all primaries. Costs one round
        trip for each 1,000 keys of the server; `count` is ignored."""
        scan = self._client.scan(_packed("*" if match is None else match))
        while True:
            step = scan.step()
            if type(step) is Pending:
                step = await result_of(step)
            if step is None:
                return
            for key in cast("list[bytes]", step):
                yield key.decode(errors="replace") if self.decode_responses else key

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Creates a pipeline. Its commands are sent together, by default as a transaction."""
        return Pipeline(self, transaction)

    async def aclose(self) -> None:
        """Does nothing: the connections belong to the manager."""

    async def __aenter__(self) -> RedisClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Pipeline(Commands):
    """Queues commands, and sends them together in one round trip."""

    def __init__(self, client: RedisClient, transaction: bool) -> None:
        self._client = client
        self._transaction = transaction
        self._commands: list[tuple[Word, ...]] = []

    def execute_command(self, *words: Word) -> Pipeline:
        """Queues a command until `execute`."""
        self._commands.append(words)
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends the queued commands, and returns their replies in order. Costs one round
        trip.

        Raises:
            CacheError: The error of the first command that failed. With
                `raise_on_error=False`, errors of commands are returned among the replies.
        """
        commands, self._commands = self._commands, []
        if not commands:
            return []
        packed = [_packed_all(words) for words in commands]
        replies = self._client._client.pipeline(packed, self._transaction)
        if type(replies) is Pending:
            replies = await result_of(replies)
        read: list[Any] = []
        for words, reply in zip(commands, cast("list[Any]", replies), strict=True):
            if isinstance(reply, CacheError):
                if raise_on_error:
                    raise reply
                read.append(reply)
            else:
                read.append(self._client._read(words, reply))
        return read

    def __len__(self) -> int:
        return len(self._commands)

    async def reset(self) -> None:
        """Removes the queued commands."""
        self._commands = []

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reset()


def _list(keys: Word | Iterable[Word], more: Iterable[Word]) -> list[Word]:
    first = [keys] if isinstance(keys, str | bytes | int | float) else list(keys)
    return [*first, *more]


def _flat(mapping: Mapping[Any, Word]) -> list[Word]:
    return [word for pair in mapping.items() for word in pair]


def _decoded(reply: Any) -> Any:
    match reply:
        case bytes():
            return reply.decode(errors="replace")
        case list():
            return [_decoded(item) for item in reply]
        case dict():
            return {_decoded(name): _decoded(value) for name, value in reply.items()}
        case _:
            return reply


def _scored(reply: list[Any]) -> list[tuple[Any, float]]:
    if reply and isinstance(reply[0], list):
        return [(member, float(score)) for member, score in reply]
    return [(member, float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def _info(text: str) -> dict[str, Any]:
    """Parses `INFO` as redis-py does: values become numbers where possible, field lists
    dicts."""
    fields: dict[str, Any] = {}
    for line in text.splitlines():
        if line and not line.startswith("#") and ":" in line:
            name, value = line.split(":", 1)
            fields[name] = _info_value(value)
    return fields


def _info_value(value: str) -> Any:
    if "," in value and "=" in value:
        pairs = (part.rsplit("=", 1) for part in value.split(",") if "=" in part)
        return {name: _number(part) for name, part in pairs}
    return _number(value)


def _number(text: str) -> int | float | str:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
