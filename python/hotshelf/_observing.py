"""What is told of the calls of a manager's caches."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotshelf._hotshelf import Cache
    from hotshelf._service import CacheService

_NOTHING: AbstractContextManager[Any] = nullcontext()


class Observing:
    """Is told nothing, at no cost for hits."""

    __slots__ = ()

    def core(self, service: CacheService[Any], core: Cache) -> Cache:
        """Returns the engine's view of a cache, or what is told of its calls and calls it."""
        return core

    def load(self, service: CacheService[Any], keys: int) -> AbstractContextManager[Any]:
        """Surrounds a run of a factory of some keys."""
        return _NOTHING

    def put(self, service: CacheService[Any], keys: int) -> AbstractContextManager[Any]:
        """Surrounds storing what was loaded or written."""
        return _NOTHING

    def invalidate_tags(self, tags: int) -> AbstractContextManager[Any]:
        """Surrounds an invalidation by tags."""
        return _NOTHING
