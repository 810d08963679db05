"""Exceptions.

Each derives from `CacheError`, and from the builtin exception whose name it has: `except
TimeoutError` catches a timeout of the cache without an import.
"""

from __future__ import annotations

import builtins

__all__ = [
    "AuthenticationError",
    "CacheError",
    "ClosedError",
    "ConfigurationError",
    "DecodeError",
    "EncodeError",
    "KeyError",
    "NoScriptError",
    "OutOfMemoryError",
    "PermissionError",
    "ServerError",
    "TimeoutError",
    "UnavailableError",
    "WrongTypeError",
]


class CacheError(Exception):
    """A failure of the cache or its backend: the base of all exceptions of hotshelf."""


class ConfigurationError(CacheError, ValueError):
    """An option or a URL is invalid, or the backend doesn't support the operation."""


class KeyError(CacheError, builtins.KeyError):
    """An identifier, a parameter or a pattern can't become a key."""

    def __str__(self) -> str:
        # The builtin shows the `repr` of its argument.
        return Exception.__str__(self)


class EncodeError(CacheError, ValueError):
    """A value has no JSON form that could be read back, or one that is too large."""


class DecodeError(CacheError, ValueError):
    """Stored bytes are not a value of the model."""


class UnavailableError(CacheError, ConnectionError):
    """The backend can't be reached, or can't serve requests at the moment."""


class TimeoutError(UnavailableError, builtins.TimeoutError):
    """The backend didn't answer in time. Whether it executed the operation is unknown."""


class AuthenticationError(CacheError):
    """The backend refused the credentials."""


class ServerError(CacheError):
    """The server replied with an error."""


class PermissionError(ServerError, builtins.PermissionError):
    """The server's access rules forbid the command or the key."""


class OutOfMemoryError(ServerError):
    """The server has reached its memory limit and refuses writes."""


class WrongTypeError(ServerError):
    """The key holds a value of another type than the command works on."""


class NoScriptError(ServerError):
    """The server doesn't know the script of an `EVALSHA`: send it by `EVAL`."""


class ClosedError(CacheError):
    """The cache is closed, or was never opened."""


for _name in __all__:
    # Tracebacks and pickles show the public name.
    globals()[_name].__module__ = "hotshelf"
