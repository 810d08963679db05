"""Tests of the admin page as an application of ASGI."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import hotshelf
from hotshelf import AdminPage, CacheManager, ConfigurationError

POST = {
    "x-hotshelf-admin": "1", "sec-fetch-site": "same-origin", "origin": "http://localhost",
}  # fmt: skip


def client_of(page: AdminPage, path: str = "/admin") -> httpx.AsyncClient:
    app = FastAPI()
    app.mount(path, page)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


async def filled(cache: CacheManager) -> hotshelf.CacheService[str]:
    products = cache.service("products", str, prefix="shop", ttl=600)
    for key in ("1", "2", "<script>alert(1)</script>"):
        await products.set(key, "a lamp", tags=["all"])
    await products.get("1")
    return products


async def test_page_needs_auth(hotshelf_cache: CacheManager) -> None:
    with pytest.raises(ConfigurationError, match="insecure_open=True"):
        AdminPage(hotshelf_cache)

    async def auth(scope: dict[str, Any]) -> str | None:
        return "ann" if (b"authorization", b"secret") in scope["headers"] else None

    async with client_of(AdminPage(hotshelf_cache.sync, auth=auth)) as client:
        for path in ("/admin/", "/admin/app.js", "/admin/api/state", "/admin/api/keys"):
            assert (await client.get(path)).status_code == 401, path
            answer = await client.get(path, headers={"authorization": "secret"})
            assert answer.status_code == 200, path


@pytest.mark.parametrize("path", ["/admin", "/a/b"])
async def test_page_works_below_every_path(hotshelf_cache: CacheManager, path: str) -> None:
    async with client_of(AdminPage(hotshelf_cache, insecure_open=True), path) as client:
        page = await client.get(path, follow_redirects=True)
        assert page.status_code == 200
        assert f'<base href="{path}/"' in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert (await client.get(f"{path}/app.js")).status_code == 200
        assert (await client.get(f"{path}/../pyproject.toml")).status_code == 404
        assert (await client.get(f"{path}/none")).status_code == 404


async def test_page_tells_and_invalidates(hotshelf_cache: CacheManager) -> None:
    products = await filled(hotshelf_cache)
    page = AdminPage(hotshelf_cache, insecure_open=True, writes=True, values=True)
    async with client_of(page) as client:
        state = (await client.get("/admin/api/state")).json()
        assert state["metrics"]["caches"][0]["stats"]["hits"] == 1
        keys = (await client.get("/admin/api/keys?pattern=shop:*")).json()["keys"]
        assert len(keys) == 3
        key = products.key("1")
        shown = (await client.get("/admin/api/key", params={"key": key})).json()
        assert shown["value"] == '"a lamp"'
        wanted = {"by": "key", "name": key, "dry_run": False}
        for name in set(POST) - {"origin"}:
            headers = {**POST, name: "http://evil"}
            answer = await client.post("/admin/api/invalidate", json=wanted, headers=headers)
            assert answer.status_code == 403, name
        assert await products.exists("1")
        answer = await client.post("/admin/api/invalidate", json=wanted, headers=POST)
        assert answer.json()["removed"] == 1
        assert not await products.exists("1")
        log = (await client.get("/admin/api/log")).json()["entries"]
        assert log[0]["what"] == f"invalidated the key {key}"


async def test_page_is_read_only_by_default(hotshelf_cache: CacheManager) -> None:
    products = await filled(hotshelf_cache)
    async with client_of(AdminPage(hotshelf_cache, insecure_open=True)) as client:
        key = products.key("1")
        wanted = {"by": "key", "name": key, "dry_run": False}
        answer = await client.post("/admin/api/invalidate", json=wanted, headers=POST)
        assert answer.status_code == 403
        shown = (await client.get("/admin/api/key", params={"key": key})).json()
        assert shown["value"] is None


async def test_closed_manager_is_an_answer(hotshelf_cache: CacheManager) -> None:
    await hotshelf_cache.close()
    async with client_of(AdminPage(hotshelf_cache, insecure_open=True)) as client:
        assert (await client.get("/admin/api/state")).status_code == 503


async def test_open_page_answers_for_names_of_this_machine_alone(
    hotshelf_cache: CacheManager,
) -> None:
    """Another site may have a name of its own lead here."""
    page = AdminPage(hotshelf_cache, insecure_open=True)
    named = AdminPage(hotshelf_cache, insecure_open=True, hosts=["cache.example"])
    async with client_of(page) as client, client_of(named) as other:
        for host, status in (("127.0.0.1:8000", 200), ("[::1]", 200), ("cache.example", 403)):
            answer = await client.get("/admin/api/state", headers={"host": host})
            assert answer.status_code == status, host
        assert (await other.get("/admin/", headers={"host": "cache.example:80"})).status_code == 200
    with pytest.raises(TypeError, match="list of strings"):
        AdminPage(hotshelf_cache, insecure_open=True, hosts="cache.example")


async def test_visitor_without_a_name_is_refused(hotshelf_cache: CacheManager) -> None:
    async with client_of(AdminPage(hotshelf_cache, auth=lambda scope: "")) as client:
        answer = await client.get("/admin/")
        assert answer.status_code == 401 and answer.headers["x-content-type-options"] == "nosniff"


async def test_bodies_are_bounded_in_size_and_time(
    hotshelf_cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = AdminPage(hotshelf_cache, insecure_open=True, writes=True)
    async with client_of(page) as client:
        answer = await client.post("/admin/api/invalidate", content=b"x" * 200_000, headers=POST)
        assert answer.status_code == 413
    monkeypatch.setattr("hotshelf._admin._PATIENCE", 0.01)
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "method": "POST", "path": "/api/invalidate", "headers": [],
        "query_string": b"", "root_path": "",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError("the page waits for a slow body")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await page(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_websocket_is_refused(hotshelf_cache: CacheManager) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    page = AdminPage(hotshelf_cache, insecure_open=True)
    await page({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_mount_path_is_a_whole_one(hotshelf_cache: CacheManager) -> None:
    """`/a` isn't the begin of `/app.js`."""
    page = AdminPage(hotshelf_cache, insecure_open=True)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await page({**scope, "root_path": "/a"}, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://localhost"
    ) as client:
        assert (await client.get("/app.js")).status_code == 200
        assert (await client.get("/a/app.js")).status_code == 200
