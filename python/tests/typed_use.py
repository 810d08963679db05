"""Typical use of a cache, for type checkers. It is never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Optional

from pydantic import BaseModel
from typing_extensions import Unpack, assert_type

from hotshelf import CacheManager, CacheService, CacheServiceOptions, Codec, ValueCodec


class Product(BaseModel):
    id: int


manager = CacheManager("memory://")
declared = manager.service("products", Product, ttl=900, negative_ttl=30, jitter=False)
manager.service("products", Product, jitter=0.2, version="v2")
# Each of these lines is an error: type checkers report unused `type: ignore` comments.
manager.service("products", Product, tll=900)  # type: ignore[call-overload]
manager.service("products", Product, ttl="15m")  # type: ignore[call-overload]
manager.service("products", Product, 900)  # type: ignore[call-overload]
CacheService(manager, "products", Product, use_jitter=True)  # type: ignore[call-overload]
manager.open("memory://", read_timout=3)  # type: ignore[call-arg]
products = CacheService(manager, "products", Product)
optional: CacheService[int | None] = manager.service("optional", Optional[int])
literal: CacheService[str] = CacheService(manager, "literal", Literal["a", "b"])
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


async def fetch_all() -> Mapping[str, Product]:
    return {"1": Product(id=1)}


async def use() -> None:
    assert_type(declared, CacheService[Product])
    assert_type(await declared(), CacheService[Product])
    assert_type(await optional.get("1"), int | None)
    assert_type(products, CacheService[Product])
    assert_type(await products.get("1"), Product | None)
    assert_type(await products.get_or_set("1", lambda: fetch(1)), Product)
    assert_type(await products.get_or_set("1", lambda: known(1)), Product)
    assert_type(await products.get_or_set("1", lambda: find(1), negative_ttl=30), Product | None)
    assert_type(await products.get_many(["1"]), list[Product | None])
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
