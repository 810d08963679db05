"""Fixtures: a Redis server per session, and an empty database per test."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fastapi_rc import CacheManager, cachemanager


class Server:
    """A `redis-server` on a free loopback port, which exits with this process."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(directory), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        deadline = time.monotonic() + 30
        while not self._listens():
            assert time.monotonic() < deadline, "redis-server doesn't start"
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cli(self, *words: str, password: str | None = None) -> str:
        command = ["redis-cli", "-p", str(self.port), "--raw"]
        command += ["-a", password, "--no-auth-warning"] if password else []
        ended = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
        return ended.stdout.rstrip("\n")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9)


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def server(session_server: Server) -> Server:
    session_server.cli("FLUSHALL")
    return session_server


@pytest.fixture
async def manager(server: Server) -> AsyncIterator[CacheManager]:
    """`cachemanager` on an empty database."""
    cachemanager.init(server.url)
    yield cachemanager
    await cachemanager.close()
