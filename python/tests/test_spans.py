"""Spans of OpenTelemetry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import RedisServer
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from hotshelf import CacheManager
from hotshelf.opentelemetry import instrument


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")
        self._names: dict[int, str] = {}

    def instrument(self, manager: Any, **options: Any) -> None:
        instrument(manager, tracer_provider=self.provider, spans=True, **options)

    def take(self) -> list[ReadableSpan]:
        """Returns the spans that have ended since the last call."""
        ended = list(self._exporter.get_finished_spans())
        self._exporter.clear()
        for span in ended:
            assert span.context is not None
            self._names[span.context.span_id] = span.name
        return ended

    def lines(self) -> list[str]:
        """Returns the same, each as `parent > name attributes`."""
        return [self._line(span) for span in self.take()]

    def _line(self, span: ReadableSpan) -> str:
        parent = "-" if span.parent is None else self._names.get(span.parent.span_id, "?")
        attributes = dict(sorted((span.attributes or {}).items()))
        text = " ".join(f"{name}={value}" for name, value in attributes.items())
        return f"{parent} > {span.name} {text}".strip()


@pytest.fixture
def spans() -> Spans:
    return Spans()


HIT = "- > cache.get cache.hit=True cache.name=numbers cache.stale=False cache.tier=memory"
MISS = "- > cache.get cache.hit=False cache.name=numbers cache.stale=False"


async def test_calls_loads_and_stores_are_spans(spans: Spans) -> None:
    manager = CacheManager("memory://")
    numbers = manager.service("numbers", int)
    spans.instrument(manager)

    def compute() -> int:
        with spans.tracer.start_as_current_span("query"):
            return 7

    assert await numbers.get_or_set(1, compute) == 7
    names = [span.name for span in spans.take()]
    assert names == ["cache.get", "query", "cache.load", "cache.put"]
    assert await numbers.get_or_set(1, compute) == 7
    assert await numbers.get(1) == 7
    assert await numbers.get(2) is None
    assert spans.lines() == [HIT, HIT, MISS]

    async def load(missing: list[int]) -> dict[int, int]:
        return dict.fromkeys(missing, 8)

    assert await numbers.get_or_load_many([1, 2, 3], load) == [7, 8, 8]
    assert await numbers.get_many([1, 9]) == [7, None]
    assert spans.lines() == [
        "- > cache.get cache.keys=3 cache.name=numbers",
        "- > cache.load cache.keys=2 cache.name=numbers",
        "- > cache.put cache.keys=2 cache.name=numbers",
        "- > cache.get cache.hits=1 cache.keys=2 cache.name=numbers",
    ]

    assert await numbers.set(1, 9)
    await numbers.write_through(1, lambda: 10)
    await numbers.delete(1)
    await numbers.delete_many([1, 2])
    await numbers.invalidate_pattern("1*")
    await numbers.invalidate_all()
    await manager.invalidate_tags(["a", "b"])
    assert spans.lines() == [
        "- > cache.put cache.keys=1 cache.name=numbers",
        "- > cache.put cache.keys=1 cache.name=numbers",
        "- > cache.invalidate cache.keys=1 cache.kind=key cache.name=numbers",
        "- > cache.invalidate cache.keys=2 cache.kind=key cache.name=numbers",
        "- > cache.invalidate cache.kind=pattern cache.name=numbers",
        "- > cache.invalidate cache.kind=all cache.name=numbers",
        "- > cache.invalidate cache.keys=2 cache.kind=tag",
    ]


async def test_failed_factory_fails_its_span(spans: Spans) -> None:
    """Without the text of its exception, which may hold a key."""
    manager = CacheManager("memory://")
    numbers = manager.service("numbers", int)
    spans.instrument(manager)

    def fail() -> int:
        raise LookupError("nobody has the address ann@example.org")

    with pytest.raises(LookupError):
        await numbers.get_or_set(1, fail)
    get, load = spans.take()
    assert (get.name, get.status.is_ok) == ("cache.get", True)
    assert (load.name, load.status.is_ok) == ("cache.load", False)
    assert dict(load.attributes or {})["error.type"] == "LookupError"
    assert "example.org" not in load.to_json()


class Broken(SpanProcessor):
    """A processor that fails."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise OSError("the collector is away")

    def on_end(self, span: Any) -> None:
        raise OSError("the collector is away")


async def test_failing_tracer_fails_no_call(
    server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotshelf.opentelemetry._reported", False)
    provider = TracerProvider()
    provider.add_span_processor(Broken())
    for url in ("memory://", server.url):
        manager = CacheManager(url)
        numbers = manager.service("numbers", int)
        instrument(manager, tracer_provider=provider, spans=True)
        for _ in range(2):
            assert await numbers.get_or_set(1, lambda: 7) == 7
        assert await numbers.set(1, 8) and await numbers.get(1) == 8
        assert await numbers.delete(1) and await manager.invalidate_tag("t")
        assert numbers.stats()["loads"] == 1
        await manager.close()
    warnings = [it for it in caplog.records if it.levelname == "WARNING"]
    assert len(warnings) == 1 and "the collector is away" in warnings[0].getMessage()


async def test_keys_are_digests_by_request(spans: Spans) -> None:
    manager = CacheManager("memory://")
    spans.instrument(manager, key_digests=True)
    texts = manager.service("texts", str)
    await texts.get("secret")
    await texts.get_or_set("secret", lambda: "x")
    await texts.get_or_set("secret", lambda: "x", params={"page": 2})
    await texts.get(1.5)  # type: ignore[arg-type]
    lines = spans.lines()
    assert not any("secret" in line for line in lines), lines
    digests = [line.split("cache.key=")[1][:9] for line in lines if "cache.key=" in line]
    assert digests[0] == digests[1] != digests[2] and len(digests) == 3, lines


async def test_round_trips_are_client_spans(server: RedisServer, spans: Spans) -> None:
    manager = CacheManager(server.url)
    numbers = manager.service("numbers", int)
    await numbers.get_or_set("first", lambda: 1)
    spans.instrument(manager)
    for _ in range(2):
        await numbers.get_or_set("secret", lambda: 1)
    with spans.tracer.start_as_current_span("request"):
        await manager.redis.set("plain", "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await manager.redis.lpush("plain", "x")

    ended = spans.take()
    round_trips = [span for span in ended if span.kind is SpanKind.CLIENT]
    ids = {span.context.span_id: span.name for span in ended if span.context is not None}
    parents = [
        ("-" if span.parent is None else ids[span.parent.span_id], span.name)
        for span in round_trips
    ]
    assert parents == [
        ("cache.get", "GET"), ("cache.get", "EVALSHA"), ("cache.put", "EVALSHA"),
        ("cache.get", "GET"), ("request", "SET"), ("-", "LPUSH"),
    ]  # fmt: skip
    for span in round_trips:
        attributes = dict(span.attributes or {})
        assert attributes["db.system.name"] == "redis"
        assert (attributes["server.address"], attributes["server.port"]) == (
            "127.0.0.1", server.port,
        )  # fmt: skip
        assert "secret" not in str(attributes) and "otel.kind" not in attributes
        assert span.start_time is not None and span.end_time is not None
        assert span.start_time <= span.end_time
    assert dict(round_trips[-1].attributes or {})["error.type"] == "WRONGTYPE"
    assert [span.status.is_ok for span in round_trips] == [True] * 5 + [False]
    await manager.close()


def test_threads_have_the_same_spans(server: RedisServer, spans: Spans) -> None:
    manager = CacheManager(server.url).sync
    numbers = manager.service("numbers", int)
    numbers.get_or_set("first", lambda: 1)
    spans.instrument(manager)
    with spans.tracer.start_as_current_span("task"):
        for _ in range(2):
            assert numbers.get_or_set(1, lambda: 7) == 7
    names = [span.name for span in spans.take()]
    assert names == [
        "GET", "EVALSHA", "cache.get", "cache.load", "EVALSHA", "cache.put", "GET", "cache.get",
        "task",
    ]  # fmt: skip
    manager.close()


async def test_script_that_a_server_lacks_is_no_error(server: RedisServer, spans: Spans) -> None:
    manager = CacheManager(server.url)
    numbers = manager.service("numbers", int)
    await numbers.get_or_set("first", lambda: 1)
    spans.instrument(manager)
    server.command("SCRIPT", "FLUSH")
    await numbers.get_or_set("second", lambda: 1)
    ended = spans.take()
    assert [span.name for span in ended].count("EVAL") > 0
    assert all(span.status.status_code is StatusCode.UNSET for span in ended)
    await manager.close()


async def test_failure_in_a_transaction_fails_its_span(server: RedisServer, spans: Spans) -> None:
    manager = CacheManager(server.url)
    await manager.redis.set("text", "x")
    spans.instrument(manager)
    with pytest.raises(Exception, match="not an integer"):
        async with manager.redis.pipeline(transaction=True) as pipe:
            await pipe.incr("text").execute()
    failed = [span for span in spans.take() if not span.status.is_ok]
    assert [dict(span.attributes or {})["error.type"] for span in failed] == ["ERR"]
    await manager.close()


async def test_cancelled_call_ends_its_span(own_server: RedisServer, spans: Spans) -> None:
    manager = CacheManager(own_server.url, read_timeout=30)
    numbers = manager.service("numbers", int, backend_budget=30)
    assert await manager.ping()
    spans.instrument(manager)
    own_server.pause()
    call = asyncio.ensure_future(numbers.get(1))
    await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    own_server.go_on()
    assert await manager.ping()
    names = [span.name for span in spans.take()]
    assert names.count("cache.get") == 1 and "GET" in names
    await manager.close()


async def test_decorated_functions_have_spans(spans: Spans) -> None:
    manager = CacheManager("memory://")
    spans.instrument(manager)

    @manager.cached(ttl="1m")
    async def rate(currency: str) -> int:
        return len(currency)

    for _ in range(2):
        assert await rate("EUR") == 3
    names = [span.name for span in spans.take()]
    assert names == ["cache.get", "cache.load", "cache.put", "cache.get"]


async def test_without_spans_nothing_is_recorded(spans: Spans) -> None:
    manager = CacheManager("memory://")
    instrument(manager, tracer_provider=spans.provider)
    await manager.service("numbers", int).get_or_set(1, lambda: 7)
    assert spans.take() == []
