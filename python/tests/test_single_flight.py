"""Tests that one of many callers runs its factory, in its own task."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import traceback
import weakref
from typing import Any

import pytest
from conftest import RedisServer, eventually
from pydantic import BaseModel

from hotshelf import CacheManager, CacheService

request_of_caller: contextvars.ContextVar[str] = contextvars.ContextVar("request_of_caller")


class Product(BaseModel):
    id: int
    name: str = "lamp"


class Factory:
    """A factory that counts its runs, and waits until it is released."""

    def __init__(self, value: Any = None) -> None:
        self.value = value if value is not None else Product(id=1)
        self.runs = 0
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> Any:
        self.runs += 1
        self.began.set()
        await self.go.wait()
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def products(manager: CacheManager) -> CacheService[Product]:
    return CacheService(manager, "products", Product)


async def test_concurrent_callers_run_one_factory(products: CacheService[Product]) -> None:
    runs = 0

    async def fetch() -> Product:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return Product(id=1)

    found = await asyncio.gather(*(products.get_or_set("1", fetch) for _ in range(1000)))
    assert runs == 1
    assert all(product == Product(id=1) for product in found)
    assert products.stats()["loads"] == 1


async def test_joiners_get_separate_objects(products: CacheService[Product]) -> None:
    factory = Factory()
    factory.go.set()
    one, other = await asyncio.gather(*(products.get_or_set("1", factory) for _ in range(2)))
    one.name = "changed"
    assert other.name == "lamp"


async def test_factories_are_sync_or_async(products: CacheService[Product]) -> None:
    assert await products.get_or_set("1", lambda: Product(id=1)) == Product(id=1)
    assert await products.get_or_set("2", lambda: asyncio.sleep(0, Product(id=2))) == Product(id=2)
    assert await products.get("1") == Product(id=1)
    assert await products.get("2") == Product(id=2)


async def test_factory_runs_in_callers_task(products: CacheService[Product]) -> None:
    session = object()

    async def fetch() -> Product:
        await asyncio.sleep(0)
        seen.append((request_of_caller.get(), asyncio.current_task(), session))
        request_of_caller.set("set by the factory")
        return Product(id=1)

    seen: list[Any] = []
    request_of_caller.set("mine")
    await products.get_or_set("1", fetch)
    assert seen == [("mine", asyncio.current_task(), session)]
    assert request_of_caller.get() == "set by the factory"


class NotThere(Exception):
    """An exception that can't be recreated from its arguments."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


async def test_joiners_get_factory_exception(products: CacheService[Product]) -> None:
    error = NotThere(code=404)
    factory = Factory(error)
    callers = [asyncio.create_task(products.get_or_set("1", factory)) for _ in range(200)]
    await factory.began.wait()
    await asyncio.sleep(0.05)
    factory.go.set()
    raised = await asyncio.gather(*callers, return_exceptions=True)
    assert all(type(one) is NotThere and one.args == error.args for one in raised)
    assert len({id(one) for one in raised}) == len(callers), "each may be changed by its caller"
    assert factory.runs == 1
    for one in raised:
        assert isinstance(one, NotThere)
        assert one.code == 404
        one.__dict__.setdefault("notes", []).append("mine")
        frames = traceback.extract_tb(one.__traceback__)
        assert any(frame.name == "__call__" for frame in frames)
        assert len(frames) < 20, "each caller added its own frames"
    assert all(one.__dict__["notes"] == ["mine"] for one in raised)


class Slotted(Exception):
    __slots__ = ("code", "unset")

    def __init__(self, text: str, *, code: int) -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.parametrize(
    "error",
    [
        Slotted("text", code=7),
        NameError("text", name="variable"),
        AttributeError("text", name="field", obj=[]),
        OSError(2, "no such file"),
        FileNotFoundError(2, "no such file", "path"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    ],
)
async def test_joiners_get_whole_exceptions(
    products: CacheService[Product], error: Exception
) -> None:
    factory = Factory(error)
    callers = [asyncio.create_task(products.get_or_set("1", factory)) for _ in range(3)]
    await factory.began.wait()
    await asyncio.sleep(0.05)
    factory.go.set()
    for one in await asyncio.gather(*callers, return_exceptions=True):
        assert type(one) is type(error)
        assert str(one) == str(error)
        for name in ("code", "name", "obj", "errno", "filename", "start"):
            assert getattr(one, name, None) == getattr(error, name, None)


async def test_failed_load_is_retried(products: CacheService[Product]) -> None:
    failing = Factory(NotThere(code=503))
    failing.go.set()
    with pytest.raises(NotThere):
        await products.get_or_set("1", failing)
    assert await products.get_or_set("1", lambda: Product(id=1)) == Product(id=1)


@pytest.mark.parametrize("kind", [TypeError, ValueError, KeyError, asyncio.TimeoutError])
async def test_builtin_exceptions_pass_through(
    products: CacheService[Product], kind: type[Exception]
) -> None:
    factory = Factory(kind("mine"))
    callers = [asyncio.create_task(products.get_or_set("1", factory)) for _ in range(5)]
    await factory.began.wait()
    factory.go.set()
    raised = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(one) for one in raised] == [kind] * 5
    assert factory.runs == 1


async def test_cancelled_leader_hands_over(
    products: CacheService[Product], server: RedisServer
) -> None:
    slow, quick = Factory(Product(id=1, name="slow")), Factory(Product(id=1, name="quick"))
    quick.go.set()
    leader = asyncio.create_task(products.get_or_set("1", slow))
    await slow.began.wait()
    waiting = [asyncio.create_task(products.get_or_set("1", quick)) for _ in range(50)]
    await asyncio.sleep(0.02)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    found = await asyncio.wait_for(asyncio.gather(*waiting), 2)
    assert {product.name for product in found} == {"quick"}
    assert (slow.runs, quick.runs) == (1, 1)
    assert products.stats()["handed_over"] == 1
    await eventually(lambda: server.keys() == [products.key("1")])


async def test_cancelled_callers_leave_no_lease(
    products: CacheService[Product], server: RedisServer
) -> None:
    factory = Factory()
    callers = [asyncio.create_task(products.get_or_set("1", factory)) for _ in range(20)]
    await factory.began.wait()
    await asyncio.sleep(0.02)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await eventually(lambda: server.keys() == [], within=1)


@pytest.mark.parametrize("turns", range(12))
async def test_callers_cancelled_in_any_turn(
    products: CacheService[Product], server: RedisServer, turns: int
) -> None:
    """The request for the lease, its reply and the promotion each take a turn."""
    slow = Factory()
    leader = asyncio.create_task(products.get_or_set("1", slow))
    await slow.began.wait()
    waiting = [asyncio.create_task(products.get_or_set("1", Factory())) for _ in range(3)]
    await asyncio.sleep(0.02)
    leader.cancel()
    for caller in waiting:
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
    # Keep the exceptions, and with them the frames of the cancelled callers.
    kept = await asyncio.wait_for(asyncio.gather(leader, *waiting, return_exceptions=True), 2)
    assert all(isinstance(one, asyncio.CancelledError) for one in kept)
    await eventually(lambda: server.keys() == [], within=1)
    fresh = await asyncio.wait_for(products.get_or_set("1", lambda: Product(id=2)), 0.5)
    assert fresh == Product(id=2)


async def test_caller_cancelled_while_promoted(products: CacheService[Product]) -> None:
    slow, next_one = Factory(), Factory()
    next_one.go.set()
    leader = asyncio.create_task(products.get_or_set("1", slow))
    await slow.began.wait()
    promoted = asyncio.create_task(products.get_or_set("1", Factory()))
    await asyncio.sleep(0.02)
    last = asyncio.create_task(products.get_or_set("1", next_one))
    await asyncio.sleep(0.02)
    leader.cancel()
    promoted.cancel()
    kept = await asyncio.gather(leader, promoted, return_exceptions=True)
    assert len(kept) == 2
    assert await asyncio.wait_for(last, 1) == Product(id=1)


async def test_joiner_timeout_leaves_flight_running(products: CacheService[Product]) -> None:
    slow = Factory()
    leader = asyncio.create_task(products.get_or_set("1", slow))
    await slow.began.wait()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(products.get_or_set("1", Factory()), 0.05)
    follower = asyncio.create_task(products.get_or_set("1", Factory()))
    await asyncio.sleep(0.01)
    slow.go.set()
    assert await leader == await asyncio.wait_for(follower, 1) == Product(id=1)


async def test_leader_timeout_hands_over(products: CacheService[Product]) -> None:
    quick = Factory(Product(id=1, name="quick"))
    quick.go.set()
    leader = asyncio.create_task(asyncio.wait_for(products.get_or_set("1", Factory()), 0.1))
    await asyncio.sleep(0.05)
    follower = asyncio.create_task(products.get_or_set("1", quick))
    with pytest.raises(asyncio.TimeoutError):
        await leader
    assert (await asyncio.wait_for(follower, 1)).name == "quick"


def begun(coroutine: Any) -> Any:
    """Runs a coroutine up to its first await."""
    coroutine.send(None)
    return coroutine


async def test_closed_coroutine_releases_lease(
    products: CacheService[Product], server: RedisServer
) -> None:
    coroutine = begun(products.get_or_set("1", Factory()))
    await asyncio.sleep(0.05)
    coroutine.close()
    await eventually(lambda: server.keys() == [], within=1)
    found = await asyncio.wait_for(products.get_or_set("1", lambda: Product(id=2)), 0.5)
    assert found == Product(id=2)


async def test_leader_closed_elsewhere_hands_over(products: CacheService[Product]) -> None:
    factory = Factory()

    async def lead() -> None:
        await products.get_or_set("1", factory)

    # Driven manually, so that no task of the loop refers to it.
    coroutine = lead()
    future = coroutine.send(None)
    while not factory.began.is_set():
        await asyncio.wait([future])
        future = coroutine.send(None)
    follower = asyncio.create_task(products.get_or_set("1", lambda: Product(id=2)))
    await asyncio.sleep(0.05)
    closing = threading.Thread(target=coroutine.close)
    closing.start()
    closing.join()
    del coroutine, future
    gc.collect()
    assert await asyncio.wait_for(follower, 1) == Product(id=2)


def test_leader_of_closed_loop_is_replaced(server: RedisServer) -> None:
    manager = CacheManager(server.url)
    products = CacheService(manager, "products", Product, wait_timeout=0.3)
    loop, factory = asyncio.new_event_loop(), Factory()
    leading = loop.create_task(products.get_or_set("1", factory))
    loop.run_until_complete(factory.began.wait())
    loop.close()

    async def follow() -> Product:
        try:
            return await products.get_or_set("1", lambda: Product(id=2))
        finally:
            await manager.close()

    assert asyncio.run(asyncio.wait_for(follow(), 2)) == Product(id=2)
    assert not leading.done(), "its coroutine still exists"


async def test_factory_calls_its_own_key(products: CacheService[Product]) -> None:
    async def fetch() -> Product:
        return await products.get_or_set("1", lambda: Product(id=1, name="inner"))

    found = await asyncio.wait_for(products.get_or_set("1", fetch), 1)
    assert found.name == "inner"


async def test_mutually_dependent_factories_finish(manager: CacheManager) -> None:
    cache = CacheService[Any](manager, "mutual", None, wait_timeout=0.2)

    def needs(other: str) -> Any:
        async def fetch() -> str:
            await asyncio.sleep(0.05)
            return f"with {await cache.get_or_set(other, lambda: other + ' alone')}"

        return fetch

    found = await asyncio.wait_for(
        asyncio.gather(cache.get_or_set("a", needs("b")), cache.get_or_set("b", needs("a"))), 2
    )
    assert set(found) <= {"with a alone", "with b alone", "with with a alone", "with with b alone"}


async def test_factories_of_two_processes_that_need_each_other_finish(
    manager: CacheManager, server: RedisServer
) -> None:
    other = CacheManager(server.url)
    first, second = (
        CacheService[Any](one, "mutual", None, wait_timeout=0.3) for one in (manager, other)
    )

    async def load(service: CacheService[Any], own: str, needed: str) -> str:
        async def fetch() -> str:
            await asyncio.sleep(0.05)
            return f"with {await service.get_or_set(needed, lambda: needed + ' alone')}"

        return str(await service.get_or_set(own, fetch))

    # The leases are renewed all the time.
    both = asyncio.gather(load(first, "a", "b"), load(second, "b", "a"))
    found = await asyncio.wait_for(both, 4)
    assert all(text.startswith("with ") for text in found)
    await other.close()


async def test_task_outliving_factory_reads_cache(products: CacheService[Product]) -> None:
    later: list[asyncio.Task[Product]] = []
    ended = asyncio.Event()

    async def again() -> Product:
        await ended.wait()
        return await products.get_or_set("1", lambda: Product(id=9, name="loaded again"))

    async def fetch() -> Product:
        later.append(asyncio.create_task(again()))
        return Product(id=1)

    await products.get_or_set("1", fetch)
    ended.set()
    assert await later[0] == Product(id=1)


async def test_unencodable_value_is_shared(manager: CacheManager) -> None:
    cache = CacheService[Any](manager, "anything", None)
    value = object()
    factory = Factory(value)
    callers = [asyncio.create_task(cache.get_or_set("1", factory)) for _ in range(20)]
    await factory.began.wait()
    await asyncio.sleep(0.02)
    factory.go.set()
    assert all(found is value for found in await asyncio.gather(*callers))
    assert factory.runs == 1
    assert cache.stats()["unstorable"] == 1


async def test_oversized_value_is_shared_not_stored(
    manager: CacheManager, server: RedisServer
) -> None:
    cache = CacheService[str](manager, "texts", str, max_value_bytes=100)
    factory = Factory("x" * 1000)
    callers = [asyncio.create_task(cache.get_or_set("1", factory)) for _ in range(20)]
    await factory.began.wait()
    await asyncio.sleep(0.02)
    factory.go.set()
    assert set(await asyncio.gather(*callers)) == {"x" * 1000}
    assert factory.runs == 1
    await eventually(lambda: server.keys() == [], within=1)


async def test_invalidation_refuses_load_in_flight(products: CacheService[Product]) -> None:
    older = Factory(Product(id=1, name="older"))
    leader = asyncio.create_task(products.get_or_set("1", older))
    await older.began.wait()
    assert await products.delete("1")
    newer = await products.get_or_set("1", lambda: Product(id=1, name="newer"))
    older.go.set()
    assert (await leader).name == "older"
    assert newer.name == "newer"
    assert (await products.get_or_set("1", Factory())).name == "newer"


async def test_reload_always_computes(products: CacheService[Product]) -> None:
    await products.set("1", Product(id=1, name="older"))
    found = await products.get_or_set("1", lambda: Product(id=1, name="newer"), reload=True)
    assert found.name == "newer"
    assert (await products.get("1")) == found


async def test_lease_is_renewed(products: CacheService[Product], server: RedisServer) -> None:
    """The lease lasts five seconds without renewals."""
    factory = Factory()
    leader = asyncio.create_task(products.get_or_set("1", factory))
    await factory.began.wait()
    (lease,) = server.keys()
    await asyncio.sleep(2)
    assert server.command("PTTL", lease) > 4000
    factory.go.set()
    await leader
    assert server.keys() == [products.key("1")]


async def test_cancelled_read_keeps_replies_matched(products: CacheService[Product]) -> None:
    for number in range(50):
        await products.set(str(number), Product(id=number))
    for number in range(50):
        reading = asyncio.create_task(products.get(str(number)))
        await asyncio.sleep(0)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        assert await products.get(str(number)) == Product(id=number)


async def test_shared_exception_is_collected(manager: CacheManager) -> None:
    cache, kept = CacheService[int](manager, "flights", int), []

    async def fail() -> int:
        await asyncio.sleep(0.01)
        error = NotThere(code=404)
        kept.append(weakref.ref(error))
        raise error

    calls = [cache.get_or_set("it", fail) for _ in range(4)]
    raised: Any = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in raised] == [NotThere] * 4
    del raised, calls
    await asyncio.sleep(0)
    gc.collect()
    assert [error() for error in kept] == [None] * len(kept)


async def test_write_reads_its_own_key(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "flights", int)

    async def increment() -> int:
        return await cache.get_or_set("it", lambda: 1) + 1

    assert await asyncio.wait_for(cache.write_through("it", increment), 1.5) == 2
    assert await cache.get("it") == 2
