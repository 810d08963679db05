"""Tests of the raw client of `hotshelf.sync`."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import RedisServer

import hotshelf
from hotshelf import LockError, LockNotOwnedError, TimeoutError, WatchError, WrongTypeError
from hotshelf.sync import CacheManager, Pipeline, RedisClient


@pytest.fixture
def cache(server: RedisServer) -> Iterator[CacheManager]:
    with CacheManager(server.url, read_timeout=5, store_timeout=5) as cache:
        yield cache


@pytest.fixture
def redis(cache: CacheManager) -> RedisClient[str]:
    return cache.redis


@pytest.mark.parametrize("name", ["RedisClient", "Pipeline", "Lock", "PubSub", "Script"])
def test_classes_have_methods_of_async_ones(name: str) -> None:
    sync, asynchronous = getattr(hotshelf.sync, name), getattr(hotshelf, name)

    def methods(of: type) -> set[str]:
        return {it for it, value in inspect.getmembers(of, callable) if not it.startswith("_")}

    # `aclose` is `close`, and a loop of handlers is a thread's own.
    assert methods(asynchronous) - methods(sync) <= {"aclose", "reset", "run"}
    assert not any(inspect.iscoroutinefunction(getattr(sync, it)) for it in methods(sync))


def test_commands_return_replies(redis: RedisClient[str]) -> None:
    assert redis.set("a", "1", ex=60)
    assert redis.get("a") == "1"
    assert redis.incr("a", 4) == 5
    assert redis.mget([]) == []
    assert redis.hset("hash", mapping={"x": 1, "y": 2}) == 2
    assert redis.hgetall("hash") == {"x": "1", "y": "2"}
    assert dict(redis.hscan_iter("hash")) == {"x": "1", "y": "2"}
    redis.sadd("set", "m")
    redis.zadd("sorted", {"m": 1.5})
    assert list(redis.sscan_iter("set")) == ["m"]
    assert list(redis.zscan_iter("sorted")) == [("m", 1.5)]
    assert sorted(redis.scan_iter("*a*")) == ["a", "hash"]
    assert redis.ping() is True
    with pytest.raises(WrongTypeError):
        redis.get("hash")


def test_pipelines_queue_and_watch(redis: RedisClient[str]) -> None:
    with redis.pipeline() as pipe:
        assert pipe.set("n", 1).incr("n").mget([]) is pipe
        assert len(pipe) == 3
        assert pipe.execute() == [True, 2, []]
    with redis.pipeline() as pipe:
        pipe.watch("n")
        assert pipe.get("n") == "2"
        pipe.multi()
        pipe.set("n", 3)
        redis.set("n", 7)
        with pytest.raises(WatchError):
            pipe.execute()

    def double(pipe: Pipeline[str]) -> int:
        number = int(str(pipe.get("n"))) * 2
        pipe.multi()
        pipe.set("n", number)
        return number

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: redis.transaction(double, "n"), range(8)))
    assert redis.get("n") == str(7 << 8)
    assert redis.transaction(double, "n", value_from_callable=True) == 7 << 9


def test_scripts_run(redis: RedisClient[str]) -> None:
    script = redis.register_script("return {KEYS[1], ARGV[1]}")
    assert script(["key"], ["argument"]) == ["key", "argument"]
    assert script(keys=["key"], args=[1]) == ["key", "1"]
    with redis.pipeline() as pipe:
        script(["a"], ["b"], client=pipe)
        assert pipe.execute() == [["a", "b"]]
    assert redis.eval("return ARGV[1]", 0, "x") == "x"


def test_locks_exclude_threads(redis: RedisClient[str]) -> None:
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with redis.lock("lock", timeout=30, sleep=0.005):
            inside += 1
            most = max(most, inside)
            time.sleep(0.005)
            inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(16)))
    assert most == 1
    lock = redis.lock("lock", timeout=30)
    assert lock.acquire() and lock.locked() and lock.owned()
    assert not redis.lock("lock", blocking=False).acquire()
    assert lock.extend(5)
    redis.delete("lock")
    with pytest.raises(LockNotOwnedError):
        lock.release()
    with pytest.raises(LockError):
        lock.release()


def test_messages_are_received(redis: RedisClient[str]) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as messages:
        messages.subscribe("a")
        messages.psubscribe("b*")
        handled = []
        messages.subscribe(c=handled.append)
        while messages.get_message(timeout=0.05) is not None:
            pass
        publishing = threading.Thread(
            target=lambda: [redis.publish(it, "hello") for it in ("c", "a", "b1")]
        )
        publishing.start()
        received = messages.listen()
        assert [next(received)["channel"] for _ in range(2)] == ["a", "b1"]
        publishing.join()
        assert [it["data"] for it in handled] == ["hello"]
        assert messages.get_message(timeout=0.01) is None


def test_blocking_command_delays_no_other(redis: RedisClient[str]) -> None:
    with ThreadPoolExecutor(1) as thread:
        popped = thread.submit(redis.blpop, ["list"], 5)
        time.sleep(0.05)
        begun = time.monotonic()
        for _ in range(100):
            redis.ping()
        assert time.monotonic() - begun < 2
        assert not popped.done()
        redis.rpush("list", "value")
        assert list(popped.result() or ()) == ["list", "value"]


def test_silent_server_is_a_timeout(own_server: RedisServer) -> None:
    with CacheManager(own_server.url) as cache:
        cache.redis.ping()
        own_server.pause()
        with pytest.raises(TimeoutError):
            cache.redis.ping()
        own_server.go_on()


async def test_it_raises_inside_loop(cache: CacheManager) -> None:
    redis = cache.redis
    with pytest.raises(RuntimeError, match="an event loop is running"):
        redis.get("a")
    with pytest.raises(RuntimeError, match="an event loop is running"):
        list(redis.scan_iter())
    assert await redis.asynchronous.get("a") is None
    assert await asyncio.to_thread(redis.get, "a") is None
    await cache.asynchronous.close()
