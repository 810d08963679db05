"""Tests of where values come from, and of what is known of keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import RedisServer
from pydantic import BaseModel
from staleness import MINUTE, Down, Source, is_missing, made_stale, numbers, until

import hotshelf
from hotshelf import CacheManager, CacheService, LoadTimeoutError, Outcome, Trace


class Point(BaseModel):
    x: int


@pytest.fixture(params=["memory", "redis"])
async def manager(request: Any, server: RedisServer) -> AsyncIterator[CacheManager]:
    url = "memory://" if request.param == "memory" else server.url
    manager = CacheManager(url, connect_timeout=5, read_timeout=5, store_timeout=5)
    yield manager
    await manager.close()


def place(manager: CacheManager) -> str:
    return "local" if manager.store.backend == "memory" else "server"


async def test_trace_tells_where_a_value_comes_from(manager: CacheManager) -> None:
    cache, source, trace = numbers(manager), Source(), Trace()
    assert trace.outcome == Outcome()
    assert await cache.get("k", trace=trace) is None
    assert trace.outcome == Outcome(reason="missing")
    assert str(trace.outcome) == "no value; there is no entry"
    assert await cache.get_or_set("k", source.load, trace=trace) == 1
    loaded = trace.outcome
    assert (loaded.source, loaded.reason, loaded.loaded) == ("loader", "missing", True)
    assert str(loaded) == "loaded; there is no entry" and "loaded; there" in repr(trace)
    for read in (cache.get("k", trace=trace), cache.get_or_set("k", source.load, trace=trace)):
        assert await read == 1
        hit = trace.outcome
        assert (hit.source, hit.reason, hit.loaded) == (place(manager), None, False)
        assert hit.age is not None and 0 <= hit.age < 5
        assert hit.load_time is not None and 0 <= hit.load_time < 5
        assert not hit.is_stale and hit.waited == 0
        assert " old" in str(hit)
        assert json.loads(json.dumps(hit.as_dict())).keys() == {
            "source", "age", "load_time", "is_stale", "loaded", "in_background", "waited", "reason",
        }  # fmt: skip
    assert await cache.get_or_set("k", source.load, reload=True, trace=trace) == 1
    assert (trace.outcome.source, trace.outcome.reason) == ("loader", "reload")


async def test_trace_of_a_response(manager: CacheManager) -> None:
    pytest.importorskip("starlette")
    cache, source, trace = numbers(manager), Source(), Trace()
    for expected in ("loader", place(manager)):
        await cache.response("k", source.load, trace=trace)
        assert trace.outcome.source == expected


async def test_trace_of_a_call_that_waits_for_another(manager: CacheManager) -> None:
    cache, source, trace = numbers(manager), Source(), Trace()
    source.stop()
    first = asyncio.create_task(cache.get_or_set("k", source.load))
    await source.began.wait()
    second = asyncio.create_task(cache.get_or_set("k", source.load, trace=trace))
    await asyncio.sleep(0.05)
    source.go.set()
    assert await first == await second == 1
    assert (trace.outcome.source, trace.outcome.loaded) == ("other_call", False)
    assert trace.outcome.waited > 0.03


async def test_trace_of_stale_values(manager: CacheManager) -> None:
    cache = numbers(manager, stale_while_revalidate=MINUTE, stale_if_error=2 * MINUTE)
    source, trace = Source(), Trace()
    await made_stale(cache, source)
    assert await cache.get_or_set("k", source.load, background=True, trace=trace) == 1
    stale = trace.outcome
    assert (stale.source, stale.is_stale, stale.reason) == (place(manager), True, "expired")
    assert stale.loaded and stale.age is not None and "stale" in str(stale)
    await until(lambda: is_fresh(cache))
    assert trace.outcome is stale, "the load in the background belongs to no call"
    await made_stale(cache, source)
    assert await cache.get("k", trace=trace) is None
    assert (trace.outcome.source, trace.outcome.reason) == ("none", "expired")


async def is_fresh(cache: CacheService[Any]) -> bool:
    return not await is_missing(cache)


async def test_trace_of_failures(manager: CacheManager) -> None:
    cache = numbers(manager, stale_if_error=MINUTE, hard_timeout=0.05)
    source, trace = Source(), Trace()
    source.error = Down()
    with pytest.raises(Down):
        await cache.get_or_set("k", source.load, trace=trace)
    assert (trace.outcome.source, trace.outcome.loaded) == ("none", True)
    source.error = None
    await made_stale(cache, source)
    source.error = Down()
    assert await cache.get_or_set("k", source.load, trace=trace) == 1
    assert trace.outcome.is_stale and trace.outcome.loaded
    assert trace.outcome.source == place(manager)
    source.stop()
    with pytest.raises(LoadTimeoutError):
        await cache.get_or_set("other", source.load, trace=trace)
    assert (trace.outcome.source, trace.outcome.loaded) == ("none", True)


async def test_trace_of_entries_that_are_no_values(manager: CacheManager) -> None:
    cache = CacheService(manager, "numbers", Point, backend_budget=5)
    plain: CacheService[Any] = CacheService(manager, "numbers", None, backend_budget=5)
    trace = Trace()
    await plain.set("1", {"y": 1})
    assert await cache.get("1", trace=trace) is None
    assert (trace.outcome.source, trace.outcome.reason) == ("none", "undecodable")
    assert await cache.get_or_set("1", lambda: Point(x=1), trace=trace) == Point(x=1)
    assert (trace.outcome.source, trace.outcome.reason) == ("loader", "undecodable")
    await cache.get("1", trace=trace)
    assert trace.outcome.source == place(manager)


async def test_trace_without_a_cache(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache, source, trace = numbers(manager), Source(), Trace()
    manager.set_enabled(False)
    await cache.get_or_set("k", source.load, trace=trace)
    assert (trace.outcome.source, trace.outcome.reason) == ("loader", "disabled")
    manager.set_enabled(True)
    await cache.get_or_set(None, source.load, trace=trace)  # type: ignore[call-overload]
    assert (trace.outcome.source, trace.outcome.reason) == ("loader", "invalid_key")
    own_server.stop()
    await cache.get_or_set("k", source.load, trace=trace)
    assert (trace.outcome.source, trace.outcome.reason) == ("loader", "unreadable")
    await manager.close()


async def test_trace_of_the_near_tier(server: RedisServer) -> None:
    manager = CacheManager(server.url, near=True)
    cache, trace = numbers(manager), Trace()
    await cache.set("k", 1)

    async def is_near() -> bool:
        assert await cache.get("k", trace=trace) == 1
        return trace.outcome.source == "local"

    await until(is_near)
    assert await cache.get_or_set("k", lambda: 2, trace=trace) == 1
    assert trace.outcome.source == "local"
    await manager.close()


async def test_explanation(manager: CacheManager) -> None:
    cache = numbers(manager, negative_ttl=MINUTE)
    missed = await cache.explain("k")
    assert (missed.verdict, missed.reason, missed.entry) == ("miss", "missing", None)
    assert missed.key == cache.key("k") and "a miss: there is no entry" in str(missed)
    await cache.get_or_set("k", lambda: 5, tags=["t"])
    hit = await cache.explain("k", tags=["t"])
    assert (hit.verdict, hit.reason, hit.is_paused) == ("hit", None, False)
    assert hit.entry is not None and hit.entry.value_bytes == 1 and hit.entry.own_codec
    assert hit.entry.age is not None and 0 <= hit.entry.age < 5
    assert hit.entry.fresh_for is not None and 0 < hit.entry.fresh_for < 2 * MINUTE
    (tag,) = hit.tags
    assert tag.required and tag.recorded == tag.current is not None
    fields = json.loads(json.dumps(hit.as_dict()))
    assert fields["entry"]["value_bytes"] == 1 and fields["tags"][0]["id"] == tag.id
    assert set(fields) == {"key", "verdict", "reason", "near", "entry", "tags", "is_paused"}

    await manager.invalidate_tag("t")
    missed = await cache.explain("k", tags=["t"])
    assert (missed.verdict, missed.reason) == ("miss", "tags_changed")
    assert ": invalidated" in str(missed) and str(missed).startswith("key      ")
    await cache.get_or_set("none", lambda: None)
    assert (await cache.explain("none")).verdict == "negative"
    assert (await cache.explain("k", {"page": 1})).key == cache.key("k", {"page": 1})
    before = cache.stats()
    await cache.explain("none")
    assert cache.stats() == before


async def test_explanation_of_a_stale_value(manager: CacheManager) -> None:
    cache, source = numbers(manager, stale_if_error=MINUTE), Source()
    await made_stale(cache, source)
    explained = await cache.explain("k")
    assert (explained.verdict, explained.reason) == ("stale_on_error", "expired")
    assert explained.entry is not None and explained.entry.fresh_for == 0
    assert explained.entry.expires_in is not None and explained.entry.expires_in > 0


async def test_explanation_that_fails(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    cache = numbers(manager)
    with pytest.raises(hotshelf.KeyError):
        await cache.explain(None)  # type: ignore[arg-type]
    own_server.stop()
    with pytest.raises(hotshelf.UnavailableError):
        await cache.explain("k")
    await manager.close()


async def test_options_reach_traces() -> None:
    """`LoadOptions` has `trace`, and pydantic accepts it."""
    assert "trace" in hotshelf.LoadOptions.__optional_keys__
