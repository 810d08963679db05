"""Tests of `python -m hotshelf`. The Rust crate tests each command; these, that Python runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import RedisServer, free_port

import hotshelf

COMMAND = [sys.executable, "-m", "hotshelf"]


def run(*arguments: str, url: str = "redis://127.0.0.1:1") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "REDIS_URL": url}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def found(server: RedisServer, *arguments: str) -> Any:
    done = run(*arguments, "--json", url=server.url)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


@pytest.fixture
async def filled(server: RedisServer) -> RedisServer:
    cache = hotshelf.CacheManager(server.url)
    await cache.service("products", str, prefix="shop").set("7", "a lamp", tags=["all"])
    await cache.close()
    return server


async def test_entries_of_python_are_shown(filled: RedisServer) -> None:
    key = found(filled, "key", "--prefix", "shop", "products", "7")["key"]
    assert key == "shop:v1:products:7"
    assert found(filled, "get", key)["value"] == "a lamp"
    explained = found(filled, "explain", key, "--tag", "all")
    assert (explained["verdict"], explained["tags"][0]["name"]) == ("hit", "all")
    listing = found(filled, "ls")
    assert [(it["key"], it["state"]) for it in listing["keys"]] == [(key, "fresh")]
    assert found(filled, "info")["namespaces"][0]["namespace"] == "shop:v1:products"


async def test_invalidation_reaches_python(filled: RedisServer) -> None:
    cache = hotshelf.CacheManager(filled.url)
    products = cache.service("products", str, prefix="shop")
    refused = run("invalidate", "--tag", "all", "--prefix", "shop", url=filled.url)
    assert (refused.returncode, await products.get("7")) == (2, "a lamp")
    assert found(filled, "invalidate", "--yes", "--tag", "all", "--prefix", "shop")["applied"]
    assert await products.get("7") is None
    await cache.close()


def test_key_is_that_of_python() -> None:
    params = '{"b": [1.5, null], "a": "é"}'
    done = run("key", "--layout", "fastapi-rc", "products", "list", params)
    expected = hotshelf.build_cache_key("products", "list", {"a": "é", "b": [1.5, None]})
    assert done.stdout == f"{expected}\n"


def test_exit_codes_are_those_of_the_program(server: RedisServer) -> None:
    assert run("get", "none", url=server.url).returncode == 1
    assert run("unknown").returncode == 2
    unreachable = run("doctor", "--json")
    assert unreachable.returncode == 3
    assert json.loads(unreachable.stdout)["faults"] == 1
    assert run("--version").stdout == f"hotshelf {hotshelf.__version__}\n"


def test_interrupt_ends_a_command(server: RedisServer) -> None:
    command = [*COMMAND, "stats", "--watch", "--interval", "0.05", "--url", server.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "ops/s" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    process.stdout.close()


@contextmanager
def dashboard(url: str, *arguments: str) -> Iterator[str]:
    """Serves the page, and returns its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [*COMMAND, "dashboard", "--url", url, "--listen", address, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    host, port = address.split(":")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            break
        except OSError:
            time.sleep(0.02)
    yield f"http://{address}"
    process.terminate()
    process.wait(10)


async def test_dashboard_shows_the_caches(filled: RedisServer) -> None:
    pytest.importorskip("uvicorn")
    with dashboard(filled.url) as page:
        with urllib.request.urlopen(f"{page}/api/state") as answer:
            state = json.load(answer)
        assert [cache["id"] for cache in state["metrics"]["caches"]] == ["shop:v1:products"]
        assert state["writes"] is False
        other = urllib.request.Request(f"{page}/api/state", headers={"host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(other)


def test_dashboard_without_uvicorn_says_what_to_install(server: RedisServer) -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv[1:] = ['dashboard'];"
        "from hotshelf.__main__ import main; sys.exit(main())"
    )
    environment = {**os.environ, "REDIS_URL": server.url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, "pip install uvicorn" in done.stderr) == (2, True), done
