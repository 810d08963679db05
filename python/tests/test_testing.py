"""Tests of `hotshelf.testing` and its pytest fixtures."""

from __future__ import annotations

import asyncio
import builtins
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TESTS
from fastapi import FastAPI

import hotshelf
from hotshelf import CacheManager, ConfigurationError, OutOfMemoryError, TimeoutError
from hotshelf.testing import Clock, Failures, TestStore, in_memory


class Loads:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


async def test_clock_ends_lifetimes(hotshelf_cache: CacheManager, hotshelf_clock: Clock) -> None:
    numbers, loads = hotshelf_cache.service("numbers", int, ttl=60), Loads()
    assert [await numbers.get_or_set(key, loads) for key in range(100)] == list(range(1, 101))
    hotshelf_clock.advance(59.999)
    assert None not in await numbers.get_many(range(100)), "lifetimes have no jitter"
    hotshelf_clock.advance("1m")
    assert await numbers.get_many(range(100)) == [None] * 100
    assert numbers.stats()["loads"] == 100
    assert await numbers.get_or_set(1, loads) == 101


def test_fixtures_serve_sync_code(hotshelf_cache: CacheManager, hotshelf_clock: Clock) -> None:
    numbers, loads = hotshelf_cache.sync.service("numbers", int, ttl=60), Loads()
    assert [numbers.get_or_set(1, loads) for _ in range(3)] == [1, 1, 1]
    hotshelf_clock.advance(60)
    assert numbers.get_or_set(1, loads) == 2


async def test_stale_values_need_no_waiting(
    hotshelf_cache: CacheManager, hotshelf_clock: Clock
) -> None:
    numbers = hotshelf_cache.service("numbers", int, ttl=60, stale_if_error=600)
    await numbers.set(1, 1)
    hotshelf_clock.advance(300)

    def fail() -> int:
        raise LookupError("no database")

    assert await numbers.get_or_set(1, fail) == 1
    hotshelf_clock.advance(600)
    with pytest.raises(LookupError):
        await numbers.get_or_set(1, fail)


async def test_operations_fail_on_demand(
    hotshelf_cache: CacheManager, hotshelf_failures: Failures
) -> None:
    numbers, loads = hotshelf_cache.service("numbers", int), Loads()
    await numbers.get_or_set(1, loads)
    hotshelf_failures.start()
    assert await numbers.get(1) is None
    assert await numbers.get_or_set(1, loads) == 2
    assert not await numbers.delete(1)
    assert not await hotshelf_cache.invalidate_tag("tag")
    assert not await hotshelf_cache.ping()
    hotshelf_failures.stop()
    assert await numbers.get(1) == 1, "entries stay stored"
    with hotshelf_failures.during("stores", error=OutOfMemoryError):
        assert not await numbers.set(1, 5)
        assert await numbers.delete(1)
    with hotshelf_failures.during("invalidations", error=TimeoutError, executed=True):
        assert await numbers.set(1, 6)
        assert not await numbers.delete(1)
        assert await numbers.get(1) is None, "it was executed"
    with hotshelf_failures.during("reads"):
        assert await numbers.get(1) is None
    assert await numbers.set(1, 7)


def test_wrong_failures_are_refused(hotshelf_failures: Failures, hotshelf_clock: Clock) -> None:
    with pytest.raises(ConfigurationError, match="unknown operations 'read': use 'reads'"):
        hotshelf_failures.start("read")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="use one of UnavailableError"):
        hotshelf_failures.start(error=hotshelf.KeyError)
    with pytest.raises(ConfigurationError, match="invalid `time`"):
        hotshelf_clock.advance("a while")


async def test_managers_of_one_store_act_as_processes(hotshelf_store: TestStore) -> None:
    mine, theirs = (hotshelf_store.manager().service("numbers", int) for _ in range(2))
    loads = Loads()

    async def load() -> int:
        await asyncio.sleep(0.01)
        return loads()

    found = await asyncio.gather(*(it.get_or_set(1, load) for it in [mine, theirs] * 5))
    assert found == [1] * 10
    assert await theirs.delete(1)
    assert await mine.get(1) is None
    assert mine.stats()["loads"] + theirs.stats()["loads"] == 1


async def test_application_is_tested_in_memory() -> None:
    # Nobody listens there.
    cache = CacheManager("redis://127.0.0.1:1", near=True)
    numbers, loads = cache.service("numbers", int), Loads()
    app = FastAPI(lifespan=cache.lifespan)

    @app.get("/number")
    async def number() -> int:
        return await numbers.get_or_set(1, loads)

    async def get() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with cache.lifespan(), httpx.AsyncClient(transport=transport) as client:
            answers = [await client.get("http://test/number") for _ in range(2)]
            return [it.json() for it in answers]

    for first in (1, 2):
        with in_memory(cache) as store:
            assert await get() == [first, first], "each block begins empty"
            assert await get() == [first, first], "a restarted application keeps it"
            store.clock.advance("1h")
            await numbers.get(1)
    assert (await cache.health())["address"] != "memory://"
    assert not await numbers.delete(1)
    await cache.close()


async def test_manager_may_be_opened_in_memory() -> None:
    cache = CacheManager()
    numbers = cache.service("numbers", int)
    with in_memory(cache):
        assert not cache.is_open
        cache.open("redis://127.0.0.1:1")
        assert await numbers.set(1, 1)
        with pytest.raises(ConfigurationError, match="in memory already"), in_memory(cache):
            pass
        assert await numbers.get(1) == 1
        await cache.close()
        assert await numbers.get(1) is None
        cache.open()
        assert await numbers.set(1, 1)
    assert not cache.is_open
    assert await numbers.get(1) is None


def test_sync_application_is_tested_in_memory() -> None:
    cache = hotshelf.sync.CacheManager("redis://127.0.0.1:1")
    numbers = cache.service("numbers", int)
    with in_memory(cache) as store:
        assert numbers.set(1, 1)
        with store.failures.during("reads", error=builtins.TimeoutError):
            assert numbers.get(1) is None
    assert not numbers.set(1, 1)
    with pytest.raises(ConfigurationError, match="takes managers, not a CacheService"):
        with in_memory(numbers):  # type: ignore[arg-type]
            pass


PLUGIN = """
import sys

def test_hotshelf_is_not_imported():
    assert "pytest_hotshelf" in sys.modules
    assert "hotshelf" not in sys.modules

def test_cache_is_fresh(hotshelf_cache):
    assert hotshelf_cache.sync.service("numbers", int).get_or_set(1, lambda: 1) == 1

def test_cache_is_fresh_again(hotshelf_cache):
    assert hotshelf_cache.sync.service("numbers", int).get(1) is None
"""


def run_pytest(folder: Path, code: str) -> str:
    """Runs a file of tests in a process of its own, and returns what it prints."""
    (folder / "test_file.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_file.py"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    return run.stdout


def test_plugin_is_found_and_costs_nothing(tmp_path: Path) -> None:
    assert "3 passed" in run_pytest(tmp_path, PLUGIN)


@pytest.mark.parametrize("page", ["docs/testing.md", "python/README.md"])
def test_tests_of_pages_pass(page: str, tmp_path: Path) -> None:
    text = (TESTS.parent.parent / page).read_text()
    [code] = [it for it in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
              if "test_product_is_loaded_once_a_minute" in it]  # fmt: skip
    assert "passed" in run_pytest(tmp_path, code)
