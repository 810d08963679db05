"""Options of the near tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotshelf._errors import ConfigurationError
from hotshelf._keys import is_text, list_of_names


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
        broadcast: Prefixes of keys, such as `cache:v1:products`, whose changes the server reports to
            every process, whether or not that has read them; it then remembers nothing for the
            near tier, which keeps these keys alone. For few processes and few writes.
        without_reports: Whether entries are kept for `max_staleness` where the server doesn't
            report changes: behind a proxy, over RESP2, or where an ACL denies it. Changes by
            other processes are then seen after that time, and not within a round trip.
    """

    max_bytes: int = 64 << 20
    max_staleness: float = 2.0
    ttl: float = 60.0
    broadcast: Sequence[str] = ()
    without_reports: bool = False


#: The options as the engine takes them.
Converted = tuple[int, float, float, list[str], bool]


def near_options(near: Near | bool) -> Converted | None:
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
    prefixes = list_of_names(near.broadcast, "broadcast")
    if not all(is_text(prefix) and prefix for prefix in prefixes):
        raise ConfigurationError("invalid `broadcast` of `near`: use a list of prefixes of keys")
    times = (float(near.max_staleness), float(near.ttl))
    return size, *times, prefixes, bool(near.without_reports)
