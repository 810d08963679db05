"""Metrics and spans for OpenTelemetry.

    instrument(cache, spans=True)
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_tracer_provider,
    set_span_in_context,
)

from hotshelf._errors import CacheError
from hotshelf._hotshelf import Cache, Collected, Missing, Pending, __version__, collect_spans
from hotshelf._metric_names import COUNTERS, GAUGES, HISTOGRAM
from hotshelf._observing import Observing

if TYPE_CHECKING:
    from hotshelf import CacheManager, sync
    from hotshelf._service import CacheService

__all__ = ["instrument"]

logger = logging.getLogger("hotshelf")

#: How long metrics that were read are used, in seconds: one export observes each by itself.
_ONE_EXPORT = 0.5


def instrument(
    manager: CacheManager | sync.CacheManager,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    *,
    spans: bool = False,
    key_digests: bool = False,
) -> None:
    """Adds the metrics of a manager to a meter, which observes them when it exports. They exist
    anyway, so that calls cost nothing more. Durations of loads are two counters,
    `cache_load_duration_seconds_sum` and `_count`.

    With `spans`, the calls of its caches are spans: `cache.get`, which ends when the call has its
    value or begins to load it, `cache.load` around the factory, `cache.put` and
    `cache.invalidate`. Round trips to servers are client spans, of all managers of the process;
    they go to the tracer that was named last. A span costs some microseconds, a hit in memory
    included.

    Args:
        manager: The manager, open or not.
        meter_provider: The provider of the meter. Default: the global one.
        tracer_provider: The provider of the tracer. Default: the global one.
        spans: Whether calls are spans.
        key_digests: Whether `cache.get` has the attribute `cache.key`, the digest of the key that
            errors show. Whoever can guess a key can recognize it.
    """
    owner: Any = getattr(manager, "asynchronous", manager)
    _observe_metrics(owner, get_meter_provider() if meter_provider is None else meter_provider)
    if spans:
        provider = get_tracer_provider() if tracer_provider is None else tracer_provider
        tracer = provider.get_tracer("hotshelf", __version__)
        owner._observe(_Spans(tracer, key_digests))
        collect_spans(get_current, _round_trips(tracer))


def _observe_metrics(owner: CacheManager, provider: MeterProvider) -> None:
    meter = provider.get_meter("hotshelf", __version__)
    taken: tuple[float, list[Any]] = (-_ONE_EXPORT, [])

    def families() -> list[Any]:
        nonlocal taken
        now = time.monotonic()
        if now - taken[0] >= _ONE_EXPORT:
            store = owner._store
            taken = (now, [] if store is None else store.metrics())
        return taken[1]

    def observed(name: str, part: int | None = None) -> Any:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            samples = (it for known, _, _, all in families() if known == name for it in all)
            for labels, value in samples:
                if part is None:
                    yield Observation(value, labels)
                else:
                    buckets, total = value
                    yield Observation((total, sum(it for _, it in buckets))[part], labels)

        return observe

    for name in COUNTERS:
        meter.create_observable_counter(name, [observed(name)])
    for name in GAUGES:
        meter.create_observable_gauge(name, [observed(name)])
    sum_of, count_of = observed(HISTOGRAM, 0), observed(HISTOGRAM, 1)
    meter.create_observable_counter(f"{HISTOGRAM}_sum", [sum_of], unit="s")
    meter.create_observable_counter(f"{HISTOGRAM}_count", [count_of])


def _round_trips(tracer: Tracer) -> Callable[[Context, dict[str, Any], int, int], None]:
    """Returns what makes spans of round trips, from their contexts, attributes and times."""

    def emit(context: Context, attributes: dict[str, Any], began: int, ended: int) -> None:
        span = _start(
            tracer, attributes["db.operation.name"], attributes, context=context,
            kind=SpanKind.CLIENT, start_time=began,
        )  # fmt: skip
        _end(span, attributes.get("error.type"), at=ended)

    return emit


class _Spans(Observing):
    """Makes spans of calls."""

    __slots__ = ("key_digests", "tracer")

    def __init__(self, tracer: Tracer, key_digests: bool) -> None:
        self.tracer = tracer
        self.key_digests = key_digests

    def core(self, service: CacheService[Any], core: Cache) -> Cache:
        return cast("Cache", _ObservedCache(self, service, core))

    def load(self, service: CacheService[Any], keys: int) -> AbstractContextManager[Any]:
        return self._current("cache.load", {"cache.name": service.namespace, "cache.keys": keys})

    def put(self, service: CacheService[Any], keys: int) -> AbstractContextManager[Any]:
        return self._current("cache.put", {"cache.name": service.namespace, "cache.keys": keys})

    def invalidate_tags(self, tags: int) -> AbstractContextManager[Any]:
        return self._current("cache.invalidate", {"cache.kind": "tag", "cache.keys": tags})

    @contextmanager
    def _current(self, name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        """Surrounds code by a span. What it raises is recorded by its type alone: the text may hold
        a key."""
        span = _start(self.tracer, name, attributes)
        try:
            with _as_current(span):
                yield
        except BaseException as error:
            _end(span, _type_of(error))
            raise
        _end(span)


class _ObservedCache:
    """The engine's view of a cache, whose calls are spans."""

    __slots__ = ("_cache", "_core", "_spans", "_tier")

    def __init__(self, spans: _Spans, service: CacheService[Any], core: Cache) -> None:
        self._spans = spans
        self._core = core
        self._cache = {"cache.name": service.namespace}
        store = service._manager._store
        #: The tier in the memory of the process.
        self._tier = "memory" if store is None or store.backend == "memory" else "near"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def peek(self, identifier: Any) -> Any:
        began = time.time_ns()
        found = self._core.peek(identifier)
        # The call goes on with `load` on a miss.
        if type(found) is not Missing:
            hit = {"cache.hit": True, "cache.stale": False, "cache.tier": self._tier}
            attributes = {**self._cache, **hit, **self._digest(identifier, None)}
            _end(_start(self._spans.tracer, "cache.get", attributes, start_time=began))
        return found

    def read(
        self, identifier: Any, params: str | None = None, after: str | None = None,
        trace: Collected | None = None, tags_into: Any = None,
    ) -> Any:  # fmt: skip
        trace = trace or Collected()
        return self._during(
            "cache.get", self._digest(identifier, params), self._ends_get(trace),
            lambda: self._core.read(identifier, params, after, trace, tags_into),
        )  # fmt: skip

    def load(
        self, identifier: Any, params: str | None = None, tags: Any = None, ttl: Any = None,
        negative_ttl: Any = None, mode: str = "use", nested: bool = False,
        after: str | None = None, encoded: bool = False, background: bool = False,
        trace: Collected | None = None, tags_into: Any = None,
    ) -> Any:  # fmt: skip
        trace = trace or Collected()
        return self._during(
            "cache.get", self._digest(identifier, params), self._ends_get(trace),
            lambda: self._core.load(
                identifier, params, tags, ttl, negative_ttl, mode, nested, after, encoded,
                background, trace, tags_into,
            ),
        )  # fmt: skip

    def read_many(self, keys: Any) -> Any:
        def ends(span: Span, found: list[Any]) -> None:
            span.set_attribute("cache.hits", sum(type(it) is not Missing for it in found))

        attributes = {"cache.keys": len(keys)}
        return self._during("cache.get", attributes, ends, lambda: self._core.read_many(keys))

    def load_many(self, keys: Any, own: Any, **options: Any) -> Any:
        attributes = {"cache.keys": len(keys)}
        return self._during(
            "cache.get", attributes, None, lambda: self._core.load_many(keys, own, **options)
        )

    def insert(self, values: Any, **options: Any) -> Any:
        attributes = {"cache.keys": len(values)}
        return self._during(
            "cache.put", attributes, None, lambda: self._core.insert(values, **options)
        )

    def invalidate(self, keys: Any) -> Any:
        attributes = {"cache.kind": "key", "cache.keys": len(keys)}
        return self._during(
            "cache.invalidate", attributes, None, lambda: self._core.invalidate(keys)
        )

    def invalidate_pattern(self, pattern: str, anywhere: bool = False) -> Any:
        return self._during(
            "cache.invalidate", {"cache.kind": "pattern"}, None,
            lambda: self._core.invalidate_pattern(pattern, anywhere),
        )  # fmt: skip

    def invalidate_all(self) -> Any:
        return self._during(
            "cache.invalidate", {"cache.kind": "all"}, None, self._core.invalidate_all
        )

    def _digest(self, identifier: Any, params: str | None) -> dict[str, Any]:
        if self._spans.key_digests:
            with suppress(CacheError, TypeError, ValueError):
                key = self._core.key(identifier, params).encode()
                return {"cache.key": "#" + hashlib.sha256(key).hexdigest()[:8]}
        return {}

    def _ends_get(self, trace: Collected) -> Callable[[Span, Any], None]:
        def ends(span: Span, _: Any) -> None:
            is_hit, is_stale, source = trace.lookup()
            span.set_attribute("cache.hit", is_hit)
            span.set_attribute("cache.stale", is_stale)
            tier = {"local": self._tier, "server": "backend"}.get(source)
            if tier is not None:
                span.set_attribute("cache.tier", tier)

        return ends

    def _during(
        self,
        name: str,
        attributes: Mapping[str, Any],
        ends: Callable[[Span, Any], None] | None,
        begin: Callable[[], Any],
    ) -> Any:
        """Begins an operation in a span, which ends with it. The span is current for its round trips
        alone, not for what the caller does meanwhile."""
        span = _start(self._spans.tracer, name, {**self._cache, **attributes})
        try:
            with _as_current(span):
                found = begin()
        except BaseException as error:
            _end(span, _type_of(error))
            raise
        if type(found) is Pending:
            found.future.add_done_callback(lambda future: _end_of(span, future, ends))
        else:
            _end_with(span, found, ends)
        return found


def _end_of(span: Span, future: Any, ends: Callable[[Span, Any], None] | None) -> None:
    """Ends the span of an operation that the caller had to wait for."""
    error = None if future.cancelled() else future.exception()
    if error is not None or future.cancelled():
        _end(span, None if error is None else _type_of(error))
    else:
        _end_with(span, future.result(), ends)


def _end_with(span: Span, found: Any, ends: Callable[[Span, Any], None] | None) -> None:
    if ends is not None and span.is_recording():
        ends(span, found)
    _end(span)


def _type_of(error: BaseException) -> str | None:
    """Returns the type of an exception; `None` for one that is no failure, as a cancellation."""
    return type(error).__qualname__ if isinstance(error, Exception) else None


# What tracers and their processors raise is logged, and reaches no call of the cache.


def _start(tracer: Tracer, name: str, attributes: Mapping[str, Any], **options: Any) -> Span:
    try:
        return tracer.start_span(name, attributes=attributes, **options)
    except Exception as error:
        _report(error)
        return INVALID_SPAN


def _end(span: Span, error: str | None = None, at: int | None = None) -> None:
    try:
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(at)
    except Exception as raised:
        _report(raised)


@contextmanager
def _as_current(span: Span) -> Iterator[None]:
    token = attach(set_span_in_context(span))
    try:
        yield
    finally:
        # A coroutine may be closed in another context.
        detach(token)


_reported = False


def _report(error: Exception) -> None:
    global _reported
    level = logging.DEBUG if _reported else logging.WARNING
    _reported = True
    logger.log(level, "cache: a span is lost, as the tracer failed: %r", error)
