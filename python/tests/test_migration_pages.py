"""Tests of the programs that the migration pages show, taken from these pages."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from conftest import TESTS

import hotshelf

DOCS = TESTS.parents[1] / "docs"

Import = Callable[[str], ModuleType]


def program_after(page: str) -> str:
    """Returns the program under the heading "After" of a page."""
    text = (DOCS / f"migrating-from-{page}.md").read_text()
    _, _, after = text.partition("\n### After\n\n```python\n")
    program, end, _ = after.partition("\n```\n")
    assert end, f"the page {page} has no program under the heading After"
    return program


@pytest.fixture(params=["memory", "redis"])
def imported(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Import:
    """Imports the program of a page, with a cache in memory and on Redis."""
    is_redis = request.param == "redis"
    url = request.getfixturevalue("server").url if is_redis else "memory://"
    monkeypatch.setenv("CACHE_URL", url)
    # Loads are counted, and a busy machine must not add one.
    for function, options in (
        (hotshelf.CacheManager.__init__, ("connect_timeout", "read_timeout", "store_timeout")),
        (hotshelf.CacheService.__init__, ("backend_budget",)),
    ):
        for option in options:
            monkeypatch.setitem(function.__kwdefaults__, option, 5)  # type: ignore[attr-defined]

    def run(page: str) -> ModuleType:
        name = f"migrated_from_{page.replace('-', '_')}"
        path = tmp_path / f"{name}.py"
        path.write_text(program_after(page))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return run


@asynccontextmanager
async def serving(program: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(program.app)
    async with (
        program.app.router.lifespan_context(program.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


class Held:
    """Holds a method of a database back after it has read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: type[Any], name: str) -> None:
        self.has_read, self.may_return = asyncio.Event(), asyncio.Event()
        method = getattr(database, name)

        async def held(*arguments: Any) -> Any:
            value = await method(*arguments)
            self.has_read.set()
            await self.may_return.wait()
            return value

        monkeypatch.setattr(database, name, held)


@pytest.mark.parametrize("page", ["fastapi-cache2", "fastapi-redis-sdk"])
async def test_endpoints_are_cached_and_invalidated(imported: Import, page: str) -> None:
    program = imported(page)
    async with serving(program) as client:

        async def got(path: str) -> Any:
            return (await client.get(path)).json()

        lamps = await asyncio.gather(*(got("/products/1") for _ in range(10)))
        assert lamps == 10 * [{"id": 1, "name": "lamp"}]
        assert program.database.queries == 1, "a cold key is computed once"
        assert await got("/products/2") == {"id": 2, "name": "chair"}
        for path in ("/products", "/products?page=1", "/products?page=2"):
            assert len(await got(path)) == (0 if "page=2" in path else 2)
        assert program.database.queries == 4

        renamed = await client.put("/products/1", params={"name": "desk lamp"})
        assert renamed.status_code == 200
        assert await got("/products/1") == {"id": 1, "name": "desk lamp"}
        assert (await got("/products"))[0]["name"] == "desk lamp"
        assert await got("/products/2") == {"id": 2, "name": "chair"}
        assert program.database.queries == 6, "the other product was not invalidated"


@pytest.mark.parametrize("page", ["fastapi-cache2", "fastapi-redis-sdk"])
@pytest.mark.parametrize(("path", "method"), [("/products/1", "product"), ("/products", "page")])
async def test_endpoints_refuse_load_in_flight(
    imported: Import, page: str, path: str, method: str
) -> None:
    program = imported(page)
    async with serving(program) as client:
        with pytest.MonkeyPatch.context() as patch:
            held = Held(patch, program.Database, method)
            reading = asyncio.create_task(client.get(path))
            await held.has_read.wait()
            await client.put("/products/1", params={"name": "desk lamp"})
            held.may_return.set()
            assert "desk lamp" not in (await reading).text
        assert "desk lamp" in (await client.get(path)).text


async def test_missing_product_is_cached_by_response(imported: Import) -> None:
    program = imported("fastapi-redis-sdk")
    async with serving(program) as client:
        for _ in range(2):
            assert (await client.get("/products/3")).status_code == 404
        assert program.database.queries == 1
        await client.put("/products/3", params={"name": "table"})
        assert (await client.get("/products/3")).json() == {"id": 3, "name": "table"}
        schema = (await client.get("/openapi.json")).json()
    assert "Product" in schema["components"]["schemas"]


async def test_response_answers_conditional_requests(imported: Import) -> None:
    program = imported("fastapi-redis-sdk")
    async with serving(program) as client:
        tag = (await client.get("/products")).headers["ETag"]
        condition = {"If-None-Match": tag}
        assert (await client.get("/products", headers=condition)).status_code == 304
        await client.put("/products/1", params={"name": "desk lamp"})
        assert (await client.get("/products", headers=condition)).status_code == 200


@pytest.mark.parametrize("page", ["aiocache", "cashews"])
async def test_program_keeps_its_assertions(
    imported: Import, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await imported(page).main()
    assert "desk lamp" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["aiocache", "cashews"])
async def test_program_refuses_load_in_flight(imported: Import, page: str) -> None:
    program = imported(page)
    db = program.Database()
    with pytest.MonkeyPatch.context() as patch:
        held = Held(patch, program.Database, "product")
        reading = asyncio.create_task(program.product(1, db))
        await held.has_read.wait()
        await program.rename(1, "desk lamp", db)
        held.may_return.set()
        assert (await reading).name == "lamp"
    assert (await program.product(1, db)).name == "desk lamp"
    await program.cache.close()


async def test_tag_of_argument_refuses_load_in_flight(imported: Import) -> None:
    program = imported("cashews")
    db = program.Database()
    seats = await program.products("seat", db)
    with pytest.MonkeyPatch.context() as patch:
        held = Held(patch, program.Database, "page")
        reading = asyncio.create_task(program.products("light", db))
        await held.has_read.wait()
        await program.rename(1, "desk lamp", db)
        held.may_return.set()
        await reading
    assert [it.name for it in await program.products("light", db)] == ["desk lamp"]
    queries = db.queries
    assert await program.products("seat", db) == seats
    assert db.queries == queries, "another category was not invalidated"
    await program.cache.close()


async def test_missing_identifiers_are_cached(imported: Import) -> None:
    program = imported("aiocache")
    db = program.Database()
    for _ in range(2):
        found = await program.products([3, 2, 1], db)
        assert [it and it.name for it in found] == [None, "chair", "lamp"]
    assert await program.product(3, db) is None
    assert db.queries == 1
    await program.cache.close()


@pytest.mark.parametrize("page", sorted(DOCS.glob("migrating-from-*.md")), ids=lambda it: it.stem)
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link
