"""Options of the near tier."""

from __future__ import annotations

from dataclasses import dataclass

from hotshelf._errors import ConfigurationError


@dataclass(frozen=True)
class Near:
    """A near tier, for `CacheManager(near=…)`: what was read from the server is kept in the memory
    of this process, too.

    A hit in it costs no round trip. The server reports changes of what was read. A hit reflects
    every invalidation that was executed before the last answered ping, which is no older than
    `max_staleness`, and those through this manager at once. Values of 128 KiB and more are not
    kept, except with `without_reports`.

    Attributes:
        max_bytes: The most memory that entries may take, in bytes, from 1 MiB on.
        max_staleness: The bound of staleness, in seconds, from 0.1 to 60.
        ttl: How long an entry is kept at most, in seconds.
        without_reports: Whether entries are kept for `max_staleness` where the server doesn't
            report changes: behind a proxy, over RESP2, or where an ACL denies it. Changes by
            other processes are then seen after that time, and not within a round trip.
    """

    max_bytes: int = 64 << 20
    max_staleness: float = 2.0
    ttl: float = 60.0
    without_reports: bool = False


def near_options(near: Near | bool) -> tuple[int, float, float, bool] | None:
    """Returns the options of a near tier; `None` without one.

    Raises:
        ConfigurationError: For a value of another type.
    """
    if near is False:
        return None
    near = Near() if near is True else near
    if not isinstance(near, Near):
        raise ConfigurationError(f"invalid `near` {near!r}: use hotshelf.Near(…), True or False")
    size = near.max_bytes
    if not isinstance(size, int) or not 0 <= size < 1 << 63:
        raise ConfigurationError(f"invalid `max_bytes` {size!r}: use a number of bytes from 0 on")
    times = (near.max_staleness, near.ttl)
    if not all(isinstance(time, int | float) and 0 <= time < float("inf") for time in times):
        raise ConfigurationError("invalid times of `near`: use a number of seconds for each")
    without_reports = bool(near.without_reports)
    return size, float(near.max_staleness), float(near.ttl), without_reports
