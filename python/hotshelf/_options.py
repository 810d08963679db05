"""Types and conversions of cache options."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import PlainValidator
from typing_extensions import TypedDict

from hotshelf._codecs import CodecName, ValueCodec
from hotshelf._context import OuterLoad
from hotshelf._diagnosis import Trace
from hotshelf._errors import ConfigurationError
from hotshelf._near import Near, near_options
from hotshelf._tls import Tls, with_contents

Lifetime = float | timedelta
#: A duration that is declared: text such as "15m", too.
Duration = Lifetime | str
KeyLayout = Literal["injective", "fastapi_rc"]
Copy = Literal["none", "shallow", "deep"]

#: The exceptions of factories that a stale value answers: by their types, or by a function.
StaleIfErrorOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]

DEFAULT_JITTER = 0.1

#: For pydantic, which can't check a protocol or a function, in models of options.
_UNCHECKED = PlainValidator(lambda value: value)


class CachedOptions(TypedDict, total=False):
    """The keyword options of `CacheManager.cached`. `CacheService` documents each of them."""

    jitter: bool | float
    prefix: str
    version: str
    foreign: bool
    strict_plain: bool
    epoch: bool
    key_layout: KeyLayout
    wait_timeout: Duration
    backend_budget: Duration
    max_waiters: int
    max_value_bytes: int
    near: bool
    stale_while_revalidate: Duration
    stale_if_error: Duration
    stale_if_error_on: Annotated[StaleIfErrorOn, _UNCHECKED]
    error_throttle: Duration
    early_refresh: bool | float
    soft_timeout: Duration | None
    hard_timeout: Duration | None
    error_backoff: Duration
    hold: Duration
    plain_readers: bool
    codec: CodecName | Annotated[ValueCodec[Any], _UNCHECKED] | None
    copy: Copy


class CacheServiceOptions(CachedOptions, total=False):
    """The keyword options of `CacheService` and `CacheManager.service`.

    Use it for functions that pass options on, as `**options: Unpack[CacheServiceOptions]`.
    `CacheService` documents each option and its default.
    """

    ttl: Duration
    default_ttl: Duration | None
    negative_ttl: Duration | None


class LoadOptions(TypedDict, total=False):
    """The keyword options of `CacheService.get_or_set`, which documents each of them.

    Use it for functions that pass options on, as `**options: Unpack[LoadOptions]`.
    """

    tags: Sequence[str]
    negative_ttl: Lifetime | None
    reload: bool
    after: str | None
    background: bool
    stale_if_error_on: Annotated[StaleIfErrorOn, _UNCHECKED] | None
    trace: Annotated[Trace, _UNCHECKED] | None
    tags_into: Annotated[OuterLoad, _UNCHECKED] | None


class CacheManagerOptions(TypedDict, total=False):
    """The keyword options of `CacheManager`, which documents each of them."""

    connect_timeout: float
    read_timeout: float
    store_timeout: float
    client_name: str | None
    user: str | None
    password: str | None
    db: int | None
    protocol: Literal[2, 3] | None
    tls: Tls | bool | None
    sentinel_tls: Tls | bool | None
    memory_capacity: int
    near: Near | bool
    enabled: bool


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a manager, with timeouts in seconds.

    Raises:
        ConfigurationError: For an invalid value.
        TypeError: For a name that isn't in `CacheManagerOptions`.
    """
    _check_known("a CacheManager", options, CacheManagerOptions.__optional_keys__)
    capacity = options["memory_capacity"]
    if not isinstance(capacity, int) or not 0 <= capacity < 1 << 63:
        message = f"invalid `memory_capacity` {capacity!r}: use a number of bytes from 0 on"
        raise ConfigurationError(message)
    for name in ("client_name", "user", "password"):
        text = options[name]
        if not isinstance(text, str | None):
            shown = "" if name == "password" else f" {text!r}"
            raise ConfigurationError(f"invalid `{name}`{shown}: use a text, or None")
    for name, most, cure in (
        ("db", (1 << 64) - 1, "a number from 0 on"),
        ("protocol", 255, "2, or 3"),
    ):
        number = options[name]
        is_number = isinstance(number, int) and not isinstance(number, bool)
        if number is not None and not (is_number and 0 <= number <= most):
            raise ConfigurationError(f"invalid `{name}` {number!r}: use {cure}, or None")
    timeouts = {name: seconds(name, options[name]) for name in options if "timeout" in name}
    tls = with_contents("tls", options["tls"])
    to_sentinels = options["sentinel_tls"]
    if to_sentinels is not False:
        to_sentinels = with_contents("sentinel_tls", to_sentinels)
    enabled = bool(options["enabled"])
    converted = {"tls": tls, "sentinel_tls": to_sentinels, "near": near_options(options["near"])}
    return {**options, **timeouts, **converted, "enabled": enabled}


def check_names(namespace: str, options: Mapping[str, object]) -> None:
    """Checks the names of options passed as `**options`.

    Raises:
        TypeError: For a name that isn't in `CacheServiceOptions`.
    """
    _check_known(f"the cache {namespace!r}", options, CacheServiceOptions.__optional_keys__)


def _check_known(owner: str, options: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = [name for name in options if name not in known]
    if unknown:
        names = ", ".join(sorted(known))
        raise TypeError(f"unknown option {unknown[0]!r} of {owner}: use {names}")


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(option: str, time: Duration) -> float:
    """Returns the duration of an option in seconds.

    Raises:
        ConfigurationError: For a value that is neither a number of seconds from 0 on, nor a
            `timedelta`, nor text such as `"15m"`.
    """
    if isinstance(time, str):
        return _seconds_of_text(option, time)
    message = (
        f'invalid `{option}` {time!r}: use a number of seconds from 0 on, text such as "15m", or a'
        " timedelta"
    )
    try:
        duration = time.total_seconds() if isinstance(time, timedelta) else float(time)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(message) from error
    if not 0 <= duration < math.inf or isinstance(time, bool):
        raise ConfigurationError(message)
    return duration


def _seconds_of_text(option: str, time: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", time)
    if not parts or "".join(number + unit for number, unit in parts) != time:
        raise ConfigurationError(
            f'invalid `{option}` {time!r}: use text such as "15m", "1h30m" or "250ms", with the'
            " units ms, s, m, h and d, or a number of seconds"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def seconds_or_none(option: str, time: Duration | None) -> float | None:
    """Returns the duration of an option in seconds; `None` if it is off.

    Raises:
        ConfigurationError: As `seconds`.
    """
    return None if time is None else seconds(option, time)


def early_factor(early_refresh: bool | float) -> float:
    """Returns the factor by which values are loaded anew before they end.

    Raises:
        ConfigurationError: For a value that is neither a bool nor a number.
    """
    if isinstance(early_refresh, int | float):
        return float(early_refresh)
    message = f"invalid `early_refresh` {early_refresh!r}: use True, False, or a factor such as 1"
    raise ConfigurationError(message)


def stale_condition(on: StaleIfErrorOn) -> Callable[[Exception], bool]:
    """Returns a function that decides whether a stale value answers an exception.

    An exception group is one of some types if all exceptions in it are.

    Raises:
        ConfigurationError: For a value that is neither a type, a tuple of types nor a function.
    """
    kinds = on if isinstance(on, tuple) else (on,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return lambda error: _is_of(error, cast("tuple[type[Exception], ...]", kinds))
    if callable(on) and not isinstance(on, type):
        return on
    message = (
        f"invalid `stale_if_error_on` {on!r}: use a type of exceptions, a tuple of these, or a"
        " function of an exception"
    )
    raise ConfigurationError(message)


def _is_of(error: BaseException, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, kinds):
        return True
    # Python 3.10 has no exception groups, and a package that adds them.
    inner = getattr(error, "exceptions", None)
    return isinstance(inner, tuple) and bool(inner) and all(_is_of(one, kinds) for one in inner)


def jitter_ratio(jitter: bool | float) -> float:
    """Returns the ratio of jitter.

    Raises:
        ConfigurationError: For a value that is neither a bool nor a number.
    """
    if isinstance(jitter, bool):
        return DEFAULT_JITTER if jitter else 0.0
    if isinstance(jitter, int | float):
        return jitter
    message = f"invalid jitter {jitter!r}: use True, False, or a ratio from 0 to 1 such as 0.1"
    raise ConfigurationError(message)
