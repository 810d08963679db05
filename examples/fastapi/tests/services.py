"""Services and servers as processes of their own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
UVICORN = [sys.executable, "-m", "uvicorn", "product_api:app", "--log-level", "warning"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_redis(port: int, directory: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
    )


class Answer:
    """A response, whatever its status."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body: Any = json.loads(body)

    def __repr__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body}"


class Service:
    """A process with an HTTP API."""

    def __init__(self, command: list[str], port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=HERE.parent
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            try:
                self.call("GET", "/health")
            except OSError:
                assert self.process.poll() is None, "the service has exited"
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the service doesn't answer")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Returns the body of a response that is a success."""
        answer = self.answer(method, path, body)
        assert 200 <= answer.status < 300, answer
        return answer.body

    def answer(self, method: str, path: str, body: Any = None) -> Answer:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def stop(self) -> None:
        # Not killed, so that it stops its workers.
        self.process.terminate()
        self.process.wait()
