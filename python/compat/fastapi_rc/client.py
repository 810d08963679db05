"""The connection, and all caches on it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi_rc._engine import Client, DisabledClient
from hotshelf import CacheManager as Manager

logger = logging.getLogger("fastapi_rc")


class CacheManager:
    """The connection to Redis or Valkey, or the process's own memory.

    It connects by itself when something is first asked, and again when the connection is
    lost. In tests `_client` may be set to any client with the methods of `redis.asyncio`,
    say a `fakeredis.FakeAsyncRedis`: services then read and write plain entries through it.
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
        """Sets where the servers are; nothing is sent yet.

        Args:
            redis_url: `redis://…`, `rediss://…`, `unix:///…`, `redis+sentinel://…`,
                `redis+cluster://…`, or `memory://` for this process's own memory. Without
                one the cache is disabled: factories run, and nothing is stored.
            max_connections: Not used: one connection carries everything.
            socket_timeout: How long a command of the raw client may take, in seconds.
                Services wait for 0.1 s for a read, 0.25 s for a write.
            socket_connect_timeout: How long connecting may take, in seconds.
            health_check_interval: Not used: what is in flight tells of the connection.
            decode_responses: Whether the raw client gives text, not bytes.

        Raises:
            hotshelf.ConfigurationError: For a URL that is wrong.
        """
        self._disabled = None
        if redis_url is None:
            logger.warning("Redis URL not provided - cache will be disabled")
            self._client = self._manager = None
            self._disabled = DisabledClient()
            return
        if redis_url.startswith("memory:"):
            _warn_of_workers()
        self._manager = Manager(redis_url, connect_timeout=socket_connect_timeout)
        self._client = Client(self._manager, decode_responses, socket_timeout)

    async def close(self) -> None:
        """Lets all connections go."""
        client, manager = self._client, self._manager
        self._client = self._manager = self._disabled = None
        if client is not None:
            await client.aclose()
        if manager is not None:
            await manager.close()

    async def ping(self) -> bool:
        """Says whether the server answers. Costs one round trip, 0.25 s at most."""
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
        """The servers themselves: any command, any pipeline.

        Disabled, it still serves to make services: their factories run. Its commands raise
        a `RuntimeError` then.

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
        """Begins commands that are sent together, by `execute`.

        Raises:
            RuntimeError: Without a client.
        """
        if self._client is None:
            raise RuntimeError("CacheManager is not initialized")
        async with self._client.pipeline(transaction=transaction) as pipe:
            yield pipe

    @property
    def hotshelf(self) -> Manager:
        """The manager behind it, for what fastapi-rc has no name for: tags, health.

        Raises:
            RuntimeError: Without one, and where `_client` was set to something else.
        """
        if not isinstance(self.client, Client):
            raise RuntimeError("the client was replaced: there is no hotshelf behind it")
        return self.client.manager


def _warn_of_workers() -> None:
    """Says what is lost where several processes serve."""
    workers = os.environ.get("WEB_CONCURRENCY", "1")
    if multiprocessing.parent_process() is not None or workers not in ("", "0", "1"):
        logger.warning(
            "memory:// belongs to one process: with several workers each has a cache of its"
            " own, and an invalidation reaches one of them"
        )


cachemanager = CacheManager()
