"""Lua scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hotshelf._errors import NoScriptError
from hotshelf._redis._typing import Word
from hotshelf._redis.words import packed

if TYPE_CHECKING:
    from hotshelf._redis.client import RedisClient
    from hotshelf._redis.pipeline import Pipeline


class Script:
    """A Lua script: call it with `keys` and `args`.

    Costs one round trip, and another one if the server doesn't have the script yet. With a
    pipeline as `client`, it is queued.
    """

    def __init__(self, registered_client: RedisClient[Any], script: str | bytes) -> None:
        self.registered_client = registered_client
        self.script = script
        self.sha = hashlib.sha1(packed(script), usedforsecurity=False).hexdigest()

    async def __call__(
        self,
        keys: Iterable[Word] | None = None,
        args: Iterable[Word] | None = None,
        client: RedisClient[Any] | Pipeline[Any] | None = None,
    ) -> Any:
        """Runs the script, and returns its reply."""
        names = list(keys or ())
        words = (len(names), *names, *(args or ()))
        sender = self.registered_client if client is None else client
        if sender._needs_text_of(self.sha):
            return await sender.execute_command("EVAL", self.script, *words)
        try:
            return await sender.execute_command("EVALSHA", self.sha, *words)
        except NoScriptError:
            return await sender.execute_command("EVAL", self.script, *words)
