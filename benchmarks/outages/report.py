"""The table, the figures in JSON, and the check of hotshelf."""

from __future__ import annotations

from dataclasses import dataclass, field

from caches import Library
from outage import Outcome, Plan
from rows import Rows

#: The longest that hotshelf may serve an old value, by the label of the row, in seconds: the
#: `max_staleness` of its near tier, and the time that a busy machine takes for a read.
PROMISED = {"hotshelf, near tier": 2.0 + 0.25, "hotshelf": 0.25}


@dataclass
class Row:
    library: Library
    version: str
    outcomes: list[Outcome] = field(default_factory=list)
    #: Why it was not run.
    failure: str = ""

    def of(self, plan: Plan) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.plan == plan]


def head(plans: list[Plan]) -> str:
    titles = ["library", "version", "set up by", "hits", *(plan.title for plan in plans)]
    return f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}"


def line(row: Row, plans: list[Plan]) -> str:
    first = f"| {row.library.label} | {row.version} | {row.library.setup} |"
    if row.failure:
        return f"{first} — | not run: {row.failure} |{' — |' * (len(plans) - 1)}"
    local = all(it.local for it in row.outcomes if not it.plan.busy)
    cells = [cell(row.of(plan)) for plan in plans]
    return f"{first} {'local' if local else 'ask Redis'} | {' | '.join(cells)} |"


def cell(outcomes: list[Outcome]) -> str:
    stale = max(it.stale for it in outcomes)
    text = f"{stale:.1f} s"
    if any(it.lasting for it in outcomes):
        text = f"**more than {stale:.0f} s**"
    if any(it.refused for it in outcomes):
        text += ", refuses"
    longest = max(it.longest for it in outcomes)
    return f"{text}, reads take up to {longest:.1f} s" if longest >= 1 else text


def figures(rows: list[Row], plans: list[Plan]) -> list[dict[str, object]]:
    found = Rows()
    for row in rows:
        for plan in plans:
            variant = f"{row.version}, {plan.title}"
            for it in row.of(plan):
                found.add("old value served", row.library.label, variant, it.stale, "s")
                found.add("longest read", row.library.label, variant, it.longest, "s")
    return found.rows


def check(rows: list[Row]) -> None:
    """Raises an error unless hotshelf was measured and kept its bounds."""
    for row in rows:
        promised = PROMISED.get(row.library.label)
        if promised is None:
            continue
        if row.failure:
            raise SystemExit(f"failed to measure {row.library.label}: {row.failure}")
        stale = max(it.stale for it in row.outcomes)
        if stale > promised:
            raise SystemExit(f"{row.library.label} served an old value for {stale:.2f} s")
