"""Tests of forked processes, of exits with operations in flight, and of shared cold keys."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import RedisServer, Script

FORK_IN_FLIGHT = """
import asyncio, gc, os, sys
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)
cache = CacheService(manager, "forked", str, backend_budget=5)

async def child():
    assert await cache.get("there") == "value"
    found = await asyncio.gather(*(cache.get_or_set("child", lambda: "child") for _ in range(20)))
    assert set(found) == {"child"}
    await manager.close()

async def parent():
    await cache.set("there", "value")
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def compute():
        begun.set()
        await go_on.wait()
        return "parent"

    leader = asyncio.create_task(cache.get_or_set("parent", compute))
    follower = asyncio.create_task(cache.get_or_set("parent", lambda: "follower"))
    await begun.wait()
    reading = [asyncio.create_task(cache.get("there")) for _ in range(50)]
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        try:
            # Drop the operations of the parent: they must not be continued.
            for task in (leader, follower, *reading):
                task._log_destroy_pending = False
                task.get_coro().close()
            del task, leader, follower, reading
            gc.collect()
            asyncio.events._set_running_loop(None)
            asyncio.run(child())
            gc.collect()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert await asyncio.gather(*reading) == ["value"] * 50
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        await asyncio.sleep(0.01)
        assert await cache.get("there") == "value"
    assert ended[1] == 0, ended
    go_on.set()
    assert await leader == "parent"
    assert await follower == "parent"
    assert await cache.get("parent") == "parent", "the child released the parent's lease"
    assert await cache.get("child") == "child"
    assert manager.store.stats()["cache:v1:forked of str"]["refused"] == 0

asyncio.run(parent())
print("ok")
"""


def test_fork_with_operations_in_flight(script: Script) -> None:
    assert script.run(FORK_IN_FLIGHT) == "ok\n"


PRELOADED = """
import asyncio, os, sys
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)
cache = CacheService(manager, "preloaded", int, backend_budget=5)
asyncio.run(cache.set("1", 7))

def worker():
    async def serve():
        assert await cache.get("1") == 7
        assert await cache.get_or_set(str(os.getpid()), lambda: 8) == 8
    asyncio.run(serve())
    asyncio.run(serve())

pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        worker()
        sys.exit(0)
    pids.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
assert asyncio.run(cache.get("1")) == 7
print("ok")
"""


def test_workers_forked_after_first_use(script: Script) -> None:
    assert script.run(PRELOADED) == "ok\n"


FORKED_WITH_AN_OPEN_LOOP = """
import asyncio, os, sys
from hotshelf import CacheManager
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)

async def main():
    assert await manager.ping()
    pid = os.fork()
    if pid == 0:
        import time
        time.sleep(3)
        os._exit(0)
    await manager.close()
    print(pid, flush=True)
    sys.stdin.readline()
asyncio.run(main())
"""


def test_child_closes_inherited_connections(script: Script, server: RedisServer) -> None:
    process = script.start(FORKED_WITH_AN_OPEN_LOOP)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    deadline = time.monotonic() + 2
    while server.clients():
        assert time.monotonic() < deadline, "the child keeps the parent's connection open"
        time.sleep(0.01)
    process.stdin.close()
    assert process.wait(5) == 0


MULTIPROCESSING = """
import asyncio, multiprocessing, sys
from hotshelf import CacheManager, CacheService

def work(url, number):
    manager = CacheManager(url, connect_timeout=5, read_timeout=5, store_timeout=5)
    cache = CacheService(manager, "spread", int, backend_budget=5)
    async def serve():
        return await cache.get_or_set("1", lambda: number)
    return asyncio.run(serve())

if __name__ == "__main__":
    url, method = sys.argv[1:]
    assert work(url, 7) == 7
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert pool.starmap(work, [(url, number) for number in range(9)]) == [7] * 9
        pool.close()
        pool.join()
    print("ok")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(script: Script, tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING)
    ended = subprocess.run(
        [sys.executable, str(program), script.server.url, method],
        capture_output=True, text=True, timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ok\n", "")


ENDS_AT_ONCE = """
import asyncio, sys, threading
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)
cache = CacheService(manager, "ending", int, backend_budget=5)
how = sys.argv[2]

async def main():
    await manager.ping()
    for number in range(100):
        asyncio.ensure_future(cache.get_or_set(str(number), lambda: asyncio.sleep(60)))
        asyncio.ensure_future(cache.set(str(number + 1000), number))
    await asyncio.sleep(0.001)
    if how == "raise":
        sys.exit(0)

if how == "thread":
    def background():
        asyncio.run(main())
        event_loop = asyncio.new_event_loop()
        event_loop.run_until_complete(main())
        event_loop.run_forever()
    threading.Thread(target=background, daemon=True).start()
    import time
    time.sleep(0.05)
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["return", "raise", "thread"])
def test_interpreter_exits_with_operations_in_flight(script: Script, how: str) -> None:
    for _ in range(20 if how == "thread" else 7):
        assert script.run(ENDS_AT_ONCE, how) == ""


HITS_AT_EXIT = """
import asyncio, sys, threading, time, uuid
from hotshelf import CacheManager
cache = CacheManager("memory://").service("numbers", int)
sys.setswitchinterval(1e-5)

async def hits():
    key = uuid.UUID(int=5)
    await cache.set(key, 1)
    while True:
        await cache.get(key)

for _ in range(4):
    threading.Thread(target=lambda: asyncio.run(hits()), daemon=True).start()
time.sleep(0.1)
"""


def test_interpreter_exits_while_threads_build_keys(script: Script) -> None:
    for _ in range(15):
        assert script.run(HITS_AT_EXIT) == ""


COLD = """
import asyncio, sys
from hotshelf import CacheManager, CacheService
manager = CacheManager(sys.argv[1], connect_timeout=5, read_timeout=5, store_timeout=5)
cache = CacheService(manager, "cold", str, backend_budget=5)
runs = 0

async def compute():
    global runs
    runs += 1
    await asyncio.sleep(0.3)
    return "value"

async def main():
    await manager.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    found = await asyncio.gather(*(cache.get_or_set("1", compute) for _ in range(200)))
    assert set(found) == {"value"}
    print(runs, flush=True)
    await manager.close()
asyncio.run(main())
"""


def test_cold_key_loads_once_across_processes(script: Script) -> None:
    processes = [script.start(COLD) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    runs = []
    for process in processes:
        assert process.stdout is not None
        runs.append(int(process.stdout.readline()))
        assert process.wait(5) == 0
    assert sum(runs) == 1, runs
