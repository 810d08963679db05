"""Where values come from, and what is known of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import Self

from hotshelf._hotshelf import Collected

#: What gives a value.
Source = Literal["none", "local", "server", "other_call", "loader"]

#: Why a value isn't taken from an entry.
Reason = Literal[
    "missing", "expired", "tags_changed", "other_tags", "untracked", "unusable", "undecodable",
    "other_codec", "known_absent", "reload", "unreadable", "disabled", "invalid_key",
]  # fmt: skip

#: What a call would find.
Verdict = Literal["hit", "negative", "stale_while_revalidating", "stale_on_error", "miss"]


@dataclass(frozen=True)
class Outcome:
    """Where the value of a call came from, and how. `str` describes it.

    Attributes:
        source: What gave the value: `"local"`, the memory of this process; `"server"`;
            `"other_call"`, the load of another call, here or in another process; `"loader"`, the
            factory of the call; `"none"` if there is no value, or the load failed.
        age: How long before the call the load of the value began, in seconds by the server's
            clock, if the value came from an entry.
        load_time: How long the load of the entry took, in seconds.
        is_stale: Whether the value was stale.
        loaded: Whether the call's factory ran, or was begun in the background.
        in_background: Whether it was begun in the background: the call didn't wait for it.
        waited: How long the call waited for leases and for the loads of others, in seconds.
        reason: Why the value was not taken from an entry at once, such as `"missing"`,
            `"expired"`, `"tags_changed"` or `"other_tags"`.
    """

    source: Source = "none"
    age: float | None = None
    load_time: float | None = None
    is_stale: bool = False
    loaded: bool = False
    in_background: bool = False
    waited: float = 0.0
    reason: Reason | None = None
    _text: str = field(default="no value", repr=False, compare=False)

    def __str__(self) -> str:
        return self._text

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dictionary, for JSON."""
        return _public(self)


class Trace:
    """Collects where the value of a call comes from: pass it as `trace=`, and read `outcome`
    afterwards. It may be passed to one call after another."""

    __slots__ = ("_collected", "_loaded", "_outcome")

    def __init__(self) -> None:
        self._outcome = Outcome()
        self._collected: Collected | None = None
        self._loaded = False

    @property
    def outcome(self) -> Outcome:
        """What was collected in the last call that has ended."""
        return self._outcome

    def __repr__(self) -> str:
        return f"<Trace: {self._outcome}>"

    def _begin(self) -> Collected:
        self._loaded = False
        self._collected = Collected()
        return self._collected

    def _load_begins(self) -> None:
        """Notes that the factory of the call runs."""
        self._loaded = True

    def _end(self) -> None:
        """Keeps what was collected: a load in the background goes on collecting."""
        if self._collected is not None:
            fields, text = self._collected.outcome()
            loaded = fields["loaded"] or self._loaded
            self._outcome = Outcome(**{**fields, "loaded": loaded}, _text=text)
            self._collected = None


@dataclass(frozen=True)
class EntryInfo:
    """An entry in the backend, with times in seconds.

    Attributes:
        bytes: Its size, with the cache's metadata, in bytes.
        value_bytes: The size of the encoded value, in bytes.
        fill: The id of the fill that wrote it, in hexadecimal digits; `None` for an entry that
            hotshelf did not write, or can't read.
        own_codec: Whether the cache's codec wrote the value.
        age: How long ago its load began, by the server's clock.
        load_time: How long its load took.
        fresh_for: For how long it is still fresh, by the server's clock; 0 if it is stale.
        expires_in: When the server removes it; `None` if it never does.
    """

    bytes: int
    value_bytes: int
    fill: str | None
    own_codec: bool
    age: float | None
    load_time: float | None
    fresh_for: float | None
    expires_in: float | None


@dataclass(frozen=True)
class TagInfo:
    """A tag that a call requires, or that an entry carries.

    Attributes:
        name: Its name, if the cache knows it.
        id: The id, in hexadecimal digits.
        required: Whether the call requires it.
        recorded: The version that it had before the entry was loaded; `None` if the entry doesn't
            carry it.
        current: Its version now; `None` if it was invalidated and not used since.
    """

    name: str | None
    id: str
    required: bool
    recorded: str | None
    current: str | None


@dataclass(frozen=True)
class Explanation:
    """What is known of a key, and what a call would find. `str` describes it.

    Attributes:
        key: The exact key in the backend.
        verdict: What a call would find: `"hit"`, a fresh value; `"negative"`, a cached `None`;
            `"stale_while_revalidating"`, a stale value that is served and loaded anew;
            `"stale_on_error"`, one that is served if its load fails or takes too long; `"miss"`.
        reason: Why it would be a miss.
        near: Whether the near tier would answer; `None` in a cache without one.
        entry: The entry in the backend.
        tags: The tags that the call requires or the entry carries.
        is_paused: Whether this process doesn't load the key for a while: a load has failed, or
            another process loads it.
    """

    key: str
    verdict: Verdict
    reason: Reason | None
    near: bool | None
    entry: EntryInfo | None
    tags: tuple[TagInfo, ...]
    is_paused: bool
    _text: str = field(default="", repr=False, compare=False)

    @classmethod
    def _of(cls, fields: Mapping[str, Any], text: str) -> Self:
        entry = fields["entry"]
        tags = tuple(TagInfo(**tag) for tag in fields["tags"])
        entry = None if entry is None else EntryInfo(**entry)
        return cls(**{**fields, "entry": entry, "tags": tags}, _text=text)

    def __str__(self) -> str:
        return self._text

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dictionary, for JSON."""
        return {**_public(self), "tags": [dataclasses.asdict(tag) for tag in self.tags]}


def _public(of: Outcome | Explanation) -> dict[str, Any]:
    fields = dataclasses.asdict(of)
    del fields["_text"]
    return fields
