"""`redis: RedisClient = Depends()`, the second spelling of `redis: RedisClient`.

FastAPI refuses a `Depends` in the annotation and one as the default, even an empty one.
Nothing in an annotation can see the default, so FastAPI's own reading of parameters is
wrapped: an empty `Depends()` beside one of *our* dependencies is taken for no default.
All other parameters are read as ever. Should FastAPI's internals change, nothing is
wrapped, the plain spelling goes on working, and the other one is refused by FastAPI.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from fastapi import params
from fastapi.dependencies import utils


def accept_bare_depends(*ours: params.Depends) -> bool:
    """Accepts `= Depends()` on parameters annotated with one of these dependencies.

    Says whether this FastAPI can be taught that.
    """
    read = getattr(utils, "analyze_param", None)
    if read is None or not {"annotation", "value"} <= inspect.signature(read).parameters.keys():
        return False

    @functools.wraps(read)
    def analyze_param(*args: Any, **kwargs: Any) -> Any:
        if _is_bare(kwargs.get("value")) and _names(kwargs.get("annotation"), ours):
            kwargs["value"] = inspect.Signature.empty
        return read(*args, **kwargs)

    setattr(utils, "analyze_param", analyze_param)
    return True


def _is_bare(default: Any) -> bool:
    return type(default) is params.Depends and default.dependency is None


def _names(annotation: Any, ours: tuple[params.Depends, ...]) -> bool:
    found = getattr(annotation, "__metadata__", ())
    return any(one is our for one in found for our in ours)
