"""Python's signatures show the defaults of the core."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hotshelf import CacheManager, CacheService
from hotshelf._hotshelf import defaults


def shown(signature: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(signature).parameters.values()
    return {it.name: it.default for it in parameters if it.default is not it.empty}


def test_services_show_the_core_s_defaults() -> None:
    own, core = shown(CacheService.__init__), defaults()
    assert own.pop("default_ttl") == core["ttl"]
    assert own.pop("use_jitter") is True
    assert core["jitter"] == 0.1
    # In Python, `None` is a value: it lives as long as others unless it is told otherwise.
    assert own.pop("negative_ttl") is None
    assert own.pop("model") is None
    assert own == {name: core[name] for name in own}
    missing = set(core) - set(own) - set(shown(CacheManager.__init__))
    assert missing == {"ttl", "jitter"}


def test_managers_show_the_core_s_defaults() -> None:
    own, core = shown(CacheManager.__init__), defaults()
    assert own.pop("url") is own.pop("client_name") is None
    assert own.pop("enabled") is True
    assert own == {name: core[name] for name in own}


def test_services_are_declared_with_the_same_defaults() -> None:
    declared, own = shown(CacheManager.service), shown(CacheService.__init__)
    assert declared.pop("ttl") == own["default_ttl"]
    assert declared.pop("jitter") == own["use_jitter"]
    assert declared == {name: own[name] for name in declared}
