"""Fixtures: real servers, and caches on them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

import hotshelf

TESTS = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _die_with_parent() -> None:
    """Asks the kernel to kill the server when the tests exit."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class RedisServer:
    """A redis-server on a free loopback port, in a temporary directory."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="hotshelf-redis-")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> RedisServer:
        command = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", self.directory, "--loglevel", "warning", *self.options,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.command("PING") == b"+PONG":
                    return self
            time.sleep(0.01)
        raise RuntimeError("redis-server doesn't answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Stops the process: it accepts connections, but doesn't answer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process is not None:
            self.go_on()
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, *words: str | bytes) -> Any:
        """Sends a command over a new connection, and returns its reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            stream = connection.makefile("rwb")
            packed = [word if isinstance(word, bytes) else word.encode() for word in words]
            stream.write(b"*%d\r\n" % len(packed))
            for word in packed:
                stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
            stream.flush()
            return self._reply(stream)

    def _reply(self, stream: Any) -> Any:
        line = stream.readline().rstrip(b"\r\n")
        match line[:1]:
            case b"$" if line == b"$-1":
                return None
            case b"$":
                return stream.read(int(line[1:]) + 2)[:-2]
            case b"*":
                return [self._reply(stream) for _ in range(int(line[1:]))]
            case b":":
                return int(line[1:])
            case _:
                return line

    def clients(self) -> list[str]:
        """Returns the connections of caches from `CLIENT LIST`."""
        lines = self.command("CLIENT", "LIST").decode().splitlines()
        return [line for line in lines if "cmd=client|list" not in line]

    def keys(self) -> list[str]:
        return sorted(key.decode() for key in self.command("KEYS", "*"))


@contextlib.contextmanager
def tls_server(
    authority: trustme.CA, folder: Path, clients: str = "no"
) -> Iterator[tuple[RedisServer, int]]:
    """A server that is also `localhost` for TLS, and its port for that. `clients` says whether
    it requires a certificate of them."""
    identity, port = authority.issue_cert("localhost"), free_port()
    identity.cert_chain_pems[0].write_to_path(folder / "server.crt")
    identity.private_key_pem.write_to_path(folder / "server.key")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    server = RedisServer(
        "--tls-port", str(port), "--tls-cert-file", str(folder / "server.crt"),
        "--tls-key-file", str(folder / "server.key"), "--tls-ca-cert-file", str(folder / "ca.crt"),
        "--tls-auth-clients", clients,
    ).start()  # fmt: skip
    yield server, port
    server.close()



@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    server = RedisServer().start()
    yield server
    server.close()


@pytest.fixture
def server(shared_server: RedisServer) -> Iterator[RedisServer]:
    """A shared server. It is empty before each test, and has no connections after it."""
    shared_server.command("FLUSHALL")
    yield shared_server
    deadline = time.monotonic() + 5
    while shared_server.clients():
        assert time.monotonic() < deadline, "the test left connections open"
        time.sleep(0.01)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that a test may stop or pause."""
    server = RedisServer().start()
    yield server
    server.close()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """Runs every async test on asyncio and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def manager(server: RedisServer) -> AsyncIterator[hotshelf.CacheManager]:
    manager = hotshelf.CacheManager(
        server.url, connect_timeout=5, read_timeout=5, store_timeout=5
    )
    yield manager
    await manager.close()


@pytest.fixture
def name() -> str:
    """A unique name."""
    return uuid.uuid4().hex[:8]


class Script:
    """Runs Python programs in separate processes."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.started: list[subprocess.Popen[str]] = []

    def run(self, code: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
        """Runs a program, and returns its output. Fails if it writes to its standard error or
        exits with another code than 0."""
        ended = subprocess.run(
            [sys.executable, *options, "-c", code, self.server.url, *arguments],
            capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return ended.stdout

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, self.server.url, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            with process:
                process.kill()


@pytest.fixture
def script(server: RedisServer) -> Iterator[Script]:
    script = Script(server)
    yield script
    script.close()


async def eventually(holds: Callable[[], Any], within: float = 5.0) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)
