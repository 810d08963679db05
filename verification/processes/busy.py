"""A FastAPI-like process whose event loop is blocked again and again: python busy.py [SECONDS]

The loop reads warm rows and loads, writes and invalidates others, and is blocked for 50 to 400
ms at a time. Prints what the callers saw; fails if a hit was lost or a call failed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import tempfile
import time

import hotshelf

WARM = 50


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Callers:
    def __init__(self, manager: hotshelf.CacheManager, seconds: float) -> None:
        self.warm = manager.service("warm", int, ttl=3600)
        self.rows = manager.service("rows", int)
        self.versions = [0] * 12
        self.published = [0] * 12
        self.until = time.monotonic() + seconds
        self.calls = self.stale = self.failed = self.blocked = 0

    async def read_warm(self) -> None:
        while time.monotonic() < self.until:
            row = random.randrange(WARM)
            if random.random() < 0.5:
                await self.warm.get(row)
            else:
                await self.warm.get_or_set(row, lambda: row)
            await asyncio.sleep(random.random() / 250)

    async def load_and_write(self) -> None:
        while time.monotonic() < self.until:
            row = random.randrange(12)
            if random.random() < 0.05:
                await self.write(row)
                continue
            published = self.published[row]
            value = await self.rows.get_or_set(row, lambda row=row: self.load(row))
            self.calls += 1
            self.stale += value < published
            await asyncio.sleep(random.random() / 250)

    async def load(self, row: int) -> int:
        version = self.versions[row]
        await asyncio.sleep(random.random() / 25)
        return version

    async def write(self, row: int) -> None:
        self.versions[row] += 1
        version = self.versions[row]
        if await self.rows.delete(row):
            self.published[row] = max(version, self.published[row])
        else:
            self.failed += 1

    async def block(self) -> None:
        while time.monotonic() < self.until:
            await asyncio.sleep(random.uniform(0.02, 0.17))
            time.sleep(random.uniform(0.05, 0.4))
            self.blocked += 1


async def run(url: str, seconds: float) -> bool:
    manager = hotshelf.CacheManager(url)
    callers = Callers(manager, seconds)
    assert await callers.warm.set_many({row: row for row in range(WARM)})
    tasks = [callers.read_warm() for _ in range(16)] + [callers.load_and_write() for _ in range(8)]
    await asyncio.gather(callers.block(), *tasks)
    warm, rows = callers.warm.stats(), callers.rows.stats()
    errors = callers.failed + warm["errors"] + rows["errors"] + rows["degraded"]
    lost = warm["misses"] + warm["loads"]
    left = len(await manager.redis.keys("hs:l:*"))
    finished = await manager.close()
    print(
        f"{seconds:g}s, an event loop, blocked {callers.blocked} times:"
        f" {callers.calls + warm['hits']} calls; caller errors {errors}, stale {callers.stale},"
        f" leases left {left}, hits lost {lost}"
    )
    return errors == callers.stale == left == lost == 0 and finished


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--save", "", "--dir", directory],
            stdout=subprocess.DEVNULL,
        )
        try:
            for _ in range(500):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.01)
            holds = asyncio.run(run(f"redis://127.0.0.1:{port}", seconds))
        finally:
            server.kill()
            server.wait()
    sys.exit(0 if holds else "the guarantees don't hold")


if __name__ == "__main__":
    main()
