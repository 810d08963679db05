"""A Redis server for the benchmark."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Server:
    port: int
    pid: int

    def flush(self) -> None:
        """Removes all data."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if connection.recv(64) != b"+OK\r\n":
                raise SystemExit("FLUSHALL failed")


@contextlib.contextmanager
def redis_server(program: str = "redis-server") -> Iterator[Server]:
    """Starts a server on a free port, in its own folder, and kills it after the block."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield Server(port, process.pid)
        finally:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("redis-server did not start")
