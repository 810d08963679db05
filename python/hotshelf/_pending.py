"""Waiting for operations of the engine."""

from __future__ import annotations

import asyncio
from typing import Any

from hotshelf._hotshelf import Pending


async def settled(pending: Pending) -> Any:
    """Waits for an operation, and ends it if the caller is cancelled or closed."""
    try:
        return await pending.future
    except BaseException:
        pending.abandon()
        raise


async def settled_within(pending: Pending, limit: float) -> Any:
    """Waits for an operation, but not for ever, and ends it then.

    Raises:
        TimeoutError: asyncio's own, if the time is over.
    """
    try:
        done, _ = await asyncio.wait((pending.future,), timeout=limit)
    except BaseException:
        pending.abandon()
        raise
    if done:
        return pending.future.result()
    pending.abandon()
    raise asyncio.TimeoutError
