"""Runs of the same calls, alternating between libraries."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparisons import ComparedRows
from server import Server
from subjects import Subject

HERE = Path(__file__).parent
ENVIRONMENTS = Path("target/bench-python")

#: The best run and the median of each row, for each column.
Costs = dict[Subject, list[tuple[float, float]]]


@dataclass
class Plan:
    """A table: what is measured, of which subjects, and in which situations."""

    measure: str
    #: The table in `libraries.TABLES`.
    table: str
    subjects: list[Subject]
    #: The program, which prints the CPU time of a call.
    program: str
    #: The arguments of the program, by the situation that they stand for.
    columns: Mapping[str, tuple[object, ...]]
    repeats: int
    unit: str = "µs"


def command(program: str, environment: str, *arguments: object) -> list[str]:
    """Returns the command of a program in an environment."""
    python = ENVIRONMENTS / environment / "bin/python"
    return [str(python), str(HERE / program), *map(str, arguments)]


def result(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Waits for a program and returns its output."""
    output, error = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{name} failed: {error}")
    found: dict[str, Any] = json.loads(output)
    return found


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def take_turns(server: Server, rows: ComparedRows, plan: Plan) -> Costs:
    """Measures the subjects of a plan, and adds the rows."""
    costs: Costs = {subject: [] for subject in plan.subjects}
    for variant, arguments in plan.columns.items():
        runs: dict[Subject, list[float]] = {subject: [] for subject in plan.subjects}
        for _ in range(plan.repeats):
            for subject in plan.subjects:
                server.flush()
                what = (plan.table, subject.name, server.port, *arguments)
                process = start(command(plan.program, subject.environment, *what))
                runs[subject].append(result(subject.name, process)["cpu"])
        for subject, values in runs.items():
            found = rows.add_all(plan.measure, subject.name, variant, values, plan.unit)
            costs[subject].append(found)
        rows.compare(plan.measure, plan.subjects, variant)
    return costs


def print_table(plan: Plan, costs: Costs) -> None:
    print(f"\n{plan.measure}: CPU {plan.unit} of a call, best / median\n")
    print(f"| | {' | '.join(plan.columns)} |\n| --- |{' ---: |' * len(plan.columns)}")
    digits = 0 if plan.unit == "ns" else 1
    for subject, found in costs.items():
        cells = [f"{best:.{digits}f} / {median:.{digits}f}" for best, median in found]
        print(f"| {subject.name} | {' | '.join(cells)} |", flush=True)
