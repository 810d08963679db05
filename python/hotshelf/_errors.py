"""Exceptions.

All derive from `CacheError`, and each from the builtin exception of the same name, if there
is one: `except TimeoutError` catches a timeout of the cache without an import.
"""

from __future__ import annotations

import builtins
import copy
import types
from typing import TypeVar

__all__ = [
    "AuthenticationError",
    "CacheError",
    "ClosedError",
    "ConfigurationError",
    "DecodeError",
    "EncodeError",
    "KeyError",
    "LoadBackoffError",
    "LoadTimeoutError",
    "LockError",
    "LockNotOwnedError",
    "NoScriptError",
    "OutOfMemoryError",
    "PermissionError",
    "ServerError",
    "TimeoutError",
    "UnavailableError",
    "WatchError",
    "WrongTypeError",
]


class CacheError(Exception):
    """The base class of all exceptions of hotshelf: a failure of the cache or its backend."""


class ConfigurationError(CacheError, ValueError):
    """An option or a URL is invalid, or the backend doesn't support the operation."""


class KeyError(CacheError, builtins.KeyError):
    """An identifier, a parameter or a pattern is not valid in a key."""

    def __str__(self) -> str:
        # The builtin returns the `repr` of its argument.
        return Exception.__str__(self)


class EncodeError(CacheError, ValueError):
    """A value can't be encoded as JSON and decoded again, or its encoding is too large."""


class DecodeError(CacheError, ValueError):
    """Stored bytes are not a valid value of the model."""


class UnavailableError(CacheError, ConnectionError):
    """The backend can't be reached, or doesn't serve requests at the moment."""


class TimeoutError(UnavailableError, builtins.TimeoutError):
    """The backend didn't answer in time. Whether it executed the operation is unknown."""


class LoadTimeoutError(CacheError, builtins.TimeoutError):
    """A load takes longer than the cache's `hard_timeout`, and there is no stale value."""


class LoadBackoffError(CacheError):
    """A load of the key has failed a short time ago, in this process or in another one, and isn't
    repeated yet, by the cache's `error_backoff`.

    Attributes:
        retry_after: After how many seconds the key is loaded again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"a load of the key has failed; the next one is due in {self.retry_after:.3g} s"


class AuthenticationError(CacheError):
    """The backend refused the credentials."""


class ServerError(CacheError):
    """The server returned an error reply."""


class PermissionError(ServerError, builtins.PermissionError):
    """The server's access rules forbid the command or the key."""


class OutOfMemoryError(ServerError):
    """The server has reached its memory limit and refuses writes."""


class WrongTypeError(ServerError):
    """The key holds a value of a type that the command doesn't support."""


class NoScriptError(ServerError):
    """The server doesn't have the script of an `EVALSHA`: send it with `EVAL`."""


class WatchError(CacheError):
    """A watched key has changed, so that a transaction was not executed."""


class LockError(CacheError, ValueError):
    """A lock can't be acquired, or isn't acquired."""


class LockNotOwnedError(LockError):
    """A lock was lost: it has timed out, or another owner has it."""


class ClosedError(CacheError):
    """The cache is closed, or was never opened."""


E = TypeVar("E", bound=BaseException)


def own_copy(exception: E) -> E:
    """Returns a copy of an exception that several callers raise, since each of them may change
    it: a traceback, a note, a context. Returns the exception itself if it can't be copied."""
    try:
        copied = copy.copy(exception)
        if type(copied) is not type(exception) or copied.args != exception.args:
            return exception
    except Exception:
        # `copy` calls the class with `args`, which not every class accepts.
        try:
            copied = type(exception).__new__(type(exception), *exception.args)
            copied.args = exception.args
        except Exception:
            return exception
    try:
        copied.__dict__.update(exception.__dict__)
        if "__notes__" in copied.__dict__:
            copied.__dict__["__notes__"] = list(copied.__dict__["__notes__"])
        for name in _slots(type(exception)):
            if not hasattr(exception, name):
                continue
            value = getattr(exception, name)
            # What a built-in exception doesn't have is `None`.
            if value is not None or not hasattr(copied, name):
                setattr(copied, name, value)
    except Exception:
        return exception
    copied.__cause__ = exception.__cause__
    copied.__context__ = exception.__context__
    copied.__suppress_context__ = exception.__suppress_context__
    return copied


def _slots(kind: type) -> set[str]:
    """Returns the names of attributes outside of `__dict__`: `__slots__`, and those of built-in
    exceptions such as `NameError.name`."""
    members = types.MemberDescriptorType
    base = vars(BaseException)
    return {
        name
        for ancestor in kind.__mro__
        for name, value in vars(ancestor).items()
        if isinstance(value, members) and name not in base
    }


for _name in __all__:
    # Tracebacks and pickles use the public name.
    globals()[_name].__module__ = "hotshelf"
