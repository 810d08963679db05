"""Typical use of a cache, for type checkers. It is never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Optional

from pydantic import BaseModel
from typing_extensions import Unpack, assert_type

from hotshelf import (
    CacheManager,
    CacheService,
    CacheServiceOptions,
    Codec,
    Explanation,
    LoadContext,
    LoadOptions,
    Lock,
    Outcome,
    Pipeline,
    RedisClient,
    Script,
    Trace,
    ValueCodec,
    Warmed,
    sync,
)


class Product(BaseModel):
    id: int


manager = CacheManager("memory://")
declared = manager.service("products", Product, ttl=900, negative_ttl=30, jitter=False)
manager.service("products", Product, jitter=0.2, version="v2")
# Each of these lines is an error: type checkers report unused `type: ignore` comments.
manager.service("products", Product, tll=900)  # type: ignore[call-overload]
manager.service("products", Product, ttl="15m", stale_if_error="1h30m")
manager.service("products", Product, ttl=b"15m")  # type: ignore[call-overload]
manager.service("products", Product, 900)  # type: ignore[call-overload]
CacheService(manager, "products", Product, use_jitter=True)  # type: ignore[call-overload]
manager.open("memory://", read_timout=3)  # type: ignore[call-arg]
products = CacheService(manager, "products", Product)
optional: CacheService[int | None] = manager.service("optional", Optional[int])
literal: CacheService[str] = CacheService(manager, "literal", Literal["a", "b"])
stale = manager.service(
    "stale", Product, stale_while_revalidate=timedelta(minutes=10), stale_if_error=3600,
    stale_if_error_on=(OSError, TimeoutError), error_throttle=10, early_refresh=True,
    soft_timeout=0.5, hard_timeout=5, error_backoff=1, hold=2.5, plain_readers=False,
)  # fmt: skip
manager.service("stale", Product, stale_if_error_on="all")  # type: ignore[call-overload]
images = manager.service("images", bytes, codec="raw", copy="deep")
manager.service("images", bytes, codec="xml")  # type: ignore[call-overload]


class NumberCodec:
    def encode(self, value: int) -> bytes:
        return str(value).encode()

    def decode(self, raw: bytes) -> int:
        return int(raw)


numbers: ValueCodec[int] = NumberCodec()
own: CacheService[int] = manager.service("numbers", int, codec=numbers)
pages: CacheService[list[Product]] = CacheService(manager, "pages", list[Product])


def own_service(name: str, **options: Unpack[CacheServiceOptions]) -> CacheService[Product]:
    return CacheService(manager, name, Product, **options)


def known(id: int) -> Product:
    return Product(id=id)


async def fetch(id: int) -> Product:
    return Product(id=id)


async def find(id: int) -> Product | None:
    return Product(id=id) if id else None


async def fetch_again(context: LoadContext[Product]) -> Product:
    assert_type(context.previous, Product | None)
    context.tags("a", "b")
    context.ttl = timedelta(seconds=5)
    return context.not_modified() if context.has_previous else Product(id=1)


def find_again(context: LoadContext[Product]) -> Product | None:
    context.skip_store()
    context.reject_stale()
    return None


async def own_call(id: str, **options: Unpack[LoadOptions]) -> Product:
    return await products.get_or_set(id, lambda: fetch(1), **options)


async def fetch_all() -> Mapping[str, Product]:
    return {"1": Product(id=1)}


async def fetch_some(ids: list[str]) -> dict[str, Product]:
    return {id: Product(id=int(id)) for id in ids}


def find_some(ids: list[int]) -> list[tuple[int, Product | None]]:
    return [(id, None) for id in ids]


async def use() -> None:
    assert_type(declared, CacheService[Product])
    assert_type(await declared(), CacheService[Product])
    assert_type(await optional.get("1"), int | None)
    assert_type(products, CacheService[Product])
    assert_type(await products.get("1"), Product | None)
    assert_type(await products.get_or_set("1", lambda: fetch(1)), Product)
    assert_type(await products.get_or_set("1", lambda: known(1)), Product)
    assert_type(await products.get_or_set("1", lambda: find(1), negative_ttl=30), Product | None)
    assert_type(
        await products.get_or_set(
            "1", lambda: fetch(1), 5, {"page": 1}, tags=["a"], background=True,
            stale_if_error_on=lambda error: not isinstance(error, KeyError),
        ),
        Product,
    )  # fmt: skip
    assert_type(await products.get_or_set("1", fetch_again, with_context=True), Product)
    assert_type(await products.get_or_set("1", find_again, with_context=True), Product | None)
    await products.get_or_set("1", fetch_again)  # type: ignore[arg-type]
    await products.get_or_set("1", lambda: fetch(1), backgroud=True)  # type: ignore[call-overload]
    assert_type(await products.expire("1", {"page": 1}), bool)
    assert_type(await products.get_many(["1"]), list[Product | None])
    assert_type(await products.get_or_load_many(["1"], fetch_some), list[Product | None])
    assert_type(
        await products.get_or_load_many(range(5), find_some, ttl=5, tags=["a"], reload=True),
        list[Product | None],
    )
    await products.get_or_load_many([1], lambda ids: {id: known(id) for id in ids})
    await products.get_or_load_many([1], fetch_some)  # type: ignore[arg-type]
    await products.get_or_load_many(["1"], fetch_all)  # type: ignore[arg-type]
    trace = Trace()
    assert_type(await products.get("1", trace=trace), Product | None)
    assert_type(await products.get_or_set("1", lambda: fetch(1), trace=trace), Product)
    assert_type(trace.outcome, Outcome)
    assert_type(await products.explain("1", {"page": 1}, tags=["a"]), Explanation)
    warmed = await products.warm([1, 2], find, tags=lambda id: [f"tag:{id}"], progress=print)
    assert_type(warmed, Warmed[int])
    await products.warm(["1"], find)  # type: ignore[arg-type]
    assert_type(await products.warm({"a": 1}, lambda id: known(len(id))), Warmed[str])
    assert_type(await products.set("1", known(1), 0.5, tags=["a"]), bool)
    assert_type(await products.write_through("1", lambda: fetch(1)), Product)
    assert_type(await products.write_through("1", lambda: find(1)), Product | None)
    assert_type(await products.write_through_many(["1"], fetch_all), Mapping[str, Product])
    assert_type(
        await products.write_through_many([1], lambda: {1: known(1)}), Mapping[int, Product]
    )
    assert_type(await products.delete("1", {"page": 1}), bool)
    assert_type(await images.get("1"), bytes | None)
    assert_type(await pages.get_or_set("1", lambda: [known(1)]), list[Product])
    assert_type(Codec.of(Product).decode(b"{}"), Product)
    assert_type(await manager.redis.execute_command("PING") is None, bool)
    await use_redis(manager.redis)


async def use_redis(redis: RedisClient) -> None:
    assert_type(await redis.get("k"), str | None)
    assert_type(await redis.hgetall("k"), dict[str, str])
    assert_type(await redis.mget("k", b"l"), list[str | None])
    assert_type(await redis.expire("k", timedelta(seconds=5), nx=True), bool)
    assert_type(await redis.blpop(["k"], 5), tuple[str, str] | None)
    assert_type(await redis.zscore("k", 1), float | None)
    assert_type([key async for key in redis.scan_iter("a*", _type="hash")], list[str])
    binary = RedisClient(manager.store, decode_responses=False)
    assert_type(binary, RedisClient[bytes])
    assert_type(await binary.get("k"), bytes | None)
    assert_type(await binary.xrange("k"), list[tuple[bytes, dict[bytes, bytes]]])
    await redis.get(None)  # type: ignore[arg-type]
    await redis.set("k", 1, ttl=5)  # type: ignore[call-arg]
    async with redis.pipeline() as pipe:
        assert_type(pipe.set("k", 1).get("k"), Pipeline[str])
        await pipe.watch("k")
        value = await pipe.get("k")
        pipe.multi()
        pipe.set("k", int(value) + 1)
        assert_type(await pipe.execute(), list[Any])
    async with redis.lock("k", timeout=5) as lock, redis.pubsub() as messages:
        assert_type(lock, Lock)
        assert_type(await lock.extend(5), bool)
        await messages.subscribe("c", d=print)
        assert_type(await messages.get_message(timeout=1), dict[str, Any] | None)
    script = redis.register_script("return 1")
    assert_type(script, Script)
    await script(keys=["k"], args=[1], client=pipe)


@products.cached(key=lambda id: id, skip=["database"], ttl="15m", negative_ttl=30)
async def cached_fetch(id: int, database: object, page: int = 1) -> Product | None:
    found = await cached_list("a")
    return found[0] if found else None


@manager.cached(ttl=timedelta(minutes=1), tags=lambda result: ["all"], stale_if_error=60)
async def cached_list(tenant: str, *, size: int = 10) -> list[Product]:
    assert_type(await cached_fetch(1, None, page=2), Product | None)
    assert_type(await cached_fetch.refresh(1, None), Product | None)
    assert_type(await cached_fetch.peek(1), Product | None)
    assert_type(await cached_fetch.invalidate(1), bool)
    assert_type(cached_fetch.key(1), str)
    await cached_fetch("1", None)  # type: ignore[arg-type]
    await cached_fetch(1)  # type: ignore[call-arg]
    await cached_list("a", page=1)  # type: ignore[call-arg]
    assert_type(await Shelf().price(1), float)
    assert_type(await Shelf().price.refresh(1), float)
    return await cached_list("a", size=5)


class Shelf:
    @manager.cached(skip=["self"], negative_ttl="1m")
    async def price(self, id: int) -> float:
        return await self.price(id)


manager.cached(tll=5)  # type: ignore[call-arg]
manager.cached(ttl=b"15m")  # type: ignore[arg-type]


@manager.cached(ttl="15m")
def cached_price(id: int, *, currency: str = "EUR") -> float:
    return 1.0


assert_type(cached_price(1, currency="USD"), float)
assert_type(cached_price.refresh(1), float)
assert_type(cached_price.peek(1), float | None)
assert_type(cached_price.invalidate(1), bool)
cached_price("1")  # type: ignore[arg-type]


def maybe(id: int) -> Product | None:
    return known(id) if id else None


def deciding(context: LoadContext[Product]) -> Product:
    return context.previous or known(1)


blocking = sync.CacheManager("memory://", near=True)
assert_type(manager.sync, sync.CacheManager)
assert_type(blocking.asynchronous, CacheManager)
shelves = blocking.service("shelves", Product, ttl=60)
assert_type(shelves, sync.CacheService[Product])
assert_type(products.sync, sync.CacheService[Product])
assert_type(shelves.asynchronous, CacheService[Product])
assert_type(shelves.get("1"), Product | None)
assert_type(shelves.get_many(["1"]), list[Product | None])
assert_type(shelves.get_or_set("1", lambda: known(1), ttl=5, tags=["a"]), Product)
assert_type(shelves.get_or_set("1", lambda: maybe(1)), Product | None)
assert_type(shelves.get_or_set("1", deciding, with_context=True), Product)
shelves.get_or_set("1", lambda: 1)  # type: ignore[arg-type,return-value]
shelves.get_or_set("1", lambda: known(1), tag="a")  # type: ignore[call-overload]
shelves.get_or_set("1", lambda: fetch(1))  # type: ignore[arg-type,return-value]
assert_type(shelves.get_or_load_many([1], lambda ids: [(1, known(1))]), list[Product | None])
assert_type(shelves.set("1", known(1)), bool)
assert_type(shelves.write_through("1", lambda: known(1)), Product)
assert_type(shelves.write_through("1", lambda: maybe(1)), Product | None)
assert_type(shelves.write_through_many([1], lambda: {1: known(1)}), Mapping[int, Product])
assert_type(shelves.warm([1], known), Warmed[int])
assert_type(shelves.delete("1"), bool)
assert_type(shelves.explain("1"), Explanation)
assert_type(blocking.invalidate_tags(["a"]), bool)


@shelves.cached(key=lambda id: id)
def shelf(id: int) -> Product:
    return known(id)


assert_type(shelf(1), Product)
assert_type(shelf.invalidate(1), bool)
