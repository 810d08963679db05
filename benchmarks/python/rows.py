"""The rows of the report."""

from __future__ import annotations

import statistics


class Rows:
    """The rows of the report: one for each run, one for the best and one for the median."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self._costs: dict[tuple[str, str, str], tuple[float, float]] = {}

    def add(self, measure: str, library: str, variant: str, value: float, unit: str) -> None:
        row = {"measure": measure, "library": library, "variant": variant}
        self.rows.append({**row, "value": value, "unit": unit})

    def add_all(
        self, measure: str, library: str, variant: str, values: list[float], unit: str
    ) -> tuple[float, float]:
        """Adds runs, their best and their median, and returns those two."""
        for value in values:
            self.add(measure, library, variant, value, unit)
        best, median = min(values), statistics.median(values)
        self.add(f"{measure}, best", library, variant, best, unit)
        self.add(f"{measure}, median", library, variant, median, unit)
        self._costs[measure, library, variant] = best, median
        return best, median

    def costs(self, measure: str, library: str, variant: str) -> tuple[float, float]:
        """Returns the best run and the median."""
        return self._costs[measure, library, variant]
