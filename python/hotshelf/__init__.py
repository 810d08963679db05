"""A typed cache for FastAPI and asyncio.

A cold value is computed once across all processes, and an invalidated value is never served
again. The engine and the Redis/Valkey client are written in Rust and run on the event loop
itself, without a thread of their own. `hotshelf.sync` is the same without `await`.

    cache = hotshelf.CacheManager("redis://localhost")
    app = FastAPI(lifespan=cache.lifespan)
    products = cache.service("products", Product, ttl=900)
    Products = Annotated[CacheService[Product], Depends(products)]

    @app.get("/products/{id}")
    async def get_product(id: str, products: Products) -> Product:
        return await products.get_or_set(id, lambda: fetch(id))
"""

from hotshelf import sync
from hotshelf._admin import AdminPage
from hotshelf._cached import CachedFunction
from hotshelf._codec import Codec
from hotshelf._codecs import ValueCodec
from hotshelf._context import LoadContext
from hotshelf._diagnosis import EntryInfo, Explanation, Outcome, TagInfo, Trace
from hotshelf._errors import (
    AuthenticationError,
    CacheError,
    ClosedError,
    ConfigurationError,
    DecodeError,
    EncodeError,
    KeyError,
    LoadBackoffError,
    LoadTimeoutError,
    LockError,
    LockNotOwnedError,
    NoScriptError,
    OutOfMemoryError,
    PermissionError,
    ServerError,
    TimeoutError,
    UnavailableError,
    WatchError,
    WrongTypeError,
)
from hotshelf._hotshelf import __version__, declare_prefix
from hotshelf._keys import (
    build_cache_key,
    canonical_params,
    escape_pattern,
    get_ttl_with_jitter,
)
from hotshelf._manager import CacheManager, Health
from hotshelf._near import Near
from hotshelf._options import (
    CachedOptions,
    CacheManagerOptions,
    CacheServiceOptions,
    LoadOptions,
)
from hotshelf._redis import Lock, Pipeline, PubSub, RedisClient, Script
from hotshelf._request_scoped import RequestScopedWarning
from hotshelf._service import CacheService
from hotshelf._stats import Stats
from hotshelf._tls import Tls
from hotshelf._warming import Warmed

__all__ = [
    "AdminPage",
    "AuthenticationError",
    "CacheError",
    "CacheManager",
    "CacheManagerOptions",
    "CacheService",
    "CacheServiceOptions",
    "CachedFunction",
    "CachedOptions",
    "ClosedError",
    "Codec",
    "ConfigurationError",
    "DecodeError",
    "EncodeError",
    "EntryInfo",
    "Explanation",
    "Health",
    "KeyError",
    "LoadBackoffError",
    "LoadContext",
    "LoadOptions",
    "LoadTimeoutError",
    "Lock",
    "LockError",
    "LockNotOwnedError",
    "Near",
    "NoScriptError",
    "OutOfMemoryError",
    "Outcome",
    "PermissionError",
    "Pipeline",
    "PubSub",
    "RedisClient",
    "RequestScopedWarning",
    "Script",
    "ServerError",
    "Stats",
    "TagInfo",
    "TimeoutError",
    "Tls",
    "Trace",
    "UnavailableError",
    "ValueCodec",
    "Warmed",
    "WatchError",
    "WrongTypeError",
    "__version__",
    "build_cache_key",
    "canonical_params",
    "declare_prefix",
    "escape_pattern",
    "get_ttl_with_jitter",
    "sync",
]
