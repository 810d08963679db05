"""Tests that Python's signatures have the defaults of the core."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from hotshelf import CacheManager, CacheService, CacheServiceOptions, LoadOptions, Near
from hotshelf._hotshelf import defaults
from hotshelf._options import jitter_ratio


def shown(signature: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(signature).parameters.values()
    return {it.name: it.default for it in parameters if it.default is not it.empty}


def test_service_defaults_match_core() -> None:
    own, core = shown(CacheService.__init__), defaults()
    del core["near_tier"]
    # In Python, `None` is cached like other values by default.
    assert own.pop("negative_ttl") is None
    assert own.pop("model") is own.pop("default_ttl") is None
    # What the engine knows nothing of.
    assert own.pop("codec") is None and own.pop("copy") == "none"
    assert own.pop("stale_if_error_on") is Exception
    assert own == {name: core[name] for name in own}
    assert set(core) == set(own) | (set(shown(CacheManager.__init__)) & set(core))
    assert jitter_ratio(True) == core["jitter"]
    assert jitter_ratio(False) == 0


def test_manager_defaults_match_core() -> None:
    own, core = shown(CacheManager.__init__), defaults()
    for name in ("client_name", "user", "password", "db", "protocol", "tls", "sentinel_tls"):
        assert own.pop(name) is None, "left to the URL"
    assert own.pop("url") not in ("", None), "None turns the caches off"
    assert own.pop("enabled") is True
    assert own.pop("near") is False
    assert own == {name: core[name] for name in own}


def test_service_options_match_constructor() -> None:
    own = inspect.signature(CacheService.__init__).parameters.values()
    names = [it.name for it in own if it.kind is it.KEYWORD_ONLY]
    types = get_type_hints(CacheService.__init__, localns={"CacheManager": CacheManager})
    assert get_type_hints(CacheServiceOptions) == {name: types[name] for name in names}
    assert CacheServiceOptions.__optional_keys__ == set(names)


def test_load_options_match_methods() -> None:
    types = get_type_hints(LoadOptions)
    for method, others in (
        (CacheService.get_or_set, {"with_context"}),
        (CacheService.response, {"with_context", "request", "headers"}),
    ):
        own = inspect.signature(method).parameters.values()
        names = {it.name for it in own if it.kind is it.KEYWORD_ONLY}
        assert names == set(types) | others
    assert LoadOptions.__optional_keys__ == set(types)


def test_near_defaults_match_core() -> None:
    assert dataclasses.asdict(Near()) == defaults()["near_tier"]
