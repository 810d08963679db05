"""One outage: a reader behind a proxy, and another process that changes the value meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from caches import Library
from proxy import Proxy
from server import redis_server

HERE = Path(__file__).parent
FIRST, OLD, NEW = "1", "2", "3"

#: A time longer than any step before the outage takes, in seconds.
TIMEOUT = 30

#: How long all reads must return the new value before an outage counts as over, in seconds.
CALM = 3.0


class Failure(Exception):
    """A library could not be measured."""


@dataclass
class Plan:
    #: The head of its column.
    title: str
    #: The seconds without a network, or 0: then the connections are killed.
    silence: float
    #: How long reads are watched after the change, in seconds.
    watch: float
    #: Whether the reader also reads keys that are not in the cache.
    busy: bool


@dataclass
class Read:
    began: float
    ended: float
    result: str


@dataclass
class Outcome:
    plan: Plan
    #: How long after the change the old value was returned last, in seconds.
    stale: float
    #: Whether it was still returned when the watch ended.
    lasting: bool
    #: Whether a read failed.
    refused: bool
    #: The duration of the longest read, in seconds.
    longest: float
    #: Whether hits before the outage needed no round trip, if there were no other reads.
    local: bool


async def measure(library: Library, plan: Plan, redis: str) -> Outcome:
    """Runs an outage on a server of its own.

    Raises:
        Failure: If the library does not work even before the outage.
    """
    with redis_server(redis) as server, tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "database")
        database.write_text(FIRST)
        role = "busy" if plan.busy else "read"
        proxy = Proxy(server.port)
        port = await proxy.start()
        try:
            async with (
                client(library, "change", server.port, database) as writer,
                client(library, role, port, database) as reader,
            ):
                return await watch(plan, proxy, database, writer, reader)
        finally:
            proxy.close()


class Client:
    """A process of `client.py`."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process, self._errors = process, errors

    async def line(self) -> str:
        """Returns the next line of its output."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise Failure(self._errors.read().decode().strip().rsplit("\n", 1)[-1])
        return line.decode()

    async def soon(self) -> str:
        """Returns the next line of its output, if it comes within `TIMEOUT`."""
        try:
            return await asyncio.wait_for(self.line(), TIMEOUT)
        except asyncio.TimeoutError:
            raise Failure(f"no answer within {TIMEOUT} s") from None

    async def change(self) -> float:
        """Lets it change the value, and returns when it had done so."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return float(await self.soon())

    async def read_into(self, reads: list[Read]) -> None:
        while True:
            began, ended, result = (await self.line()).split()
            reads.append(Read(float(began), float(ended), result))


@contextlib.asynccontextmanager
async def client(
    library: Library, role: str, port: int, database: Path
) -> AsyncIterator[Client]:
    """Starts a process of `client.py`, waits for its first line, and kills it after the block."""
    pipe = asyncio.subprocess.PIPE
    words = [str(HERE / "client.py"), library.label, role, str(port), str(database)]
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=pipe, stdout=pipe, stderr=errors
        )
        try:
            started = Client(process, errors)
            await started.soon()
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def watch(
    plan: Plan, proxy: Proxy, database: Path, writer: Client, reader: Client
) -> Outcome:
    reads: list[Read] = []
    reading = asyncio.create_task(reader.read_into(reads))
    try:
        await asyncio.sleep(1)
        database.write_text(OLD)
        await writer.change()
        await asyncio.sleep(2)
        ensure_running(reading)
        if {read.result for read in reads[-50:]} != {OLD}:
            raise Failure("it misses changes even without an outage")
        count, sent = len(reads), proxy.sent
        await asyncio.sleep(1)
        # The shortest command takes 20 bytes: with less there were only pings and metrics.
        local = proxy.sent - sent < 20 * (len(reads) - count)

        database.write_text(NEW)
        proxy.hold()
        changed = await writer.change()
        if plan.silence:
            await asyncio.sleep(plan.silence)
            proxy.resume()
        else:
            proxy.kill()
        restored = time.monotonic()
        while time.monotonic() < changed + plan.watch and not calm(reads, restored):
            await asyncio.sleep(0.1)
        ensure_running(reading)
    finally:
        reading.cancel()
    return outcome(plan, reads, changed, time.monotonic(), local)


def ensure_running(reading: asyncio.Task[None]) -> None:
    """Raises the error that has ended the reader, if there is one."""
    if reading.done():
        reading.result()


def calm(reads: list[Read], restored: float) -> bool:
    """Returns whether only the new value was read for a while, with a network."""
    begin = time.monotonic() - CALM
    recent = [read for read in reads if read.ended > begin]
    return begin > restored and bool(recent) and all(read.result == NEW for read in recent)


def outcome(
    plan: Plan, reads: list[Read], changed: float, end: float, local: bool
) -> Outcome:
    after = [read for read in reads if read.began > changed]
    stale = [read.ended - changed for read in after if read.result == OLD]
    # The read that has not returned yet counts as well.
    lengths = [read.ended - read.began for read in after] + [end - reads[-1].ended]
    return Outcome(
        plan=plan,
        stale=max(stale, default=0.0),
        lasting=bool(after) and after[-1].result == OLD,
        refused=any(read.result == "refused" for read in after),
        longest=max(lengths),
        local=local,
    )
