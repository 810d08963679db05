"""A cache for the tests of an application: in memory, with simulated time, and with failures on
demand.

    def test_product_is_loaded_once(hotshelf_cache, hotshelf_clock):
        products = hotshelf_cache.sync.service("products", Product, ttl=60)
        products.get_or_set(1, load)
        hotshelf_clock.advance(59)
        products.get_or_set(1, load)
        assert products.stats()["loads"] == 1

The fixtures are there once hotshelf is installed beside pytest. `in_memory` does the same for the
manager of an application.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from hotshelf import sync
from hotshelf._errors import ConfigurationError, OutOfMemoryError, UnavailableError
from hotshelf._errors import TimeoutError as CacheTimeoutError
from hotshelf._hotshelf import Store, TestBackend
from hotshelf._manager import CacheManager
from hotshelf._options import Duration, seconds

__all__ = ["Clock", "Failures", "TestStore", "in_memory"]

#: What may fail: reads (those of calls that load, too), what is stored, and invalidations.
Operations = Literal["reads", "stores", "invalidations"]

_ALL: tuple[Operations, ...] = ("reads", "stores", "invalidations")

_ERRORS: dict[type[Exception], str] = {
    UnavailableError: "unavailable",
    CacheTimeoutError: "timeout",
    TimeoutError: "timeout",
    OutOfMemoryError: "out of memory",
}


class Clock:
    """The time of entries, leases and tags in a `TestStore`. It stands still until it is advanced.

    Limits of calls (`wait_timeout`, `soft_timeout`, `hard_timeout`) are in real time.
    """

    def __init__(self, backend: TestBackend) -> None:
        self._backend = backend

    def advance(self, time: Duration) -> None:
        """Advances the time, by seconds, a `timedelta`, or text such as `"15m"`.

        Raises:
            ConfigurationError: For an invalid time.
        """
        self._backend.advance(seconds("time", time))


class Failures:
    """Failures of a `TestStore`, which works until one is set. Entries stay stored."""

    def __init__(self, backend: TestBackend) -> None:
        self._backend = backend

    def start(
        self,
        *operations: Operations,
        error: type[Exception] = UnavailableError,
        executed: bool = False,
    ) -> None:
        """Lets operations fail until `stop`.

        Args:
            operations: Those that fail: `"reads"`, `"stores"`, `"invalidations"`. Default: all.
            error: How they fail: `UnavailableError`, `TimeoutError` or `OutOfMemoryError`.
            executed: Whether they are executed all the same, and their answers are lost.

        Raises:
            ConfigurationError: For other operations or errors.
        """
        unknown = [repr(it) for it in operations if it not in _ALL]
        if unknown:
            message = f"unknown operations {', '.join(unknown)}: use {', '.join(map(repr, _ALL))}"
            raise ConfigurationError(message)
        if error not in _ERRORS:
            known = ", ".join(dict.fromkeys(it.__name__ for it in _ERRORS))
            raise ConfigurationError(f"invalid `error` {error!r}: use one of {known}")
        self._backend.fail(list(operations or _ALL), _ERRORS[error], executed)

    def stop(self) -> None:
        """Lets all operations succeed again."""
        self._backend.fail([], "unavailable", False)

    @contextlib.contextmanager
    def during(
        self,
        *operations: Operations,
        error: type[Exception] = UnavailableError,
        executed: bool = False,
    ) -> Iterator[None]:
        """Lets operations fail in the enclosed code; see `start`."""
        self.start(*operations, error=error, executed=executed)
        try:
            yield
        finally:
            self.stop()


class TestStore:
    """A store in memory with simulated time, `clock`, and `failures` on demand.

    Each of its managers acts as a process of its own: they share entries and leases, but neither
    loads in flight nor counters. Lifetimes have no jitter, unless a service sets one.
    """

    #: pytest takes classes of this name for tests.
    __test__ = False

    def __init__(self) -> None:
        self._backend = TestBackend()
        self.clock = Clock(self._backend)
        self.failures = Failures(self._backend)

    def manager(self) -> CacheManager:
        """Returns a new manager on the store."""
        manager = CacheManager()
        manager._stand_in(Store.for_tests(self._backend))
        manager.open("memory://")
        return manager


@contextlib.contextmanager
def in_memory(*managers: CacheManager | sync.CacheManager) -> Iterator[TestStore]:
    """Lets managers of an application use a new `TestStore` in the enclosed code, and their own
    servers afterwards. Managers that are opened in between, as by a lifespan, use it whatever their
    URL is.

        @pytest.fixture(autouse=True)
        def cache_in_memory():
            with hotshelf.testing.in_memory(app.cache) as store:
                yield store

    Raises:
        ConfigurationError: For another object than a manager, or one that is in memory already.
    """
    test = TestStore()
    with contextlib.ExitStack() as replaced:
        for each in managers:
            manager = each.asynchronous if isinstance(each, sync.CacheManager) else each
            if not isinstance(manager, CacheManager):
                kind = type(each).__name__
                raise ConfigurationError(f"`in_memory` takes managers, not a {kind}")
            manager._stand_in(Store.for_tests(test._backend))
            replaced.callback(manager._stand_in, None)
        yield test
