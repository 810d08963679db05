"""The engine and the Redis client, in Rust.

A method that uses the backend returns its result if it completes immediately, or else a
`Pending`.
"""

from asyncio import Future
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, final

from hotshelf._tls import Tls

__all__ = [
    "Admin",
    "Cache",
    "Client",
    "Collected",
    "Driver",
    "Encoded",
    "Failed",
    "InheritedTags",
    "KeyScan",
    "Limit",
    "ManyLoad",
    "Missing",
    "Optimistic",
    "Pending",
    "PubSub",
    "Refresh",
    "Store",
    "TestBackend",
    "Ticket",
    "Unencoded",
    "WriteGuard",
    "__version__",
    "after_fork",
    "after_fork_in_parent",
    "before_fork",
    "declare_prefix",
    "defaults",
    "is_blocking",
    "mode_after_undecodable",
    "set_blocking",
]

__version__: str

#: The text of parameters, or the exception that was raised instead.
_Params = str | Exception | None
_Key = tuple[Any, _Params]

@final
class Pending:
    @property
    def future(self) -> Future[Any]: ...
    def abandon(self) -> None: ...

@final
class Driver:
    def on_ready(self) -> None: ...
    def on_scheduled(self) -> None: ...

@final
class Store:
    def __new__(
        cls,
        url: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        store_timeout: float,
        client_name: str | None,
        user: str | None,
        password: str | None,
        db: int | None,
        protocol: int | None,
        tls: Tls | None,
        sentinel_tls: Tls | Literal[False] | None,
        memory_capacity: int,
        near: tuple[int, float, float, list[str], bool] | None,
        enabled: bool,
    ) -> Store: ...
    @staticmethod
    def for_tests(backend: TestBackend) -> Store: ...
    @property
    def backend(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    def set_enabled(self, enabled: bool) -> None: ...
    def ping(self) -> Pending | None: ...
    def info(self) -> Pending | dict[str, Any]: ...
    def invalidate_tags(self, prefixes: list[str], tags: Iterable[Any]) -> Pending | None: ...
    def consistency_token(self) -> str: ...
    def near(self) -> dict[str, float] | None: ...
    def stats(self) -> dict[str, dict[str, int]]: ...
    def close(self) -> Pending | None: ...
    def metrics(self) -> list[tuple[str, str, str, list[tuple[dict[str, str], Any]]]]: ...
    def metrics_text(self) -> str: ...
    def events(self, since: int) -> list[dict[str, Any]]: ...
    def reopen(self) -> None: ...

@final
class Admin:
    def __new__(cls, store: Store, writes: bool, values: bool) -> Admin: ...
    def sample(self) -> None: ...
    def respond(
        self, asked: Any
    ) -> Pending | tuple[int, list[tuple[bytes, bytes]], bytes]: ...

@final
class TestBackend:
    def __new__(cls) -> TestBackend: ...
    def advance(self, seconds: float) -> None: ...
    def fail(self, groups: list[str], error: str, executed: bool) -> None: ...

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
        format: str,
        keeps_objects: bool,
        ttl: float,
        jitter: float,
        negative_ttl: float | None,
        foreign: bool,
        strict_plain: bool,
        epoch: bool,
        key_layout: str,
        wait_timeout: float,
        backend_budget: float,
        max_waiters: int,
        max_value_bytes: int,
        near: bool,
        stale_while_revalidate: float,
        stale_if_error: float,
        error_throttle: float,
        early_refresh: float,
        soft_timeout: float | None,
        hard_timeout: float | None,
        error_backoff: float,
        hold: float,
        plain_readers: bool,
    ) -> Cache: ...
    def decoded_by(self, codec: int) -> Cache: ...
    def key(self, identifier: Any, params: str | None = None) -> str: ...
    def read(
        self,
        identifier: Any,
        params: _Params = None,
        after: str | None = None,
        trace: Collected | None = None,
        tags_into: InheritedTags | None = None,
    ) -> Any: ...
    def peek(self, identifier: Any) -> Any: ...
    def read_many(self, keys: Sequence[_Key]) -> Pending | list[Any]: ...
    def load(
        self,
        identifier: Any,
        params: _Params = None,
        tags: Iterable[Any] | None = None,
        ttl: Any = None,
        negative_ttl: Any = None,
        mode: str = "use",
        nested: bool = False,
        after: str | None = None,
        encoded: bool = False,
        background: bool = False,
        trace: Collected | None = None,
        tags_into: InheritedTags | None = None,
    ) -> Any: ...
    def load_many(
        self,
        keys: Sequence[_Key],
        own: Sequence[int],
        *,
        tags: Iterable[Any] | None = None,
        ttl: Any = None,
        negative_ttl: Any = None,
        mode: str = "use",
        nested: bool = False,
        after: str | None = None,
    ) -> Pending | ManyLoad: ...
    def insert(
        self,
        values: Sequence[tuple[_Key, bytes | None, str | None]],
        *,
        ttl: Any = None,
        tags: Iterable[Any] | None = None,
    ) -> Pending | bool: ...
    def write_guard(
        self,
        keys: Sequence[_Key],
        *,
        ttl: Any = None,
        tags: Iterable[Any] | None = None,
    ) -> Pending | WriteGuard: ...
    def explain(
        self, identifier: Any, params: _Params = None, tags: Iterable[Any] | None = None
    ) -> Pending | tuple[dict[str, Any], str]: ...
    def invalidate(self, keys: Sequence[_Key]) -> Pending | int: ...
    def expire(self, identifier: Any, params: _Params = None) -> Pending | bool: ...
    def invalidate_pattern(self, pattern: str, anywhere: bool = False) -> Pending | int: ...
    def invalidate_all(self) -> Pending | int: ...
    def remaining(self, identifier: Any, params: _Params = None) -> Pending | int: ...
    def stats(self) -> dict[str, int]: ...
    def undecodable(self, reason: str) -> None: ...

@final
class Ticket:
    @property
    def can_store(self) -> bool: ...
    @property
    def previous(self) -> Any: ...
    def limit(self) -> Limit | None: ...
    def time_limit(self) -> Pending | None: ...
    def inherited_tags(self) -> InheritedTags | None: ...
    def decide(
        self,
        *,
        ttl: Any = None,
        tags: Iterable[Any] | None = None,
        inherited: InheritedTags | None = None,
        skip_store: bool = False,
        rejects_stale: bool = False,
    ) -> None: ...
    def complete(
        self,
        value: Any,
        raw: bytes | None,
        reason: str | None = None,
        unchanged: bool = False,
    ) -> Pending | bool: ...
    def fail(self, exception: BaseException) -> Any: ...
    def abandon(self) -> None: ...

@final
class Limit:
    def wait(self) -> Any: ...
    def end(self) -> None: ...

@final
class Refresh:
    @property
    def value(self) -> Any: ...
    def begin(self) -> Pending | Ticket | None: ...
    def abandon(self) -> None: ...

@final
class ManyLoad:
    @property
    def positions(self) -> list[int] | None: ...
    @property
    def has_stale_values(self) -> bool: ...
    def time_limit(self) -> Pending | None: ...
    def complete(
        self, values: Sequence[tuple[Any, bytes | None, str | None]]
    ) -> Pending | ManyLoad: ...
    def fail(self, exception: BaseException, rejects_stale: bool) -> Pending | ManyLoad | None: ...
    def outcomes(self) -> list[Any] | Failed: ...
    def abandon(self) -> None: ...

@final
class Collected:
    def __new__(cls) -> Collected: ...
    def outcome(self) -> tuple[dict[str, Any], str]: ...
    def undecodable(self) -> None: ...

@final
class InheritedTags: ...

@final
class Failed:
    @property
    def exception(self) -> BaseException: ...
    @property
    def traceback(self) -> TracebackType | None: ...

@final
class Unencoded:
    @property
    def value(self) -> Any: ...

@final
class Encoded:
    @property
    def raw(self) -> bytes: ...
    def keep(self, object: Any) -> None: ...

@final
class Missing: ...

@final
class WriteGuard:
    def finish(
        self, values: Sequence[tuple[bytes | None, str | None] | None]
    ) -> Pending | bool: ...
    def abandon(self) -> None: ...

@final
class Client:
    def __new__(cls, store: Store, timeout: float | None = None) -> Client: ...
    def command(self, command: list[bytes]) -> Pending | Any: ...
    def pipeline(self, commands: list[list[bytes]], transaction: bool) -> Pending | list[Any]: ...
    def blocking(self, command: list[bytes], seconds: float | None) -> Pending | Any: ...
    def pub_sub(self) -> PubSub: ...
    def optimistic(self) -> Optimistic: ...
    def is_cluster(self) -> bool: ...
    def scan(self, pattern: bytes, kind: bytes | None = None) -> KeyScan: ...

@final
class KeyScan:
    def step(self) -> Pending | list[bytes] | None: ...

@final
class Optimistic:
    def watch(self, keys: list[bytes]) -> Pending | None: ...
    def command(self, command: list[bytes]) -> Pending | Any: ...
    def execute(self, commands: list[list[bytes]]) -> Pending | list[Any] | None: ...
    def unwatch(self) -> Pending | None: ...

@final
class PubSub:
    def subscribe(self, names: list[bytes], patterns: bool) -> Pending | None: ...
    def unsubscribe(self, names: list[bytes] | None, patterns: bool) -> Pending | None: ...
    def next(
        self, timeout: float | None
    ) -> Pending | tuple[str, bytes | None, bytes, bytes | int] | None: ...
    def close(self) -> Pending | None: ...

def declare_prefix(prefix: object) -> None: ...
def mode_after_undecodable(name: str) -> str: ...
def before_fork() -> None: ...
def after_fork_in_parent() -> None: ...
def after_fork() -> None: ...
def is_blocking() -> bool: ...
def set_blocking(blocking: bool) -> bool: ...
def defaults() -> dict[str, Any]: ...
