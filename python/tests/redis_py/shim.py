"""Runs redis-py's own tests on hotshelf's client: the `conftest.py` beside them.

It provides their fixtures, and gives redis-py's exceptions the classes of hotshelf. A test that
uses a method, or an option of the client, which `redis.asyncio` has and hotshelf doesn't is
skipped, and no other one.
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
import redis
import redis.asyncio
import redis.asyncio.lock
import redis.exceptions
from differences import DIFFERENCES
from tests import conftest as shared

import hotshelf

EXCEPTIONS: dict[str, Any] = {
    "RedisError": hotshelf.CacheError,
    "ResponseError": hotshelf.ServerError,
    "DataError": (hotshelf.ConfigurationError, TypeError),
    "ConnectionError": hotshelf.UnavailableError,
    "TimeoutError": hotshelf.TimeoutError,
    "WatchError": hotshelf.WatchError,
    "LockError": hotshelf.LockError,
    "LockNotOwnedError": hotshelf.LockNotOwnedError,
    "NoScriptError": hotshelf.NoScriptError,
    "NoPermissionError": hotshelf.PermissionError,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Replaces the exceptions before the tests are imported, and after redis-py was used."""
    for module in (redis, redis.asyncio, redis.exceptions):
        for name, own in EXCEPTIONS.items():
            setattr(module, name, own)
    redis.asyncio.Redis = connected  # type: ignore[assignment, misc]
    redis.asyncio.lock.Lock = Lock  # type: ignore[assignment, misc]


#: Why the current test is skipped. A task of its own may have raised the exception.
missing: list[str] = []


def skip_if_missing(owner: str, known: set[str], name: str) -> Any:
    if name in known:
        missing.append(f"hotshelf's {owner} has no {name}")
        pytest.skip(missing[0])
    raise AttributeError(name)


def connected(host: str, port: int) -> Client:
    """Takes the place of `redis.asyncio.Redis`."""
    return Client(hotshelf.CacheManager(f"redis://{host}:{port}").store, False)


CLIENT = set(dir(redis.asyncio.Redis())) | {"single_connection_client"}
PIPELINE = set(dir(redis.asyncio.Redis().pipeline()))
PUB_SUB = set(dir(redis.asyncio.Redis().pubsub()))
LOCK = set(dir(redis.asyncio.Redis().lock("name")))


class PubSub(hotshelf.PubSub):
    def __getattr__(self, name: str) -> Any:
        return skip_if_missing("PubSub", PUB_SUB, name)


class Pipeline(hotshelf.Pipeline[bytes]):
    def __getattr__(self, name: str) -> Any:
        return skip_if_missing("Pipeline", PIPELINE, name)


class Lock(hotshelf.Lock):
    def __getattr__(self, name: str) -> Any:
        return skip_if_missing("Lock", LOCK, name)


class Client(hotshelf.RedisClient[bytes]):
    manager: hotshelf.CacheManager

    def __getattr__(self, name: str) -> Any:
        return skip_if_missing("RedisClient", CLIENT, name)

    def pipeline(self, transaction: bool = True) -> Pipeline:
        return Pipeline(self, transaction)

    def pubsub(self, ignore_subscribe_messages: bool = False) -> PubSub:
        own = super().pubsub(ignore_subscribe_messages)
        own.__class__ = PubSub
        return own


shared.is_resp2_connection = lambda client: True
shared.get_protocol_version = lambda client: 2


@pytest_asyncio.fixture
async def create_redis(request: pytest.FixtureRequest) -> Any:
    managers: list[hotshelf.CacheManager] = []

    async def create(
        url: str = "", flushdb: bool = True, decode_responses: bool = False, **options: Any
    ) -> Client:
        if options.keys() - {"protocol"}:
            pytest.skip(f"hotshelf's RedisClient has no option {', '.join(options)}")
        manager = hotshelf.CacheManager(
            url or request.config.getoption("--redis-url"),
            connect_timeout=5, read_timeout=5, store_timeout=5,
            protocol=int(request.config.getoption("--protocol")),
        )  # fmt: skip
        managers.append(manager)
        return Client(manager.store, decode_responses)

    yield create
    for manager in managers:
        await manager.redis.flushall()
        await manager.close()


@pytest_asyncio.fixture
async def r(create_redis: Any) -> Any:
    return await create_redis()


@pytest_asyncio.fixture
async def r2(create_redis: Any) -> Any:
    return await create_redis()


@pytest_asyncio.fixture
async def decoded_r(create_redis: Any) -> Any:
    return await create_redis(decode_responses=True)


# Those that mock a connection call `cluster`, which is missing.
mock_cluster_resp_ok = mock_cluster_resp_int = mock_cluster_resp_info = r
mock_cluster_resp_nodes = mock_cluster_resp_slaves = r


async def wait_for_command(client: Any, monitor: Any, command: str, key: Any = None) -> None:
    pytest.skip("hotshelf's RedisClient has no monitor")


def name_of(item: pytest.Item) -> str:
    return item.nodeid.rpartition("test_asyncio/")[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unknown = set(DIFFERENCES) - {name_of(item) for item in items}
    if unknown:
        raise pytest.UsageError(f"redis-py has no such tests: {sorted(unknown)}")
    for item in items:
        if reason := DIFFERENCES.get(name_of(item)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    if report.failed and missing:
        report.outcome, report.longrepr = "skipped", (__file__, 0, f"Skipped: {missing[0]}")
    if report.when == "teardown":
        missing.clear()
    if report.skipped and name_of(item) in DIFFERENCES and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", "a skipped test is listed as a difference"
    return report
