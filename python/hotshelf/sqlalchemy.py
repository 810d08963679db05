"""Invalidations after a commit of SQLAlchemy, with `hotshelf[sqlalchemy]`.

    async with sessions() as session:
        product = await session.get_one(Product, id)
        product.price = price
        invalidate_after_commit(session, products, id)
        await session.commit()
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast, overload

from sqlalchemy import event, inspect
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import (
    Mapper,
    ORMExecuteState,
    Session,
    SessionTransaction,
    class_mapper,
    object_session,
    scoped_session,
)
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from hotshelf import sync
from hotshelf._blocking import wait
from hotshelf._cached import BoundCall, CachedCall, CachedFunction
from hotshelf._errors import ConfigurationError
from hotshelf._keys import Identifier
from hotshelf._manager import CacheManager
from hotshelf._service import CacheService

__all__ = ["invalidate_after_commit", "invalidate_changes"]

logger = logging.getLogger("hotshelf")

AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]

#: Where the changes of a session are kept, in its `info`.
_INFO = "hotshelf"


@overload
def invalidate_after_commit(
    session: AnySession,
    cache: CacheService[Any] | sync.CacheService[Any],
    *identifiers: Identifier,
    params: Mapping[str, Any] | None = None,
) -> None: ...


@overload
def invalidate_after_commit(
    session: AnySession, cache: CacheManager | sync.CacheManager, *tags: str
) -> None: ...


@overload
def invalidate_after_commit(
    session: AnySession,
    cache: CachedFunction[..., Any] | sync.CachedFunction[..., Any],
    *args: Any,
    **kwargs: Any,
) -> None: ...


def invalidate_after_commit(session: AnySession, cache: Any, *args: Any, **kwargs: Any) -> None:
    """Invalidates entries once the session's transaction is committed.

    Without a transaction, it is the next one. Nothing is invalidated if it is rolled back, nor what
    was added in a savepoint that is. If the commit raises an exception, its outcome may be unknown:
    then the entries are invalidated when the session ends the transaction.

    `commit` returns after the invalidation, which costs one round trip for each cache, and one for
    all tags of a manager. A failure is logged, and counted; the commit has succeeded nevertheless.

    A session that joins a transaction of its connection invalidates when the session commits, and
    one with the isolation level `AUTOCOMMIT` when it commits, too, although the database has changed
    before.

    A sync session invalidates in its thread. Where an event loop runs in that thread, `commit`
    doesn't wait for the invalidation: use an `AsyncSession` there.

    Args:
        session: A session, sync or async, or a registry of sessions.
        cache: What is invalidated: a service, by identifiers; a manager, by tags; a cached function
            (`CachedFunction`), by the arguments of a call.
        args: The identifiers (with `params=`), the names of tags, or the arguments of a call.
        kwargs: Further arguments of a call.

    Raises:
        KeyError, TypeError: If an identifier, or the arguments of a call, make no key.
        ConfigurationError: For another object than these.
    """
    Changes.of(_sync_session(session)).add(*_targets(cache, args, kwargs))


def invalidate_changes(
    model: type[Any],
    cache: CacheService[Any] | sync.CacheService[Any],
    *,
    key: Callable[[Any], Identifier | list[Identifier]],
    tags: Callable[[Any], Iterable[str]] | None = None,
    bulk_tags: Iterable[str] | None = None,
) -> None:
    """Invalidates entries after each commit that inserts, updates or deletes rows of a mapped
    class, in any session.

        invalidate_changes(Row, products, key=lambda row: row.id, tags=lambda row: ["catalogue"])

    If attributes change that `key` or `tags` read, both the former and the new entries are
    invalidated. An `update()`, `delete()` or `insert()` of the class or its tables that a session
    executes doesn't say which rows it changes: it invalidates all entries of the cache, or the
    `bulk_tags`. Textual statements, those that a connection executes, triggers of the database, and
    the legacy methods `bulk_save_objects`, `bulk_insert_mappings` and `bulk_update_mappings` aren't
    seen.

    Args:
        model: The mapped class. Its subclasses are included.
        cache: The service whose entries are made of its rows.
        key: Returns the identifier of a row's entry, or a list of them. It is called when the
            change is flushed, so it must not load attributes; and once more, with an object of the
            former attributes.
        tags: Returns the tags to invalidate when a row changes; called likewise.
        bulk_tags: The tags to invalidate for statements, in place of the whole cache. Otherwise
            that is invalidated as by `CacheService.invalidate_all`.

    Raises:
        ConfigurationError: If the class isn't mapped.
    """
    try:
        mapper: Mapper[Any] = class_mapper(model)
    except Exception as error:
        raise ConfigurationError(f"{model!r} is no mapped class") from error
    service = cache.asynchronous if isinstance(cache, sync.CacheService) else cache
    rule = _Rule(mapper, service, key, tags, None if bulk_tags is None else list(bulk_tags))
    for name in ("after_insert", "after_update", "after_delete"):
        event.listen(model, name, rule.on_row, propagate=True)
    if not _rules:
        event.listen(Session, "do_orm_execute", _on_execute)
        event.listen(Session, "before_commit", _flush)
    _rules.append(rule)


#: What is to be invalidated: a service with an identifier and parameters, or with `None` for all of
#: its entries; or a manager with a tag.
_Target = tuple[Any, Any]


def _targets(cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[_Target]:
    """Returns what the arguments of `invalidate_after_commit` mean."""
    if isinstance(cache, CachedCall | BoundCall):
        service, keys = cache._entry(args, kwargs)
        return [(service, keys)]
    asynchronous = getattr(cache, "asynchronous", cache)
    if isinstance(asynchronous, CacheManager):
        if kwargs or not all(isinstance(it, str) for it in args):
            raise TypeError("the tags of a manager are text, by position")
        return [(asynchronous, it) for it in args]
    if isinstance(asynchronous, CacheService):
        params = kwargs.pop("params", None)
        if kwargs:
            raise TypeError(f"unknown arguments {', '.join(kwargs)}: only `params` is known")
        for identifier in args:
            # Raises for an invalid one.
            asynchronous.key(identifier, params)
        return [(asynchronous, (identifier, params)) for identifier in args]
    kind = type(cache).__name__
    raise ConfigurationError(
        f"invalid cache of type {kind}: pass a service, a manager or a cached function"
    )


def _sync_session(session: Any) -> Session:
    if isinstance(session, scoped_session | async_scoped_session):
        session = session()
    return cast("Session", getattr(session, "sync_session", session))


class Changes:
    """What the transactions of a session change."""

    def __init__(self, session: Session) -> None:
        self._session = session
        #: By transaction or savepoint; of `None` what was added before one began.
        self._added: dict[SessionTransaction | None, dict[_Target, None]] = {}
        #: Whether a commit was sent to the database and hasn't returned.
        self._commits = False
        #: The savepoint that was released last.
        self._released: SessionTransaction | None = None
        event.listen(session, "after_transaction_create", self._begin)
        event.listen(session, "before_commit", self._prepare)
        event.listen(session, "after_commit", self._commit)
        event.listen(session, "after_transaction_end", self._end)

    @classmethod
    def of(cls, session: Session) -> Changes:
        """Returns the changes of a session."""
        changes = session.info.get(_INFO)
        if changes is None:
            changes = session.info[_INFO] = cls(session)
        return cast("Changes", changes)

    def add(self, *targets: _Target) -> None:
        """Adds changes to the current transaction or savepoint, or to the next one."""
        current = self._session.get_nested_transaction() or self._session.get_transaction()
        # A dict is an ordered set.
        self._added.setdefault(current, {}).update(dict.fromkeys(map(_hashable, targets)))

    def _begin(self, _: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None and None in self._added:
            self._added[transaction] = self._added.pop(None)

    def _prepare(self, session: Session) -> None:
        if not session.in_nested_transaction():
            # What fails in here is rolled back. After it the outcome may be unknown.
            session.flush()
            self._commits = bool(self._added)

    def _commit(self, session: Session) -> None:
        self._released = session.get_nested_transaction()
        if self._released is None:
            self._commits = False
            self._send()

    def _end(self, _: Session, ended: SessionTransaction) -> None:
        """Ends a transaction or a savepoint, committed or not."""
        if ended.parent is None and self._commits:
            # The commit failed.
            self._commits = False
            self._send()
        added = self._added.pop(ended, None)
        if added and ended is self._released:
            self._added.setdefault(_holder(ended.parent), {}).update(added)
        self._released = None

    def _send(self) -> None:
        targets = [it for added in self._added.values() for it in added]
        self._added.clear()
        if not targets:
            return
        if asyncio._get_running_loop() is None:
            wait(_invalidate(targets))
            return
        # A task of its own, which goes on if the caller is cancelled: the commit has been sent.
        task = asyncio.get_running_loop().create_task(_invalidate(targets))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        if in_greenlet():
            # An `AsyncSession` awaits its `commit`.
            await_only(asyncio.shield(task))


#: The invalidations that run.
_tasks: set[asyncio.Task[None]] = set()


def _holder(transaction: SessionTransaction | None) -> SessionTransaction | None:
    """Returns the transaction or savepoint that a part of a flush belongs to."""
    while transaction is not None and not transaction.nested and transaction.parent is not None:
        transaction = transaction.parent
    return transaction


def _hashable(target: _Target) -> _Target:
    """Returns a target whose parameters, if it has any, are hashable."""
    cache, what = target
    if isinstance(what, tuple) and what[1] is not None:
        return cache, (what[0], _Params(what[1]))
    return target


class _Params(dict[str, Any]):
    """Parameters, each with an identity of its own."""

    __hash__ = object.__hash__  # type: ignore[assignment]


async def _invalidate(targets: list[_Target]) -> None:
    """Invalidates all targets, those of one cache by one call."""
    by_cache: dict[Any, list[Any]] = {}
    for cache, what in targets:
        by_cache.setdefault(cache, []).append(what)
    calls = [
        cache.invalidate_tags(of) if isinstance(cache, CacheManager) else _of_service(cache, of)
        for cache, of in by_cache.items()
    ]
    done = [await call for call in calls]
    if not all(done):
        logger.error(
            "cache: invalidating %d changes after a commit failed; their entries may be served"
            " until they end", len(targets),
        )


async def _of_service(service: CacheService[Any], keys: list[Any]) -> bool:
    if None in keys:
        return await service.invalidate_all()
    return await service._delete_all(keys)


class _Rule:
    """The entries that are made of the rows of a mapped class."""

    def __init__(
        self,
        mapper: Mapper[Any],
        service: CacheService[Any],
        key: Callable[[Any], Identifier | list[Identifier]],
        tags: Callable[[Any], Iterable[str]] | None,
        bulk_tags: list[str] | None,
    ) -> None:
        self.mapper = mapper
        self._service = service
        self._key = key
        self._tags = tags
        self._bulk_tags = bulk_tags

    def on_row(self, mapper: Mapper[Any], connection: Any, row: Any) -> None:
        """Adds the entries of a row that is flushed."""
        session = object_session(row)
        if session is None or (row not in session.deleted and row in session.dirty
                               and not session.is_modified(row)):  # fmt: skip
            return
        changes = Changes.of(session)
        for state in (row, Former(row)):
            key = self._key(state)
            changes.add(*_targets(self._service, tuple(key if isinstance(key, list) else [key]), {}))
            if self._tags is not None:
                changes.add(*_targets(self._service._manager, tuple(self._tags(state)), {}))

    def on_statement(self, session: Session) -> None:
        """Adds what a statement may change."""
        if self._bulk_tags is None:
            targets: list[_Target] = [(self._service, None)]
        else:
            targets = _targets(self._service._manager, tuple(self._bulk_tags), {})
        Changes.of(session).add(*targets)


class Former:
    """The attributes of a row before it was changed."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        attributes = inspect(self._row).attrs
        before = attributes[name].history.deleted if name in attributes else ()
        return before[0] if before else getattr(self._row, name)


_rules: list[_Rule] = []


def _on_execute(state: ORMExecuteState) -> None:
    """Adds what a statement may change, which names a class or its table."""
    if not (state.is_insert or state.is_update or state.is_delete):
        return
    mapper, table = state.bind_mapper, getattr(state.statement, "table", None)
    for rule in _rules:
        own = rule.mapper
        is_related = mapper is not None and (mapper.isa(own) or own.isa(mapper))
        if is_related or any(table in it.tables for it in own.self_and_descendants):
            rule.on_statement(state.session)


def _flush(session: Session) -> None:
    """Flushes before a commit, so that what changes is known before its outcome may not be."""
    if not session.in_nested_transaction():
        session.flush()
        changes = session.info.get(_INFO)
        if changes is not None:
            changes._prepare(session)
