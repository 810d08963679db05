"""Accepts `redis: RedisClient = Depends()` as an alternative to `redis: RedisClient`.

FastAPI rejects a parameter with a `Depends` both in the annotation and as the default, even an
empty one. An annotation has no access to the default, so FastAPI's function that analyzes
parameters is wrapped: an empty `Depends()` on a parameter with one of *our* dependencies counts
as no default. All other parameters are passed through unchanged. If FastAPI's internals change,
nothing is wrapped: the plain spelling still works, and FastAPI rejects the other one.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from fastapi import params
from fastapi.dependencies import utils


def accept_bare_depends(*ours: params.Depends) -> bool:
    """Patches FastAPI to accept `= Depends()` on parameters with these dependencies.

    Returns whether this version of FastAPI supports it.
    """
    read = getattr(utils, "analyze_param", None)
    if read is None or not {"annotation", "value"} <= inspect.signature(read).parameters.keys():
        return False

    @functools.wraps(read)
    def analyze_param(*args: Any, **kwargs: Any) -> Any:
        if _is_bare(kwargs.get("value")) and _is_annotated_with(kwargs.get("annotation"), ours):
            kwargs["value"] = inspect.Signature.empty
        return read(*args, **kwargs)

    setattr(utils, "analyze_param", analyze_param)
    return True


def _is_bare(default: Any) -> bool:
    return type(default) is params.Depends and default.dependency is None


def _is_annotated_with(annotation: Any, ours: tuple[params.Depends, ...]) -> bool:
    found = getattr(annotation, "__metadata__", ())
    return any(one is our for one in found for our in ours)
