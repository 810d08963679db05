"""Hits in the memory of the process, compared with awaiting a read of a dict."""

from __future__ import annotations

from local import GETS, LOADS
from rows import Rows
from server import Server
from turns import command, result, start

#: The most that a hit costs, in ns and as a multiple of the awaited read of a dict.
GOAL, MOST = 450, 3


def memory(server: Server, rows: Rows, repeats: int, seconds: float) -> None:
    """Measures all subjects in turns, and prints a table and the goals."""
    subjects = [*GETS, *LOADS]
    runs: dict[str, list[float]] = {subject: [] for subject in subjects}
    for _ in range(repeats):
        for subject in subjects:
            words = command("local.py", subject, server.port, "uvloop", seconds)
            runs[subject].append(result(subject, start(words))["cpu"])
    print("\nA hit in memory, a pydantic model: CPU ns, best / median\n")
    print("| | ns | times dict, by the best |\n| --- | ---: | ---: |")
    found = {
        subject: rows.add_all("CPU of a hit in memory", subject, "uvloop", values, "ns")
        for subject, values in runs.items()
    }
    least = found["dict"][0]
    for subject, (best, median) in found.items():
        print(f"| {subject} | {best:.0f} / {median:.0f} | {best / least:.2f} |")
    print()
    for subject, (best, median) in found.items():
        if subject.startswith("hotshelf"):
            goal_line(f"{subject}, ns", median, GOAL)
            goal_line(f"{subject}, times dict", best / least, MOST)


def goal_line(text: str, value: float, most: float) -> None:
    verdict = "reached" if value <= most else "missed"
    print(f"- {text}: {value:.2f}, goal {most}: {verdict}")
