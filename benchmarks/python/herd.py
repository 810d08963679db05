"""Concurrent callers of one cold key: `herd.py LIBRARY PORT CALLERS START`.

Several processes run this at the same time, the Unix time `START`. Prints how often the
factory was called.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from products import Product, product
from subjects import NAMESPACE, TTL


def service(library: str, port: int) -> Any:
    """Returns a service of the library with its defaults."""
    url = f"redis://127.0.0.1:{port}"
    if library == "hotshelf":
        import hotshelf

        return hotshelf.CacheService(hotshelf.CacheManager(url), NAMESPACE, Product, ttl=TTL)
    from fastapi_rc import CacheManager, CacheService

    manager = CacheManager()
    manager.init(url)
    return CacheService(manager.client, NAMESPACE, Product, TTL)


async def main() -> None:
    library, port, callers, start = sys.argv[1:]
    # fastapi-rc logs an error for every caller without a connection.
    logging.disable(logging.CRITICAL)
    cache, made, count = service(library, int(port)), product(200), 0
    await cache.get("warm-up")

    async def factory() -> Product:
        nonlocal count
        count += 1
        await asyncio.sleep(0.1)
        return made

    await asyncio.sleep(max(0.0, float(start) - time.time()))
    found = await asyncio.gather(
        *(cache.get_or_set("cold", factory) for _ in range(int(callers)))
    )
    assert all(product == made for product in found)
    print(json.dumps({"factory calls": count}))


if __name__ == "__main__":
    asyncio.run(main())
