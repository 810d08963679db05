"""Tests of codecs beside that of JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import pytest
from conftest import RedisServer
from pydantic import BaseModel

from hotshelf import CacheManager, CacheService, ConfigurationError

#: The characters of a trailer without tags, of a value that isn't JSON.
TRAILER = 116

ALL_BYTES = bytes(range(256)) + b" \t\r\n"


def stored(server: RedisServer, cache: CacheService[Any], key: str = "k") -> bytes:
    entry = server.command("GET", cache.key(key))
    assert isinstance(entry, bytes)
    return entry[:-TRAILER]


@pytest.mark.parametrize("value", [b"", b"null", ALL_BYTES])
async def test_bytes_take_their_own_length(
    manager: CacheManager, server: RedisServer, value: bytes
) -> None:
    cache = manager.service("bytes", bytes)
    assert await cache.get_or_set("k", lambda: value) == value
    assert await cache.get("k") == value
    assert stored(server, cache) == value


async def test_text_is_stored_as_it_is(manager: CacheManager, server: RedisServer) -> None:
    cache = manager.service("texts", str, codec="raw")
    assert await cache.get_or_set("k", lambda: "naïve") == "naïve"
    assert await cache.get("k") == "naïve"
    assert stored(server, cache) == "naïve".encode()
    assert not await cache.set("k", "\ud800")
    assert await cache.get("k") is None


async def test_negative_of_bytes(manager: CacheManager) -> None:
    cache = manager.service("bytes", bytes)
    ran = 0

    def factory() -> bytes | None:
        nonlocal ran
        ran += 1
        return None

    assert await cache.get_or_set("k", factory) is None
    assert await cache.get_or_set("k", factory) is None
    assert ran == 1 and await cache.exists("k")


async def test_bytes_as_json(manager: CacheManager, server: RedisServer) -> None:
    cache = manager.service("bytes", bytes, codec="json")
    assert await cache.set("k", b"\xff")
    assert await cache.get("k") == b"\xff"
    assert server.command("GET", cache.key("k")).rstrip() == b'"/w=="'


class Product(BaseModel):
    id: UUID
    name: str
    image: bytes
    price: Decimal
    added: datetime
    tags: set[str]
    prices: dict[int, float | None]


PRODUCT = Product(
    id=UUID(int=7), name="tea", image=ALL_BYTES, price=Decimal("1.10"),
    added=datetime(2026, 1, 2, tzinfo=timezone.utc), tags={"a"}, prices={1: 0.5, 2: None},
)  # fmt: skip


async def test_message_pack_keeps_bytes(manager: CacheManager, server: RedisServer) -> None:
    cache = manager.service("packed", Product, codec="msgpack")
    assert await cache.get_or_set("k", lambda: PRODUCT) == PRODUCT
    assert await cache.get("k") == PRODUCT
    unpacked = msgpack.unpackb(stored(server, cache), strict_map_key=False)
    assert unpacked["image"] == ALL_BYTES and unpacked["prices"] == {1: 0.5, 2: None}
    assert unpacked["added"] == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize("value", [None, b"\xff", {"a": [1, 2.5, None]}, "x", 1 << 63])
async def test_message_pack_without_a_model(manager: CacheManager, value: Any) -> None:
    cache: CacheService[Any] = manager.service("packed", codec="msgpack")
    assert await cache.get_or_set("k", lambda: value) == value
    assert await cache.get_or_set("k", lambda: "no") == value


async def test_entry_of_another_codec_is_a_miss(manager: CacheManager, server: RedisServer) -> None:
    other = CacheManager(server.url)
    # 53 is the digit 5.
    assert await other.service("numbers", int, codec="msgpack").set("k", 53)
    numbers = manager.service("numbers", int)
    assert await numbers.get("k") is None
    assert numbers.stats()["foreign"] == 1
    assert await numbers.get_or_set("k", lambda: 7) == 7
    assert await numbers.get("k") == 7
    await other.close()


@dataclass
class Point:
    x: int
    y: int


class Points:
    """Two numbers, separated by a comma."""

    name = "points"

    def encode(self, value: Point) -> bytes:
        if value.x < 0:
            raise ValueError("negative")
        return f"{value.x},{value.y}".encode()

    def decode(self, raw: bytes) -> Point:
        x, y = raw.split(b",")
        return Point(int(x), int(y))


async def test_own_codec(manager: CacheManager, server: RedisServer) -> None:
    cache: CacheService[Point] = manager.service("points", codec=Points())
    assert await cache.get_or_set("k", lambda: Point(1, 2)) == Point(1, 2)
    assert await cache.get("k") == Point(1, 2)
    assert stored(server, cache) == b"1,2"
    # What can't be encoded is returned, and not stored.
    assert await cache.get_or_set("negative", lambda: Point(-1, 0)) == Point(-1, 0)
    assert await cache.get("negative") is None
    assert cache.stats()["unstorable"] == 1
    server.command("SET", cache.key("k"), stored(server, cache) + b",3")
    accepting: CacheService[Point] = manager.service("points", codec=Points(), foreign=True)
    assert await accepting.get("k") is None
    assert accepting.stats()["foreign"] == 1


async def test_none_is_a_negative_with_every_codec(manager: CacheManager) -> None:
    class Texts:
        def encode(self, value: Any) -> bytes:
            return repr(value).encode()

        def decode(self, raw: bytes) -> Any:
            return raw.decode()

    for codec in (Texts(), "raw", "msgpack", "json"):
        name = str(codec if isinstance(codec, str) else "own")
        cache: CacheService[Any] = manager.service(name, str, codec=codec, negative_ttl=0)  # type: ignore[call-overload]
        loads = []
        for _ in range(3):
            assert await cache.get_or_set("k", lambda: loads.append(1)) is None
        assert len(loads) == 3, codec
    own: CacheService[Any] = manager.service("own", str, codec=Texts())
    assert not await own.set("k", None)


async def test_raw_text_has_one_type(manager: CacheManager) -> None:
    class Markup(str):
        pass

    cache: CacheService[str] = manager.service("texts", str, codec="raw")
    types = [type(await cache.get_or_set("k", lambda: Markup("<b>"))) for _ in range(3)]
    assert types == [str, str, str]


@pytest.mark.parametrize(
    ("model", "codec", "named"),
    [
        (None, Points, "`encode` and `decode`"),
        (None, "xml", "msgpack"),
        (int, "raw", "model=bytes"),
        (None, 7, "`encode` and `decode`"),
        (None, object(), "`encode` and `decode`"),
    ],
)
def test_invalid_codecs(model: Any, codec: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        CacheManager("memory://").service("values", model, codec=codec)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ConfigurationError, match=r"hotshelf\[msgpack\]"):
        CacheManager("memory://").service("values", list[int], codec="msgpack")


async def test_services_for_each_request_share_one_view(manager: CacheManager) -> None:
    codec = Points()
    for _ in range(100):
        for options in ({"codec": codec}, {"codec": "raw"}):
            manager.service("values", **options)  # type: ignore[call-overload]
    assert len(manager._cores) <= 2
