"""Tests of connections: open, lost, refused, disabled, replaced by a fake client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from conftest import Server, free_port
from fakeredis import FakeAsyncRedis
from fastapi import Depends, FastAPI
from pydantic import BaseModel

import hotshelf
from fastapi_rc import (
    CacheManager,
    CacheService,
    CacheServiceDep,
    RedisClient,
    cachemanager,
    get_redis_client,
)


class Product(BaseModel):
    id: str


async def products(redis: RedisClient) -> CacheService[Product]:
    return CacheService(redis, "products", Product, prefix="api")


Products = Annotated[CacheService[Product], Depends(products)]

app = FastAPI()
loads: list[str] = []


async def fetch(name: str) -> Product:
    loads.append(name)
    return Product(id=name)


@app.get("/products/{name}")
async def get_product(name: str, products: Products) -> Product:
    return await products.get_or_set(name, lambda: fetch(name))


@app.get("/raw/{name}")
async def get_raw(name: str, redis: RedisClient) -> Any:
    return await redis.get(name)


@app.get("/plain/{name}")
async def get_plain(name: str, cache: CacheServiceDep) -> Any:
    return await cache.get_or_set(name, lambda: {"name": name})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    loads.clear()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await cachemanager.close()


async def test_uninitialized_manager_has_no_client(http: httpx.AsyncClient) -> None:
    manager = CacheManager()
    assert manager.is_available is False
    assert await manager.ping() is False
    with pytest.raises(RuntimeError, match="not initialized"):
        _ = manager.client
    with pytest.raises(RuntimeError, match="not initialized"):
        async with manager.pipeline():
            pass
    manager.init("memory://")
    await manager.close()
    await manager.close()
    with pytest.raises(RuntimeError, match="not initialized"):
        _ = manager.client
    assert (await http.get("/products/1")).status_code == 500


async def test_endpoints_work_without_url(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    cachemanager.init(None)
    assert "cache will be disabled" in caplog.text
    assert cachemanager.is_available is False
    assert await cachemanager.ping() is False
    for _ in range(2):
        assert (await http.get("/products/1")).json() == {"id": "1"}
    assert loads == ["1", "1"]
    assert (await http.get("/raw/1")).status_code == 500
    client = cachemanager.client
    with pytest.raises(RuntimeError, match="Redis is not available"):
        await client.get("k")
    with pytest.raises(hotshelf.UnavailableError):
        client.pipeline()
    with pytest.raises(RuntimeError):
        _ = [key async for key in client.scan_iter()]
    with pytest.raises(RuntimeError):
        async with cachemanager.pipeline():
            pass


async def test_memory_serves_one_process(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    cachemanager.init("memory://")
    assert not caplog.records
    assert cachemanager.is_available and await cachemanager.ping()
    for _ in range(2):
        assert (await http.get("/products/1")).json() == {"id": "1"}
        assert (await http.get("/plain/1")).json() == {"name": "1"}
    assert loads == ["1"]
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    cachemanager.init("memory://")
    assert "belongs to one process" in caplog.text


async def test_raw_client_matches_redis(manager: CacheManager) -> None:
    redis = manager.client
    assert await redis.set("k", "v", ex=60) is True
    assert await redis.get("k") == "v"
    assert await redis.delete("k", "other") == 1
    async with manager.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.incr("a")
        assert await pipe.execute() == [True, 2]
    assert [key async for key in redis.scan_iter("a*")] == ["a"]
    assert (await redis.info())["redis_version"]


async def test_raw_client_returns_bytes(server: Server) -> None:
    manager = CacheManager()
    manager.init(server.url, decode_responses=False)
    await manager.client.set("k", "v")
    assert await manager.client.get("k") == b"v"
    await manager.close()


async def test_socket_timeout_bounds_raw_client_only(server: Server) -> None:
    manager = CacheManager()
    manager.init(server.url, socket_timeout=10)
    cache: CacheService[Any] = CacheService(manager.client, "k")
    await cache.get("k")
    server.cli("CLIENT", "PAUSE", "700")
    begun = time.monotonic()
    raw = asyncio.create_task(manager.client.get("k"))
    assert await cache.get_or_set("k", lambda: 1) == 1
    assert time.monotonic() - begun < 0.6
    assert await raw is None
    assert time.monotonic() - begun >= 0.5
    await manager.close()


async def test_missing_server_costs_little(http: httpx.AsyncClient) -> None:
    cachemanager.init(f"redis://127.0.0.1:{free_port()}/0")
    begun = time.monotonic()
    answers = await asyncio.gather(*(http.get(f"/products/{name}") for name in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert await cachemanager.ping() is False
    cache: CacheService[Any] = CacheService(cachemanager.client, "products")
    assert await cache.delete("1") is False
    assert await cache.set("1", 1) is False
    assert time.monotonic() - begun < 3


async def test_silent_server_costs_little(http: httpx.AsyncClient) -> None:
    """The server accepts connections but doesn't answer, like a stopped process."""
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    cachemanager.init(f"redis://127.0.0.1:{port}/0")
    begun = time.monotonic()
    answers = await asyncio.gather(*(http.get(f"/products/{name}") for name in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert time.monotonic() - begun < 3
    silent.close()
    for writer in taken:
        writer.close()
        await writer.wait_closed()


async def test_manager_reconnects_to_restarted_server(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    server = Server(tmp_path)
    cachemanager.init(server.url)
    assert (await http.get("/products/1")).status_code == 200
    server.stop()
    assert (await http.get("/products/1")).status_code == 200
    back = Server(tmp_path, port=server.port)
    deadline = time.monotonic() + 20
    while not await cachemanager.ping():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    loads.clear()
    for _ in range(2):
        await http.get("/products/2")
    assert loads == ["2"]
    back.stop()


@pytest.mark.parametrize("credentials", [":wrong@", ""], ids=["wrong", "none"])
async def test_wrong_password_is_cheap_and_hidden(
    http: httpx.AsyncClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    credentials: str,
) -> None:
    server = Server(tmp_path, "--requirepass", "correct")
    cachemanager.init(server.url.replace("redis://", f"redis://{credentials}"))
    begun = time.monotonic()
    for _ in range(3):
        assert (await http.get("/products/1")).status_code == 200
    assert await cachemanager.ping() is False
    assert time.monotonic() - begun < 3
    assert ":wrong@" not in caplog.text
    assert "password" in caplog.text.lower() or "auth" in caplog.text.lower()
    await cachemanager.close()
    server.stop()


def test_invalid_url_raises() -> None:
    with pytest.raises(hotshelf.ConfigurationError):
        CacheManager().init("http://localhost")


@pytest.mark.parametrize("decode", [True, False])
async def test_fake_client_works(http: httpx.AsyncClient, decode: bool) -> None:
    fake = FakeAsyncRedis(decode_responses=decode)
    cachemanager._client = fake
    assert cachemanager.is_available and await cachemanager.ping()
    assert cachemanager.client is fake
    for _ in range(2):
        assert (await http.get("/products/1")).json() == {"id": "1"}
    assert loads == ["1"]
    stored = await fake.get("api:v1:products:1")
    assert stored == ('{"id":"1"}' if decode else b'{"id":"1"}')
    assert 260 <= await fake.ttl("api:v1:products:1") <= 330

    cache: CacheService[Product] = CacheService(fake, "products", Product, prefix="api")
    assert await cache.get("1") == Product(id="1")
    assert await cache.exists("1")
    assert await cache.get_ttl("1") > 0
    assert await cache.delete("1") is True
    assert await cache.exists("1") is False
    assert await cache.set("2", Product(id="2"), ttl=0.5)
    assert 0 < await fake.pttl("api:v1:products:2") <= 500
    assert await cache.set("3:a", Product(id="3"), tags=["ignored"])
    assert await cache.invalidate_pattern("3:*") == 1
    assert await cache.get_or_set("none", lambda: None, negative_ttl=0) is None
    assert await cache.exists("none") is False
    assert await cache.get_or_set("none", lambda: None) is None
    assert await cache.get_or_set("none", lambda: Product(id="4")) is None
    with pytest.raises(RuntimeError):
        _ = cache.hotshelf
    with pytest.raises(RuntimeError):
        _ = cachemanager.hotshelf
    async with cachemanager.pipeline() as pipe:
        pipe.set("a", "1")
        await pipe.execute()
    assert await fake.exists("a") == 1


async def test_overridden_fake_client_works(http: httpx.AsyncClient) -> None:
    fake = FakeAsyncRedis(decode_responses=True)
    app.dependency_overrides[get_redis_client] = lambda: fake
    assert (await http.get("/products/1")).json() == {"id": "1"}
    assert await fake.exists("api:v1:products:1") == 1
    app.dependency_overrides.clear()
    await fake.aclose()


class Broken:
    """A client whose commands all fail."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise ConnectionError("gone")

        return fail


async def test_broken_client_runs_factories(caplog: pytest.LogCaptureFixture) -> None:
    cache: CacheService[Any] = CacheService(Broken(), "products")
    with caplog.at_level(logging.WARNING):
        assert await cache.get_or_set("1", lambda: 1) == 1
        assert await cache.get("1") is None
        assert await cache.set("1", 1) is False
        assert await cache.delete("1") is False
        assert await cache.exists("1") is False
        assert await cache.get_ttl("1") == -2
        assert await cache.invalidate_pattern() == 0
    assert "gone" in caplog.text


def test_each_loop_has_own_connection(server: Server) -> None:
    """Test clients run the application on a loop of their own."""
    cachemanager.init(server.url)
    cache: CacheService[Any] = CacheService(cachemanager.client, "loops")

    async def ask() -> Any:
        return await cache.get_or_set("k", lambda: 1)

    assert [asyncio.run(ask()) for _ in range(3)] == [1, 1, 1]
    asyncio.run(cachemanager.close())
