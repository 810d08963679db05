"""Typical use, for type checkers. It is never run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from fastapi_rc import CacheService, CacheServiceDep, RedisClient, cachemanager


class User(BaseModel):
    id: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    cachemanager.init("redis://localhost:6379/0", max_connections=50)
    yield
    await cachemanager.close()


app = FastAPI(lifespan=lifespan)


async def user_cache(redis: RedisClient) -> CacheService[User]:
    return CacheService(redis, namespace="users", model=User, default_ttl=600)


UserCache = Annotated[CacheService[User], Depends(user_cache)]


async def fetch(user_id: str) -> User:
    return User(id=user_id)


@app.get("/users/{user_id}")
async def get_user(user_id: str, users: UserCache) -> User:
    user: User = await users.get_or_set(user_id, lambda: fetch(user_id), tags=["users"])
    return user


@app.get("/everybody")
async def get_users(redis: RedisClient = Depends()) -> list[User]:
    pages: CacheService[list[User]] = CacheService(redis, "users", list[User])
    return await pages.get_or_set("all", lambda: [User(id="1")], ttl=0.5)


@app.delete("/users/{user_id}")
async def delete_user(user_id: str, users: UserCache, redis: RedisClient) -> int:
    await users.delete(user_id)
    async for key in redis.scan_iter("users:*"):
        await redis.delete(key)
    return await users.invalidate_pattern(identifier=user_id)


@app.get("/plain/{name}")
async def plain(name: str, cache: CacheServiceDep) -> Any:
    return await cache.get(name)
