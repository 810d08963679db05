"""Tests of the options with which a manager connects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from conftest import RedisServer, tls_server

from hotshelf import CacheManager, ConfigurationError, PermissionError, Tls, UnavailableError

AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, int]]:
    """A server with a user, and its port for TLS, which requires a client certificate."""
    with tls_server(AUTHORITY, tmp_path_factory.mktemp("tls"), "yes") as (server, port):
        server.command("ACL", "SETUSER", "app", "on", ">se+cret", "~*", "&*", "+@all")
        yield server, port


@pytest.fixture
def client(tmp_path: Path) -> Tls:
    identity = AUTHORITY.issue_cert("app")
    key = tmp_path / "client.key"
    identity.private_key_pem.write_to_path(key)
    certificate = identity.cert_chain_pems[0].bytes().decode()
    return Tls(AUTHORITY.cert_pem.bytes(), (certificate, key))


async def test_tls_with_a_client_certificate(
    secured: tuple[RedisServer, int], client: Tls
) -> None:
    _, port = secured
    manager = CacheManager(f"redis://localhost:{port}", tls=client)
    assert await manager.service("numbers", int).set("a", 1)
    await manager.close()


@pytest.mark.parametrize("tls", [True, Tls(), Tls(AUTHORITY.cert_pem.bytes())])
async def test_tls_without_what_the_server_requires(
    secured: tuple[RedisServer, int], tls: Tls | bool
) -> None:
    _, port = secured
    manager = CacheManager(f"redis://localhost:{port}", tls=tls)
    with pytest.raises(UnavailableError):
        await manager.redis.execute_command("PING")
    await manager.close()


async def test_login_and_database_by_keyword(secured: tuple[RedisServer, int]) -> None:
    server, _ = secured
    manager = CacheManager(server.url, user="app", password="se+cret", db=3)
    assert await manager.redis.execute_command("ACL", "WHOAMI") == "app"
    listed = await manager.redis.execute_command("CLIENT", "LIST", "TYPE", "normal")
    assert " db=3 " in listed
    await manager.close()


async def test_login_in_the_query(secured: tuple[RedisServer, int]) -> None:
    server, _ = secured
    manager = CacheManager(f"{server.url}?user=app&password=se+cret&protocol=2")
    assert await manager.redis.execute_command("ACL", "WHOAMI") == "app"
    await manager.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"user": "app"}, "password"),
        ({"user": 1}, "`user`"),
        ({"password": b"secret"}, "`password`"),
        ({"db": -1}, "`db`"),
        ({"db": True}, "`db`"),
        ({"protocol": 4}, "use 2 or 3"),
        ({"tls": "ca.pem"}, "hotshelf.Tls"),
        ({"tls": Tls("ca.pem")}, "pathlib.Path"),
        ({"tls": Tls(Path("/no/such/file"))}, "root_certificates"),
        ({"tls": Tls(b"nonsense")}, "PEM"),
        ({"sentinel_tls": Tls()}, "without Sentinels"),
        ({"sentinel_tls": "ca.pem"}, "`sentinel_tls`"),
        ({"tls": Tls(client_certificate=("a",))}, "pair"),
        ({"client_name": "my app"}, "client name"),
    ],
)
def test_invalid_options(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as raised:
        CacheManager("redis://localhost", **options)  # type: ignore[arg-type]
    assert "secret" not in str(raised.value)


async def test_servers_own_words() -> None:
    server = RedisServer("--maxclients", "1").start()
    # The first manager has the only connection.
    first, second = (CacheManager(server.url) for _ in range(2))
    await first.redis.execute_command("PING")
    with pytest.raises(UnavailableError, match="maxclients|closed the connection"):
        await second.redis.execute_command("PING")
    await first.close()
    await second.close()
    server.close()


async def test_refused_commands_name_what_to_use() -> None:
    server = RedisServer().start()
    manager = CacheManager(server.url)
    for command in (["SUBSCRIBE", "x"], ["MULTI"], ["CLIENT", "REPLY", "OFF"], ["BLPOP", "x", "0"]):
        with pytest.raises(ConfigurationError, match="use |set it"):
            await manager.redis.execute_command(*command)
    server.command("ACL", "SETUSER", "default", "-get")
    with pytest.raises(PermissionError):
        await manager.redis.execute_command("GET", "x")
    await manager.close()
    server.close()
