"""What a factory is told, and decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from hotshelf._hotshelf import Missing, Ticket

if TYPE_CHECKING:
    from hotshelf._options import Lifetime
    from hotshelf._service import CacheService

T = TypeVar("T")

_UNREAD: Any = object()
_NONE: Any = object()


class OuterLoad:
    """A load whose value is made of cached ones, and may take over their tags."""

    __slots__ = ("_inherited",)

    def __init__(self, ticket: Ticket) -> None:
        self._inherited = ticket.inherited_tags()


class LoadContext(OuterLoad, Generic[T]):
    """What a factory is told about its load, and decides about its value.

    `CacheService.get_or_set` passes it with `with_context=True`:

        async def fetch(context: LoadContext[Product]) -> Product:
            product = await database.product(id)
            context.tags(f"category:{product.category}")
            if product.is_on_sale:
                context.ttl = 10
            return product
    """

    __slots__ = ("_found", "_previous", "_service", "_stale", "_store", "_tags", "_ttl",
                 "_unchanged")

    def __init__(self, service: CacheService[T], ticket: Ticket) -> None:
        super().__init__(ticket)
        self._service = service
        self._found = ticket.previous
        self._previous: Any = _UNREAD
        self._ttl: Lifetime | None = None
        self._tags: list[str] = []
        self._store = True
        self._stale = True
        self._unchanged = False

    @property
    def has_previous(self) -> bool:
        """Whether there is a previous value: one that is only stale. It expired, and was not
        invalidated."""
        return self._read() is not _NONE

    @property
    def previous(self) -> T | None:
        """The previous value, if it is only stale; otherwise `None`, which may also be the value.

        It is a copy where the cache's `copy` says so.
        """
        previous = self._read()
        return None if previous is _NONE else cast("T | None", previous)

    def _read(self) -> Any:
        if self._previous is _UNREAD:
            is_missing = type(self._found) is Missing
            value = self._service._value(self._found)
            is_none = is_missing or self._service._is_undecodable(value)
            self._previous = _NONE if is_none else value
        return self._previous

    def not_modified(self) -> T:
        """Returns the previous value, for a factory that finds it unchanged at the source, by a
        version or an `ETag`: `return context.not_modified()`. It is fresh again then: the server
        keeps the value, and is sent its metadata alone.

        Raises:
            RuntimeError: If there is none.
        """
        if not self.has_previous:
            raise RuntimeError("there is no previous value: check `has_previous` first")
        self._unchanged = True
        return cast("T", self.previous)

    def _is_unchanged(self, made: object) -> bool:
        """Returns whether what the factory has returned is the previous value."""
        return self._unchanged and made is self._previous

    @property
    def ttl(self) -> Lifetime | None:
        """For how long the value is fresh, in seconds; set it. Default: `None`, as the call or the
        cache says.

        With 0 or an invalid lifetime nothing is stored, and the error is counted: use `skip_store`.
        """
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: Lifetime | None) -> None:
        self._ttl = ttl

    def tags(self, *names: str) -> None:
        """Adds tags that are known only from the value.

        Costs one more round trip when the value is stored, and one for each read that doesn't find
        it in the memory of this process. Values with a new tag are not stored until it is a second
        older than the load: only then it is known that the tag was not invalidated meanwhile. Where
        tags follow from the key, pass them to the call instead. With invalid tags the value isn't
        stored, and the error is counted.

        Raises:
            TypeError: For a list instead of names.
        """
        for name in names:
            if isinstance(name, list | tuple | set | frozenset):
                raise TypeError(f"pass each tag by itself: use tags(*names), not tags({name!r})")
        self._tags.extend(names)

    def skip_store(self) -> None:
        """Passes the value to the callers that wait, and doesn't store it. An older entry is
        removed."""
        self._store = False

    def reject_stale(self) -> None:
        """Makes callers get the factory's exception even if there is a stale value, as for one
        that says that the value is gone."""
        self._stale = False

    def _decide(self, ticket: Ticket) -> None:
        """Tells the engine what was decided."""
        ticket.decide(
            ttl=self._ttl,
            tags=self._tags or None,
            inherited=self._inherited,
            skip_store=not self._store,
            rejects_stale=not self._stale,
        )
