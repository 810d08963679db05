"""The counters of a cache."""

from __future__ import annotations

from typing_extensions import TypedDict


class Stats(TypedDict):
    """The counters of a cache in this process.

    Attributes:
        hits: Calls that got a value, or a cached `None`, from the backend.
        near_hits: Those of the hits that the near tier answered.
        stale_hits: Those of the hits whose value was stale.
        near_stale_hits: Those of the stale hits that the near tier answered.
        negatives: Those of the hits that said that the value is `None`, and were fresh.
        near_negatives: Those of the negatives that the near tier answered.
        stale: Stale values that callers were given: stale hits, and values instead of an exception or
            of waiting for a slow factory.
        stale_instead: Those of the stale values that were given instead.
        misses: Calls that found no usable entry in the backend.
        loads: Keys that were loaded: runs of factories, and each key of a run for many.
        refreshes: Those of the runs that replace a value which is served meanwhile.
        load_errors: Runs of factories that raised an exception.
        timed_out: Calls that stopped waiting for a load, by `soft_timeout` or `hard_timeout`.
        backed_off: Calls that ran no factory, since one had failed a short time before.
        coalesced: Calls that got the value of another call's factory.
        errors: Failed operations of the backend, and invalid arguments.
        foreign: Entries that are not a value of this cache: corrupt, or of another model.
        other_tags: Entries with other tags than those of the call, which are misses.
        stored: Values that were stored.
        refused: Values that were not stored, since the key was invalidated or written
            meanwhile.
        degraded: Runs of factories without the right to store: the backend was unreachable,
            or waiting for another process timed out.
        handed_over: Cancelled calls whose load was handed over to a waiting call.
        unstorable: Values that were not stored, since they can't be encoded or are too large.
    """

    hits: int
    near_hits: int
    stale_hits: int
    near_stale_hits: int
    negatives: int
    near_negatives: int
    stale: int
    stale_instead: int
    misses: int
    loads: int
    refreshes: int
    load_errors: int
    timed_out: int
    backed_off: int
    coalesced: int
    errors: int
    foreign: int
    other_tags: int
    stored: int
    refused: int
    degraded: int
    handed_over: int
    unstorable: int
