"""The public names that `typed_use.py` doesn't use, for type checkers. It is never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import Unpack, assert_type

import hotshelf
from hotshelf import (
    AdminPage,
    CachedFunction,
    CachedOptions,
    CacheManager,
    CacheManagerOptions,
    CacheService,
    Codec,
    EntryInfo,
    Explanation,
    Health,
    Lock,
    Near,
    Outcome,
    Pipeline,
    PubSub,
    RedisClient,
    Script,
    Stats,
    TagInfo,
    Tls,
    Trace,
    sync,
)
from hotshelf.sqlalchemy import invalidate_after_commit, invalidate_changes
from hotshelf.testing import Clock, Failures, TestStore, in_memory


class Product(BaseModel):
    id: int


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)


def connect(url: str, **options: Unpack[CacheManagerOptions]) -> CacheManager:
    manager = CacheManager(url, **options)
    sync.CacheManager(url, **options).close()
    return manager


tls = Tls(Path("ca.pem"), client_certificate=(Path("a.pem"), Path("a.key")), server_name="cache")
assert_type((tls.server_name, tls.root_certificates is None), tuple[str | None, bool])
assert_type(tls.danger_accept_invalid_certificates, bool)
near = Near(max_bytes=1 << 20, max_staleness=1.5, ttl=30, broadcast=["app"], without_reports=False)
manager = connect("rediss://localhost", tls=tls, near=near, db=1, enabled=False)
products = manager.service("products", Product)
blocking = products.sync


async def managers() -> None:
    async with manager.lifespan():
        assert_type(await manager.ping(), bool)
    assert_type(manager.is_open, bool)
    health = await manager.health()
    assert_type(health, Health)
    assert_type(health["caches"], dict[str, Stats])
    assert_type(await manager.invalidate_tag("a", prefixes=["app"]), bool)
    assert_type(manager.consistency_token(), str)
    manager.set_enabled(True)
    assert_type(manager.store.backend, str)
    assert_type(await manager.close(), bool)


async def services(request: Request) -> Response | None:
    assert_type((products.namespace, products.prefix, products.version), tuple[str, str, str])
    assert_type(products.jitter, bool | float)
    assert_type(products.model, Any)
    assert_type(await products.set_many({1: Product(id=1)}, 60, tags=["a"]), bool)
    assert_type(await products.delete_many([1, "2"]), bool)
    assert_type(await products.exists(1), bool)
    assert_type(await products.get_ttl(1), int)
    assert_type(await products.invalidate_pattern("a*", anywhere=True), int)
    assert_type(await products.invalidate_all(), bool)
    assert_type(products.stats(), Stats)
    assert_type(products.stats()["hits"], int)
    assert_type(await products(), CacheService[Product])
    return await products.response(1, lambda: Product(id=1), request=request)


async def diagnosis(trace: Trace, explanation: Explanation) -> None:
    outcome: Outcome = trace.outcome
    assert_type(outcome.source == "server", bool)
    assert_type(outcome.reason == "expired", bool)
    assert_type(outcome.age, float | None)
    assert_type((outcome.loaded, outcome.is_stale, outcome.in_background), tuple[bool, bool, bool])
    assert_type((outcome.waited, outcome.load_time), tuple[float, float | None])
    assert_type(outcome.as_dict(), dict[str, Any])
    assert_type(explanation.as_dict(), dict[str, Any])
    entry = explanation.entry
    assert_type(entry, EntryInfo | None)
    tags: list[TagInfo] = list(explanation.tags)
    print(tags)


def functions(manager: CacheManager, **options: Unpack[CachedOptions]) -> None:
    @manager.cached(ttl="15m", **options)
    async def slow(id: int) -> Product:
        return Product(id=id)

    @manager.sync.cached(ttl=timedelta(minutes=5))
    def slower(id: int) -> Product:
        return Product(id=id)

    found: CachedFunction[[int], Product] = slow
    assert_type(found.cache_info(), Stats)
    assert_type(found.service, CacheService[Any])
    other: sync.CachedFunction[[int], Product] = slower
    assert_type(other.cache_info(), Stats)
    assert_type(other.service, sync.CacheService[Any])


def without_await() -> None:
    with sync.CacheManager("memory://") as cache:
        assert_type(cache.ping(), bool)
        assert_type(cache.health(), Health)
        assert_type(cache.invalidate_tag("a"), bool)
        assert_type(cache.consistency_token(), str)
        cache.set_enabled(False)
    assert_type(blocking.set_many({1: Product(id=1)}), bool)
    assert_type(blocking.delete_many([1]), bool)
    assert_type(blocking.exists(1), bool)
    assert_type(blocking.get_ttl(1), int)
    assert_type(blocking.invalidate_pattern(), int)
    assert_type(blocking.invalidate_all(), bool)
    assert_type(blocking.expire(1), bool)
    assert_type(blocking.stats(), Stats)
    assert_type(blocking.response(1, lambda: Product(id=1)), Response | None)


async def transactions(session: Session, asynchronous: AsyncSession) -> None:
    invalidate_changes(Row, products, key=lambda row: row.id, bulk_tags=["rows"])
    invalidate_after_commit(session, products, 1, "2", params={"page": 1})
    invalidate_after_commit(asynchronous, manager, "a", "b")
    invalidate_after_commit(asynchronous, blocking, 1)
    invalidate_after_commit(session, functions, 1)  # type: ignore[call-overload]
    invalidate_after_commit(session, products, tag="a")  # type: ignore[call-overload]


def testing(store: TestStore, clock: Clock, failures: Failures) -> None:
    clock.advance("15m")
    failures.start("reads", "stores", error=hotshelf.TimeoutError)
    failures.start("writes")  # type: ignore[arg-type]
    failures.stop()
    with failures.during(executed=True), in_memory(manager) as used:
        assert_type(used, TestStore)
    assert_type(store.manager(), CacheManager)
    assert_type((store.clock, store.failures), tuple[Clock, Failures])


async def locks(client: RedisClient, lock: Lock, other: sync.Lock) -> None:
    assert_type(client.lock("a", timeout=5), Lock)
    assert_type(await lock.acquire(blocking_timeout=1), bool)
    assert_type((await lock.locked(), await lock.owned()), tuple[bool, bool])
    assert_type((await lock.extend(5), await lock.reacquire()), tuple[bool, bool])
    await lock.release()
    assert_type((other.acquire(), other.locked(), other.owned()), tuple[bool, bool, bool])
    assert_type((other.extend(5), other.reacquire()), tuple[bool, bool])
    other.release()
    print(lock.blocking, lock.blocking_timeout, lock.local, lock.name, other.name, lock.redis)
    print(lock.sleep, lock.thread_local, lock.timeout, lock.raise_on_release_error)


async def subscriptions(messages: PubSub, other: sync.PubSub) -> None:
    await messages.subscribe("a", b=print)
    await messages.psubscribe("a*")
    await messages.unsubscribe()
    await messages.punsubscribe()
    message = await messages.get_message(timeout=None)
    assert_type(message, dict[str, Any] | None)
    async for each in messages.listen():
        assert_type(each, dict[str, Any])
    await messages.run()
    await messages.reset()
    await messages.aclose()
    for each in other.listen():
        assert_type(each, dict[str, Any])
    print(messages.channels, messages.patterns, messages.subscribed)
    print(messages.ignore_subscribe_messages)


async def scripts(script: Script, other: sync.Script) -> None:
    print(await script(["a"], [1]), other(["a"], [1]), script.registered_client)
    assert_type(script.sha, str)
    assert_type(script.script, str | bytes)


async def commands(client: RedisClient) -> None:
    async with client.pipeline() as pipeline:
        assert_type(pipeline, Pipeline)
        assert_type(await pipeline.execute(), list[Any])


def blocking_commands(client: sync.RedisClient[str]) -> None:
    assert_type(client.get("a"), str | None)
    assert_type(client.incr("a"), int)
    with client.pipeline() as pipeline:
        assert_type(pipeline, sync.Pipeline[str])
        assert_type(pipeline.get("a"), sync.Pipeline[str])
        assert_type(pipeline.execute(), list[Any])
    with client.lock("a") as lock, client.pubsub() as messages:
        assert_type(lock, sync.Lock)
        assert_type(messages, sync.PubSub)
    assert_type(client.register_script("return 1"), sync.Script)
    assert_type(client.asynchronous, RedisClient[str])
    assert_type(sync.CacheManager("redis://a").redis, sync.RedisClient[str])


def operations(scope: dict[str, Any]) -> None:
    page = AdminPage(manager.sync, auth=lambda scope: "ann", writes=True, values=False)
    AdminPage(manager, auth="ann")  # type: ignore[arg-type]
    print(page)
    assert_type(manager.metrics_text(), str)
    assert_type(manager.events(since=5), list[dict[str, Any]])


def codecs(codec: Codec[Product]) -> None:
    assert_type(codec.format, str)
    assert_type(codec.media_type, str)
    print(codec.keeps_objects, codec.null, codec.number, codec.prepare(Product(id=1)))


def keys(params: Mapping[str, Any]) -> None:
    assert_type(hotshelf.__version__, str)
    assert_type(hotshelf.build_cache_key("products", "1", params), str)
    assert_type(hotshelf.canonical_params(params), str | None)
    assert_type(hotshelf.escape_pattern("a*"), str)
    assert_type(hotshelf.get_ttl_with_jitter(60), int)
    hotshelf.declare_prefix("app")


def errors(error: hotshelf.CacheError) -> str:
    match error:
        case hotshelf.LoadBackoffError():
            return str(error.retry_after)
        case hotshelf.AuthenticationError() | hotshelf.PermissionError():
            return "credentials"
        case hotshelf.TimeoutError() | hotshelf.UnavailableError() | hotshelf.ClosedError():
            return "server"
        case hotshelf.WrongTypeError() | hotshelf.NoScriptError() | hotshelf.OutOfMemoryError():
            return "command"
        case hotshelf.WatchError() | hotshelf.LockNotOwnedError() | hotshelf.LockError():
            return "concurrency"
        case hotshelf.ServerError() | hotshelf.LoadTimeoutError():
            return "other"
        case hotshelf.ConfigurationError() | hotshelf.KeyError():
            return "input"
        case hotshelf.EncodeError() | hotshelf.DecodeError():
            return "value"
    return hotshelf.RequestScopedWarning.__name__
