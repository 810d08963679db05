"""A lock that processes share."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from hotshelf._errors import LockError, LockNotOwnedError
from hotshelf._redis._typing import Word
from hotshelf._redis.waiting import pause
from hotshelf._redis.words import packed

if TYPE_CHECKING:
    from hotshelf._redis.client import RedisClient

_logger = logging.getLogger("hotshelf")

#: Each returns 0 if the lock has another owner.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
"""
_EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
local left = 0
if ARGV[3] == '0' then
    left = math.max(redis.call('PTTL', KEYS[1]), 0)
end
return redis.call('PEXPIRE', KEYS[1], left + ARGV[2])
"""


class Lock:
    """A lock that processes share: a key with the token of its owner.

        async with redis.lock("import", timeout=60, blocking_timeout=5):
            ...

    With a `timeout`, it is released by the server if its owner is gone. A lock is no proof that
    nobody else writes: an owner that was paused for longer than the timeout has lost it.

    Args:
        redis: The client.
        name: The key.
        timeout: After how many seconds the lock is released; default: never.
        sleep: The pause between two attempts, in seconds.
        blocking: Whether `acquire` waits while another owner has the lock.
        blocking_timeout: For how many seconds `acquire` waits at most; default: no limit.
        thread_local: Whether each thread has its own token.
        raise_on_release_error: Whether leaving `async with` raises an exception if the lock was
            lost meanwhile; otherwise it is logged.
    """

    def __init__(
        self,
        redis: RedisClient[Any],
        name: Word,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        if timeout and sleep > timeout:
            raise LockError("invalid `sleep` of a lock: it must be shorter than its `timeout`")
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = thread_local
        self.raise_on_release_error = raise_on_release_error
        self.local: Any = threading.local() if thread_local else SimpleNamespace()
        self.local.token = None
        self._release = redis.register_script(_RELEASE)
        self._extend = redis.register_script(_EXTEND)

    async def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Acquires the lock. Returns `False` if another owner has it, and had it until the wait
        timed out."""
        own = uuid.uuid4().hex.encode() if token is None else packed(token)
        blocking = self.blocking if blocking is None else blocking
        if blocking_timeout is None:
            blocking_timeout = self.blocking_timeout
        end = None if blocking_timeout is None else time.monotonic() + blocking_timeout
        px = int(self.timeout * 1000) if self.timeout else None
        while not await self.redis.set(self.name, own, nx=True, px=px):
            if not blocking or end is not None and time.monotonic() + self.sleep > end:
                return False
            await pause(self.sleep)
        self.local.token = own
        return True

    async def release(self) -> None:
        """Releases the lock.

        Raises:
            LockError: If it isn't acquired. `LockNotOwnedError` if it was lost: it has timed out.
        """
        token = self._token("release")
        self.local.token = None
        if not await self._release([self.name], [token]):
            raise LockNotOwnedError(self._lost("release"))

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds so many seconds to the remaining time, or replaces it by them.

        Raises:
            LockError: If it isn't acquired, or has no timeout. `LockNotOwnedError` if it was lost.
        """
        return await self._set_time("extend", additional_time, replace_ttl)

    async def reacquire(self) -> bool:
        """Sets the remaining time to `timeout` again.

        Raises:
            LockError: If it isn't acquired, or has no timeout. `LockNotOwnedError` if it was lost.
        """
        return await self._set_time("reacquire", self.timeout or 0, True)

    async def locked(self) -> bool:
        """Returns `True` if any owner has the lock."""
        return bool(await self.redis.exists(self.name))

    async def owned(self) -> bool:
        """Returns `True` if this object has the lock."""
        stored = await self.redis.get(self.name)
        token = self.local.__dict__.get("token")
        return token is not None and stored is not None and packed(stored) == token

    async def _set_time(self, verb: str, seconds: float, replace: bool) -> bool:
        token = self._token(verb)
        if self.timeout is None:
            raise LockError(f"cannot {verb} a lock without a `timeout`")
        args: list[Word] = [token, int(seconds * 1000), int(replace)]
        if not await self._extend([self.name], args):
            raise LockNotOwnedError(self._lost(verb))
        return True

    def _token(self, verb: str) -> bytes:
        token: bytes | None = self.local.__dict__.get("token")
        if token is None:
            raise LockError(f"cannot {verb} a lock that isn't acquired: call `acquire` first")
        return token

    def _lost(self, verb: str) -> str:
        return f"cannot {verb} a lock that was lost: it has timed out, or its key was written"

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise LockError("the lock has another owner: it wasn't released in time")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.release()
        except LockError as lost:
            if self.raise_on_release_error:
                raise
            _logger.warning("lock was not released: %s", lost)
