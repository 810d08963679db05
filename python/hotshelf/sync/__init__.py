"""hotshelf without `await`: for `def` endpoints, Celery tasks, scripts and notebooks.

    cache = hotshelf.sync.CacheManager("redis://localhost")
    products = cache.service("products", Product, ttl=900)
    product = products.get_or_set(id, lambda: fetch(id))

Its classes have the names and the methods of those in `hotshelf`, and use the same engine: each
call sends its requests and waits for the replies in the thread of its caller. Threads share their
connections, their loads in flight and the near tier, also with the event loops of the process.
"""

from hotshelf.sync._cached import CachedFunction
from hotshelf.sync._manager import CacheManager
from hotshelf.sync._redis import Lock, Pipeline, PubSub, RedisClient, Script
from hotshelf.sync._service import CacheService

__all__ = [
    "CacheManager",
    "CacheService",
    "CachedFunction",
    "Lock",
    "Pipeline",
    "PubSub",
    "RedisClient",
    "Script",
]
