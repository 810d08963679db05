"""Awaits operations of the engine."""

from __future__ import annotations

from typing import Any

from hotshelf._hotshelf import Pending


async def result_of(pending: Pending) -> Any:
    """Waits for an operation, and abandons it if the caller is cancelled or closed."""
    try:
        return await pending.future
    except BaseException:
        pending.abandon()
        raise
