"""The engine and the wire, in Rust.

Methods that talk to a backend give what they give at once if it is there, or else a
`Pending`.
"""

from asyncio import Future
from collections.abc import Sequence
from types import TracebackType
from typing import Any, final

__all__ = [
    "AuthenticationError",
    "Cache",
    "CacheError",
    "Client",
    "ClosedError",
    "ConfigurationError",
    "Driver",
    "EncodeError",
    "Failed",
    "Given",
    "KeyError",
    "Pending",
    "ServerError",
    "Store",
    "Ticket",
    "TimeoutError",
    "UnavailableError",
    "Walk",
    "Write",
    "__version__",
    "after_fork",
]

__version__: str

class CacheError(Exception): ...
class ConfigurationError(CacheError): ...
class KeyError(CacheError): ...
class EncodeError(CacheError): ...
class UnavailableError(CacheError): ...
class TimeoutError(UnavailableError): ...
class AuthenticationError(CacheError): ...
class ServerError(CacheError): ...
class ClosedError(CacheError): ...

@final
class Pending:
    @property
    def future(self) -> Future[Any]: ...
    def abandon(self) -> None: ...

@final
class Driver:
    def on_ready(self) -> None: ...
    def on_asked(self) -> None: ...

@final
class Store:
    def __new__(
        cls,
        url: str,
        *,
        connect_timeout: float = 0.25,
        read_timeout: float = 0.1,
        store_timeout: float = 0.25,
        client_name: str | None = None,
        memory_capacity: int = ...,
        enabled: bool = True,
    ) -> Store: ...
    @property
    def backend(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    def set_enabled(self, enabled: bool) -> None: ...
    def ping(self) -> Pending | None: ...
    def info(self) -> Pending | dict[str, Any]: ...
    def invalidate_tags(self, prefixes: list[str], names: list[str]) -> Pending | None: ...
    def stats(self) -> dict[str, dict[str, int]]: ...
    def close(self) -> Pending | None: ...

@final
class Cache:
    def __new__(
        cls,
        store: Store,
        name: str,
        *,
        prefix: str,
        version: str | None,
        kind: str,
        ttl: float,
        jitter: float,
        foreign: bool,
        strict_plain: bool,
        epoch: bool,
        layout: int,
        wait_timeout: float,
        backend_budget: float,
        max_value_bytes: int,
    ) -> Cache: ...
    def key(self, identifier: str, params: str | None = None) -> str: ...
    def read(self, identifier: str, params: str | None = None) -> Pending | bytes | bool | None: ...
    def read_many(
        self, keys: Sequence[tuple[str, str | None]]
    ) -> Pending | list[bytes | bool | None]: ...
    def load(
        self,
        identifier: str,
        params: str | None = None,
        *,
        tags: list[str] = ...,
        ttl: float | None = None,
        reload: bool = False,
    ) -> Pending | bytes | bool | Ticket | Failed | Given | None: ...
    def insert(
        self,
        entries: Sequence[tuple[str, str | None, bytes]],
        *,
        ttl: float | None = None,
        tags: list[str] = ...,
    ) -> Pending | None: ...
    def claim(
        self,
        keys: Sequence[tuple[str, str | None]],
        *,
        ttl: float | None = None,
        tags: list[str] = ...,
    ) -> Pending | Write: ...
    def invalidate(self, keys: Sequence[tuple[str, str | None]]) -> Pending | int: ...
    def invalidate_pattern(self, pattern: str, anywhere: bool = False) -> Pending | int: ...
    def invalidate_all(self) -> Pending | int: ...
    def remaining(self, identifier: str, params: str | None = None) -> Pending | int: ...
    def stats(self) -> dict[str, int]: ...
    def count_foreign(self) -> None: ...
    def count_unstorable(self) -> None: ...

@final
class Ticket:
    @property
    def can_store(self) -> bool: ...
    def fill(self, value: bytes | None, ttl: float | None = None) -> Pending | bool: ...
    def share(self, value: Any) -> Pending | None: ...
    def fail(self, exception: BaseException) -> None: ...
    def abandon(self) -> None: ...

@final
class Failed:
    @property
    def exception(self) -> BaseException: ...
    @property
    def traceback(self) -> TracebackType | None: ...

@final
class Given:
    @property
    def value(self) -> Any: ...

@final
class Write:
    def settle(self, values: Sequence[bytes | None]) -> Pending | bool: ...
    def abandon(self) -> None: ...

@final
class Client:
    def __new__(cls, store: Store, timeout: float | None = None) -> Client: ...
    def command(self, command: list[bytes]) -> Pending | Any: ...
    def pipeline(self, commands: list[list[bytes]], transaction: bool) -> Pending | list[Any]: ...
    def scan(self, pattern: bytes) -> Walk: ...

@final
class Walk:
    def step(self) -> Pending | list[bytes] | None: ...

def after_fork() -> None: ...
