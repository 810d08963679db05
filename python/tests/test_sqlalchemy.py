"""Tests of invalidations after a commit of SQLAlchemy."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from conftest import RedisServer, eventually
from sqlalchemy import create_engine, delete, event, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

import hotshelf
from hotshelf import CacheManager, CacheService, ConfigurationError
from hotshelf.sqlalchemy import invalidate_after_commit, invalidate_changes
from hotshelf.testing import Failures


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    engine = create_engine(f"sqlite:///{tmp_path}/rows.db")
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([Row(id=1, name="one"), Row(id=2, name="two")])
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(engine: sqlalchemy.Engine) -> Any:
    asynchronous = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
    yield asynchronous
    await asynchronous.dispose()


@pytest.fixture
def cache(hotshelf_cache: CacheManager) -> CacheManager:
    return hotshelf_cache


@pytest.fixture
def names(cache: CacheManager) -> CacheService[str]:
    return cache.service("names", str)


def fill(names: CacheService[str], *ids: int) -> None:
    for id in ids or (1, 2):
        assert names.sync.set(id, "cached", tags=["all"])


def cached(names: CacheService[str], *ids: int) -> list[int]:
    """Returns which identifiers have an entry."""
    return [id for id in ids or (1, 2) if names.sync.exists(id)]


def test_commit_invalidates(engine: sqlalchemy.Engine, names: CacheService[str]) -> None:
    fill(names)
    with Session(engine) as session:
        session.get_one(Row, 1).name = "changed"
        invalidate_after_commit(session, names, 1)
        session.flush()
        assert cached(names) == [1, 2], "nothing is invalidated before"
        session.commit()
        assert cached(names) == [2]
        fill(names)
        session.commit()
        assert cached(names) == [1, 2], "once"
        invalidate_after_commit(session, names.sync, 1, 2)
        session.execute(select(Row))
        session.commit()
        assert cached(names) == [], "what was added before the transaction began"


def test_rollback_invalidates_nothing(engine: sqlalchemy.Engine, names: CacheService[str]) -> None:
    fill(names)
    with Session(engine) as session:
        session.get_one(Row, 1).name = "changed"
        invalidate_after_commit(session, names, 1)
        session.rollback()
        session.commit()
        invalidate_after_commit(session, names, 1)
        session.get_one(Row, 1)
    with Session(engine) as session, pytest.raises(LookupError), session.begin():
        invalidate_after_commit(session, names, 1)
        raise LookupError
    with Session(engine) as session:
        session.add(Row(id=3, name="two"))
        invalidate_after_commit(session, names, 2)
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        session.commit()
    assert cached(names) == [1, 2]


def test_savepoints_are_heeded(engine: sqlalchemy.Engine, names: CacheService[str]) -> None:
    fill(names, 1, 2, 3, 4, 5)
    with Session(engine) as session:
        invalidate_after_commit(session, names, 1)
        with session.begin_nested():
            invalidate_after_commit(session, names, 2)
            with session.begin_nested() as inner:
                session.get_one(Row, 1).name = "lost"
                invalidate_after_commit(session, names, 3)
                inner.rollback()
            with session.begin_nested():
                invalidate_after_commit(session, names, 4)
        outer = session.begin_nested()
        invalidate_after_commit(session, names, 5)
        with pytest.raises(IntegrityError):
            session.add(Row(id=1, name="again"))
            session.flush()
        outer.rollback()
        assert cached(names, 1, 2, 3, 4, 5) == [1, 2, 3, 4, 5]
        session.commit()
    assert cached(names, 1, 2, 3, 4, 5) == [3, 5]


def test_commit_of_unknown_outcome_invalidates(
    engine: sqlalchemy.Engine, names: CacheService[str]
) -> None:
    fill(names)

    def lose(_: Any) -> None:
        raise ConnectionError("the answer is lost")

    with Session(engine) as session:
        session.get_one(Row, 1).name = "changed"
        invalidate_after_commit(session, names, 1)
        event.listen(engine, "commit", lose)
        with pytest.raises(ConnectionError):
            session.commit()
        event.remove(engine, "commit", lose)
    assert cached(names) == [2]


def test_tags_and_functions_are_invalidated(
    engine: sqlalchemy.Engine, cache: CacheManager, names: CacheService[str]
) -> None:
    @cache.cached()
    def name_of(id: int, language: str = "en") -> str:
        return f"{id}, {language}"

    class Shelf:
        @cache.cached(skip=["self"])
        async def size(self, id: int, units: list[str]) -> int:
            return len(units)

    fill(names)
    name_of(1)
    name_of(2)
    shelf = Shelf()
    asyncio.run(shelf.size(1, ["cm"]))
    with Session(engine) as session, session.begin():
        invalidate_after_commit(session, cache, "all", "others")
        invalidate_after_commit(session, name_of, 1)
        invalidate_after_commit(session, shelf.size, 1, units=["cm"])
    assert cached(names) == []
    assert (name_of.peek(1), name_of.peek(2)) == (None, "2, en")
    assert asyncio.run(shelf.size.peek(1, ["cm"])) is None


def test_parameters_are_part_of_keys(
    engine: sqlalchemy.Engine, names: CacheService[str]
) -> None:
    pages = [{"page": page} for page in range(3)]
    for page in pages:
        names.sync.set("list", "cached", params=page)
    with Session(engine) as session, session.begin():
        invalidate_after_commit(session, names, "list", params=pages[0])
        invalidate_after_commit(session, names, "list", params=pages[1])
    assert [names.sync.exists("list", page) for page in pages] == [False, False, True]


def test_wrong_input_is_refused(
    engine: sqlalchemy.Engine, cache: CacheManager, names: CacheService[str]
) -> None:
    calls: list[tuple[type[Exception], str, Callable[[Session], None]]] = [
        (hotshelf.KeyError, "identifier|key", lambda it: invalidate_after_commit(it, names, object())),  # type: ignore[call-overload]
        (TypeError, "text, by position", lambda it: invalidate_after_commit(it, cache, 1)),  # type: ignore[call-overload]
        (TypeError, "only `params`", lambda it: invalidate_after_commit(it, names, 1, tag="a")),  # type: ignore[call-overload]
        (ConfigurationError, "pass a service", lambda it: invalidate_after_commit(it, print, 1)),
        (ConfigurationError, "no mapped class", lambda _: invalidate_changes(str, names, key=len)),
    ]
    with Session(engine) as session:
        for error, text, call in calls:
            with pytest.raises(error, match=text):
                call(session)


def test_registries_of_sessions_work(engine: sqlalchemy.Engine, names: CacheService[str]) -> None:
    fill(names)
    sessions = scoped_session(sessionmaker(engine))
    invalidate_after_commit(sessions, names, 1)
    sessions.commit()
    sessions.remove()
    assert cached(names) == [2]


async def test_async_commit_invalidates(
    async_engine: AsyncEngine, names: CacheService[str]
) -> None:
    sessions = async_sessionmaker(async_engine)
    for id in (1, 2):
        await names.set(id, "cached")
    async with sessions() as session:
        (await session.get_one(Row, 1)).name = "changed"
        invalidate_after_commit(session, names, 1)
        await session.commit()
        assert not await names.exists(1), "commit waits for it"
        await session.get_one(Row, 1)
        invalidate_after_commit(session, names, 2)
        await session.rollback()
    async with sessions.begin() as session:
        async with session.begin_nested() as savepoint:
            invalidate_after_commit(session, names, 2)
            await savepoint.rollback()
    assert await names.exists(2)
    registry = async_scoped_session(sessions, asyncio.current_task)
    invalidate_after_commit(registry, names, 2)
    await registry.commit()
    await registry.remove()
    assert not await names.exists(2)


async def test_cancelled_commit_invalidates_all(
    async_engine: AsyncEngine, own_server: RedisServer
) -> None:
    cache = CacheManager(own_server.url, store_timeout=5, read_timeout=5)
    one, two = (cache.service(name, str) for name in ("one", "two"))
    assert await one.set(1, "cached") and await two.set(1, "cached")
    async with AsyncSession(async_engine) as session:
        (await session.get_one(Row, 1)).name = "changed"
        invalidate_after_commit(session, one, 1)
        invalidate_after_commit(session, two, 1)
        own_server.pause()
        committing = asyncio.create_task(session.commit())
        committed = select(Row.id).where(Row.name == "changed")

        async def is_committed() -> bool:
            async with AsyncSession(async_engine) as other:
                return await other.scalar(committed) is not None

        while not await is_committed():
            await asyncio.sleep(0.01)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        own_server.go_on()
    await eventually(lambda: not own_server.command("EXISTS", two.key(1)))
    assert not own_server.command("EXISTS", one.key(1))
    await cache.close()


async def test_sync_session_in_loop_does_not_wait(
    engine: sqlalchemy.Engine, names: CacheService[str]
) -> None:
    await names.set(1, "cached")
    with Session(engine) as session, session.begin():
        invalidate_after_commit(session, names, 1)
    while await names.exists(1):
        await asyncio.sleep(0.01)


def test_load_in_flight_is_refused(engine: sqlalchemy.Engine, names: CacheService[str]) -> None:
    read, committed = threading.Event(), threading.Event()

    def load() -> str:
        with Session(engine) as session:
            name = session.get_one(Row, 1).name
        read.set()
        assert committed.wait(5)
        return name

    loading = threading.Thread(target=lambda: names.sync.get_or_set(1, load))
    loading.start()
    assert read.wait(5)
    with Session(engine) as session, session.begin():
        session.get_one(Row, 1).name = "changed"
        invalidate_after_commit(session, names, 1)
    committed.set()
    loading.join()
    assert names.sync.get(1) is None


def test_failure_is_logged(
    engine: sqlalchemy.Engine, names: CacheService[str], hotshelf_failures: Failures,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    fill(names)
    with hotshelf_failures.during(), Session(engine) as session, session.begin():
        invalidate_after_commit(session, names, 1)
    [line] = [it for it in caplog.records if it.levelno == logging.ERROR
              and "after a commit failed" in it.getMessage()]  # fmt: skip
    assert "1 changes" in line.getMessage()


@pytest.fixture
def tracked(cache: CacheManager) -> Iterator[CacheService[str]]:
    """A service whose entries follow the rows of a class of its own."""
    names = cache.service("names", str)
    invalidate_changes(Row, names, key=lambda row: row.id, tags=lambda row: [f"name:{row.name}"])
    yield names
    forget(names)


def forget(names: CacheService[str]) -> None:
    from hotshelf import sqlalchemy as module

    for rule in [it for it in module._rules if it._service is names]:
        module._rules.remove(rule)
        for name in ("after_insert", "after_update", "after_delete"):
            event.remove(Row, name, rule.on_row)
    if not module._rules:
        event.remove(Session, "do_orm_execute", module._on_execute)
        event.remove(Session, "before_commit", module._flush)


def test_changed_rows_are_invalidated(
    engine: sqlalchemy.Engine, tracked: CacheService[str]
) -> None:
    fill(tracked, 1, 2, 3)
    tracked.sync.set("by name", "cached", tags=["name:three"])
    with Session(engine) as session, session.begin():
        session.get_one(Row, 1).name = "changed"
        # No change.
        session.get_one(Row, 2).name = "two"
        session.add(Row(id=3, name="three"))
    assert cached(tracked, 1, 2, 3) == [2]
    assert not tracked.sync.exists("by name")
    fill(tracked, 1, 2, 3)
    with Session(engine) as session:
        session.delete(session.get_one(Row, 3))
        session.flush()
        session.rollback()
        assert cached(tracked, 1, 2, 3) == [1, 2, 3]
        session.delete(session.get_one(Row, 3))
        session.commit()
    assert cached(tracked, 1, 2, 3) == [1, 2]


def test_former_entries_are_invalidated(
    engine: sqlalchemy.Engine, cache: CacheManager
) -> None:
    names = cache.service("names", str)
    invalidate_changes(Row, names, key=lambda row: row.name, tags=lambda row: [f"of:{row.name}"])
    try:
        names.sync.set_many({"one": "cached", "two": "cached", "new": "cached"})
        names.sync.set("list", "cached", tags=["of:one"])
        with Session(engine) as session, session.begin():
            session.get_one(Row, 1).name = "new"
        found = names.sync.get_many(["one", "two", "new", "list"])
        assert found == [None, "cached", None, None]
    finally:
        forget(names)


def test_flush_within_a_commit_of_unknown_outcome(
    engine: sqlalchemy.Engine, tracked: CacheService[str]
) -> None:
    fill(tracked)

    def lose(_: Any) -> None:
        raise ConnectionError("the answer is lost")

    with Session(engine) as session:
        session.get_one(Row, 1).name = "changed"
        event.listen(engine, "commit", lose)
        with pytest.raises(ConnectionError):
            session.commit()
        event.remove(engine, "commit", lose)
    assert cached(tracked) == [2]


@pytest.mark.parametrize(
    "statement",
    [
        update(Row.__table__).where(Row.id == 1).values(name="changed"),  # type: ignore[arg-type]
        update(Row).where(Row.id == 1).values(name="changed"),
        delete(Row).where(Row.id == 1),
        insert(Row).values(id=3, name="three"),
    ],
    ids=["update of the table", "update", "delete", "insert"],
)
def test_statements_invalidate_all_entries(
    engine: sqlalchemy.Engine, tracked: CacheService[str], statement: Any
) -> None:
    fill(tracked)
    with Session(engine) as session:
        session.execute(statement)
        session.rollback()
        assert cached(tracked) == [1, 2]
        session.execute(select(Row))
        session.commit()
        assert cached(tracked) == [1, 2]
        session.execute(statement)
        session.commit()
    assert cached(tracked) == []


async def test_async_statements_invalidate_tags(
    async_engine: AsyncEngine, cache: CacheManager
) -> None:
    names = cache.service("names", str)
    invalidate_changes(Row, names, key=lambda row: [row.id, ("id", row.id)], bulk_tags=["all"])
    try:
        await names.set(1, "cached", tags=["all"])
        await names.set(2, "cached")
        await names.set(("id", 2), "cached")
        async with AsyncSession(async_engine) as session, session.begin():
            await session.execute(update(Row).values(name=Row.name + "!"))
        assert await names.get_many([1, 2]) == [None, "cached"]
        async with AsyncSession(async_engine) as session, session.begin():
            (await session.get_one(Row, 2)).name = "changed"
        assert await names.get_many([2, ("id", 2)]) == [None, None]
    finally:
        forget(names)
