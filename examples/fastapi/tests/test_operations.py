"""What operators look at: metrics, and the admin page."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from services import UVICORN, Service, free_port


def read(service: Service, path: str) -> str:
    with urllib.request.urlopen(service.url + path, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def start(directory: Path, **environment: str) -> Service:
    port = free_port()
    database = str(directory / "products.db")
    return Service([*UVICORN, "--port", str(port)], port, DATABASE=database, **environment)


def test_metrics_and_admin_page_are_served(tmp_path: Path) -> None:
    service = start(tmp_path, ADMIN="open")
    try:
        service.call("GET", "/products")
        service.call("GET", "/products")
        assert 'cache_gets_total{cache="products"' in read(service, "/metrics")
        for path in ("/admin", "/admin/"):
            assert "<title>" in read(service, path)
        assert '"hits":' in read(service, "/admin/api/state")
    finally:
        service.stop()


def test_admin_page_is_not_served_unless_wanted(tmp_path: Path) -> None:
    service = start(tmp_path, ADMIN="")
    try:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            read(service, "/admin/")
    finally:
        service.stop()
