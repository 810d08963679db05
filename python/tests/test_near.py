"""Tests of the near tier."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from conftest import RedisServer

from hotshelf import CacheManager, CacheService, ConfigurationError, Near

BOUND = 0.4


@pytest.fixture
def url() -> object:
    server = RedisServer().start()
    yield server.url
    server.close()


async def until_near(cache: CacheService[int], key: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        before = cache.stats()["near_hits"]
        assert await cache.get(key) is not None
        if cache.stats()["near_hits"] > before:
            return
        assert time.monotonic() < deadline, "the near tier never answered"
        await asyncio.sleep(0.002)


async def test_near_tier_is_one_keyword(url: str) -> None:
    here = CacheManager(url, near=Near(max_staleness=BOUND))
    there = CacheManager(url)
    mine, theirs = here.service("numbers", int), there.service("numbers", int)
    far = here.service("far", int, near=False)
    assert await mine.set("k", 1, tags=["all"])
    assert await far.set("k", 1)
    await until_near(mine, "k")
    commands = (await here.health())["server"]["total_commands"]  # type: ignore[index]
    for _ in range(100):
        assert await mine.get_or_set("k", lambda: 0) == 1
    assert (await here.health())["server"]["total_commands"] < commands + 20  # type: ignore[index]
    assert await far.get("k") == 1 and far.stats()["near_hits"] == 0

    # By this process: at once.
    assert await mine.set("k", 2)
    assert await mine.get("k") == 2
    await until_near(mine, "k")
    assert await here.invalidate_tag("all")
    assert await mine.set("k", 3, tags=["all"])
    await until_near(mine, "k")
    # By another one: within the bound.
    for invalidate in (lambda: theirs.delete("k"), lambda: there.invalidate_tag("all")):
        assert await invalidate()
        began = time.monotonic()
        while await mine.get("k") is not None:
            assert time.monotonic() - began < BOUND
            await asyncio.sleep(0.001)
        assert await mine.set("k", 4, tags=["all"])
        await until_near(mine, "k")
    near = (await here.health())["near"]
    assert near is not None and near["entries"] > 0 and near["max_staleness"] == BOUND
    assert (await there.health())["near"] is None
    await here.close()
    await there.close()


async def test_token_of_another_process_is_respected_at_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = CacheManager(url, near=Near(max_staleness=BOUND)), CacheManager(url)
    mine = here.service("numbers", int)
    tokens: list[str] = []

    async def invalidated() -> None:
        other = CacheManager(url)
        assert await other.service("numbers", int).delete("k")
        tokens.append(other.consistency_token())
        await other.close()

    for value in range(10):
        assert await mine.set("k", value)
        await until_near(mine, "k")
        # This thread waits for the other one: no report is handled meanwhile.
        other = threading.Thread(target=lambda: asyncio.run(invalidated()))
        other.start()
        other.join()
        assert await mine.get("k", after=tokens[-1]) is None
        assert await mine.get_or_set("k", lambda: -1, after=tokens[-1]) == -1
    await until_near(mine, "k")
    before = mine.stats()["near_hits"]
    assert await mine.get("k", after=tokens[-1]) == -1
    assert mine.stats()["near_hits"] == before + 1
    # What a client makes up costs a round trip.
    for made_up in ("", "x" * 100, 7):
        assert await mine.get("k", after=made_up) == -1  # type: ignore[arg-type]
    assert mine.stats()["near_hits"] == before + 1
    assert mine.stats()["errors"] == 3
    assert [record.message for record in caplog.records if "token" in record.message]
    await here.close()
    await there.close()


async def test_broadcast_reports(url: str) -> None:
    here = CacheManager(url, near=Near(max_staleness=BOUND, broadcast=["cache:v1:numbers"]))
    there = CacheManager(url)
    mine, theirs = here.service("numbers", int), there.service("numbers", int)
    other = here.service("other", int)
    assert await mine.set("k", 1) and await other.set("k", 1)
    await until_near(mine, "k")
    for _ in range(50):
        assert await other.get("k") == 1
    assert other.stats()["near_hits"] == 0
    assert await theirs.delete("k")
    began = time.monotonic()
    while await mine.get("k") is not None:
        assert time.monotonic() - began < BOUND
        await asyncio.sleep(0.001)
    await here.close()
    await there.close()


async def test_without_reports_entries_are_kept_for_the_bound(url: str) -> None:
    near = Near(max_staleness=BOUND, without_reports=True)
    here, there = CacheManager(url, protocol=2, near=near), CacheManager(url)
    mine, theirs = here.service("numbers", int), there.service("numbers", int)
    assert await mine.set("k", 1)
    await until_near(mine, "k")
    assert await theirs.delete("k")
    start, last = time.monotonic(), 0.0
    while True:
        began = time.monotonic() - start
        if await mine.get("k") is None:
            break
        last = began
        await asyncio.sleep(0.001)
    assert last <= BOUND
    await here.close()
    await there.close()


@pytest.mark.parametrize(
    ("near", "named"),
    [
        ("yes", "hotshelf.Near"),
        (Near(max_bytes=-1), "max_bytes"),
        (Near(max_staleness=0), "max_staleness"),
        (Near(ttl=float("nan")), "near"),
        (Near(broadcast=[""]), "broadcast"),
    ],
)
def test_invalid_options(near: object, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        CacheManager("redis://localhost", near=near)  # type: ignore[arg-type]


async def test_options_wait_until_the_manager_is_open(url: str) -> None:
    manager = CacheManager(near=True, tls=True)
    assert await manager.service("numbers", int).get_or_set("k", lambda: 7) == 7
    await manager.close()
