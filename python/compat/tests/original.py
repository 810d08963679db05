"""Runs fastapi-rc's own examples, from its sdist."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import types
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI

DATA = Path(__file__).parent / "data"

_SDIST = "fastapi_rc-0.1.0.tar.gz"
_SHA256 = "3628d4521b26813c4e67caf4f91ffc875bca5944c03bf7557b4efedd5e47af52"
_KEPT = Path(__file__).parent.parent / "target"
#: The prefix of leases, which exist while entries are being loaded.
_LEASES = "hs:l:"
_THEIR_URL = '"redis://localhost:6379/0"'


def example(name: str, url: str, changes: dict[str, str] | None = None) -> types.ModuleType:
    """Imports an example, in which only the URL and `changes` are replaced."""
    with tarfile.open(_sdist()) as sdist:
        member = sdist.extractfile(f"fastapi_rc-0.1.0/examples/{name}.py")
        assert member is not None
        source = member.read().decode()
    for old, new in {_THEIR_URL: json.dumps(url), **(changes or {})}.items():
        assert source.count(old) >= 1
        source = source.replace(old, new)
    module = types.ModuleType(f"example_{name}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def _sdist() -> Path:
    kept = _KEPT / _SDIST
    if not kept.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--ignore-requires-python"]
        command += ["--dest", str(_KEPT), "fastapi-rc==0.1.0"]
        if subprocess.run(command).returncode != 0:
            pytest.skip("fastapi-rc's sdist can't be downloaded")
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == _SHA256
    return kept


def traces(*names: str) -> list[dict[str, Any]]:
    """Returns the recorded steps of examples, in order."""
    steps: list[dict[str, Any]] = []
    for file in ("traces.json", "traces_04.json"):
        steps += json.loads((DATA / file).read_text())["steps"]
    return [step for step in steps if step["example"] in names]


class Application:
    """An application that is sent requests step by step, and its database."""

    def __init__(self, app: FastAPI, url: str) -> None:
        self._app = app
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self._redis = redis.Redis.from_url(url, decode_responses=True)

    async def __aenter__(self) -> Application:
        self._lifespan = self._app.router.lifespan_context(self._app)
        await self._lifespan.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._redis.close()
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)

    def set_up(self, step: dict[str, Any]) -> None:
        """Executes the setup commands of a step."""
        for command in step.get("redis_setup", []):
            self._redis.execute_command(*command)

    async def request(self, step: dict[str, Any]) -> httpx.Response:
        request = step["request"]
        body: dict[str, Any] = {}
        if request["body"] is not None:
            body = {"json": request["body"]}
        elif request["raw_body"] is not None:
            content = {"content-type": "application/json"}
            body = {"content": request["raw_body"], "headers": content}
        return await self._client.request(request["method"], request["path"], **body)

    def entries(self) -> dict[str, dict[str, Any]]:
        """Returns the entries in the database, without leases."""
        keys = [key for key in sorted(self._redis.keys()) if not key.startswith(_LEASES)]
        return {key: self._entry(key) for key in keys}

    def _entry(self, key: str) -> dict[str, Any]:
        kind = self._redis.type(key)
        value = self._redis.get(key) if kind == "string" else self._redis.lrange(key, 0, -1)
        return {"type": kind, "value": value, "ttl": self._redis.ttl(key)}
