"""Records the traces of example 04 on the original fastapi-rc, in `data/traces_04.json`.

It runs in an environment with `fastapi-rc==0.1.0`, httpx and pytest:
`python tests/record_traces.py redis://127.0.0.1:6379/0`. The database is flushed.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import redis
from original import DATA, Application, example

NAME = "04_full_api_example"
#: The original fails at import: FastAPI rejects `Depends()` together with `Annotated`.
CHANGES = {"redis: RedisClient = Depends()": "redis: RedisClient = None"}
WHEN = "/created_at"
POISONED = ["SET", "ecommerce:v1:users:5", '{"id": 5']

Step = dict[str, Any]


def step(name: str, method: str, path: str, body: Any = None, **more: Any) -> Step:
    request = {"method": method, "path": path, "body": body, "raw_body": None}
    return {"example": NAME, "name": name, "request": request, "volatile": [], **more}


STEPS = [
    step("health", "GET", "/health"),
    step("user miss", "GET", "/users/1", volatile=[WHEN]),
    step("user hit", "GET", "/users/1", volatile=[WHEN]),
    step("product miss", "GET", "/products/1"),
    step("product hit", "GET", "/products/1"),
    step("user unicode", "GET", "/users/%C3%A9", volatile=[WHEN]),
    step("orders page 1", "GET", "/orders/user/1"),
    step("orders page 1 hit", "GET", "/orders/user/1?page=1"),
    step("orders page 2", "GET", "/orders/user/1?page=2"),
    step("orders of another", "GET", "/orders/user/11"),
    step("orders 422", "GET", "/orders/user/1?page=0"),
    step("order drops pages of its user", "POST", "/orders?user_id=1", ["1", "2"], volatile=[WHEN]),
    step("orders page 1 again", "GET", "/orders/user/1"),
    step("order without products", "POST", "/orders?user_id=2", [], volatile=[WHEN]),
    step("order of user *", "POST", "/orders?user_id=*", ["1"], volatile=[WHEN]),
    step("order 422 no user", "POST", "/orders", ["1"]),
    step("order 422 no list", "POST", "/orders?user_id=1", {"a": 1}),
    step("stats miss", "GET", "/stats", volatile=["/cache_hit_rate"]),
    step("stats hit", "GET", "/stats", volatile=["/cache_hit_rate"]),
    step("stock", "POST", "/products/1/stock?stock=5"),
    step(
        "stock drops lists",
        "POST",
        "/products/77/stock?stock=0",
        redis_setup=[["SET", "ecommerce:v1:products:list:a", "[]"]],
    ),
    step("stock 422", "POST", "/products/1/stock"),
    step("warm up", "POST", "/cache/warmup"),
    step("user of warm up", "GET", "/users/3", volatile=[WHEN]),
    step("user corrupt", "GET", "/users/5", volatile=[WHEN], redis_setup=[POISONED]),
    step("flush orders", "DELETE", "/cache/flush/orders"),
    step("flush nothing", "DELETE", "/cache/flush/orders"),
    step("flush *", "DELETE", "/cache/flush/*"),
    step("404", "GET", "/nope"),
    step("405", "PUT", "/users/1"),
]


class Monitor:
    """Records the commands that the server receives."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)
        command = ["redis-cli", "-p", str(urlsplit(url).port), "monitor"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self._lines = self.process.stdout
        self._lines.readline()

    def until(self, mark: str) -> list[str]:
        self._redis.echo(mark)
        found: list[str] = []
        while f'"ECHO" "{mark}"' not in (line := self._lines.readline()):
            found.append(re.sub(r"^\S+ \[.*?\] ", "", line.rstrip("\n")))
        return [line for line in found if not line.startswith(('"ECHO"', '"CLIENT"'))]


async def record(url: str) -> list[Step]:
    redis.Redis.from_url(url).flushall()
    monitor = Monitor(url)
    recorded = []
    async with Application(example(NAME, url, CHANGES).app, url) as app:
        for number, one in enumerate(STEPS):
            app.set_up(one)
            monitor.until(f"before {number}")
            answer = await app.request(one)
            commands = monitor.until(f"after {number}")
            kind = answer.headers.get("content-type")
            is_json = kind == "application/json"
            recorded.append({
                **one,
                "status": answer.status_code,
                "content_type": kind,
                "response_json": answer.json() if is_json else None,
                "response_text": None if is_json else answer.text,
                "redis_commands": commands,
                "keys_after": [{"key": key, **entry} for key, entry in app.entries().items()],
            })
    monitor.process.kill()
    return recorded


def main() -> None:
    url = sys.argv[1]
    versions = {name: importlib.metadata.version(name) for name in
                ("fastapi-rc", "redis", "fastapi", "starlette", "pydantic")}
    versions["python"] = platform.python_version()
    versions["server"] = redis.Redis.from_url(url, decode_responses=True).info()["redis_version"]
    meta = {
        "what": "HTTP traces of fastapi-rc 0.1.0 example 04, as those of examples 01-03",
        "versions": versions,
        "notes": ["the default \"= Depends()\" was replaced by \"= None\": unchanged the example"
                  " fails at import"],
    }
    traces = {"meta": meta, "steps": asyncio.run(record(url))}
    (DATA / "traces_04.json").write_text(json.dumps(traces, indent=1) + "\n")


if __name__ == "__main__":
    main()
