"""Waits that no server ends."""

from __future__ import annotations

import asyncio


async def pause(seconds: float) -> None:
    """Waits for so many seconds."""
    await asyncio.sleep(seconds)
