"""Tests of the raw client: what redis-py's own tests don't cover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import RedisServer, Script, eventually, free_port

import hotshelf
from hotshelf import CacheManager, RedisClient


@pytest.fixture
async def redis(manager: CacheManager) -> RedisClient:
    return manager.redis


@pytest.fixture
async def binary(manager: CacheManager) -> RedisClient[bytes]:
    return RedisClient(manager.store, decode_responses=False)


async def blocked(server: RedisServer, count: int = 1) -> None:
    """Waits until so many connections are blocked."""
    await eventually(lambda: b"blocked_clients:%d\r" % count in server.command("INFO", "CLIENTS"))


async def test_replies_are_bytes_without_decoding(binary: RedisClient[bytes]) -> None:
    await binary.hset("h", mapping={"a": b"\xff", "b": 2})
    await binary.zadd("z", {"m": 1.5})
    id = await binary.xadd("x", {"f": "v"})
    assert await binary.hgetall("h") == {b"a": b"\xff", b"b": b"2"}
    assert await binary.zrange("z", 0, -1, withscores=True) == [(b"m", 1.5)]
    assert await binary.type("h") == b"hash"
    assert await binary.echo("text") == b"text"
    assert await binary.xrange("x") == [(id, {b"f": b"v"})]
    assert {key async for key in binary.scan_iter()} == {b"h", b"z", b"x"}
    assert isinstance((await binary.info())["redis_version"], str)
    async with binary.pubsub() as messages:
        await messages.subscribe("c")
        assert await messages.get_message() == {
            "type": "subscribe", "pattern": None, "channel": b"c", "data": 1,
        }  # fmt: skip
        await binary.publish("c", b"\xff")
        message = await messages.get_message(timeout=5)
        assert message is not None and message["data"] == b"\xff"


async def test_iterators_return_all_items(redis: RedisClient) -> None:
    fields = {f"f{number}": str(number) for number in range(600)}
    await redis.hset("h", mapping=fields)
    await redis.sadd("s", *fields)
    await redis.zadd("z", {name: int(score) for name, score in fields.items()})
    await redis.set("text", "1")
    assert {name: value async for name, value in redis.hscan_iter("h", count=50)} == fields
    assert {member async for member in redis.sscan_iter("s", match="f1*")} == {
        name for name in fields if name.startswith("f1")
    }
    assert {member: score async for member, score in redis.zscan_iter("z")} == {
        name: float(score) for name, score in fields.items()
    }
    assert [key async for key in redis.scan_iter(_type="string")] == ["text"]


@pytest.mark.parametrize(
    ("command", "cure"),
    [
        ("SUBSCRIBE c", "pubsub()"),
        ("WATCH k", "pipeline().watch"),
        ("MULTI", "pipeline()"),
        ("SELECT 1", "URL"),
        ("CLIENT REPLY OFF", "URL"),
        ("BLPOP k 0", "method of that name"),
    ],
)
async def test_stateful_commands_are_refused(
    redis: RedisClient, command: str, cure: str
) -> None:
    with pytest.raises(hotshelf.ConfigurationError) as caught:
        await redis.execute_command(*command.split())
    assert cure in str(caught.value)
    with pytest.raises(hotshelf.ConfigurationError):
        await redis.pipeline().execute_command(*command.split()).execute()


async def test_empty_arguments_need_no_server(redis: RedisClient) -> None:
    assert await redis.mget([]) == []
    pipe = redis.pipeline()
    pipe.set("k", 1).mget([]).get("k")
    assert await pipe.execute() == [True, [], "1"]
    with pytest.raises(hotshelf.ConfigurationError):
        redis.hset("h")
    with pytest.raises(hotshelf.ConfigurationError, match="`ex` and `px`"):
        redis.set("k", 1, ex=1, px=1)


# Commands that block


async def test_blocked_call_delays_no_other(redis: RedisClient, server: RedisServer) -> None:
    waiting = [asyncio.create_task(redis.blpop("list", 0)) for _ in range(3)]
    await blocked(server, 3)
    assert await redis.set("k", 1)
    await redis.rpush("list", 1, 2, 3)
    popped = await asyncio.gather(*waiting)
    assert sorted(popped, key=str) == [("list", "1"), ("list", "2"), ("list", "3")]
    connections = len(server.clients())
    assert await redis.blpop("list", 0.01) is None
    assert await redis.bzpopmin(["none"], 0.01) is None
    assert len(server.clients()) == connections


async def test_reopened_manager_has_new_connections(
    manager: CacheManager, server: RedisServer
) -> None:
    redis = manager.redis
    assert manager.redis is redis
    assert await redis.blpop("list", 0.01) is None
    await manager.close()
    await eventually(lambda: not server.clients())
    with pytest.raises(hotshelf.ClosedError):
        await redis.blpop("list", 0.01)
    manager.open()
    assert await manager.redis.blpop("list", 0.01) is None


async def test_cancelled_blpop_takes_no_item(redis: RedisClient, server: RedisServer) -> None:
    waiting = asyncio.create_task(redis.blpop("list", 0))
    await blocked(server)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await blocked(server, 0)
    await redis.rpush("list", 1)
    assert await redis.lpop("list") == "1"


async def test_xread_waits_for_entries(redis: RedisClient, server: RedisServer) -> None:
    waiting = asyncio.create_task(redis.xread({"x": "$"}, block=0))
    await blocked(server)
    id = await redis.xadd("x", {"f": "v"})
    assert await waiting == [["x", [(id, {"f": "v"})]]]
    assert await redis.xread({"x": "$"}, block=1) == []
    await redis.xgroup_create("x", "g", id="0")
    assert await redis.xreadgroup("g", "c", {"x": ">"}, block=1) == [["x", [(id, {"f": "v"})]]]
    assert await redis.xack("x", "g", id or "") == 1
    assert (await redis.execute_command("XREAD", "BLOCK", 1, "STREAMS", "x", "$", block=1)) == []


# Subscriptions


async def test_handlers_receive_messages(redis: RedisClient) -> None:
    received: list[Any] = []

    async def handle(message: dict[str, Any]) -> None:
        received.append(message["data"])

    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe(a=lambda message: received.append(message["data"]))
        await messages.psubscribe(**{"b*": handle})
        await redis.publish("a", "1")
        await redis.publish("bc", "2")
        while len(received) < 2:
            assert await messages.get_message(timeout=0.1) is None
    assert received == ["1", "2"]


async def test_subscribing_wakes_listener(redis: RedisClient) -> None:
    async with redis.pubsub() as messages:
        await messages.subscribe("a")
        received: list[tuple[str, str]] = []

        async def listen() -> None:
            async for message in messages.listen():
                received.append((message["type"], message["channel"]))

        listening = asyncio.create_task(listen())
        await eventually(lambda: len(received) == 1)
        await messages.subscribe("b")
        await redis.publish("b", "1")
        await eventually(lambda: len(received) == 3)
        await messages.unsubscribe()
        await listening
    assert received[:3] == [("subscribe", "a"), ("subscribe", "b"), ("message", "b")]
    assert sorted(received[3:]) == [("unsubscribe", "a"), ("unsubscribe", "b")]


async def test_unsubscribing_keeps_patterns(redis: RedisClient, server: RedisServer) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe("c*")
        await messages.psubscribe("c*")
        await messages.unsubscribe("c*")
        await eventually(lambda: server.command("PUBSUB", "NUMSUB", "c*")[1] == 0)
        assert await redis.publish("c1", "1") == 1
        message = None
        while message is None:
            message = await messages.get_message(timeout=5)
        assert message == {"type": "pmessage", "pattern": "c*", "channel": "c1", "data": "1"}


async def test_lost_subscription_is_reported_and_renewed(
    redis: RedisClient, server: RedisServer
) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe("c")
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(hotshelf.UnavailableError):
            async for _ in messages.listen():
                pass
        # A short timeout doesn't cut the reconnection short.
        while server.command("PUBSUB", "NUMSUB", "c")[1] == 0:
            assert await messages.get_message(timeout=0) is None
        await redis.publish("c", "again")
        message = None
        while message is None:
            message = await messages.get_message(timeout=5)
        assert message["data"] == "again"


async def test_cancelled_wait_loses_no_message(redis: RedisClient) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe("c")
        for number in range(20):
            waiting = asyncio.create_task(messages.get_message(timeout=None))
            await asyncio.sleep(0)
            await redis.publish("c", str(number))
            waiting.cancel()
            taken = (await asyncio.gather(waiting, return_exceptions=True))[0]
            while not isinstance(taken, dict):
                taken = await messages.get_message(timeout=5)
            assert taken["data"] == str(number)


async def test_reading_without_subscription_is_refused(redis: RedisClient) -> None:
    with pytest.raises(hotshelf.ConfigurationError, match="subscribe"):
        await redis.pubsub().get_message()


# Locks


async def test_lock_excludes_others(redis: RedisClient) -> None:
    first, second = redis.lock("l", timeout=60, sleep=0.01), redis.lock("l", sleep=0.01)
    assert await first.acquire()
    assert await second.acquire(blocking=False) is False
    assert await second.acquire(blocking_timeout=0.03) is False
    assert (await first.locked(), await first.owned(), await second.owned()) == (True, True, False)
    waiting = asyncio.create_task(second.acquire())
    await first.release()
    assert await waiting
    await second.release()
    assert not await redis.exists("l")


async def test_lost_lock_is_reported(
    redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    lock = redis.lock("l", timeout=60)
    await lock.acquire()
    assert await lock.extend(60)
    assert 100 < await redis.ttl("l") <= 120
    assert await lock.extend(30, replace_ttl=True)
    assert await redis.ttl("l") <= 30
    assert await lock.reacquire()
    assert 30 < await redis.ttl("l") <= 60
    await redis.set("l", "another owner")
    for call in (lock.extend(1), lock.reacquire(), lock.release()):
        with pytest.raises(hotshelf.LockNotOwnedError):
            await call
    assert await redis.get("l") == "another owner"
    with pytest.raises(hotshelf.LockError, match="acquire"):
        await lock.release()
    with pytest.raises(hotshelf.LockError):
        async with redis.lock("l", blocking_timeout=0):
            pass
    async with redis.lock("m", raise_on_release_error=False):
        await redis.delete("m")
    assert "lock was not released" in caplog.text


# Watched keys


async def test_changed_key_stops_transaction(redis: RedisClient, server: RedisServer) -> None:
    await redis.set("k", 1)
    async with redis.pipeline() as pipe:
        await pipe.watch("k")
        assert await pipe.get("k") == "1"
        await redis.set("k", 2)
        pipe.multi()
        pipe.set("k", 3)
        with pytest.raises(hotshelf.WatchError):
            await pipe.execute()
        assert await redis.get("k") == "2"
        # The same pipeline goes on, over the same connection.
        await pipe.watch("k")
        assert await pipe.hgetall("none") == {}
        pipe.multi()
        pipe.incr("k").get("k")
        assert await pipe.execute() == [3, "3"]
        await pipe.watch("k")
        await pipe.unwatch()
        await redis.set("k", 9)
        assert await pipe.get("k").execute() == ["9"]


async def test_transaction_retries_on_conflict(redis: RedisClient) -> None:
    async def increment(pipe: hotshelf.Pipeline) -> int:
        value = int(await pipe.get("n") or 0)
        await asyncio.sleep(0)
        pipe.multi()
        pipe.set("n", value + 1)
        return value

    values = await asyncio.gather(
        *(redis.transaction(increment, "n", value_from_callable=True) for _ in range(10))
    )
    assert sorted(values) == list(range(10))
    assert await redis.get("n") == "10"


async def test_lost_connection_executes_nothing(redis: RedisClient, server: RedisServer) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("k")
        server.command("CLIENT", "KILL", "TYPE", "normal")
        pipe.multi()
        pipe.set("k", 1)
        with pytest.raises(hotshelf.UnavailableError):
            await pipe.execute()
        assert server.command("GET", "k") is None
        await pipe.watch("k")
        pipe.multi()
        pipe.set("k", 1)
        assert await pipe.execute() == [True]


async def test_failed_command_is_named_without_values(redis: RedisClient) -> None:
    pipe = redis.pipeline(transaction=False)
    pipe.set("secret", "value").lpush("secret", "value")
    with pytest.raises(hotshelf.WrongTypeError, match=r"command 2 of the pipeline \(LPUSH\)") as it:
        await pipe.execute()
    assert "secret" not in str(it.value) and "value " not in str(it.value).replace("a value ", "")


# Scripts


async def test_scripts_are_sent_once(redis: RedisClient, server: RedisServer) -> None:
    add = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await add(keys=["n"], args=[2]) == 2
    server.command("SCRIPT", "FLUSH")
    assert await add(keys=["n"], args=[3]) == 5
    assert await redis.script_exists(add.sha) == [True]
    server.command("SCRIPT", "FLUSH")
    pipe = redis.pipeline()
    for _ in range(2):
        await add(keys=["n"], args=[1], client=pipe)
    assert [words[0] for words, _ in pipe._commands] == ["EVAL", "EVALSHA"]
    assert await pipe.execute() == [6, 7]
    assert await redis.script_load("return 1") == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


# Processes and loops

FORKED = """
import asyncio, os, sys
from hotshelf import CacheManager, ClosedError
manager = CacheManager(sys.argv[1], connect_timeout=5, store_timeout=5)
redis = manager.redis

async def child(messages, pipe):
    for call in (messages.get_message(), pipe.watch("k")):
        try:
            await call
        except ClosedError:
            continue
        raise AssertionError("the parent's connection was used")
    assert await redis.blpop("list", 0.01) is None
    await manager.close()

async def parent():
    async with redis.pubsub(ignore_subscribe_messages=True) as messages:
        await messages.subscribe("c")
        pipe = redis.pipeline()
        await pipe.watch("k")
        assert await redis.blpop("list", 0.01) is None
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                asyncio.events._set_running_loop(None)
                asyncio.run(child(messages, pipe))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        await redis.publish("c", "1")
        message = None
        while message is None:
            message = await messages.get_message(timeout=5)
        assert message["data"] == "1"
        pipe.multi()
        pipe.set("k", 1)
        assert await pipe.execute() == [True]
    await manager.close()

asyncio.run(parent())
"""


def test_forked_process_leaves_connections_alone(script: Script) -> None:
    script.run(FORKED, options=("-W", "ignore::DeprecationWarning"))


# Clusters


@pytest.fixture
async def cluster_client() -> AsyncIterator[RedisClient]:
    """A client of a Cluster with one node."""
    node = RedisServer("--cluster-enabled", "yes", port=_cluster_port()).start()
    node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await eventually(lambda: b"cluster_state:ok" in node.command("CLUSTER", "INFO"), 20)
    url = f"redis+cluster://127.0.0.1:{node.port}"
    manager = CacheManager(url, connect_timeout=5, store_timeout=5)
    yield manager.redis
    await manager.close()
    node.close()


def _cluster_port() -> int:
    # The port of the cluster bus is 10,000 higher.
    return next(port for port in iter(free_port, None) if port < 55000)


async def test_clusters_refuse_several_slots(cluster_client: RedisClient) -> None:
    redis = cluster_client
    async with redis.pipeline() as pipe:
        with pytest.raises(hotshelf.ConfigurationError, match="common {tag}"):
            await pipe.watch("a", "b")
        await pipe.watch("{t}a")
        with pytest.raises(hotshelf.ConfigurationError, match="common {tag}"):
            await pipe.watch("{other}b")
        await pipe.watch("{t}b")
        pipe.multi()
        pipe.set("{t}a", 1)
        assert await pipe.execute() == [True]
    with pytest.raises(hotshelf.ConfigurationError, match="scan_iter"):
        await redis.scan()
    script = redis.register_script("return KEYS[1]")
    pipe = redis.pipeline(transaction=False)
    for key in ("a", "b"):
        await script([key], client=pipe)
    assert await pipe.execute() == ["a", "b"]
    async with redis.lock("l", timeout=5) as lock:
        assert await lock.owned()
