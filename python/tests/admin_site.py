"""A service with an admin page: python admin_site.py PORT REDIS_URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI

from hotshelf import AdminPage, CacheManager

MARKUP = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


async def load(number: int) -> str:
    await asyncio.sleep(0.002)
    if number % 50 == 49:
        raise LookupError(MARKUP)
    return f"product {number}"


def service(url: str) -> FastAPI:
    cache = CacheManager(url)
    products = cache.service("products", str, prefix="shop", ttl=600)
    prices = cache.service("prices", str, prefix="shop", version="v2", ttl="2s")

    async def traffic() -> None:
        while True:
            for service in (products, prices):
                number = min(int(random.expovariate(0.03)), 199)
                with contextlib.suppress(LookupError):
                    await service.get_or_set(str(number), lambda n=number: load(n), tags=["all"])
            await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await products.set(MARKUP, MARKUP, tags=[MARKUP, "marked"])
        running = asyncio.create_task(traffic())
        yield
        running.cancel()
        await cache.close()

    app = FastAPI(lifespan=lifespan)
    page = AdminPage(cache, insecure_open=True, writes=True, values=True)
    app.mount("/ops/cache", page)
    return app


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    app = service(sys.argv[2])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", timeout_graceful_shutdown=3)
