"""The connection to the backend."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi_rc._engine import Client, DisabledClient
from hotshelf import CacheManager as Manager

logger = logging.getLogger("fastapi_rc")


class CacheManager:
    """A connection to Redis or Valkey, or an in-memory backend.

    It connects on first use, and reconnects in the background. In tests, `_client` may be set
    to any client with the methods of `redis.asyncio`, such as `fakeredis.FakeAsyncRedis`:
    services then read and write plain entries with it.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._disabled: DisabledClient | None = None
        self._manager: Manager | None = None

    def init(
        self,
        redis_url: str | None = None,
        max_connections: int = 50,
        socket_timeout: float = 5.0,
        socket_connect_timeout: float = 2.0,
        health_check_interval: int = 30,
        decode_responses: bool = True,
    ) -> None:
        """Sets the URL of the servers. It doesn't connect yet.

        Args:
            redis_url: `redis://…`, `rediss://…`, `unix:///…`, `redis+sentinel://…`,
                `redis+cluster://…`, or `memory://` for the memory of this process. Without
                one the cache is disabled: factories run, and nothing is stored.
            max_connections: Ignored: each event loop has one connection to each server.
            socket_timeout: The timeout of a command of the raw client, in seconds. Services
                have their own timeouts: 0.1 s for a read, 0.25 s for a write.
            socket_connect_timeout: The timeout of connecting, in seconds.
            health_check_interval: Ignored: broken connections are detected by the requests
                in flight and by TCP keepalive.
            decode_responses: Whether the raw client returns `str` instead of `bytes`.

        Raises:
            hotshelf.ConfigurationError: For an invalid URL.
        """
        self._disabled = None
        if redis_url is None:
            logger.warning("Redis URL not provided - cache will be disabled")
            self._client = self._manager = None
            self._disabled = DisabledClient()
            return
        self._manager = Manager(redis_url, connect_timeout=socket_connect_timeout)
        self._client = Client(self._manager, decode_responses, socket_timeout)

    async def close(self) -> None:
        """Closes all connections."""
        client, manager = self._client, self._manager
        self._client = self._manager = self._disabled = None
        if client is not None:
            await client.aclose()
        if manager is not None:
            await manager.close()

    async def ping(self) -> bool:
        """Returns whether the server answers; `False` without a client. Costs one round trip,
        0.25 s at most."""
        client = self._client
        if client is None:
            return False
        if isinstance(client, Client):
            return await client.manager.ping()
        try:
            return bool(await client.ping())
        except Exception as error:
            logger.warning("Redis ping failed: %s", error)
            return False

    @property
    def client(self) -> Any:
        """The client for commands and pipelines on the servers.

        If the cache is disabled (`init(None)`), services can still be created with it, and
        run their factories; its own commands raise a `RuntimeError`.

        Raises:
            RuntimeError: Before `init`, and after `close`.
        """
        client = self._disabled if self._client is None else self._client
        if client is None:
            raise RuntimeError("CacheManager is not initialized")
        return client

    @property
    def is_available(self) -> bool:
        """Whether there is a client: after `init` with a URL, before `close`."""
        return self._client is not None

    @contextlib.asynccontextmanager
    async def pipeline(self, transaction: bool = True) -> AsyncIterator[Any]:
        """Yields a pipeline, whose commands are sent together by `execute`, by default as a
        transaction.

        Raises:
            RuntimeError: Before `init`, after `close`, and if the cache is disabled.
        """
        if self._client is None:
            raise RuntimeError("CacheManager is not initialized")
        async with self._client.pipeline(transaction=transaction) as pipe:
            yield pipe

    @property
    def hotshelf(self) -> Manager:
        """The underlying `hotshelf.CacheManager`, for features that fastapi-rc doesn't have,
        such as tags and health.

        Raises:
            RuntimeError: Before `init`, after `close`, and if `_client` was replaced.
        """
        if not isinstance(self.client, Client):
            raise RuntimeError("the client was replaced: it is not a client of hotshelf")
        return self.client.manager


cachemanager = CacheManager()
