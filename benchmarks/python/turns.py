"""Runs of the same calls, alternating between libraries."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rows import Rows
from server import Server

CALLERS = (1, 32, 256)

HERE = Path(__file__).parent
ENVIRONMENTS = Path("target/bench-python")


@dataclass
class Plan:
    kind: str
    size: int
    loop: str
    libraries: list[str]
    repeats: int
    #: The duration of each run.
    seconds: float


def has_fastapi_rc() -> bool:
    return (ENVIRONMENTS / "fastapi-rc").exists()


def command(program: str, library: str, *arguments: object) -> list[str]:
    """Returns the command of a program in the environment of the library."""
    environment = "fastapi-rc" if library.startswith("fastapi-rc") else "hotshelf"
    python = ENVIRONMENTS / environment / "bin/python"
    return [str(python), str(HERE / program), library, *map(str, arguments)]


def result(library: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Waits for a program and returns its output."""
    output, error = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{library} failed: {error}")
    found: dict[str, Any] = json.loads(output)
    return found


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def take_turns(server: Server, rows: Rows, plan: Plan) -> None:
    """Measures the libraries of a plan, and prints a table."""
    libraries = [name for name in plan.libraries if has_fastapi_rc() or "fastapi-rc" not in name]
    lines = {library: [library] for library in libraries}
    for callers in CALLERS:
        runs: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
        for _ in range(plan.repeats):
            for library in libraries:
                server.flush()
                what = (plan.kind, server.port, plan.size, callers, plan.loop, plan.seconds)
                runs[library].append(result(library, start(command("calls.py", library, *what))))
        for library in libraries:
            lines[library].append(add(rows, library, plan, callers, runs[library]))
    print(f"\n{plan.kind}, {plan.size} bytes, {plan.loop}: CPU µs of a call, best / median"
          " (best thousand calls a second)\n")
    print(f"| callers | {' | '.join(map(str, CALLERS))} |\n| --- |{' ---: |' * len(CALLERS)}")
    for cells in lines.values():
        print(f"| {' | '.join(cells)} |", flush=True)


def add(
    rows: Rows, library: str, plan: Plan, callers: int, runs: list[dict[str, Any]]
) -> str:
    variant = f"{plan.size} bytes, {callers} callers, {plan.loop}"
    cpu = [run["cpu"] for run in runs]
    best, median = rows.add_all(f"CPU of a {plan.kind}", library, variant, cpu, "µs")
    measure = f"throughput of a {plan.kind}"
    speeds = [run["throughput"] for run in runs]
    most, _ = rows.add_all(measure, library, variant, speeds, "1/s")
    return f"{best:.1f} / {median:.1f} ({most / 1e3:.1f})"
