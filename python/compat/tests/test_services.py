"""Tests of services: improvements on the original, and compatibility with it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio
from conftest import Server
from pydantic import BaseModel

import fastapi_rc
from fastapi_rc import CacheManager, CacheService, build_cache_key


class Product(BaseModel):
    id: str
    price: float = 1.5


class Counting:
    """A factory that counts its calls."""

    def __init__(self, value: Any, delay: float = 0.0) -> None:
        self.value = value
        self.delay = delay
        self.calls = 0

    async def __call__(self) -> Any:
        self.calls += 1
        await asyncio.sleep(self.delay)
        return self.value


def service(manager: CacheManager, model: Any = None, **options: Any) -> CacheService[Any]:
    return CacheService(manager.client, "things", model, **options)


def test_public_signatures_match_original() -> None:
    assert fastapi_rc.__all__ == [
        "CacheManager",
        "CacheService",
        "CacheServiceDep",
        "RedisClient",
        "build_cache_key",
        "cachemanager",
        "get_cache_service",
        "get_redis_client",
        "get_ttl_with_jitter",
        "invalidate_pattern",
    ]

    def positional(function: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(function).parameters.values()
        old = [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        return [(one.name, one.default) for one in old if one.name != "self"]

    none = inspect.Parameter.empty
    params = ("params", None)
    assert positional(CacheManager.init) == [
        ("redis_url", None),
        ("max_connections", 50),
        ("socket_timeout", 5.0),
        ("socket_connect_timeout", 2.0),
        ("health_check_interval", 30),
        ("decode_responses", True),
    ]
    assert positional(CacheService) == [
        ("redis", none),
        ("namespace", none),
        ("model", None),
        ("default_ttl", 300),
        ("use_jitter", True),
        ("prefix", "cache"),
        ("version", "v1"),
    ]
    factory, ttl, identifier = ("factory", none), ("ttl", None), ("identifier", none)
    assert positional(CacheService.get_or_set) == [identifier, factory, ttl, params]
    assert positional(CacheService.set) == [identifier, ("value", none), ttl, params]
    for method in (CacheService.get, CacheService.delete, CacheService.exists, CacheService.get_ttl):
        assert positional(method) == [identifier, params]
    assert positional(CacheService.invalidate_pattern) == [("pattern", "*")]
    assert positional(CacheManager.pipeline) == [("transaction", True)]
    assert positional(build_cache_key) == [
        ("namespace", none),
        identifier,
        params,
        ("prefix", "cache"),
        ("version", "v1"),
        ("include_version", True),
    ]
    assert positional(fastapi_rc.get_ttl_with_jitter) == [("base_ttl", none), ("jitter_percent", 0.1)]
    assert positional(fastapi_rc.invalidate_pattern) == [
        ("namespace", none),
        ("pattern", "*"),
        ("prefix", "cache"),
        ("version", "v1"),
    ]
    assert positional(fastapi_rc.get_redis_client) == [("request", none)]
    assert positional(fastapi_rc.get_cache_service) == [("redis", none)]


@pytest.mark.parametrize(
    ("model", "made"),
    [
        (Product, {"id": "1"}),
        (Product, Product(id="1")),
        (None, Product(id="1")),
        (None, {"at": datetime(2026, 1, 2, tzinfo=timezone.utc)}),
        (list[Product], [Product(id="1"), Product(id="2")]),
        (tuple[int, int], (1, 2)),
    ],
    ids=["dict", "model", "model without a model", "datetime", "list of models", "tuple"],
)
async def test_hit_equals_miss(manager: CacheManager, model: Any, made: Any) -> None:
    cache = service(manager, model)
    missed = await cache.get_or_set("k", Counting(made))
    hit = await cache.get_or_set("k", Counting("another"))
    assert (type(hit), hit) == (type(missed), missed)


@pytest.mark.parametrize(
    ("model", "made"),
    [
        (None, None),
        (Product, None),
        (None, "text"),
        (None, "123"),
        (None, True),
        (None, 0),
        (None, []),
        (None, [1, "a", None]),
        (bytes, b"\x00\xff"),
    ],
)
async def test_any_value_is_cached(manager: CacheManager, model: Any, made: Any) -> None:
    cache, factory = service(manager, model), Counting(made)
    values = [await cache.get_or_set("k", factory) for _ in range(3)]
    assert (values, factory.calls) == ([made] * 3, 1)
    assert await cache.set("other", made)
    assert await cache.get("other") == made


async def test_negative_ttl_sets_lifetime(manager: CacheManager) -> None:
    cache, factory = service(manager, Product, use_jitter=False), Counting(None)
    await cache.get_or_set("k", factory, negative_ttl=30)
    assert 0 < await cache.get_ttl("k") <= 30
    for _ in range(2):
        await cache.get_or_set("never", factory, negative_ttl=0)
    assert factory.calls == 3


@dataclass
class Order:
    column: str


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4),
        UUID(int=1),
        Decimal("1.50"),
        timedelta(hours=1),
        {2, 1},
        Order("price"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_params_accept_rich_types(manager: CacheManager, value: Any) -> None:
    cache, factory = service(manager), Counting({"a": 1})
    for _ in range(2):
        await cache.get_or_set("list", factory, params={"p": value})
    assert factory.calls == 1


async def test_invalid_params_bypass_cache(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    cache, params = service(manager), {"p": object()}
    assert await cache.get_or_set("list", Counting({"a": 1}), params=params) == {"a": 1}
    assert await cache.set("list", {"a": 1}, params=params) is False
    assert await cache.get("list", params) is None
    assert await cache.delete("list", params) is False
    assert await cache.exists("list", params) is False
    assert await cache.get_ttl("list", params) == -2
    assert "invalid parameter of type object" in caplog.text


async def test_ttl_accepts_seconds_and_timedeltas(server: Server, manager: CacheManager) -> None:
    cache = service(manager, use_jitter=False)
    await cache.set("half", {"a": 1}, ttl=0.5)
    assert 0 < int(server.cli("PTTL", "cache:v1:things:half")) <= 500
    await cache.set("hour", {"a": 1}, ttl=timedelta(hours=1))
    assert 3595 <= await cache.get_ttl("hour") <= 3600
    await cache.set("default", {"a": 1}, ttl=0)
    assert 295 <= await cache.get_ttl("default") <= 300


@pytest.mark.parametrize("ttl", [-1, timedelta(seconds=-1), float("nan")])
async def test_invalid_ttl_bypasses_cache(manager: CacheManager, ttl: Any) -> None:
    cache = service(manager)
    assert await cache.get_or_set("k", Counting({"a": 1}), ttl=ttl) == {"a": 1}
    assert await cache.set("k", {"a": 1}, ttl=ttl) is False
    off = service(manager, default_ttl=ttl)
    await service(manager).set("k", {"a": 1})
    assert await off.get_or_set("k", Counting({"a": 2})) == {"a": 2}
    assert await off.get("k") is None
    assert not await off.set("k", {"a": 2})
    assert not await off.delete("k"), "nothing was deleted"
    with pytest.raises(ValueError, match="time"):
        off.hotshelf  # noqa: B018


@pytest.mark.parametrize(
    ("options", "cure"), [({"ttl": 5}, "'default_ttl'"), ({"jitter": 0}, "'use_jitter'")]
)
async def test_hotshelf_option_names_suggest_replacement(
    manager: CacheManager, options: dict[str, Any], cure: str
) -> None:
    off = service(manager, **options)
    assert await off.get_or_set("k", Counting({"a": 1})) == {"a": 1}
    with pytest.raises(TypeError, match=cure):
        off.hotshelf  # noqa: B018


async def test_invalid_model_bypasses_cache(manager: CacheManager) -> None:
    class NoModel:
        pass

    cache, made = service(manager, NoModel), NoModel()
    assert await cache.get_or_set("k", Counting(made)) is made


async def test_closed_manager_reports_failed_delete(manager: CacheManager) -> None:
    cache, late = service(manager), service(manager, Product)
    await cache.set("k", {"a": 1})
    await manager.close()
    assert not await cache.delete("k")
    assert not await late.delete("k")
    assert await late.get_or_set("k", Counting(Product(id="1"))) == Product(id="1")


async def test_jitter_spreads_lifetimes(manager: CacheManager) -> None:
    cache = service(manager, default_ttl=1000)
    for number in range(50):
        await cache.set(str(number), {"a": 1})
    spread = {await cache.get_ttl(str(number)) for number in range(50)}
    assert len(spread) > 5
    assert min(spread) >= 895 and max(spread) <= 1100


async def test_factories_are_sync_or_async(manager: CacheManager) -> None:
    cache = service(manager)
    assert await cache.get_or_set("sync", lambda: {"a": 1}) == {"a": 1}
    assert await cache.get_or_set("async", Counting({"a": 2})) == {"a": 2}


async def test_cold_key_loads_once(manager: CacheManager) -> None:
    factory = Counting({"a": 1}, delay=0.05)
    caches = [service(manager) for _ in range(200)]
    values = await asyncio.gather(*(cache.get_or_set("cold", factory) for cache in caches))
    assert (values, factory.calls) == ([{"a": 1}] * 200, 1)


async def test_cold_key_loads_once_across_managers(server: Server, manager: CacheManager) -> None:
    other, factory = CacheManager(), Counting({"a": 1}, delay=0.1)
    other.init(server.url)
    caches = [service(which) for which in (manager, other) for _ in range(20)]
    await asyncio.gather(*(cache.get_or_set("cold", factory) for cache in caches))
    await other.close()
    assert factory.calls == 1


async def test_factory_exception_passes_through(manager: CacheManager) -> None:
    class Missing(ValueError):
        pass

    async def fail() -> Any:
        await asyncio.sleep(0.01)
        raise Missing("no such thing")

    cache = service(manager)
    failed = await asyncio.gather(
        *(cache.get_or_set("k", fail) for _ in range(5)), return_exceptions=True
    )
    assert [type(error) for error in failed] == [Missing] * 5
    assert not await cache.exists("k")


async def test_mistyped_value_is_returned_uncached(manager: CacheManager) -> None:
    cache, factory = service(manager, Product), Counting(object(), delay=0.05)
    begun = time.monotonic()
    values = await asyncio.gather(*(cache.get_or_set("k", factory) for _ in range(50)))
    assert values == [factory.value] * 50
    assert time.monotonic() - begun < 1
    assert not await cache.exists("k")


async def test_invalidation_refuses_load_in_flight(manager: CacheManager) -> None:
    cache, begun, go_on = service(manager), asyncio.Event(), asyncio.Event()

    async def old() -> dict[str, int]:
        begun.set()
        await go_on.wait()
        return {"version": 1}

    load = asyncio.create_task(cache.get_or_set("k", old))
    await begun.wait()
    assert await cache.delete("k")
    go_on.set()
    assert await load == {"version": 1}
    assert await cache.get_or_set("k", lambda: {"version": 2}) == {"version": 2}


async def test_delete_reports_applied_invalidation(server: Server, manager: CacheManager) -> None:
    cache = service(manager)
    await cache.set("k", {"a": 1})
    assert await cache.delete("k") is True
    assert await cache.delete("k") is True
    server.cli("CLIENT", "PAUSE", "800")
    assert await cache.delete("k") is False


async def test_pattern_is_limited_to_namespace(server: Server, manager: CacheManager) -> None:
    odd = CacheService(manager.client, "user[1]", prefix="p*")
    near = CacheService(manager.client, "user1", prefix="px")
    for cache in (odd, near):
        for name in ("1:a", "1:b", "2:a"):
            await cache.set(name, {"a": 1})
    assert await odd.invalidate_pattern("1:*") == 2
    assert await odd.invalidate_pattern("*:a") == 1
    assert await near.invalidate_pattern("1:*") == 2
    assert await near.hotshelf.invalidate_pattern() == 1
    assert server.cli("KEYS", "p*") == ""


async def test_invalidate_pattern_escapes_identifier(manager: CacheManager) -> None:
    cache = service(manager)
    for name in ("*:a", "1:a", "[1]:a", "[1]:b"):
        await cache.set(name, {"a": 1})
    assert await cache.invalidate_pattern("*:*") == 0
    assert await cache.invalidate_pattern(identifier="*") == 1
    assert await cache.invalidate_pattern("a", identifier="[1]") == 1
    assert await cache.exists("1:a")


async def test_reads_and_deletes_never_scan(server: Server, manager: CacheManager) -> None:
    server.cli("CONFIG", "RESETSTAT")
    cache = service(manager)
    await cache.get_or_set("k", Counting({"a": 1}), tags=["all"])
    await cache.get("k")
    await cache.delete("k")
    await manager.hotshelf.invalidate_tag("all")
    asked = server.cli("INFO", "commandstats")
    assert "cmdstat_scan" not in asked and "cmdstat_keys" not in asked


async def test_tags_invalidate_entries(manager: CacheManager) -> None:
    cache, factory = service(manager), Counting({"a": 1})
    await cache.get_or_set("list", factory, params={"page": 1}, tags=["lists"])
    await cache.set("list2", {"a": 1}, tags=["lists"])
    assert await manager.hotshelf.invalidate_tag("lists")
    await cache.get_or_set("list", factory, params={"page": 1}, tags=["lists"])
    assert factory.calls == 2
    assert await cache.get("list2") is None


async def test_entries_of_original_are_read(server: Server, manager: CacheManager) -> None:
    server.cli("SET", "cache:v1:things:1", Product(id="1", price=2).model_dump_json(), "EX", "60")
    server.cli("SET", "cache:v1:things:2", json.dumps({"a": 1}), "EX", "60")
    factory = Counting(None)
    assert await service(manager, Product).get_or_set("1", factory) == Product(id="1", price=2)
    assert await service(manager).get_or_set("2", factory) == {"a": 1}
    assert factory.calls == 0


async def test_plain_clients_read_entries(server: Server, manager: CacheManager) -> None:
    cache = service(manager, Product)
    await cache.get_or_set("1", Counting(Product(id="1")))
    await cache.set("2", Product(id="2"), tags=["a"])
    for name in ("1", "2"):
        assert json.loads(server.cli("GET", f"cache:v1:things:{name}")) == {"id": name, "price": 1.5}


async def test_set_accepts_json_text(manager: CacheManager) -> None:
    cache = service(manager, Product)
    assert await cache.set("1", Product(id="1").model_dump_json())
    assert await cache.get("1") == Product(id="1")
    assert await cache.set("2", "no product") is False


async def test_services_share_counters(manager: CacheManager) -> None:
    await service(manager).get_or_set("k", Counting({"a": 1}))
    await service(manager).get("k")
    stats = service(manager).hotshelf.stats()
    assert (stats["loads"], stats["hits"]) == (1, 1)


async def test_attributes_are_mutable(manager: CacheManager) -> None:
    cache = service(manager, Product, default_ttl=600, prefix="api")
    assert cache.redis is manager.client
    assert (cache.namespace, cache.model, cache.default_ttl) == ("things", Product, 600)
    assert (cache.use_jitter, cache.prefix, cache.version) == (True, "api", "v1")
    cache.default_ttl, cache.use_jitter, cache.version = 60, False, "v2"
    await cache.set("k", Product(id="1"))
    assert 55 <= await cache.get_ttl("k") <= 60
    assert await manager.client.exists("api:v2:things:k") == 1


async def test_service_creation_is_cheap(manager: CacheManager) -> None:
    assert service(manager, Product)._cache() is service(manager, Product)._cache()
    begun = time.process_time()
    for _ in range(10_000):
        service(manager, Product)._cache()
    assert (time.process_time() - begun) / 10_000 < 20e-6


async def test_failures_are_counted_and_logged(
    server: Server, manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    cache = service(manager)
    await cache.get("k")
    server.cli("CLIENT", "PAUSE", "600")
    with caplog.at_level(logging.WARNING):
        assert await cache.get("k") is None
        assert await cache.get_or_set("k", Counting({"a": 1})) == {"a": 1}
    assert cache.hotshelf.stats()["errors"] >= 1
    assert "things" in caplog.text


async def test_other_client_is_plain_cache_aside(server: Server) -> None:
    client: Any = redis.asyncio.Redis.from_url(server.url)
    cache: CacheService[Product] = CacheService(client, "things", Product)
    await cache.get_or_set("1", Counting(Product(id="1")))
    assert json.loads(server.cli("GET", "cache:v1:things:1")) == {"id": "1", "price": 1.5}
    await client.aclose()
