"""The tests of redis-py pass on hotshelf's client.

They are taken from its source distribution, which is kept in `target/`. `redis_py/shim.py` says
which of them are skipped, and `redis_py/differences.py` lists deliberate differences.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from conftest import TESTS, RedisServer

VERSION = "6.4.0"
CACHE = TESTS.parents[1] / "target" / "redis-py"
PROTOCOLS = [2, 3]
FILES = ["commands", "pipeline", "lock", "scripting", "pubsub"]


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """The tests of redis-py, beside the shim."""
    archive = CACHE / f"redis-{VERSION}.tar.gz"
    if not archive.exists():
        subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--no-binary", "redis", "--no-build-isolation", "--dest", CACHE,
                f"redis=={VERSION}",
            ],
            check=True, timeout=120,
        )  # fmt: skip
    with tarfile.open(archive) as members:
        members.extractall(tmp_path, filter="data")
    source = tmp_path / f"redis-{VERSION}"
    shutil.copy(TESTS / "redis_py" / "shim.py", source / "tests" / "test_asyncio" / "conftest.py")
    shutil.copy(TESTS / "redis_py" / "differences.py", source)
    (source / "own.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    return source


def start(
    server: RedisServer, tests: Path, protocol: int, *options: str
) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", "own.ini", "-o", f"cache_dir=.{protocol}",
        "-W", "ignore", "--redis-url", f"{server.url}/9", "--protocol", str(protocol), *options,
    ]  # fmt: skip
    files = [f"tests/test_asyncio/test_{name}.py" for name in FILES]
    return subprocess.Popen(
        [*command, *files], cwd=tests, text=True, env={**os.environ, "PYTHONPATH": str(tests)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_redis_py_passes(tests: Path) -> None:
    """With both versions of the protocol, side by side on a server each."""
    with contextlib.ExitStack() as stack:
        servers = [RedisServer().start() for _ in PROTOCOLS]
        for server in servers:
            stack.callback(server.close)

        def begin(index: int, *options: str) -> subprocess.Popen[str]:
            run = start(servers[index], tests, PROTOCOLS[index], *options)
            stack.enter_context(run)
            stack.callback(run.kill)
            return run

        runs = [begin(index) for index in range(len(PROTOCOLS))]
        for index, run in enumerate(runs):
            output, _ = run.communicate(timeout=120)
            summary = re.search(r"^(\d+ failed, )?(\d+) passed.*", output, re.MULTILINE)
            assert summary is not None and int(summary[2]) > 300, output
            print(f"redis-py {VERSION}, protocol {PROTOCOLS[index]}: {summary[0]}")
            if run.returncode != 0:
                # Some wait for 0.1 s only: on a busy machine they are repeated.
                again = begin(index, "--last-failed")
                repeated, _ = again.communicate(timeout=120)
                assert again.returncode == 0, output + repeated
