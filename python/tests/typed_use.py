"""What type checkers make of the use of a cache: they read this, and nothing runs it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from typing_extensions import assert_type

from hotshelf import CacheManager, CacheService, Codec


class Product(BaseModel):
    id: int


manager = CacheManager("memory://")
make = manager.service("products", Product, ttl=900, negative_ttl=30)
products = CacheService(manager, "products", Product)
pages: CacheService[list[Product]] = CacheService(manager, "pages", list[Product])


def known(id: int) -> Product:
    return Product(id=id)


async def fetch(id: int) -> Product:
    return Product(id=id)


async def find(id: int) -> Product | None:
    return Product(id=id) if id else None


async def fetch_all() -> Mapping[str, Product]:
    return {"1": Product(id=1)}


async def use() -> None:
    assert_type(make(), CacheService[Product])
    assert_type(products, CacheService[Product])
    assert_type(await products.get("1"), Product | None)
    assert_type(await products.get_or_set("1", lambda: fetch(1)), Product)
    assert_type(await products.get_or_set("1", lambda: known(1)), Product)
    assert_type(await products.get_or_set("1", lambda: find(1), negative_ttl=30), Product | None)
    assert_type(await products.get_many(["1"]), list[Product | None])
    assert_type(await products.set("1", known(1), 0.5, tags=["a"]), bool)
    assert_type(await products.write_through("1", lambda: fetch(1)), Product)
    assert_type(await products.write_through_many(["1"], fetch_all), Mapping[str, Product])
    assert_type(await products.delete("1", {"page": 1}), bool)
    assert_type(await pages.get_or_set("1", lambda: [known(1)]), list[Product])
    assert_type(Codec.of(Product).decode(b"{}"), Product)
    assert_type(await manager.redis.execute_command("PING") is None, bool)
