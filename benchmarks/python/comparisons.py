"""hotshelf beside the peer that costs least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rows import Rows
from subjects import Subject


@dataclass
class Comparison:
    """A row of hotshelf in one situation, and the peer with the lowest median."""

    measure: str
    variant: str
    library: str
    peer: str
    #: The cost as a multiple of the peer's, by the best runs and by the medians.
    best: float
    median: float

    def line(self) -> str:
        slower = " **slower**" if self.median > 1 else ""
        return (f"| {self.measure}, {self.variant} | {self.library} | {self.peer} |"
                f" {self.best:.2f} / {self.median:.2f}{slower} |")


class ComparedRows(Rows):
    """The rows of the report, and the ratio of each row of hotshelf to the best peer."""

    def __init__(self) -> None:
        super().__init__()
        self._comparisons: list[Comparison] = []

    def compare(self, measure: str, subjects: Sequence[Subject], variant: str) -> None:
        """Compares the measured costs in one situation."""
        costs = {it: self.costs(measure, it.name, variant) for it in subjects}
        peer = min((it for it in subjects if it.role == "peer"), key=lambda it: costs[it][1])
        for it in subjects:
            if it.role == "hotshelf":
                best, median = (costs[it][part] / costs[peer][part] for part in (0, 1))
                found = Comparison(measure, variant, it.name, peer.name, best, median)
                self._comparisons.append(found)
                times = f"{measure}, times {peer.name}"
                self.add(f"{times}, best", it.name, variant, best, "times")
                self.add(f"{times}, median", it.name, variant, median, "times")

    def summary(self) -> None:
        """Prints the comparisons."""
        if self._comparisons:
            print("\nhotshelf beside the peer that costs least: times its CPU, best / median\n")
            print("| | hotshelf | best peer | times its CPU |\n| --- | --- | --- | ---: |")
            for it in self._comparisons:
                print(it.line())
