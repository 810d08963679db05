"""pytest's plugin of hotshelf: the fixtures of `hotshelf.testing`.

It imports hotshelf when a fixture is used, so that it costs other tests nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hotshelf import CacheManager
    from hotshelf.testing import Clock, Failures, TestStore


@pytest.fixture
def hotshelf_store() -> TestStore:
    """A store in memory with simulated time, and failures on demand."""
    from hotshelf.testing import TestStore

    return TestStore()


@pytest.fixture
def hotshelf_cache(hotshelf_store: TestStore) -> Iterator[CacheManager]:
    """A manager on `hotshelf_store`: empty before each test, and closed after it."""
    manager = hotshelf_store.manager()
    yield manager
    manager.sync.close()


@pytest.fixture
def hotshelf_clock(hotshelf_store: TestStore) -> Clock:
    """The time of `hotshelf_cache`: `advance` ends lifetimes without waiting."""
    return hotshelf_store.clock


@pytest.fixture
def hotshelf_failures(hotshelf_store: TestStore) -> Failures:
    """The failures of `hotshelf_cache`: `start`, `stop`, `during`."""
    return hotshelf_store.failures
