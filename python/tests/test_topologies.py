"""Tests of a Cluster, and of a server behind a Sentinel."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from conftest import RedisServer, free_port, tls_server

from hotshelf import CacheManager, CacheService, Tls


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


@contextmanager
def sentinel_of(port: int, folder: Path) -> Iterator[int]:
    """A Sentinel of the server at a port, and its own port."""
    config = folder / "sentinel.conf"
    config.write_text(f"sentinel monitor shop 127.0.0.1 {port} 1\n")
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
    yield sentinel.port
    process.kill()
    process.wait()
    sentinel.close()


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


async def test_sentinel_finds_primary(tmp_path: Path) -> None:
    primary = RedisServer().start()
    with sentinel_of(primary.port, tmp_path) as port:
        url = f"redis+sentinel://127.0.0.1:{port}/shop"
        manager = CacheManager(url, connect_timeout=5, read_timeout=5, store_timeout=5)
        await check_cache(manager)
        await manager.close()
    primary.close()


async def test_sentinel_without_tls_finds_primary_with_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    with tls_server(authority, tmp_path) as (_, secured):
        with sentinel_of(secured, tmp_path) as port:
            url = f"rediss+sentinel://127.0.0.1:{port}/shop"
            tls = Tls(authority.cert_pem.bytes(), server_name="localhost")
            manager = CacheManager(url, connect_timeout=5, tls=tls, sentinel_tls=False)
            assert await manager.ping()
            await manager.close()
            manager = CacheManager(url, tls=tls)
            assert not await manager.ping()
            await manager.close()
            manager = CacheManager(url, tls=tls, sentinel_tls=tls)
            assert not await manager.ping()
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
