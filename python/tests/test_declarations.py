"""Tests of declared services, and of the URLs and lifespans of managers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Annotated, Any, Literal, Optional

import pytest
from conftest import RedisServer, free_port
from pydantic import BaseModel, Field, RedisDsn, SecretStr, TypeAdapter

from hotshelf import CacheManager, CacheService, ConfigurationError


class Unsupported:
    """A class like that of an ORM."""


class Product(BaseModel):
    id: int
    price: float = 1.0


async def test_service_is_a_dependency_of_its_own(manager: CacheManager) -> None:
    products = manager.service("products", Product, default_ttl=900, jitter=0.2)
    assert isinstance(products, CacheService)
    assert inspect.iscoroutinefunction(products.__call__), "FastAPI needs no thread for it"
    assert not inspect.signature(products).parameters
    assert await products() is products
    assert await products.get_or_set(1, lambda: Product(id=1)) == Product(id=1)
    assert 600 < await products.get_ttl(1) <= 1080


class Ratio(BaseModel):
    model_config = {"ser_json_inf_nan": "constants"}

    value: float


async def test_values_that_differ_from_themselves_are_no_change(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    ratios = manager.service("ratios", Ratio)
    await ratios.set("1", Ratio(value=float("nan")))
    assert "differs" not in caplog.text


async def test_logs_show_no_values(
    manager: CacheManager, recwarn: pytest.WarningsRecorder
) -> None:
    products = manager.service("products", Product)
    await products.set("1", Product.model_construct(id="SECRET"))  # type: ignore[arg-type]
    assert not any("SECRET" in str(warning.message) for warning in recwarn)


async def test_what_is_no_type_is_refused(manager: CacheManager) -> None:
    nothing: Any = {"a": 1}
    with pytest.raises(ConfigurationError, match="invalid model"):
        manager.service("bad", nothing)


async def test_unsupported_model_is_refused(manager: CacheManager) -> None:
    for declare in (manager.service, CacheManager().service):
        with pytest.raises(ConfigurationError, match="invalid model Unsupported.*dataclass"):
            declare("objects", Unsupported)


async def test_types_may_be_defined_later(manager: CacheManager) -> None:
    later: CacheService[Any] = manager.service("later", "NotYetDefined")
    assert await later.get_or_set("k", lambda: 7) == 7
    assert await later.get("k") is None
    assert later.stats()["unstorable"] == 1


async def test_any_annotation_is_a_model(manager: CacheManager) -> None:
    optional: CacheService[int | None] = manager.service("optional", Optional[int])
    literal: CacheService[str] = manager.service("literal", Literal["a", "b"])
    small: CacheService[int] = manager.service("small", Annotated[int, Field(lt=9)])
    assert await optional.get_or_set("k", lambda: None) is None
    assert await literal.get_or_set("k", lambda: "a") == "a"
    assert await small.get_or_set("k", lambda: 7) == await small.get("k") == 7


async def test_changed_values_are_reported_once(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    class Shelf(BaseModel):
        products: list[Product] = []
        secret: SecretStr = SecretStr("a")
        note: str = Field("", exclude=True)

    shelves = manager.service("shelves", Shelf)
    with caplog.at_level(logging.WARNING, "hotshelf"):
        for key in range(3):
            await shelves.get_or_set(key, lambda: Shelf(note="mine"))
    [record] = caplog.records
    assert "Shelf change when they are stored" in record.getMessage()
    assert "'secret'" in record.getMessage()


async def test_unopened_manager_runs_factories(server: RedisServer) -> None:
    manager = CacheManager()
    numbers = manager.service("numbers", int)
    with pytest.raises(ConfigurationError, match="lifetime|jitter"):
        manager.service("invalid", int, jitter=5)
    assert await numbers.get_or_set("k", lambda: 1) == 1
    assert await numbers.get("k") is None
    manager.open(server.url)
    assert await numbers.get_or_set("k", lambda: 2) == 2
    assert await numbers.get("k") == 2
    await manager.close()


async def test_closed_manager_opens_again(server: RedisServer) -> None:
    manager = CacheManager(server.url)
    numbers = manager.service("numbers", int)
    assert await numbers.set("k", 1)
    assert await manager.close()
    assert await numbers.get("k") is None
    manager.open()
    assert await numbers.get("k") == 1
    await manager.close()
    manager.open("memory://")
    assert await numbers.get("k") is None
    assert await numbers.set("k", 2)
    await manager.close()
    with pytest.raises(ConfigurationError, match="pass one"):
        CacheManager().open()


async def test_last_lifespan_closes(server: RedisServer) -> None:
    manager = CacheManager(server.url)
    numbers = manager.service("numbers", int)
    async with manager.lifespan():
        async with manager.lifespan():
            assert await numbers.set("k", 1)
        assert await numbers.get("k") == 1, "a mounted application has ended"
    assert not manager.is_open
    async with manager.lifespan():
        assert await numbers.get("k") == 1


async def test_missing_url_disables(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hotshelf"):
        manager = CacheManager(None)
        numbers = manager.service("numbers", int)
        async with manager.lifespan():
            assert await numbers.get_or_set("k", lambda: 1) == 1
            assert await numbers.get("k") is None
            assert (await manager.health())["enabled"] is False
    [record] = caplog.records
    assert "the URL is None; the caches are off" in record.getMessage()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"url": 5}, "invalid URL of type int"),
        ({"url": ""}, "URL"),
        ({"url": "redis://localhost", "read_timeout": 0.0}, "invalid read_timeout 0s"),
        ({"url": "redis://localhost", "store_timeout": -1.0}, "use"),
    ],
)
async def test_invalid_managers_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        CacheManager(**arguments)


async def test_pydantic_urls_are_accepted(server: RedisServer) -> None:
    url = TypeAdapter(RedisDsn).validate_python(server.url)
    manager = CacheManager(url)
    assert await manager.ping()
    await manager.close()


def test_memory_of_several_workers_warns(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with caplog.at_level(logging.WARNING, "hotshelf"):
        CacheManager("memory://")
        CacheManager("redis://localhost")
    [record] = caplog.records
    assert "belongs to one process" in record.getMessage()


async def test_failing_calls_log_once(caplog: pytest.LogCaptureFixture) -> None:
    manager = CacheManager(f"redis://127.0.0.1:{free_port()}")
    numbers = manager.service("numbers", int)
    with caplog.at_level(logging.INFO, "hotshelf"):
        for key in range(300):
            assert await numbers.get_or_set(key, lambda: 1) == 1
            assert await numbers.get(key) is None
        large = manager.service("large", str, max_value_bytes=10)
        for key in range(10):
            await large.get_or_set(key, lambda: "x" * 100)
    messages = [record.getMessage() for record in caplog.records]
    assert 1 <= len(messages) <= 4, messages
    assert numbers.stats()["errors"] >= 300
    await manager.close()


async def test_large_values_are_reported_once(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    large = manager.service("large", str, max_value_bytes=10)
    with caplog.at_level(logging.INFO, "hotshelf"):
        for key in range(10):
            await large.get_or_set(key, lambda: "x" * 100)
            assert not await large.set(key, "x" * 100)
    [record] = caplog.records
    assert "raise `max_value_bytes`" in record.getMessage()
    assert large.stats()["unstorable"] == 20


async def test_many_tags_are_stored(manager: CacheManager) -> None:
    numbers = manager.service("numbers", int)
    tags = [f"tag {number}" for number in range(128)]
    assert await numbers.get_or_set("k", lambda: 1, tags=tags) == 1
    assert await numbers.get_or_set("k", lambda: 2, tags=tags) == 1
    assert await manager.invalidate_tag("tag 77")
    assert await numbers.get_or_set("k", lambda: 3, tags=tags) == 3


async def test_shared_connection_is_protected(manager: CacheManager) -> None:
    redis = manager.redis
    for words in (["SUBSCRIBE", "x"], ["MULTI"], ["CLIENT", "REPLY", "OFF"], ["BLPOP", "l", "0"]):
        with pytest.raises(ConfigurationError, match="all callers share"):
            await redis.execute_command(*words)
    pipeline = redis.pipeline(transaction=False)
    for number in range(70_000):
        pipeline.set(f"key {number}", number)
    assert len(await pipeline.execute()) == 70_000


async def test_other_loops_are_named(manager: CacheManager) -> None:
    numbers = manager.service("numbers", int)
    reading = numbers.get("k")
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            reading.send(None)
        except BaseException as error:
            errors.append(error)

    await asyncio.to_thread(elsewhere)
    assert "asyncio or uvloop (trio is not supported)" in str(errors[0])
