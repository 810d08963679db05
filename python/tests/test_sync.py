"""Tests of `hotshelf.sync`: the cache without an event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import RedisServer, Script
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

import hotshelf
from hotshelf import ConfigurationError, LoadContext, LoadTimeoutError
from hotshelf.sync import CachedFunction, CacheManager, CacheService


class Product(BaseModel):
    id: int
    name: str


@pytest.fixture(params=["memory", "redis", "near"])
def cache(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[CacheManager]:
    url = "memory://" if request.param == "memory" else server.url
    near = request.param == "near"
    with CacheManager(url, near=near, read_timeout=5, store_timeout=5) as cache:
        yield cache


def products_of(cache: CacheManager, **options: Any) -> CacheService[Product]:
    return cache.service("products", Product, backend_budget=5, **options)


class Loads:
    """A factory that counts its calls, and may take a while."""

    def __init__(self, pause: float = 0) -> None:
        self.count = 0
        self.pause = pause

    def __call__(self) -> Product:
        self.count += 1
        time.sleep(self.pause)
        return Product(id=1, name=f"load {self.count}")


def eventually(holds: Callable[[], Any], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.005)


@pytest.mark.parametrize("name", ["CacheManager", "CacheService", "CachedFunction"])
def test_classes_have_methods_of_async_ones(name: str) -> None:
    sync, asynchronous = getattr(hotshelf.sync, name), getattr(hotshelf, name)

    def methods(of: Any) -> set[str]:
        return {it for it in dir(of) if not it.startswith("_")}

    views = {"sync", "asynchronous", "store", "redis", "lifespan"}
    assert methods(sync) - views == methods(asynchronous) - views
    for method in sorted(methods(sync) - views):
        ours, theirs = getattr(sync, method), getattr(asynchronous, method)
        assert not inspect.iscoroutinefunction(ours)
        assert ours.__doc__, method
        if inspect.isfunction(ours):
            parameters = set(inspect.signature(ours).parameters) - {"options"}
            assert parameters <= set(inspect.signature(theirs).parameters), method


def test_entries_are_read_and_written(cache: CacheManager) -> None:
    products, one = products_of(cache), Product(id=1, name="one")
    assert cache.ping()
    assert products.get(1) is None
    assert products.set(1, one, tags=["all"])
    assert products.get(1) == one
    assert products.get_many([1, 2]) == [one, None]
    assert products.exists(1)
    assert products.get_ttl(1) > 0
    assert products.set_many({2: one, 3: one})
    assert products.delete(2)
    assert products.get(2) is None
    assert products.delete_many([3])
    assert cache.invalidate_tag("all")
    assert products.get(1) is None
    assert products.write_through(4, lambda: one) == one
    assert products.write_through_many([5], lambda: {5: one}) == {5: one}
    assert products.get_many([4, 5]) == [one, one]
    assert "4" in products.key(4)
    assert products.explain(4).entry is not None
    assert products.invalidate_pattern("*") >= 2
    assert products.invalidate_all()
    assert products.stats()["hits"] > 0
    assert cache.health()["available"]


def test_cold_key_loads_once_across_threads(cache: CacheManager) -> None:
    products, loads = products_of(cache), Loads(pause=0.05)
    with ThreadPoolExecutor(40) as threads:
        found = list(threads.map(lambda _: products.get_or_set(1, loads), range(200)))
    assert loads.count == 1
    assert {product.name for product in found} == {"load 1"}


async def test_threads_and_event_loop_share_loads(cache: CacheManager) -> None:
    products, loads = products_of(cache), Loads(pause=0.2)
    in_thread = asyncio.create_task(asyncio.to_thread(products.get_or_set, 1, loads))
    while not loads.count:
        await asyncio.sleep(0.005)
    assert (await products.asynchronous.get_or_set(1, loads)).name == "load 1"
    assert (await in_thread).name == "load 1"
    assert loads.count == 1
    begun = asyncio.Event()

    async def load() -> Product:
        begun.set()
        await asyncio.sleep(0.2)
        return Product(id=2, name="of the loop")

    on_loop = asyncio.create_task(products.asynchronous.get_or_set(2, load))
    await begun.wait()
    found = await asyncio.to_thread(products.get_or_set, 2, loads)
    assert found == await on_loop
    assert loads.count == 1
    await cache.asynchronous.close()


async def test_blocking_calls_raise_inside_loop(cache: CacheManager) -> None:
    products = products_of(cache)
    await products.asynchronous.set(1, Product(id=1, name="one"))
    await products.asynchronous.get(1)

    @products.cached(key=lambda id: id)
    def fetch(id: int) -> Product:
        return Product(id=id, name="fetched")

    calls: list[Callable[[], object]] = [
        lambda: products.get(1), lambda: products.get_or_set(1, Loads()), lambda: fetch(1),
        cache.ping, cache.close, lambda: products.delete(1), lambda: fetch.invalidate(1),
        lambda: products.warm([1], lambda id: Product(id=id, name="warm")),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(RuntimeError, match="blocks, and an event loop is running"):
            call()
    assert await products.asynchronous.get(1) is not None, "it was deleted"
    assert (await asyncio.to_thread(fetch, 1)).name == "one"
    await cache.asynchronous.close()


def test_exception_reaches_all_that_wait(cache: CacheManager) -> None:
    products = products_of(cache)
    begun, calls = threading.Event(), 0

    def load() -> Product:
        nonlocal calls
        calls += 1
        begun.set()
        time.sleep(0.2)
        raise LookupError("no database")

    def call() -> str:
        with pytest.raises(LookupError) as raised:
            products.get_or_set(1, load)
        return str(raised.value)

    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(call)
        assert begun.wait(5)
        others = [threads.submit(call) for _ in range(9)]
        assert {it.result() for it in [first, *others]} == {"no database"}
    assert calls < 10


def test_async_factories_are_refused(cache: CacheManager) -> None:
    products = products_of(cache)

    async def load() -> Product:
        return Product(id=1, name="one")

    with pytest.raises(TypeError, match="takes sync ones"):
        products.get_or_set(1, load)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes sync ones"):
        products.write_through(1, load)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="load is async"):
        products.cached(key=lambda: 1)(load)
    # Nobody waits for the load that failed.
    assert products.get_or_set(1, Loads()).name == "load 1"


def test_invalidation_refuses_load_in_flight(cache: CacheManager) -> None:
    products, begun, go_on = products_of(cache), threading.Event(), threading.Event()

    def load() -> Product:
        begun.set()
        assert go_on.wait(5)
        return Product(id=1, name="old")

    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(products.get_or_set, 1, load)
        assert begun.wait(5)
        assert products.delete(1)
        go_on.set()
        assert loading.result().name == "old"
    assert products.get(1) is None


def test_factory_may_load_other_keys(cache: CacheManager) -> None:
    products = products_of(cache)

    def outer(context: LoadContext[Product]) -> Product:
        inner = products.get_or_set(2, Loads(), tags_into=context, tags=["inner"])
        again = products.get_or_set(1, Loads())
        return Product(id=1, name=f"{inner.name}, {again.name}")

    assert products.get_or_set(1, outer, with_context=True).name == "load 1, load 1"
    cache.invalidate_tag("inner")
    assert products.get(1) is None


def test_many_keys_load_with_one_call(cache: CacheManager) -> None:
    products, asked = products_of(cache), []

    def load(ids: list[int]) -> dict[int, Product]:
        asked.append(ids)
        return {id: Product(id=id, name=str(id)) for id in ids if id != 3}

    products.set(1, Product(id=1, name="one"))
    found = products.get_or_load_many([1, 2, 3, 2], load)
    assert [it and it.name for it in found] == ["one", "2", None, "2"]
    assert asked == [[2, 3]]


def test_stale_value_is_refreshed_in_background(cache: CacheManager) -> None:
    products, loads = products_of(cache, stale_while_revalidate=60), Loads()
    products.get_or_set(1, loads)
    assert products.expire(1)
    loads.pause = 0.1
    threads: list[threading.Thread] = []

    def load() -> Product:
        threads.append(threading.current_thread())
        return loads()

    assert products.get_or_set(1, load, background=True).name == "load 1"
    eventually(lambda: products.get(1) == Product(id=1, name="load 2"))
    assert threads != [threading.current_thread()]


def test_slow_load_goes_on_without_its_caller(cache: CacheManager) -> None:
    products = products_of(cache, stale_if_error=60, soft_timeout=0.05, hard_timeout=0.15)
    slow = Loads(pause=0.4)
    with pytest.raises(LoadTimeoutError):
        products.get_or_set(1, slow, background=True)
    eventually(lambda: products.get(1) == Product(id=1, name="load 1"))
    products.expire(1)
    begun = time.monotonic()
    assert products.get_or_set(1, slow, background=True).name == "load 1"
    assert time.monotonic() - begun < 0.35
    eventually(lambda: products.get(1) == Product(id=1, name="load 2"))
    quick = Loads()
    assert products.get_or_set(2, quick, background=True).name == "load 1"

    def fail() -> Product:
        raise LookupError("no database")

    with pytest.raises(LookupError):
        products.get_or_set(3, fail, background=True)


def test_waiting_for_another_thread_is_limited(cache: CacheManager) -> None:
    products, slow = products_of(cache, hard_timeout=0.1), Loads(pause=0.5)
    with ThreadPoolExecutor(1) as thread:
        leading = thread.submit(products.get_or_set, 1, slow)
        eventually(lambda: slow.count)
        with pytest.raises(LoadTimeoutError):
            products.get_or_set(1, slow)
        assert leading.result().name == "load 1"


def test_stale_value_answers_errors(cache: CacheManager) -> None:
    products = products_of(cache, stale_if_error=60)
    products.get_or_set(1, Loads())
    products.expire(1)

    def fail() -> Product:
        raise LookupError("no database")

    assert products.get_or_set(1, fail).name == "load 1"


def test_warm_loads_in_threads(cache: CacheManager) -> None:
    products, done, running, most = products_of(cache), [], [0], [0]
    lock = threading.Lock()

    def load(id: int) -> Product:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        if id == 7:
            raise LookupError("seven")
        return Product(id=id, name=str(id))

    products.set(3, Product(id=3, name="three"))
    warmed = products.warm(range(20), load, concurrency=4, progress=done.append)
    assert (warmed.loaded, warmed.cached) == (18, 1)
    assert [(key, str(error)) for key, error in warmed.failed] == [(7, "seven")]
    assert done == list(range(1, 21))
    assert 1 < most[0] <= 4
    with pytest.raises(ConfigurationError, match="concurrency"):
        products.warm([1], load, concurrency=0)


def test_sync_function_is_cached(cache: CacheManager) -> None:
    loads = 0

    def load(id: int, label: str = "x") -> Product:
        nonlocal loads
        loads += 1
        return Product(id=id, name=f"{label} {loads}")

    for decorate in (cache.cached(name="one"), cache.asynchronous.cached(name="two")):
        loads = 0
        fetch = decorate(load)
        assert isinstance(fetch, CachedFunction)
        assert not inspect.iscoroutinefunction(fetch)
        assert inspect.signature(fetch) == inspect.signature(load)
        assert fetch(1).name == "x 1"
        assert fetch(1, label="x").name == "x 1"
        assert fetch.peek(1) == Product(id=1, name="x 1")
        assert fetch.refresh(1).name == "x 2"
        assert fetch(1).name == "x 2"
        assert fetch.invalidate(1)
        assert fetch.peek(1) is None
        assert fetch(1).name == "x 3"
        assert fetch.cache_info()["loads"] == 3
        assert isinstance(fetch.service, CacheService)
        assert fetch.key(1).startswith("cache:v1:")


def test_sync_method_is_cached(cache: CacheManager) -> None:
    products = products_of(cache)

    class Shop:
        def __init__(self) -> None:
            self.loads = 0

        @products.cached(key=lambda id: id, skip=["self"], tags=lambda result: [result.name])
        def product(self, id: int) -> Product:
            self.loads += 1
            return Product(id=id, name="named")

    shop = Shop()
    assert shop.product(1) == shop.product(1)
    assert shop.product.refresh(1).name == "named"
    assert shop.product.invalidate(1)
    assert shop.product == shop.product
    assert shop.product.key(1) == products.key(1)


async def test_def_endpoints_use_it(cache: CacheManager) -> None:
    products, loads = products_of(cache), Loads(pause=0.02)
    app = FastAPI(lifespan=cache.lifespan)

    @app.get("/products/{id}")
    def product(id: int, service: Any = Depends(products)) -> Any:
        return service.get_or_set(id, loads)

    @app.get("/cached/{id}")
    @products.cached(key=lambda id: ("cached", id))
    def cached(id: int) -> Product:
        return loads()

    @app.get("/mine")
    @products.cached(key=lambda request: "mine", vary=lambda request: request.headers["user"])
    def mine(request: Request) -> Product:
        return Product(id=0, name=request.headers["user"])

    transport = httpx.ASGITransport(app=app)
    async with (
        cache.lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answers = await asyncio.gather(*(client.get("/products/1") for _ in range(50)))
        assert [it.json() for it in answers] == [{"id": 1, "name": "load 1"}] * 50
        for _ in range(2):
            assert (await client.get("/cached/1")).json()["name"] == "load 2"
        for user in ("ann", "bob", "ann"):
            answer = await client.get("/mine", headers={"user": user})
            assert answer.json()["name"] == user
    assert loads.count == 2


def test_generators_are_refused(cache: CacheManager) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="is a generator"):
        cache.cached()(numbers)


def test_other_process_invalidates_near_tier(server: RedisServer, script: Script) -> None:
    with CacheManager(server.url, near=True) as cache:
        products = products_of(cache)
        products.get_or_set(1, Loads())
        eventually(lambda: products.get(1) and products.stats()["near_hits"])
        script.run(
            "import sys; from hotshelf.sync import CacheManager\n"
            "with CacheManager(sys.argv[1]) as cache:\n"
            "    assert cache.service('products').delete(1)\n"
        )
        # No call of this process reads the report.
        eventually(lambda: products.get(1) is None, within=1.5)


def test_lost_server_costs_little(own_server: RedisServer) -> None:
    with CacheManager(own_server.url) as cache:
        products = cache.service("products", Product)
        products.get_or_set(1, Loads())
        own_server.pause()
        begun = time.monotonic()
        assert products.get_or_set(1, Loads()).name == "load 1"
        assert not products.delete(1)
        assert time.monotonic() - begun < 3
        own_server.go_on()
        eventually(lambda: products.delete(1))
        own_server.stop()
        assert products.get_or_set(1, Loads()).name == "load 1"
        own_server.start()
        eventually(lambda: products.set(1, Product(id=1, name="new")))


def test_signal_ends_wait(own_server: RedisServer) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with CacheManager(own_server.url, read_timeout=60) as cache:
            products = cache.service("products", Product, backend_budget=60)
            products.get(1)
            own_server.pause()
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            begun = time.monotonic()
            with pytest.raises(Interrupted):
                products.get(1)
            assert time.monotonic() - begun < 2
            own_server.go_on()
            assert products.get_or_set(1, Loads()).name == "load 1"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_other_signals_go_unnoticed(own_server: RedisServer) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        with CacheManager(own_server.url, read_timeout=5, store_timeout=5) as cache:
            products, slow = products_of(cache), Loads(pause=0.3)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            for number in range(500):
                products.get(number)
            with ThreadPoolExecutor(1) as thread:
                leading = thread.submit(products.get_or_set, 1, slow)
                eventually(lambda: slow.count)
                assert products.get_or_set(1, slow).name == "load 1"
                assert leading.result().name == "load 1"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_interrupt_is_seen_beside_traffic(server: RedisServer, script: Script) -> None:
    code = (
        "import os, signal, sys, threading, time; from hotshelf.sync import CacheManager\n"
        # Ignored where the tests run in the background of a shell.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)\n"
        "numbers = cache.service('numbers', int, backend_budget=30, wait_timeout=30)\n"
        "threading.Thread(target=lambda: numbers.get_or_set('slow', lambda: time.sleep(60)),"
        " daemon=True).start()\n"
        "def work():\n"
        "    while True: numbers.get(1); time.sleep(0.02)\n"
        "for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "def interrupt(): time.sleep(0.5); os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
        "begun = time.monotonic()\n"
        "try: numbers.get_or_set('slow', lambda: 1)\n"
        "except KeyboardInterrupt: print(time.monotonic() - begun < 3)\n"
    )
    assert script.run(code) == "True\n"


def test_loads_within_background_loads_are_no_deadlock(cache: CacheManager) -> None:
    products = products_of(cache, hard_timeout=10)
    count = 2 * (os.cpu_count() or 1) + 8

    def outer(number: int) -> Product:
        time.sleep(0.05)
        return products.get_or_set(("inner", number), Loads(pause=0.01), background=True)

    def call(number: int) -> str:
        return products.get_or_set(number, lambda: outer(number), background=True).name

    begun = time.monotonic()
    with ThreadPoolExecutor(count) as threads:
        assert set(threads.map(call, range(count))) == {"load 1"}
    assert time.monotonic() - begun < 8


def test_closing_serves_calls_that_wait_for_a_thread(cache: CacheManager) -> None:
    products, loads = products_of(cache, hard_timeout=30), Loads(pause=0.3)
    count = (os.cpu_count() or 1) + 4 + 5

    def call(number: int) -> str:
        return products.get_or_set(number, loads, background=True).name

    with ThreadPoolExecutor(count) as threads:
        calls = [threads.submit(call, number) for number in range(count)]
        eventually(lambda: loads.count)
        cache.close()
        assert {it.result().partition(" ")[0] for it in calls} == {"load"}


def test_failure_of_abandoned_load_is_logged(
    cache: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    products = products_of(cache, hard_timeout=0.05)

    def fail() -> Product:
        time.sleep(0.2)
        raise LookupError("late")

    with pytest.raises(LoadTimeoutError):
        products.get_or_set(1, fail, background=True)
    eventually(lambda: "LookupError" in caplog.text)


def test_dependency_can_be_overridden(cache: CacheManager) -> None:
    products = products_of(cache)
    assert products.asynchronous.sync is products
    assert cache.asynchronous.sync is cache
    service = cache.asynchronous.service("others", int)
    assert service.sync is service.sync


def test_other_loops_are_not_blocked(cache: CacheManager, monkeypatch: pytest.MonkeyPatch) -> None:
    products = products_of(cache)

    class Trio:
        class lowlevel:
            in_trio_run = staticmethod(lambda: True)

    monkeypatch.setitem(sys.modules, "trio", Trio)
    with pytest.raises(RuntimeError, match=r"trio\.to_thread"):
        products.delete(1)
    monkeypatch.delitem(sys.modules, "trio")

    class Gevent:
        is_module_patched = staticmethod(lambda name: name == "threading")

    monkeypatch.setitem(sys.modules, "gevent", object())
    monkeypatch.setitem(sys.modules, "gevent.monkey", Gevent)
    with pytest.raises(RuntimeError, match="doesn't support gevent"):
        products.delete(1)


PICKLED = """
import multiprocessing, sys
from hotshelf.sync import CacheManager
cache = CacheManager(sys.argv[1])

@cache.cached(name="doubled")
def doubled(number: int) -> int:
    return number * 2

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(doubled, [1, 2, 3]), doubled.peek(2))
"""


def test_functions_are_pickled_by_name(server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PICKLED)
    command = [sys.executable, "program.py", server.url]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.stdout == "[2, 4, 6] 4\n", run.stderr


def test_class_is_no_part_of_a_key(cache: CacheManager) -> None:
    with pytest.raises(ConfigurationError, match="`cls` of .*build can't be part of a key"):

        class Model:
            @classmethod
            @cache.cached(key=lambda cls, id: (cls.__name__, id))
            def build(cls, id: int) -> int:
                return id

    class Other:
        @classmethod
        @cache.cached(name="others", skip=["cls"])
        def build(cls, id: int) -> int:
            return id

    assert Other.build(1) == 1


FORKING_HANDLER = """
import os, signal, sys, threading, time
from hotshelf.sync import CacheManager
cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)
numbers = cache.service("numbers", int, backend_budget=5, wait_timeout=30)
begun = threading.Event()
children = []

def slow():
    begun.set()
    time.sleep(1)
    return 7

def fork(*_):
    pid = os.fork()
    if pid:
        children.append(pid)

signal.signal(signal.SIGALRM, fork)
leading = threading.Thread(target=lambda: numbers.get_or_set("slow", slow))
leading.start()
begun.wait()
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    found = numbers.get_or_set("slow", slow)
except RuntimeError as error:
    ok = "forked in the middle" in str(error) and numbers.get_or_set("child", lambda: 1) == 1
    os._exit(0 if ok else 1)
leading.join()
print(found, [os.waitpid(pid, 0)[1] for pid in children], numbers.get("child"))
cache.close()
"""


def test_fork_within_a_signal_handler(script: Script) -> None:
    printed = script.run(FORKING_HANDLER, options=("-W", "ignore::DeprecationWarning"))
    assert printed == "7 [0] 1\n"


JOINS_AT_EXIT = """
import atexit, sys, threading, time
stop = False

def join():
    global stop
    stop = True
    thread.join(20)
    print("alive" if thread.is_alive() else "joined", flush=True)

# It runs after the handler of hotshelf, which is imported later.
atexit.register(join)
from hotshelf.sync import CacheManager
cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)
numbers = cache.service("numbers", int, backend_budget=5)

def work():
    while not stop:
        numbers.delete(1)

thread = threading.Thread(target=work, daemon=True)
thread.start()
time.sleep(0.2)
"""


def test_exit_handler_may_join_a_thread(script: Script) -> None:
    assert script.run(JOINS_AT_EXIT) == "joined\n"


FORKS = """
import os, sys, threading
from hotshelf.sync import CacheManager
cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)
numbers = cache.service("numbers", int, backend_budget=5)
stop = False

def work(name):
    count = 0
    while not stop:
        count += 1
        assert numbers.get_or_set((name, count % 50), lambda: count) is not None
        if count % 20 == 0:
            assert numbers.delete((name, count % 50))

threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(30):
    pid = os.fork()
    if pid == 0:
        try:
            ok = numbers.get_or_set(("child", number), lambda: number) == number
            os._exit(0 if ok and numbers.delete(("child", number)) else 1)
        except BaseException:
            os._exit(2)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
stop = True
for thread in threads:
    thread.join()
cache.close()
print(codes == [0] * 30 or codes)
"""


def test_fork_beside_busy_threads(script: Script) -> None:
    # Python 3.12 warns of forks beside threads.
    assert script.run(FORKS, options=("-W", "ignore::DeprecationWarning")) == "True\n"


EXIT = """
import sys, threading, time
from hotshelf.sync import CacheManager
cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)
numbers = cache.service("numbers", int, backend_budget=5, wait_timeout=30)

def work():
    while True:
        numbers.get(1)

def wait():
    numbers.get_or_set("slow", lambda: time.sleep(60))

for target in (work, work, wait, wait):
    threading.Thread(target=target, daemon=True).start()
time.sleep(0.2)
print("ends")
"""


def test_exit_beside_daemon_threads(script: Script) -> None:
    assert script.run(EXIT) == "ends\n"


def test_cold_key_loads_once_across_processes(script: Script) -> None:
    code = (
        "import sys, time; from hotshelf.sync import CacheManager\n"
        "cache = CacheManager(sys.argv[1], read_timeout=5, store_timeout=5)\n"
        "numbers = cache.service('numbers', int, backend_budget=5)\n"
        "def load(): time.sleep(0.3); print('loaded', flush=True); return 7\n"
        "input()\n"
        "assert numbers.get_or_set(1, load) == 7\n"
        "cache.close()\n"
    )
    processes = [script.start(code) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(printed) == "loaded\n"


def test_leases_are_renewed_in_background(server: RedisServer) -> None:
    with CacheManager(server.url) as cache:
        numbers = cache.service("numbers", int)

        def load() -> int:
            [lease] = [key for key in server.keys() if key.startswith("hs:l:")]
            left = [server.command("PTTL", lease)]

            def is_renewed() -> bool:
                left.append(server.command("PTTL", lease))
                return left[-1] > left[-2]

            # No call of this process renews it.
            eventually(is_renewed)
            return 7

        assert numbers.get_or_set(1, load) == 7
