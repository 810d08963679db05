"""Tests of cached values as HTTP responses."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import RedisServer
from fastapi import FastAPI, HTTPException, Request, Response
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel

from hotshelf import CacheManager, CacheService, EncodeError


class Product(BaseModel):
    name: str
    price: float = 0.1


@pytest.fixture(params=["memory", "redis", "near"])
def products(request: pytest.FixtureRequest, own_server: RedisServer) -> CacheService[Product]:
    url = "memory://" if request.param == "memory" else own_server.url
    manager = CacheManager(url, near=request.param == "near", read_timeout=5, store_timeout=5)
    return manager.service("products", Product)


def app_of(products: CacheService[Product], ran: list[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/{name}")
    async def get_product(name: str, request: Request) -> Response:
        def factory() -> Product | None:
            ran.append(name)
            return None if name == "missing" else Product(name=name)

        headers = {"Cache-Control": "max-age=5"}
        response = await products.response(name, factory, request=request, headers=headers)
        if response is None:
            raise HTTPException(404)
        return response

    return app


async def test_response_is_the_stored_json(products: CacheService[Product]) -> None:
    ran: list[str] = []
    transport = ASGITransport(app_of(products, ran))
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.get("/tea") for _ in range(50)]
        assert ran == ["tea"]
        first = answers[0]
        assert first.content == b'{"name":"tea","price":0.1}'
        assert first.headers["content-type"] == "application/json"
        assert first.headers["cache-control"] == "max-age=5"
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        assert {(one.content, one.headers["etag"]) for one in answers} == {(first.content, tag)}
        # A value that was read before is the same response.
        assert await products.get("tea") == Product(name="tea")
        assert (await client.get("/tea")).content == first.content

        for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*", " * "):
            unchanged = await client.get("/tea", headers={"If-None-Match": known})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert unchanged.headers["etag"] == tag
        for other in ('"other"', '"a,*,b"', "other", f'"x{tag[3:]}'):
            changed = await client.get("/tea", headers={"If-None-Match": other})
            assert (changed.status_code, changed.content) == (200, first.content)

        await products.set("tea", Product(name="green tea"))
        other = await client.get("/tea", headers={"If-None-Match": tag})
        assert other.status_code == 200 and other.json()["name"] == "green tea"
        for _ in range(2):
            assert (await client.get("/missing")).status_code == 404
        assert ran == ["tea", "missing"]
    await products._manager.close()


async def test_failures_do_not_reach_the_response() -> None:
    manager = CacheManager("redis://127.0.0.1:1")
    products = manager.service("products", Product)
    response = await products.response("tea", lambda: Product(name="tea"))
    assert response is not None and response.body == b'{"name":"tea","price":0.1}'
    await manager.close()


async def test_errors_of_factories_and_values() -> None:
    manager = CacheManager("memory://")
    values: CacheService[Any] = manager.service("values")

    def failing() -> Any:
        raise LookupError("no product")

    with pytest.raises(LookupError, match="no product"):
        await values.response("k", failing)
    with pytest.raises(EncodeError, match="can't be encoded"):
        await values.response("k", object)
    await manager.close()


async def test_what_a_plain_client_wrote_is_checked(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url, read_timeout=5, store_timeout=5)
    products = manager.service("products", Product, foreign=True)
    own_server.command("SET", products.key("tea"), '{"name":"green tea"}')
    own_server.command("SET", products.key("page"), "<html>")
    tea = await products.response("tea", lambda: Product(name="no"))
    assert tea is not None and tea.body == b'{"name":"green tea"}'
    page = await products.response("page", lambda: Product(name="new"))
    assert page is not None and page.body == b'{"name":"new","price":0.1}'
    own = await products.response("tea", lambda: Product(name="no"), headers={"etag": '"mine"'})
    assert own is not None and len(own.headers.getlist("etag")) == 1
    await manager.close()


async def test_media_types_are_those_of_the_codecs() -> None:
    manager = CacheManager("memory://")
    images = await manager.service("images", bytes).response("k", lambda: b"\x89PNG")
    assert images is not None and images.body == b"\x89PNG"
    assert images.media_type == "application/octet-stream"
    packed = await manager.service("packed", codec="msgpack").response("k", lambda: [1])
    assert packed is not None and packed.body == b"\x91\x01"
    assert packed.media_type == "application/vnd.msgpack"
    await manager.close()
