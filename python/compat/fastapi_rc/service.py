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
    """A typed view of the entries of one namespace; made for each request, it costs next to
    nothing.

    Methods never raise for trouble with the cache: it is logged and counted, and what they
    return says that there was nothing. The attributes may be changed at any time.
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
        """Makes a view.

        Args:
            redis: `RedisClient`, or any client with the methods of `redis.asyncio`: on the
                latter it is a plain cache-aside.
            namespace: The third part of keys.
            model: What values are: a pydantic model, any annotation that pydantic
                understands, `bytes`, or `None` for plain JSON.
            default_ttl: How long entries live, in seconds.
            use_jitter: Whether lifetimes are spread by ±10 %, so that not all end at once.
            prefix: The first part of keys.
            version: The second part of keys.
            foreign: Whether entries that plain clients wrote are read, those of fastapi-rc
                among them.
            options: More of `hotshelf.CacheService`: `negative_ttl`, `wait_timeout`,
                `max_value_bytes`, `epoch`, `key_layout`, `strict_plain`.
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
        """The cache behind it, for what fastapi-rc has no name for: many keys at once,
        `write_through`, `invalidate_all`, `stats`.

        Raises:
            RuntimeError: On a client that is not `RedisClient`.
            Exception: If an option is wrong, or nothing can be made of the model.
        """
        cache = self._cache()
        if isinstance(cache, OffCache):
            raise cache.reason
        if isinstance(cache, PlainCache):
            raise RuntimeError("there is no hotshelf behind this client")
        return cache

    async def get(self, identifier: str, params: Params = None) -> T | None:
        """Reads a value; `None` if there is none."""
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
        """Writes a value, and says whether that worked.

        After a write to the source of truth `delete` is right: of two writers the older may
        come last.
        """
        value = cast("T", self._parsed(value))
        return await self._cache().set(identifier, value, ttl or None, params, tags=tags)

    async def delete(self, identifier: str, params: Params = None) -> bool:
        """Removes an entry, and refuses every load of it that is in flight.

        `True` says that this was done, whether there was an entry or not; `False` that the
        server is in trouble, and an entry may still be there.
        """
        return await self._cache().delete(identifier, params)

    async def exists(self, identifier: str, params: Params = None) -> bool:
        """Says whether there is an entry."""
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
        """Reads a value, or computes it: once, over all callers and all processes.

        Args:
            identifier: What names the entry.
            factory: Computes the value; sync or async. `None` is a value, too.
            ttl: How long the entry lives, in seconds; `default_ttl` for `None` and 0.
            params: More of what names the entry; their order doesn't matter.
            tags: Names by which `cachemanager.hotshelf.invalidate_tag` finds the entry.
            negative_ttl: How long it is remembered that there is no value (`None`); 0 for
                not at all. Default: as long as values live.
            reload: Whether to compute it in any case.

        Raises:
            Exception: The factory's own.
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
        """Removes all entries of this namespace that match a glob pattern, and says how many.

        It walks over all keys of the server. What a user has chosen goes in by
        `identifier`, which stands for itself alone:

            await users.invalidate_pattern(identifier=user_id)  # <user_id>:*

        A pattern of wildcards alone, but for `*` itself, is refused: it comes of an
        identifier `*` that somebody has typed, and would match what belongs to others.
        """
        if identifier is not None:
            pattern = f"{escape_pattern(identifier)}:{pattern}"
        if pattern != "*" and _MATCHES_ALL.fullmatch(pattern):
            logger.error("cache: the pattern %r of %s matches all", pattern, self.namespace)
            return 0
        return await self._cache().invalidate_pattern(pattern, anywhere=True)

    async def get_ttl(self, identifier: str, params: Params = None) -> int:
        """Says how many seconds an entry still lives: -1 for ever, -2 if there is none."""
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
            # A handler of fastapi-rc expects its factory to run, whatever the options.
            return OffCache(self.namespace, error)

    def _parsed(self, value: Any) -> Any:
        """Takes the JSON text of a model for the model, as fastapi-rc does."""
        read = getattr(self.model, "model_validate_json", None)
        if read is None or not isinstance(value, str | bytes):
            return value
        try:
            return read(value)
        except ValueError:
            return value
