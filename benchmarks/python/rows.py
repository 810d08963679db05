"""The rows of the report."""

from __future__ import annotations

import statistics


class Rows:
    """The rows of the report: one for each run, one for the best and one for the median."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self._best: dict[tuple[str, str, str], float] = {}

    def add(self, measure: str, library: str, variant: str, value: float, unit: str) -> None:
        row = {"measure": measure, "library": library, "variant": variant}
        self.rows.append({**row, "value": value, "unit": unit})

    def add_all(
        self, measure: str, library: str, variant: str, values: list[float], unit: str
    ) -> tuple[float, float]:
        """Adds runs, their best and their median, and returns those two."""
        for value in values:
            self.add(measure, library, variant, value, unit)
        best = max(values) if unit == "1/s" else min(values)
        median = statistics.median(values)
        self.add(f"{measure}, best", library, variant, best, unit)
        self.add(f"{measure}, median", library, variant, median, unit)
        self._best[measure, library, variant] = best
        return best, median

    def best(self, measure: str, library: str, variant: str) -> float | None:
        return self._best.get((measure, library, variant))
