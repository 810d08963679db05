"""Tests of the Rust and the Python service on one database and one Redis.

All are real processes, one of them with several workers. A write to one service must be
visible in the others immediately, even if their caches are warm.
"""

import subprocess
from collections.abc import Iterator

import pytest
from services import HERE, UVICORN, Service, free_port, start_redis

ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    directory = tmp_path_factory.mktemp("products")
    redis_port, rust_port, python_port, workers_port = (free_port() for _ in range(4))
    redis = start_redis(redis_port, directory)
    settings = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}"}
    database = str(directory / "products.db")
    running: dict[str, Service] = {}
    try:
        script = ROOT / "scripts/program"
        built = subprocess.run([script, "product-api"], capture_output=True, text=True, check=True)
        running["rust"] = Service(
            [built.stdout.strip()],
            rust_port,
            ADDRESS=f"127.0.0.1:{rust_port}",
            DATABASE_URL=f"sqlite:{database}",
            **settings,
        )
        for name, port, workers in [("python", python_port, 1), ("workers", workers_port, 2)]:
            command = [*UVICORN, "--port", str(port), "--workers", str(workers)]
            running[name] = Service(command, port, DATABASE=database, **settings)
        yield running
    finally:
        for service in running.values():
            service.stop()
        redis.kill()
        redis.wait()


@pytest.mark.parametrize(
    ("writer", "reader"),
    [("rust", "python"), ("python", "rust"), ("rust", "workers"), ("workers", "workers")],
)
def test_writes_are_visible_to_others(
    services: dict[str, Service], writer: str, reader: str
) -> None:
    here, there = services[writer], services[reader]
    for number in range(1, 30):
        path = f"/products/{number}"
        for in_stock in (True, False):
            there.call("GET", path)
            here.call("PUT", f"{path}/stock?in_stock={str(in_stock).lower()}")
            # Each request has its own connection, which any of several workers may accept.
            assert all(there.call("GET", path)["in_stock"] is in_stock for _ in range(3))


@pytest.mark.parametrize(("writer", "reader"), [("rust", "python"), ("python", "rust")])
def test_tags_invalidate_pages(services: dict[str, Service], writer: str, reader: str) -> None:
    here, there = services[writer], services[reader]
    path = "/products?category=books&per_page=50"
    before = {item["id"]: item for item in there.call("GET", path)["items"]}
    assert here.call("GET", path) == there.call("GET", path), "they share the entry"
    wanted = not before["2"]["in_stock"]
    here.call("PUT", f"/products/2/stock?in_stock={str(wanted).lower()}")
    after = {item["id"]: item for item in there.call("GET", path)["items"]}
    assert after["2"]["in_stock"] is wanted


@pytest.mark.parametrize(("writer", "reader"), [("rust", "python"), ("python", "rust")])
def test_batches_are_shared(
    services: dict[str, Service], writer: str, reader: str
) -> None:
    product = {
        "id": f"new-{writer}", "name": "New", "category": writer, "price": 1.5,
        "in_stock": True, "created_at": "2026-05-01T10:00:00Z",
    }
    services[writer].call("POST", "/products/batch", [product])
    assert services[reader].call("GET", f"/products/{product['id']}")["price"] == 1.5
    product["price"] = 2.5
    services[writer].call("POST", "/products/batch", [product])
    assert services[reader].call("GET", f"/products/{product['id']}")["price"] == 2.5
    deleted = services[writer].call("DELETE", f"/categories/{writer}")
    assert deleted["products_deleted"] == 1


def test_entries_are_shared(services: dict[str, Service]) -> None:
    def loads(service: str) -> int:
        caches = services[service].call("GET", "/cache/info")["caches"]
        figures = caches.values() if isinstance(caches, dict) else caches
        return sum(cache["loads"] for cache in figures)

    before = loads("rust"), loads("python")
    services["rust"].call("GET", "/products/501")
    services["python"].call("GET", "/products/501")
    services["python"].call("GET", "/products/502")
    services["rust"].call("GET", "/products/502")
    after = loads("rust"), loads("python")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
