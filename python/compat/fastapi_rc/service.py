"""A typed view of one namespace."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

from fastapi_rc._engine import Client, View
from fastapi_rc._off import OffCache
from fastapi_rc._plain import PlainCache
from hotshelf import CacheService as Cache
from hotshelf import declare_prefix, escape_pattern

logger = logging.getLogger("fastapi_rc")

#: Patterns without a literal part.
_MATCHES_ALL = re.compile(r"(?:[*?:]|\[[^]]*])+")

T = TypeVar("T")

Factory = Callable[[], Awaitable[T]] | Callable[[], T]
Params = Mapping[str, Any] | None
Lifetime = float | timedelta


class CacheService(Generic[T]):
    """A typed view of the entries of one namespace. It is cheap to create for each request.

    Methods never raise when the cache fails: they return the same as for a miss, or `False`,
    and the failure is logged and counted. The attributes may be changed at any time.
    """

    def __init__(
        self,
        redis: Any,
        namespace: str,
        model: type[T] | None = None,
        default_ttl: Lifetime = 300,
        use_jitter: bool = True,
        prefix: str = "cache",
        version: str = "v1",
        *,
        foreign: bool = True,
        **options: Any,
    ) -> None:
        """Creates a view.

        Args:
            redis: `RedisClient`, or any client with the methods of `redis.asyncio`, with
                which it is a plain cache-aside.
            namespace: The third part of keys.
            model: The type of the values: a pydantic model, any annotation that pydantic
                supports, `bytes`, or `None` for plain JSON.
            default_ttl: The lifetime of entries, in seconds.
            use_jitter: Whether lifetimes vary at random by ±10 %, so that entries stored
                together don't expire together.
            prefix: The first part of keys.
            version: The second part of keys.
            foreign: Whether to accept entries that were not written by hotshelf, including
                those of fastapi-rc.
            options: Further options of `hotshelf.CacheService`: `negative_ttl`,
                `wait_timeout`, `max_value_bytes`, `epoch`, `key_layout`, `strict_plain`.
        """
        self.redis = redis
        self.namespace = namespace
        self.model = model
        self.default_ttl = default_ttl
        self.use_jitter = use_jitter
        self.prefix = prefix
        self.version = version
        self._options = (("foreign", foreign), *options.items())
        declare_prefix(prefix)

    @property
    def hotshelf(self) -> Cache[T]:
        """The underlying `hotshelf.CacheService`, for features that fastapi-rc doesn't have:
        `get_many`, `set_many`, `write_through`, `invalidate_all`, `stats`.

        Raises:
            RuntimeError: With a client that is not `RedisClient`.
            Exception: If an option or the model is invalid.
        """
        cache = self._cache()
        if isinstance(cache, OffCache):
            raise cache.reason
        if isinstance(cache, PlainCache):
            raise RuntimeError("the client was replaced: it is not a client of hotshelf")
        return cache

    async def get(self, identifier: str, params: Params = None) -> T | None:
        """Returns the value of an entry, or `None` on a miss. Costs one round trip."""
        return await self._cache().get(identifier, params)

    async def set(
        self,
        identifier: str,
        value: T | dict[str, Any] | str,
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
    ) -> bool:
        """Inserts a value, and returns whether it was stored. Costs two round trips.

        After a write to the source of truth, use `delete`: of two concurrent writers, the
        older may win.
        """
        value = cast("T", self._parsed(value))
        return await self._cache().set(identifier, value, ttl or None, params, tags=tags)

    async def delete(self, identifier: str, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        Returns `True` if this was done, whether there was an entry or not, and `False` if the
        server failed, so that an entry may remain. Costs one round trip.
        """
        return await self._cache().delete(identifier, params)

    async def exists(self, identifier: str, params: Params = None) -> bool:
        """Returns whether there is a valid entry. Costs one round trip."""
        return await self._cache().exists(identifier, params)

    async def get_or_set(
        self,
        identifier: str,
        factory: Factory[T],
        ttl: Lifetime | None = None,
        params: Params = None,
        *,
        tags: Sequence[str] = (),
        negative_ttl: Lifetime | None = None,
        reload: bool = False,
    ) -> T:
        """Returns the value of an entry, or computes and stores it: once, across all callers
        and all processes. A hit costs one round trip, a miss three.

        Args:
            identifier: The last part of the key.
            factory: Computes the value; sync or async. `None` is a value, too.
            ttl: The lifetime of the entry, in seconds. `None` and 0 mean `default_ttl`.
            params: Parameters that are hashed into the key. Their order doesn't matter.
            tags: The tags of the entry, for `cachemanager.hotshelf.invalidate_tag`.
            negative_ttl: The lifetime of a `None`, in seconds; with 0 it isn't cached.
                Default: the same as for other values.
            reload: Whether to run the factory even if there is an entry.

        Raises:
            Exception: The exception of the factory.
        """
        return await self._cache().get_or_set(
            identifier,
            factory,
            ttl or None,
            params,
            tags=tags,
            negative_ttl=negative_ttl,
            reload=reload,
        )

    async def invalidate_pattern(
        self, pattern: str = "*", *, identifier: str | None = None
    ) -> int:
        """Removes all entries of this namespace that match a glob pattern, and returns their
        number.

        It scans all keys of the server, 1,000 in each round trip. Pass user input as
        `identifier`, which matches only itself:

            await users.invalidate_pattern(identifier=user_id)  # <user_id>:*

        A pattern that consists of wildcards only is refused, except for `*`: it is the result
        of an identifier `*` in user input, and would match the entries of other users.
        """
        if identifier is not None:
            pattern = f"{escape_pattern(identifier)}:{pattern}"
        if pattern != "*" and _MATCHES_ALL.fullmatch(pattern):
            logger.error(
                "cache: refused the pattern %r of %s, which matches all entries: use `*`, or pass"
                " user input as `identifier`", pattern, self.namespace,
            )
            return 0
        return await self._cache().invalidate_pattern(pattern, anywhere=True)

    async def get_ttl(self, identifier: str, params: Params = None) -> int:
        """Returns the remaining lifetime of an entry in seconds: -1 if it never expires, -2 if
        there is no valid entry. Costs one round trip."""
        return await self._cache().get_ttl(identifier, params)

    def _cache(self) -> Cache[T] | PlainCache[T] | OffCache[T]:
        view = View(
            self.namespace,
            self.model,
            self.default_ttl,
            self.use_jitter,
            self.prefix,
            self.version,
            self._options,
        )
        try:
            if isinstance(self.redis, Client):
                return self.redis.cache(view)
            return PlainCache(self.redis, view)
        except Exception as error:
            # Handlers of fastapi-rc rely on their factory to run, even with invalid options.
            return OffCache(self.namespace, error)

    def _parsed(self, value: Any) -> Any:
        """Converts the JSON text of a model to the model, as fastapi-rc does."""
        read = getattr(self.model, "model_validate_json", None)
        if read is None or not isinstance(value, str | bytes):
            return value
        try:
            return read(value)
        except ValueError:
            return value
