"""Tests of what a factory is told, and decides."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from conftest import RedisServer
from pydantic import BaseModel
from staleness import MINUTE, Down, Source, is_missing, made_stale, numbers, until

from hotshelf import CacheManager, CacheService, LoadContext


class Product(BaseModel):
    name: str
    sizes: list[int] = []


@pytest.fixture(params=["memory", "redis", "near"])
def manager(request: pytest.FixtureRequest, own_server: RedisServer) -> CacheManager:
    url = "memory://" if request.param == "memory" else own_server.url
    return CacheManager(url, near=request.param == "near", read_timeout=5, store_timeout=5)


@pytest.fixture(autouse=True)
async def closed(manager: CacheManager) -> Any:
    yield
    await manager.close()


@pytest.mark.parametrize("ttl", [1000, 1000.0, timedelta(seconds=1000)])
async def test_factory_decides_how_long_its_value_is_fresh(
    manager: CacheManager, ttl: Any
) -> None:
    cache = numbers(manager, jitter=0)

    async def load(context: LoadContext[int]) -> int:
        assert context.ttl is None
        context.ttl = ttl
        assert context.ttl == ttl
        return 1

    await cache.get_or_set("k", load, 5, with_context=True)
    assert 990 < await cache.get_ttl("k") <= 1000


async def test_factory_may_be_sync_and_skip_the_store(manager: CacheManager) -> None:
    cache = numbers(manager)
    await cache.set("k", 1)

    def load(context: LoadContext[int]) -> int:
        context.skip_store()
        return 2

    assert await cache.get_or_set("k", load, reload=True, with_context=True) == 2
    assert await cache.get("k") is None


@pytest.mark.parametrize("background", [False, True])
async def test_factory_sees_the_previous_value_only_if_it_is_stale(
    manager: CacheManager, background: bool
) -> None:
    cache = numbers(manager, stale_if_error=MINUTE)
    seen: list[tuple[bool, int | None]] = []

    async def load(context: LoadContext[int]) -> int:
        seen.append((context.has_previous, context.previous))
        return context.not_modified() if context.has_previous else 5

    async def get() -> int:
        return await cache.get_or_set("k", load, background=background, with_context=True)

    assert await get() == 5
    await cache.expire("k")
    await until(lambda: is_missing(cache))
    assert await get() == 5
    assert await cache.get_ttl("k") > 50, "it is fresh again"
    await cache.expire("k")
    await cache.delete("k")
    assert await get() == 5
    assert seen == [(False, None), (True, 5), (False, None)]


async def test_unchanged_value_stays_where_it_is(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url, read_timeout=5, store_timeout=5)
    pages = manager.service("pages", str, stale_if_error=MINUTE, backend_budget=5)
    page = "x" * 100_000

    def received() -> int:
        stats = own_server.command("INFO", "stats").decode().splitlines()
        return int(next(line for line in stats if "net_input_bytes" in line).split(":")[1])

    await pages.set("k", page)
    for unchanged in (True, True, False):
        await pages.expire("k")
        await until(lambda: is_missing(pages))
        before = received()

        def load(context: LoadContext[str], unchanged: bool = unchanged) -> str:
            return context.not_modified() if unchanged else context.not_modified() + "x"

        found = await pages.get_or_set("k", load, with_context=True)
        assert found == await pages.get("k") == (page if unchanged else page + "x")
        assert (received() - before > len(page)) != unchanged
    await manager.close()


async def test_previous_value_is_one_of_its_model_and_a_copy(manager: CacheManager) -> None:
    products = manager.service(
        "products", Product, stale_if_error=MINUTE, copy="deep", backend_budget=5
    )
    await products.set("k", Product(name="tea", sizes=[1]))
    await products.expire("k")
    await until(lambda: is_missing(products))

    async def load(context: LoadContext[Product]) -> Product:
        assert context.previous is not None
        context.previous.sizes.append(2)
        assert context.previous is context.not_modified()
        raise Down

    found = await products.get_or_set("k", load, with_context=True)
    assert found == Product(name="tea", sizes=[1])


async def test_not_modified_needs_a_previous_value(manager: CacheManager) -> None:
    cache = numbers(manager, stale_if_error=MINUTE)
    with pytest.raises(RuntimeError, match="there is no previous value: check `has_previous`"):
        await cache.get_or_set("k", lambda it: it.not_modified(), with_context=True)


async def test_factory_may_reject_stale_values(manager: CacheManager) -> None:
    cache, source = numbers(manager, stale_if_error=MINUTE), Source()
    await made_stale(cache, source)

    async def load(context: LoadContext[int]) -> int:
        context.reject_stale()
        raise Down

    with pytest.raises(Down):
        await cache.get_or_set("k", load, with_context=True)


async def test_tags_from_the_value_invalidate_it(manager: CacheManager) -> None:
    cache = numbers(manager)

    async def load(context: LoadContext[int]) -> int:
        context.tags("late", "another")
        context.tags("third")
        return 1

    # The first value with a new tag is not stored.
    for _ in range(2):
        await cache.get_or_set("k", load, tags=["known"], with_context=True)
        if await cache.get("k") is None:
            await asyncio.sleep(1.5)
    for tag in ("known", "late", "another", "third"):
        for _ in range(3):
            await cache.get_or_set("k", load, tags=["known"], with_context=True)
            if await cache.get("k") == 1:
                break
            await asyncio.sleep(1.5)
        assert await cache.get("k") == 1
        await manager.invalidate_tag(tag)
        assert await cache.get("k") is None, tag
    assert cache.stats()["other_tags"] == 0


@pytest.mark.parametrize(
    "decide",
    [
        lambda it: it.tags(""),
        lambda it: it.tags(*map(str, range(200))),
        lambda it: setattr(it, "ttl", 0),
        lambda it: setattr(it, "ttl", "soon"),
        lambda it: setattr(it, "ttl", -1),
    ],
)
async def test_invalid_decisions_are_counted_and_nothing_is_stored(
    manager: CacheManager, decide: Any
) -> None:
    cache = numbers(manager)

    def load(context: LoadContext[int]) -> int:
        decide(context)
        return 1

    errors = cache.stats()["errors"]
    assert await cache.get_or_set("k", load, with_context=True) == 1
    assert await cache.get("k") is None
    assert cache.stats()["errors"] == errors + 1


async def test_tags_are_names(manager: CacheManager) -> None:
    wrong: Any = ["a", "b"]

    def load(context: LoadContext[int]) -> int:
        context.tags(wrong)
        return 1

    with pytest.raises(TypeError, match=r"use tags\(\*names\)"):
        await numbers(manager).get_or_set("k", load, with_context=True)


async def test_context_of_a_response(manager: CacheManager) -> None:
    products: CacheService[Product] = manager.service(
        "products", Product, stale_if_error=MINUTE, backend_budget=5
    )

    async def load(context: LoadContext[Product]) -> Product:
        return context.not_modified() if context.has_previous else Product(name="tea")

    for _ in range(2):
        answer = await products.response("k", load, with_context=True)
        assert answer.body == b'{"name":"tea","sizes":[]}'
        assert await products.expire("k")
        await until(lambda: is_missing(products))


async def test_value_has_the_tags_of_its_parts(manager: CacheManager) -> None:
    cache = numbers(manager)
    sums = manager.service("sums", int, backend_budget=5)

    async def part() -> int:
        return 1

    async def load(context: LoadContext[int]) -> int:
        loaded = await cache.get_or_set("a", part, tags=["a"], tags_into=context)
        await cache.get_or_set("b", part, tags=["b"])
        stored = await cache.get("b", tags_into=context)
        assert await cache.get("c", tags_into=context) is None
        assert stored is not None
        return loaded + stored

    for tag in ("a", "b"):
        assert await sums.get_or_set("sum", load, with_context=True) == 2
        assert await sums.get("sum") == 2
        await manager.invalidate_tag(tag)
        await until(lambda: is_missing(sums, "sum"))


async def test_part_that_is_invalidated_during_the_load_makes_no_hit(
    manager: CacheManager,
) -> None:
    cache = numbers(manager)

    async def load(context: LoadContext[int]) -> int:
        part = await cache.get_or_set("part", lambda: 1, tags=["t"], tags_into=context)
        await manager.invalidate_tag("t")
        await cache.get_or_set("another", lambda: 2, tags=["t"])
        return part

    assert await cache.get_or_set("whole", load, with_context=True) == 1
    assert await cache.get("whole") is None


async def test_value_whose_part_is_not_stored_is_not_stored_either(
    manager: CacheManager,
) -> None:
    cache = numbers(manager)

    async def load(context: LoadContext[int]) -> int:
        # Its key is being computed, so that it isn't stored.
        return await cache.get_or_set("whole", lambda: 1, tags_into=context)

    assert await cache.get_or_set("whole", load, with_context=True) == 1
    assert await cache.get("whole") is None


async def test_tags_of_another_prefix_are_a_mistake(manager: CacheManager) -> None:
    cache = numbers(manager)
    elsewhere = manager.service("numbers", int, prefix="elsewhere", backend_budget=5)

    async def load(context: LoadContext[int]) -> int:
        return await elsewhere.get_or_set("k", lambda: 1, tags=["t"], tags_into=context)

    assert await cache.get_or_set("whole", load, with_context=True) == 1
    assert await cache.get("whole") is None
    assert cache.stats()["errors"] == 1
