"""Waits that no server ends."""

from __future__ import annotations

import asyncio
import time

from hotshelf._hotshelf import is_blocking


async def pause(seconds: float) -> None:
    """Waits for so many seconds."""
    if is_blocking():
        time.sleep(seconds)
    else:
        await asyncio.sleep(seconds)
