"""Tests of exceptions: their bases, their texts, and the calls that raise them."""

from __future__ import annotations

import builtins
import copy
import pickle
from collections.abc import AsyncIterator

import pytest
from conftest import RedisServer, free_port

import hotshelf
from hotshelf import CacheManager, CacheService, RedisClient

BASES: dict[type[Exception], tuple[type[Exception], ...]] = {
    hotshelf.CacheError: (Exception,),
    hotshelf.ConfigurationError: (ValueError,),
    hotshelf.KeyError: (builtins.KeyError,),
    hotshelf.EncodeError: (ValueError,),
    hotshelf.DecodeError: (ValueError,),
    hotshelf.UnavailableError: (ConnectionError,),
    hotshelf.TimeoutError: (builtins.TimeoutError, hotshelf.UnavailableError),
    hotshelf.AuthenticationError: (),
    hotshelf.ServerError: (),
    hotshelf.PermissionError: (builtins.PermissionError, hotshelf.ServerError),
    hotshelf.OutOfMemoryError: (hotshelf.ServerError,),
    hotshelf.WrongTypeError: (hotshelf.ServerError,),
    hotshelf.NoScriptError: (hotshelf.ServerError,),
    hotshelf.ClosedError: (),
    hotshelf.LoadTimeoutError: (builtins.TimeoutError,),
    hotshelf.WatchError: (),
    hotshelf.LockError: (ValueError,),
    hotshelf.LockNotOwnedError: (hotshelf.LockError,),
}


def test_every_exception_is_listed() -> None:
    public = [getattr(hotshelf, name) for name in hotshelf.__all__ if name.endswith("Error")]
    # Its argument is a number.
    assert set(public) == {*BASES, hotshelf.LoadBackoffError}


def test_backoff_says_when_to_retry() -> None:
    error = hotshelf.LoadBackoffError(4.5)
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(one, hotshelf.CacheError)
        assert one.retry_after == 4.5
        assert str(one) == "a load of the key has failed; the next one is due in 4.5 s"


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_exceptions_derive_from_builtins(kind: type[Exception]) -> None:
    for base in (hotshelf.CacheError, *BASES[kind]):
        assert issubclass(kind, base)
    namesake = getattr(builtins, kind.__name__, Exception)
    assert issubclass(kind, namesake)


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_exceptions_show_their_text(kind: type[Exception]) -> None:
    error = kind("no 'answer' within 100 ms")
    assert str(error) == "no 'answer' within 100 ms"
    assert error.args == ("no 'answer' within 100 ms",)
    assert repr(kind("lost")) == f"{kind.__name__}('lost')"
    assert f"{kind.__module__}.{kind.__qualname__}" == f"hotshelf.{kind.__name__}"


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_exceptions_pickle_and_copy(kind: type[Exception]) -> None:
    error = kind("lost")
    error.attempts = 3  # type: ignore[attr-defined]
    copies = [copy.copy(error), copy.deepcopy(error)]
    copies += [pickle.loads(pickle.dumps(error, how)) for how in range(pickle.HIGHEST_PROTOCOL + 1)]
    for duplicate in copies:
        assert type(duplicate) is kind
        assert (str(duplicate), duplicate.args, duplicate.attempts) == ("lost", ("lost",), 3)


def test_invalid_keys_raise_key_error() -> None:
    cache = CacheService[int](CacheManager("memory://"), "numbers", int)
    try:
        cache.key("\ud800")
    except KeyError as error:
        assert type(error) is hotshelf.KeyError
        assert str(error).startswith("UnicodeEncodeError: 'utf-8' codec can't encode")
    else:
        pytest.fail("a lone surrogate became a key")


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost/no-number"])
def test_invalid_urls_raise_value_error(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        CacheManager(url)
    assert type(caught.value) is hotshelf.ConfigurationError


async def test_memory_refuses_raw_commands() -> None:
    with pytest.raises(hotshelf.ConfigurationError, match="memory://"):
        await CacheManager("memory://").redis.get("key")


def test_managers_without_url_raise_closed_error() -> None:
    with pytest.raises(hotshelf.ClosedError, match="URL"):
        _ = CacheManager().redis


async def test_silent_servers_raise_timeout_error(own_server: RedisServer) -> None:
    manager = CacheManager(own_server.url)
    redis = RedisClient(manager.store, timeout=0.05)
    assert await redis.ping()
    own_server.pause()
    try:
        await redis.get("key")
    except TimeoutError as error:
        assert type(error) is hotshelf.TimeoutError
    else:
        pytest.fail("the server answered")
    finally:
        own_server.go_on()
    await manager.close()


async def test_missing_servers_raise_connection_error() -> None:
    manager = CacheManager(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionError) as caught:
        await manager.redis.get("key")
    assert isinstance(caught.value, hotshelf.UnavailableError)
    await manager.close()


async def test_wrong_passwords_raise_authentication_error(own_server: RedisServer) -> None:
    own_server.command("CONFIG", "SET", "requirepass", "secret")
    manager = CacheManager(f"redis://:wrong-word@127.0.0.1:{own_server.port}")
    with pytest.raises(hotshelf.AuthenticationError) as caught:
        await manager.redis.get("key")
    assert "wrong-word" not in str(caught.value)
    await manager.close()


@pytest.fixture
async def limited(own_server: RedisServer) -> AsyncIterator[RedisClient]:
    """A client whose user may access `mine:*` only, on a server whose memory is full."""
    own_server.command("ACL", "SETUSER", "limited", "on", ">word", "~mine:*", "&*", "+@all")
    own_server.command("RPUSH", "mine:list", "1")
    own_server.command("CONFIG", "SET", "maxmemory", "1")
    url = f"redis://limited:word@127.0.0.1:{own_server.port}"
    manager = CacheManager(url, connect_timeout=5, store_timeout=5)
    yield manager.redis
    await manager.close()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("GET other", PermissionError),
        ("GET mine:list", hotshelf.WrongTypeError),
        ("SET mine:text 1", hotshelf.OutOfMemoryError),
        (f"EVALSHA {'0' * 40} 0", hotshelf.NoScriptError),
        ("NOSUCHCOMMAND", hotshelf.ServerError),
    ],
)
async def test_error_replies_raise_their_class(
    limited: RedisClient, command: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        await limited.execute_command(*command.split())
    assert isinstance(caught.value, hotshelf.ServerError)
    [reply] = await limited.pipeline(False).execute_command(*command.split()).execute(False)
    assert isinstance(reply, kind)
