"""Tests an application with each spelling of `RedisClient`; runs alone on any FastAPI."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import fastapi
import httpx
from fastapi import Depends, FastAPI

from fastapi_rc import CacheServiceDep, RedisClient, cachemanager, get_redis_client

app = FastAPI()


@app.get("/annotated/{name}")
async def annotated(name: str, redis: RedisClient, page: int = 1) -> Any:
    return [name, page, type(redis).__name__]


@app.get("/default/{name}")
async def default(name: str, page: int = 1, redis: RedisClient = Depends()) -> Any:
    return [name, page, type(redis).__name__]


@app.get("/service/{name}")
async def service(name: str, page: int = 1, cache: CacheServiceDep = Depends()) -> Any:
    return [name, page, type(cache).__name__]


class Query:
    def __init__(self, q: str = "none") -> None:
        self.q = q


@app.get("/theirs")
async def theirs(query: Annotated[Query, "a note"] = Depends()) -> Any:
    return query.q


async def answers() -> None:
    cachemanager.init("memory://")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:

        async def ask(path: str) -> Any:
            return (await http.get(path)).json()

        assert await ask("/annotated/a?page=2") == ["a", 2, "Client"]
        assert await ask("/default/a?page=2") == ["a", 2, "Client"]
        assert await ask("/service/a") == ["a", 1, "CacheService"]
        assert await ask("/theirs?q=1") == "1"

        schema = app.openapi()["paths"]
        names = [one["name"] for one in schema["/default/{name}"]["get"]["parameters"]]
        assert names == ["name", "page"]

        app.dependency_overrides[get_redis_client] = lambda: "fake"
        assert await ask("/annotated/a") == ["a", 1, "str"]
        assert await ask("/default/a") == ["a", 1, "str"]
    await cachemanager.close()


def check_rejected_spellings() -> None:
    other = Depends(lambda: 1)
    for spelled in (Depends(), Depends(get_redis_client)):
        annotation = Annotated[int, other] if spelled.dependency is None else RedisClient

        async def endpoint(redis: Any = spelled) -> None: ...

        endpoint.__annotations__["redis"] = annotation
        try:
            FastAPI().get("/")(endpoint)
        except AssertionError:
            continue
        raise RuntimeError(f"{spelled} was not rejected")


def main() -> None:
    asyncio.run(answers())
    check_rejected_spellings()
    print(fastapi.__version__)


if __name__ == "__main__":
    sys.exit(main())
