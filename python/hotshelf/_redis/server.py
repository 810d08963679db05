"""Servers, scripts and messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import flags, options


class Server(Commands[Text]):
    """Commands on servers."""

    @command
    def ping(self) -> Reply[bool]:
        return self._send("PING")

    @command
    def echo(self, value: Word) -> Reply[Text]:
        return self._send("ECHO", value)

    @command
    def time(self) -> Reply[tuple[int, int]]:
        """Returns the server's time: seconds since 1970, and microseconds."""
        return self._send("TIME")

    @command
    def info(self, section: str | None = None, *args: str) -> Reply[dict[str, Any]]:
        return self._send("INFO", *([section] if section else []), *args)

    @command
    def dbsize(self) -> Reply[int]:
        return self._send("DBSIZE")

    @command
    def flushdb(self, asynchronous: bool = False) -> Reply[bool]:
        return self._send("FLUSHDB", *flags(ASYNC=asynchronous))

    @command
    def flushall(self, asynchronous: bool = False) -> Reply[bool]:
        return self._send("FLUSHALL", *flags(ASYNC=asynchronous))

    @command
    def config_get(self, pattern: Word = "*", *args: Word) -> Reply[dict[str, str]]:
        return self._send("CONFIG GET", pattern, *args)

    @command
    def config_set(self, name: Word, value: Word, *args: Word) -> Reply[bool]:
        return self._send("CONFIG SET", name, value, *args)

    @command
    def config_resetstat(self) -> Reply[bool]:
        return self._send("CONFIG RESETSTAT")

    @command
    def client_id(self) -> Reply[int]:
        """Returns the ID of the connection that the caller's loop uses at the moment."""
        return self._send("CLIENT ID")

    @command
    def client_getname(self) -> Reply[Text | None]:
        return self._send("CLIENT GETNAME")

    @command
    def client_info(self) -> Reply[dict[str, Any]]:
        return self._send("CLIENT INFO")

    @command
    def client_list(
        self, _type: str | None = None, client_id: Sequence[Word] = ()
    ) -> Reply[list[dict[str, Any]]]:
        kinds = ("normal", "master", "replica", "pubsub")
        if _type is not None and _type.lower() not in kinds:
            raise ConfigurationError(f"invalid type {_type!r} of clients: use one of {kinds}")
        words = options(type=_type)
        if client_id:
            words += ["ID", *client_id]
        return self._send("CLIENT LIST", *words)

    # Messages

    @command
    def publish(self, channel: Word, message: Word) -> Reply[int]:
        return self._send("PUBLISH", channel, message)

    @command
    def pubsub_channels(self, pattern: Word = "*") -> Reply[list[Text]]:
        return self._send("PUBSUB CHANNELS", pattern)

    @command
    def pubsub_numsub(self, *args: Word) -> Reply[list[tuple[Text, int]]]:
        return self._send("PUBSUB NUMSUB", *args)

    @command
    def pubsub_numpat(self) -> Reply[int]:
        return self._send("PUBSUB NUMPAT")


class Scripting(Commands[Text]):
    """Commands that run scripts. `register_script` sends each script once."""

    @command
    def eval(self, script: str, numkeys: int, *keys_and_args: Word) -> Reply[Any]:
        return self._send("EVAL", script, numkeys, *keys_and_args)

    @command
    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Word) -> Reply[Any]:
        return self._send("EVALSHA", sha, numkeys, *keys_and_args)

    @command
    def script_load(self, script: str | bytes) -> Reply[str]:
        return self._send("SCRIPT LOAD", script)

    @command
    def script_exists(self, *args: str) -> Reply[list[bool]]:
        return self._send("SCRIPT EXISTS", *args)

    @command
    def script_flush(self, sync_type: str | None = None) -> Reply[bool]:
        if sync_type not in (None, "SYNC", "ASYNC"):
            raise ConfigurationError(f"invalid `sync_type` {sync_type!r}: use 'SYNC' or 'ASYNC'")
        return self._send("SCRIPT FLUSH", *([] if sync_type is None else [sync_type]))

    @command
    def script_kill(self) -> Reply[bool]:
        return self._send("SCRIPT KILL")
