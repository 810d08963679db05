"""Tests of decoded values in the memory of this process."""

from __future__ import annotations

import contextlib
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from conftest import RedisServer, eventually
from pydantic import BaseModel, field_validator

from hotshelf import CacheManager, CacheService, ClosedError, ConfigurationError

DECODED = 0


class Product(BaseModel):
    """A value that counts how often it is validated."""

    name: str
    sizes: list[int] = []

    @field_validator("name")
    @classmethod
    def counted(cls, name: str) -> str:
        global DECODED
        DECODED += 1
        return name


@pytest.fixture(params=["memory", "near"])
async def manager(request: pytest.FixtureRequest, own_server: RedisServer) -> AsyncIterator[CacheManager]:
    url = "memory://" if request.param == "memory" else own_server.url
    manager = CacheManager(url, near=True, read_timeout=5, store_timeout=5)
    yield manager
    await manager.close()


async def settled(cache: CacheService[Any], key: str) -> Any:
    """Returns a value that was kept: the near tier may read it a few times before."""
    before = None
    for _ in range(1000):
        value = await cache.get(key)
        if value is not None and (value is before or cache._copy is not None and _ > 20):
            return value
        before = value
    raise AssertionError("the value is never kept")


async def test_hits_return_one_object(manager: CacheManager) -> None:
    products = manager.service("products", Product)
    await products.get_or_set("tea", lambda: Product(name="tea"))
    first = await settled(products, "tea")
    decoded = DECODED
    assert await products.get("tea") is first
    assert await products.get_or_set("tea", lambda: Product(name="no")) is first
    assert (await products.get_many(["tea", "tea"])) == [first, first]
    assert await products.exists("tea")
    assert DECODED == decoded

    await products.set("tea", Product(name="green tea"))
    assert (await settled(products, "tea")).name == "green tea"
    await products.delete("tea")
    assert await products.get("tea") is None
    assert not await products.exists("tea")


@pytest.mark.parametrize("copy", ["shallow", "deep"])
async def test_hits_return_copies(manager: CacheManager, copy: Any) -> None:
    products = manager.service("products", Product, copy=copy)
    await products.set("tea", Product(name="tea", sizes=[1]))
    first = await settled(products, "tea")
    decoded = DECODED
    for second in (
        await products.get("tea"),
        await products.get_or_set("tea", lambda: Product(name="no")),
        *await products.get_many(["tea"]),
    ):
        assert second is not None
        assert second is not first and second == first
        assert (second.sizes is first.sizes) == (copy == "shallow")
        second.name = "changed"
        if copy == "deep":
            second.sizes.append(2)
    assert await products.get("tea") == Product(name="tea", sizes=[1])
    # The copies were not validated; the comparison was.
    assert DECODED == decoded + 1


@pytest.mark.parametrize("copy", ["none", "deep"])
async def test_each_hit_is_counted_once(copy: Any) -> None:
    manager = CacheManager("memory://")
    products = manager.service("products", Product, copy=copy)
    await products.set("tea", Product(name="tea"))
    for _ in range(5):
        await products.get_or_set("tea", lambda: Product(name="no"))
    assert products.stats()["hits"] == 5
    assert products.stats()["misses"] == 0
    await manager.close()


async def test_what_the_first_caller_changes_is_its_own(manager: CacheManager) -> None:
    products = manager.service("products", Product, copy="deep")
    await products.set("tea", Product(name="tea", sizes=[1]))
    for _ in range(50):
        value = await products.get("tea")
        assert value is not None and value.sizes == [1]
        value.sizes.append(2)


@pytest.mark.parametrize("value", [None, False, True, 0, "", b"null", b"", [], {}])
async def test_values_are_not_taken_for_something_else(manager: CacheManager, value: Any) -> None:
    model = bytes if isinstance(value, bytes) else None
    cache: CacheService[Any] = manager.service("values", model)
    for _ in range(50):
        found = await cache.get_or_set("k", lambda: value)
        assert found == value and type(found) is type(value)
        assert await cache.get("k") == value
        assert await cache.get_many(["k", "other"]) == [value, None]
        assert await cache.exists("k")


async def test_views_with_other_models_decode_for_themselves(manager: CacheManager) -> None:
    def view() -> CacheService[Any]:
        class Local(BaseModel):
            name: str

        return manager.service("locals", Local)

    one, other = view(), view()
    await one.set("k", one.model(name="tea"))
    for _ in range(50):
        assert type(await one.get("k")) is one.model
        assert type(await other.get("k")) is other.model


class Uncopied:
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("confidential")


async def test_what_cannot_be_copied_is_decoded_each_time(manager: CacheManager) -> None:
    class Format:
        @staticmethod
        def encode(value: Any) -> bytes:
            return b"x"

        @staticmethod
        def decode(raw: bytes) -> Any:
            return Uncopied()

    cache: CacheService[Any] = manager.service("uncopied", codec=Format(), copy="deep")
    await cache.set("k", Uncopied())
    for _ in range(50):
        assert type(await cache.get("k")) is Uncopied


async def test_what_can_no_longer_be_copied_is_a_miss(manager: CacheManager) -> None:
    copied = 0

    class Once:
        def __deepcopy__(self, memo: Any) -> Any:
            nonlocal copied
            copied += 1
            if copied > 1:
                raise RuntimeError("confidential")
            return self

    class Format:
        encode = staticmethod(lambda value: b"x")
        decode = staticmethod(lambda raw: Once())

    cache: CacheService[Any] = manager.service("once", codec=Format(), copy="deep")
    await cache.set("k", Once())
    for _ in range(30):
        copied = min(copied, 1)
        value = await cache.get("k")
        assert value is None or type(value) is Once
        assert type(await cache.get_or_set("k", Once)) is Once
        assert len(await cache.get_many(["k"])) == 1


async def test_iterators_are_not_shared(manager: CacheManager) -> None:
    class Page(BaseModel):
        numbers: Iterable[int]

    numbers: CacheService[Any] = manager.service("numbers", Iterable[int])
    pages = manager.service("pages", Page)
    await numbers.set("k", [1, 2])
    await pages.set("k", Page(numbers=[1, 2]))
    for _ in range(30):
        assert list(await numbers.get("k")) == [1, 2]
        page = await pages.get("k")
        assert page is not None and list(page.numbers) == [1, 2]


async def test_services_for_each_request_share_decoded_values() -> None:
    manager = CacheManager("memory://")
    decoded = 0

    class Counting:
        def encode(self, value: str) -> bytes:
            return value.encode()

        def decode(self, raw: bytes) -> str:
            nonlocal decoded
            decoded += 1
            return raw.decode()

    codec = Counting()
    first: CacheService[str] = manager.service("texts", codec=codec)
    await first.set("k", "a")
    before = decoded
    for _ in range(10):
        service: CacheService[str] = manager.service("texts", codec=codec)
        assert await service.get("k") == "a"
    assert decoded == before + 1
    await manager.close()


class Closing:
    """A value whose finalizer uses the cache."""

    finalized = 0
    cache: CacheService[Any]

    def __init__(self, name: str) -> None:
        self.name = name

    def __del__(self) -> None:
        type(self).finalized += 1
        # The last ones are dropped when the manager is closed.
        with contextlib.suppress(ClosedError):
            for number in range(200):
                self.cache._core.read(f"k{number}")


async def test_finalizers_of_values_may_use_the_cache() -> None:
    class Format:
        @staticmethod
        def encode(value: Closing) -> bytes:
            return value.name.encode()

        decode = staticmethod(lambda raw: Closing(raw.decode()))

    # There is room for about 20 entries: the others are evicted.
    manager = CacheManager("memory://", memory_capacity=20_000)
    cache: CacheService[Any] = manager.service("closing", codec=Format())
    Closing.cache, Closing.finalized = cache, 0
    for number in range(200):
        await cache.set(f"k{number}", Closing("a"))
        await cache.get(f"k{number}")
    assert Closing.finalized > 200 + 100
    await cache.set("last", Closing("a"))
    kept = weakref.ref(await cache.get("last"))
    gc.collect()
    assert kept() is not None
    await cache.delete("last")
    await cache.get("last")
    await eventually(lambda: kept() is None)
    await manager.close()


async def test_near_hits_are_of_the_newest_value(own_server: RedisServer) -> None:
    here = CacheManager(own_server.url, near=True)
    there = CacheManager(own_server.url)
    mine, theirs = here.service("products", Product), there.service("products", Product)
    await theirs.set("tea", Product(name="1"))
    await settled(mine, "tea")
    await theirs.set("tea", Product(name="2"))
    found = ""
    while found != "2":
        value = await mine.get("tea")
        found = value.name if value else ""
    assert json.loads(own_server.command("GET", mine.key("tea")))["name"] == "2"
    await here.close()
    await there.close()


def test_invalid_mode_of_copies() -> None:
    with pytest.raises(ConfigurationError, match='use "none", "shallow" or "deep"'):
        CacheManager("memory://").service("numbers", int, copy="soft")  # type: ignore[call-overload]
