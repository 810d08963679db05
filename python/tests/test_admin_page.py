"""Tests of the admin page as an application of ASGI."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import hotshelf
from hotshelf import AdminPage, CacheManager, ConfigurationError

POST = {
    "x-hotshelf-admin": "1", "sec-fetch-site": "same-origin", "origin": "http://test",
}  # fmt: skip


def client_of(page: AdminPage, path: str = "/admin") -> httpx.AsyncClient:
    app = FastAPI()
    app.mount(path, page)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


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
        for name in POST:
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
