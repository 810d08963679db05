"""Compares caches that serve a value while it is loaded anew, or if that fails: do they serve one
that was invalidated meanwhile?

`refresh.py`: prints a table, and writes `target/bench/refreshes.json`. Fails if hotshelf serves an
invalidated value. The order of each race is fixed by events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from server import redis_server

ROUNDS = 10

#: How long values are fresh, and how long they may be used in all, in seconds.
FRESH, WHOLE = 0.3, 60.0

#: A time longer than any step takes, in seconds.
TIMEOUT = 10


class Down(Exception):
    """The database fails."""


class Database:
    """A value, and a loader that reads it first and then waits on demand."""

    def __init__(self) -> None:
        self.version = 1
        self.fails = False
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    async def load(self) -> int:
        return await asyncio.to_thread(self.load_now)

    def load_now(self) -> int:
        read, fails = self.version, self.fails
        self.begun.set()
        self.may_end.wait(TIMEOUT)
        if fails:
            raise Down
        return read

    def hold(self) -> None:
        """Lets further loads wait."""
        self.begun.clear()
        self.may_end.clear()


@dataclass
class Cache:
    read: Callable[[str], Awaitable[int]]
    invalidate: Callable[[str], Awaitable[Any]]


async def hotshelf(url: str, database: Database, *, on_error: bool) -> Cache:
    from hotshelf import CacheManager

    window = {"stale_if_error": WHOLE} if on_error else {"stale_while_revalidate": WHOLE}
    items = CacheManager(url).service("items", int, ttl=FRESH, **window)

    async def read(key: str) -> int:
        found: int = await items.get_or_set(key, database.load, background=True)
        return found

    return Cache(read, items.delete)


async def hotshelf_refresh(url: str, database: Database) -> Cache:
    return await hotshelf(url, database, on_error=False)


async def hotshelf_on_error(url: str, database: Database) -> Cache:
    return await hotshelf(url, database, on_error=True)


async def cashews(url: str, database: Database, decorate: Callable[..., Any], prefix: str) -> Cache:
    from cashews import cache

    cache.setup(url)

    @decorate(cache)
    async def item(key: str) -> int:
        return await database.load()

    async def read(key: str) -> int:
        found: int = await item(key)
        return found

    return Cache(read, lambda key: cache.delete(f"{prefix}:{key}"))


async def cashews_early(url: str, database: Database) -> Cache:
    def early(cache: Any) -> Any:
        return cache.early(ttl=WHOLE, early_ttl=FRESH, key="{key}")

    return await cashews(url, database, early, "early:v2")


async def cashews_soft(url: str, database: Database) -> Cache:
    def soft(cache: Any) -> Any:
        return cache.soft(ttl=WHOLE, soft_ttl=FRESH, key="{key}", exceptions=(Down,))

    return await cashews(url, database, soft, "soft")


async def dogpile(url: str, database: Database) -> Cache:
    """One thread creates the value anew, apart from its callers, which get the old one."""
    from dogpile.cache import make_region

    def create_apart(_region: Any, _key: str, create: Callable[[], Any], mutex: Any) -> None:
        def run() -> None:
            try:
                value = create()
                region.set(_key, value)
            finally:
                mutex.release()

        threading.Thread(target=run, daemon=True).start()

    region: Any = make_region(async_creation_runner=create_apart)
    arguments = {"url": url, "distributed_lock": True, "thread_local_lock": False}
    region.configure("dogpile.cache.redis", expiration_time=FRESH, arguments=arguments)

    async def read(key: str) -> int:
        found: int = await asyncio.to_thread(region.get_or_create, key, database.load_now)
        return found

    async def invalidate(key: str) -> None:
        await asyncio.to_thread(region.delete, key)

    return Cache(read, invalidate)


@dataclass
class Library:
    label: str
    #: Its name on PyPI.
    distribution: str
    #: How it is set up, in Markdown.
    setup: str
    open: Callable[[str, Database], Awaitable[Cache]]
    #: Whether it serves values if their load fails, rather than while they are loaded.
    on_error: bool = False


LIBRARIES = [
    Library("hotshelf", "hotshelf", "`stale_while_revalidate`, `background=True`", hotshelf_refresh),
    Library("hotshelf", "hotshelf", "`stale_if_error`", hotshelf_on_error, on_error=True),
    Library("cashews", "cashews", "`@cache.early`", cashews_early),
    Library("cashews", "cashews", "`@cache.soft`", cashews_soft, on_error=True),
    Library("dogpile.cache", "dogpile.cache", "`async_creation_runner`", dogpile),
]


async def refresh_race(cache: Cache, database: Database, key: str) -> bool:
    """Returns whether a value is served that was invalidated while it was loaded anew."""
    await until_stale(cache, key)
    database.hold()
    old = database.version
    reading = asyncio.create_task(cache.read(key))
    await asyncio.to_thread(database.begun.wait, TIMEOUT)
    database.version += 1
    await cache.invalidate(key)
    database.may_end.set()
    await reading
    # What runs in the background ends.
    await asyncio.sleep(0.1)
    return await cache.read(key) == old


async def error_race(cache: Cache, database: Database, key: str) -> tuple[bool, bool]:
    """Returns whether a value is served that was cleared while its load failed, and whether one is
    that was cleared before."""
    await until_stale(cache, key)
    database.hold()
    database.fails = True
    reading = asyncio.create_task(served(cache, key))
    await asyncio.to_thread(database.begun.wait, TIMEOUT)
    await cache.invalidate(key)
    database.may_end.set()
    meanwhile = await reading
    afterwards = await served(cache, key)
    database.fails = False
    return meanwhile, afterwards


async def until_stale(cache: Cache, key: str) -> None:
    await cache.read(key)
    await asyncio.sleep(FRESH + 0.1)


async def served(cache: Cache, key: str) -> bool:
    with contextlib.suppress(Down):
        await cache.read(key)
        return True
    return False


async def measure(library: Library, url: str) -> list[int]:
    """Returns how often an invalidated value was served: in each column of its kind."""
    rounds = []
    for number in range(ROUNDS):
        database = Database()
        cache = await library.open(url, database)
        key = f"{library.setup.strip('`')[:14]} {number}".replace(" ", "-")
        race = error_race if library.on_error else refresh_race
        raced = await asyncio.wait_for(race(cache, database, key), 3 * TIMEOUT)
        rounds.append(raced if isinstance(raced, tuple) else (raced,))
    return [sum(column) for column in zip(*rounds, strict=True)]


def cell(count: int) -> str:
    return f"{'**yes**' if count else 'no'}, {count} of {ROUNDS}"


async def main() -> None:
    print(
        "\nA value is stale, and served while it is loaded anew or if that fails. It is invalidated"
        f" while the load runs. Is the old value served? ({ROUNDS} races each.)\n"
    )
    heads = ["library", "version", "set up by", "by the next read", "by the call whose load fails",
             "by a later call whose load fails"]  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    figures: list[dict[str, object]] = []
    stale = 0
    with redis_server() as server:
        url = f"redis://127.0.0.1:{server.port}"
        for library in LIBRARIES:
            first = f"| {library.label} |"
            try:
                installed = version(library.distribution)
            except PackageNotFoundError:
                print(f"{first} — | {library.setup} | not run: it could not be installed | — | — |")
                continue
            counts = await measure(library, url)
            cells = ["—", *map(cell, counts)] if library.on_error else [*map(cell, counts), "—", "—"]
            print(f"{first} {installed} | {library.setup} | {' | '.join(cells)} |", flush=True)
            stale += sum(counts) if library.label == "hotshelf" else 0
            figures += [
                {"library": library.label, "variant": library.setup, "measure": head, "value": count}
                for head, count in zip(heads[4:] if library.on_error else heads[3:4], counts, strict=True)
            ]
    path = Path("target/bench/refreshes.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False))
    if stale:
        raise SystemExit(f"hotshelf served an invalidated value {stale} times")


asyncio.run(main())
