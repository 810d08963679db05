"""Tests of a Rust process and this one, which share a server."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS, RedisServer
from pydantic import BaseModel

from hotshelf import CacheManager, CacheService

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")


class Product(BaseModel):
    name: str
    price: float = 0.1


class Partner:
    """The Rust process; `interop/src/main.rs` documents its requests."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.numbers = itertools.count()
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            waiting = self.waiting.pop(answer["id"])
            if "error" in answer:
                waiting.set_exception(AssertionError(answer["error"]))
            else:
                waiting.set_result(answer["result"])

    def call(self, operation: str, key: str, **options: Any) -> asyncio.Future[Any]:
        number = next(self.numbers)
        self.waiting[number] = asyncio.get_running_loop().create_future()
        request = json.dumps({"id": number, "do": operation, "key": key, **options})
        assert self.process.stdin is not None
        self.process.stdin.write(request.encode() + b"\n")
        return self.waiting[number]


@pytest.fixture(scope="session")
def program() -> Path:
    """Builds the program in the target directory of the workspace."""
    script = TESTS.parents[1] / "scripts/program"
    built = subprocess.run([script, "interop"], capture_output=True, text=True, check=True)
    return Path(built.stdout.strip())


@pytest.fixture
async def partner(program: Path, server: RedisServer) -> AsyncIterator[Partner]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, server.url, stdin=pipe, stdout=pipe)
    partner = Partner(process)
    assert await asyncio.wait_for(partner.call("get", "nothing"), 5) is None
    yield partner
    process.kill()
    await process.wait()
    await partner.reading


@pytest.fixture
def products(manager: CacheManager) -> CacheService[Product]:
    return CacheService(manager, "interop", Product, backend_budget=5)


async def test_python_and_rust_read_each_other(
    partner: Partner, products: CacheService[Product]
) -> None:
    await products.set("1", Product(name="of Python"))
    assert await partner.call("get", "1") == "of Python"
    await partner.call("set", "2", name="of Rust")
    assert await products.get("2") == Product(name="of Rust")
    assert await products.get_or_set("2", lambda: Product(name="never")) == Product(name="of Rust")
    assert await partner.call("load", "1", name="never") == {"name": "of Python", "ran": False}
    assert products.stats()["foreign"] == 0


async def test_python_and_rust_read_each_others_codecs(
    partner: Partner, manager: CacheManager
) -> None:
    raw = manager.service("raw", bytes)
    await raw.set("1", b"\xff of Python")
    assert await partner.call("raw_get", "1") == "\\xff of Python"
    await partner.call("raw_set", "2", name="of Rust")
    assert await raw.get("2") == b"of Rust"

    packed = manager.service("packed", Product, codec="msgpack")
    await packed.set("1", Product(name="of Python"))
    assert await partner.call("packed_get", "1") == "of Python"
    await partner.call("packed_set", "2", name="of Rust")
    assert await packed.get("2") == Product(name="of Rust")
    assert raw.stats()["foreign"] == packed.stats()["foreign"] == 0


async def test_python_and_rust_invalidate_each_other(
    partner: Partner, products: CacheService[Product]
) -> None:
    await products.set("1", Product(name="of Python"))
    await partner.call("delete", "1")
    assert await products.get("1") is None
    await partner.call("set", "2", name="of Rust")
    assert await products.delete("2")
    assert await partner.call("get", "2") is None


@pytest.mark.parametrize("first", ["python", "rust"])
async def test_cold_key_loads_once_across_languages(
    partner: Partner, products: CacheService[Product], first: str
) -> None:
    runs = 0

    async def compute() -> Product:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.3)
        return Product(name="of Python")

    async def in_python() -> list[str]:
        found = await asyncio.gather(*(products.get_or_set("1", compute) for _ in range(50)))
        return [product.name for product in found]

    async def in_rust() -> list[Any]:
        loads = [partner.call("load", "1", name="of Rust", millis=300) for _ in range(50)]
        return list(await asyncio.gather(*loads))

    both = [in_python(), in_rust()] if first == "python" else [in_rust(), in_python()]
    tasks = [asyncio.ensure_future(both[0])]
    await asyncio.sleep(0.05)
    tasks.append(asyncio.ensure_future(both[1]))
    results = await asyncio.gather(*tasks)
    of_python, of_rust = results if first == "python" else reversed(results)
    loads = runs + sum(load["ran"] for load in of_rust)
    assert loads == 1
    assert {*of_python, *(load["name"] for load in of_rust)} in ({"of Python"}, {"of Rust"})


async def test_rust_invalidation_refuses_python_load(
    partner: Partner, products: CacheService[Product]
) -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def older() -> Product:
        began.set()
        await go.wait()
        return Product(name="older")

    loading = asyncio.create_task(products.get_or_set("1", older))
    await began.wait()
    assert await partner.call("delete", "1")
    go.set()
    assert (await loading).name == "older"
    assert await products.get("1") is None
    assert await partner.call("get", "1") is None
    assert products.stats()["refused"] == 1


async def test_python_invalidation_refuses_rust_load(
    partner: Partner, products: CacheService[Product], server: RedisServer
) -> None:
    loading = partner.call("load", "1", name="older", millis=300)
    while not server.keys():
        await asyncio.sleep(0.01)
    assert await products.delete("1")
    assert (await loading)["name"] == "older"
    assert await products.get("1") is None
    assert server.keys() == []


@pytest.mark.parametrize("by", ["python", "rust"])
async def test_tags_are_shared(
    partner: Partner, products: CacheService[Product], manager: CacheManager, by: str
) -> None:
    await products.set("1", Product(name="of Python"), tags=["shelf"])
    await partner.call("set", "2", name="of Rust", tags=["shelf"])
    assert await partner.call("get", "1") == "of Python"
    assert (await products.get("2")) == Product(name="of Rust")
    if by == "python":
        assert await manager.invalidate_tag("shelf")
    else:
        assert await partner.call("tag", "shelf")
    assert [await products.get(key) for key in "12"] == [None, None]
    assert [await partner.call("get", key) for key in "12"] == [None, None]


async def test_python_write_refuses_rust_load(
    partner: Partner, products: CacheService[Product], server: RedisServer
) -> None:
    loading = partner.call("load", "1", name="older", millis=300)
    while not server.keys():
        await asyncio.sleep(0.01)
    await products.write_through("1", lambda: Product(name="newer"))
    assert (await loading)["name"] == "older"
    assert await partner.call("get", "1") == "newer"
    assert (await partner.call("write_through", "1", name="newest"))["cached"]
    assert await products.get("1") == Product(name="newest")


async def test_rust_loads_over_cached_none(
    partner: Partner, products: CacheService[Product]
) -> None:
    assert await products.get_or_set("1", lambda: None) is None
    assert await partner.call("get", "1") is None
    loaded = await partner.call("load", "1", name="there now")
    assert loaded == {"name": "there now", "ran": True}
    assert await products.get("1") == Product(name="there now")
