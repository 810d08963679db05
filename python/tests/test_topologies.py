"""Tests of a Cluster, and of a server behind a Sentinel."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RedisServer, free_port

from hotshelf import CacheManager, CacheService


def wait_for(holds: object, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    """A Cluster of three primaries."""
    # The port of the cluster bus is 10,000 higher.
    ports = [port for port in (free_port() for _ in range(100)) if port < 55000][:3]
    nodes = [RedisServer("--cluster-enabled", "yes", port=port).start() for port in ports]
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(
        ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: all(b"cluster_state:ok" in node.command("CLUSTER", "INFO") for node in nodes))
    yield nodes
    for node in nodes:
        node.close()


@pytest.fixture(scope="module")
def sentinel_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    primary = RedisServer().start()
    folder: Path = tmp_path_factory.mktemp("sentinel")
    config = folder / "sentinel.conf"
    config.write_text(f"sentinel monitor shop 127.0.0.1 {primary.port} 1\n")
    sentinel = RedisServer()
    process = subprocess.Popen(
        ["redis-server", str(config), "--sentinel", "--port", str(sentinel.port),
         "--bind", "127.0.0.1", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        try:
            return sentinel.command("PING") == b"+PONG"
        except OSError:
            return False

    wait_for(answers)
    yield f"redis+sentinel://127.0.0.1:{sentinel.port}/shop"
    process.kill()
    process.wait()
    sentinel.close()
    primary.close()


async def test_cluster_serves_cache(cluster: list[RedisServer]) -> None:
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    manager = CacheManager(url, connect_timeout=5, read_timeout=5, store_timeout=5)
    await check_cache(manager)
    assert all(node.command("DBSIZE") > 0 for node in cluster)
    names = {name async for name in manager.redis.scan_iter("cache:*")}
    assert len(names) == 100
    await manager.close()
    for node in cluster:
        node.command("FLUSHALL")


async def test_sentinel_finds_primary(sentinel_url: str) -> None:
    manager = CacheManager(sentinel_url, connect_timeout=5, read_timeout=5, store_timeout=5)
    await check_cache(manager)
    await manager.redis.flushall()
    await manager.close()


async def check_cache(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "numbers", int, backend_budget=5)
    runs = 0

    async def compute() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return 7

    assert await manager.ping()
    assert set(await asyncio.gather(*(cache.get_or_set("1", compute) for _ in range(50)))) == {7}
    assert runs == 1
    assert await cache.set_many({str(number): number for number in range(100)}, tags=["all"])
    assert await cache.get_many([str(number) for number in range(100)]) == list(range(100))
    assert await cache.delete("1")
    assert await cache.get("1") is None
    assert await manager.invalidate_tag("all")
    assert await cache.get_many(["1", "2"]) == [None, None]
    assert await cache.set_many({str(number): number for number in range(100)})
    assert (await manager.health())["available"]
