"""Tests of values after a round trip: the tables of docs/python-values.md."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from typing import Annotated, Any, Generic, Literal, TypeVar

import pydantic
import pytest
from conftest import RedisServer
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from hotshelf import CacheManager, CacheService

T = TypeVar("T")
UTC = dt.timezone.utc


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Product(BaseModel):
    id: int
    name: str = "lamp"


class Aliased(BaseModel):
    product_id: int = Field(alias="productId")


class AliasedByEither(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    product_id: int = Field(alias="productId")


class TwoAliases(BaseModel):
    product_id: int = Field(validation_alias="in", serialization_alias="out")


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    product_id: int


class Nested(BaseModel):
    inner: Aliased
    many: list[Aliased] = []


class Validated(BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def capital(cls, name: str) -> str:
        return name.title()


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.width


class Page(BaseModel, Generic[T]):
    items: list[T]


class Everything(BaseModel):
    when: dt.datetime
    price: decimal.Decimal
    colour: Colour
    level: Level
    raw: bytes
    uid: uuid.UUID
    took: dt.timedelta
    tags: set[str]
    pair: tuple[int, str]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    id: int


class Raw(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    raw: bytes


class Hidden(BaseModel):
    word: pydantic.SecretStr
    internal: int = Field(default=0, exclude=True)


class Floats(BaseModel):
    number: float


AWARE = dt.datetime(2024, 1, 31, 12, 30, 0, 123456, tzinfo=UTC)
ELSEWHERE = AWARE.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))

#: A model, and a value that is equal and of the same type after a round trip.
SURVIVES: list[tuple[Any, Any]] = [
    (Product, Product(id=1)),
    (Aliased, Aliased(productId=1)),
    (AliasedByEither, AliasedByEither(product_id=1)),
    (TwoAliases, TwoAliases(**{"in": 1})),
    (Generated, Generated(productId=1)),
    (Nested, Nested(inner=Aliased(productId=1), many=[Aliased(productId=2)])),
    (Validated, Validated(name="desk lamp")),
    (Computed, Computed(width=2)),
    (Page[Product], Page[Product](items=[Product(id=1)])),
    (list[Product], [Product(id=1), Product(id=2)]),
    (list[Aliased], [Aliased(productId=1)]),
    (dict[str, Product], {"one": Product(id=1)}),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Dog()),
    (Product | None, Product(id=1)),
    (Point, Point(1, 2)),
    (Row, {"id": 1}),
    (Everything, Everything(
        when=AWARE, price=decimal.Decimal("19.90"), colour=Colour.RED, level=Level.HIGH,
        raw=b"text", uid=uuid.UUID(int=1), took=dt.timedelta(hours=1, microseconds=5),
        tags={"a", "b"}, pair=(1, "a"),
    )),
    (Raw, Raw(raw=bytes(range(256)))),
    (dt.datetime, dt.datetime(2024, 1, 31, 12, 30)),
    (dt.datetime, AWARE),
    (dt.datetime, ELSEWHERE),
    (dt.date, dt.date(2024, 1, 31)),
    (dt.time, dt.time(7, 5)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=1)),
    (decimal.Decimal, decimal.Decimal("0.10")),
    (decimal.Decimal, decimal.Decimal("12345678901234567890.123456789")),
    (int, 2**53 + 1),
    (int, 2**70),
    (int, -(2**64)),
    (float, 0.1),
    (float, 5e-324),
    (bool, True),
    (bool, False),
    (str, ""),
    (str, "ключ 🔑 \x00 \\ \""),
    (str, "null"),
    (bytes, b""),
    (bytes, bytes(range(256))),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (uuid.UUID, uuid.UUID(int=1)),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (None, {"a": [1, 2.5, None, True, "text"], "b": {}}),
    (None, []),
    (None, "text"),
    (None, 0),
    (None, False),
    (None, 2**70),
]  # fmt: skip


@pytest.mark.parametrize(("model", "value"), SURVIVES, ids=lambda it: str(it)[:40])
@pytest.mark.parametrize("foreign", [False, True])
async def test_round_trip_preserves_value(
    manager: CacheManager, model: Any, value: Any, foreign: bool
) -> None:
    cache = CacheService[Any](manager, "values", model, foreign=foreign)
    missed = await cache.get_or_set("it", lambda: value)
    hit = await cache.get_or_set("it", never)
    assert (type(missed), type(hit)) == (type(value), type(value))
    assert missed == hit == value
    assert repr(hit) == repr(value) or isinstance(value, set | Everything | dt.datetime)
    assert await cache.get("it") == value
    assert await cache.set("it", value)
    assert await cache.get("it") == value
    assert cache.stats()["unstorable"] == cache.stats()["foreign"] == 0


def never() -> Any:
    raise AssertionError("the factory ran although there is an entry")


#: A model, the result of a factory, and the value of both a miss and a hit.
BECOMES: list[tuple[Any, Any, Any]] = [
    (Product, {"id": "1"}, Product(id=1)),
    (list[Product], [{"id": 1}], [Product(id=1)]),
    (Point, {"x": 1}, Point(1)),
    (int, "7", 7),
    (Page[Product], Page(items=[{"id": 1}]), Page[Product](items=[Product(id=1)])),
    (None, (1, 2), [1, 2]),
    (None, {1: "a"}, {"1": "a"}),
    (None, Product(id=1), {"id": 1, "name": "lamp"}),
    (None, AWARE, "2024-01-31T12:30:00.123456Z"),
    (None, decimal.Decimal("1.50"), "1.50"),
    (None, Colour.RED, "red"),
    (None, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (None, Point(1), {"x": 1, "y": 0}),
    (None, {1}, [1]),
]


@pytest.mark.parametrize(("model", "value", "becomes"), BECOMES, ids=lambda it: str(it)[:40])
async def test_hit_and_miss_convert_alike(
    manager: CacheManager, model: Any, value: Any, becomes: Any
) -> None:
    cache = CacheService[Any](manager, "values", model)
    missed = await cache.get_or_set("it", lambda: value)
    hit = await cache.get_or_set("it", never)
    assert (type(missed), type(hit)) == (type(becomes), type(becomes))
    assert missed == hit == becomes


#: A model, and a value that is returned, but not stored.
UNSTORED: list[tuple[Any, Any]] = [
    (None, object()),
    (Everything, Everything.model_construct(
        when=AWARE, price=decimal.Decimal(1), colour=Colour.RED, level=Level.HIGH, raw=b"\xff",
        uid=uuid.UUID(int=1), took=dt.timedelta(), tags=set(), pair=(1, "a"),
    )),
    (None, "\ud800"),
    (Product, {"id": "no number"}),
    (Floats, Floats(number=math.nan)),
    (float, math.inf),
    (None, [math.nan]),
    (bytes, "text"),
    (None, b"text"),
]


@pytest.mark.parametrize(("model", "value"), UNSTORED, ids=["object", "bytes in a model", "surrogate", "invalid",
                         "nan in a model", "inf", "nan", "text for bytes",
                         "bytes without a model"])  # fmt: skip
async def test_unencodable_value_is_not_stored(
    manager: CacheManager, server: RedisServer, model: Any, value: Any
) -> None:
    cache = CacheService[Any](manager, "values", model)
    assert await cache.get_or_set("it", lambda: value) is value
    assert await cache.get_or_set("it", lambda: value) is value
    assert not await cache.set("it", value)
    assert server.keys() == []
    assert cache.stats()["unstorable"] == 3


async def test_unencodable_value_removes_older_entry(manager: CacheManager) -> None:
    cache = CacheService[Floats](manager, "values", Floats)
    unstorable = Floats(number=math.nan)
    await cache.set_many({"1": Floats(number=1), "2": Floats(number=2)})
    assert not await cache.set("1", unstorable)
    assert not await cache.set_many({"2": unstorable, "3": Floats(number=3)})
    assert await cache.get_many(["1", "2", "3"]) == [None, None, Floats(number=3)]


async def test_excluded_fields_are_lost(manager: CacheManager) -> None:
    cache = CacheService[Hidden](manager, "values", Hidden)
    secret = Hidden(word=pydantic.SecretStr("open sesame"), internal=7)
    await cache.set("it", secret)
    hit = await cache.get("it")
    assert hit is not None
    assert (hit.word.get_secret_value(), hit.internal) == ("**********", 0)


class Subclass(Product):
    stock: int = 0


async def test_subclass_becomes_model(manager: CacheManager) -> None:
    cache = CacheService[Product](manager, "values", Product)
    missed = await cache.get_or_set("it", lambda: Subclass(id=1, stock=7))
    assert type(missed) is Product
    assert await cache.get("it") == missed


class Careless(BaseModel):
    name: str

    @pydantic.field_validator("name", mode="before")
    @classmethod
    def stripped(cls, value: Any) -> Any:
        return value.strip()


async def test_failing_validator_is_a_miss(manager: CacheManager) -> None:
    older = CacheService[Any](manager, "values")
    await older.set("it", {"name": 5})
    cache = CacheService[Careless](manager, "values", Careless)
    assert await cache.get("it") is None
    assert await cache.get_many(["it"]) == [None]
    assert await cache.get_or_set("it", lambda: Careless(name=" lamp ")) == Careless(name="lamp")
    assert await cache.get("it") == Careless(name="lamp")
    assert cache.stats()["foreign"] >= 3


async def test_logs_hide_values(
    manager: CacheManager, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CacheService[Product](manager, "values", Product)
    assert await cache.get_or_set("it", lambda: {"id": "confidential"})  # type: ignore[arg-type,return-value]
    server.command("SET", cache.key("other"), '{"id": "confidential"}  \n')
    assert await CacheService[Product](manager, "values", Product, foreign=True).get("other") is None
    assert "id: Input should be a valid integer" in caplog.text
    assert "confidential" not in caplog.text


async def test_none_is_cached(manager: CacheManager) -> None:
    cache = CacheService[Product](manager, "values", Product)
    assert await cache.get_or_set("it", lambda: None) is None
    assert await cache.get_or_set("it", never) is None
    assert await cache.exists("it")
    assert 200 < await cache.get_ttl("it") <= 330


async def test_negative_ttl_sets_lifetime(manager: CacheManager) -> None:
    cache = CacheService[Product](manager, "values", Product, jitter=False)
    assert await cache.get_or_set("it", lambda: None, negative_ttl=30) is None
    assert await cache.get_ttl("it") == 30
    assert await cache.get_or_set("it", never, negative_ttl=30) is None


async def test_negative_ttl_zero_disables(manager: CacheManager) -> None:
    cache = CacheService[Product](manager, "values", Product, negative_ttl=0)
    assert await cache.get_or_set("it", lambda: None) is None
    assert not await cache.exists("it")
    assert await cache.get_or_set("it", lambda: Product(id=1)) == Product(id=1)


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b'{"id": "no number"}', b'{"other": 1}', b"\xff\xfe", b"nil", b"\x00" * 100,
    b'"text"', b"[" * 5000,
])  # fmt: skip
@pytest.mark.parametrize("foreign", [False, True])
async def test_undecodable_entry_is_a_miss(
    manager: CacheManager, server: RedisServer, raw: bytes, foreign: bool
) -> None:
    cache = CacheService[Product](manager, "values", Product, foreign=foreign)
    server.command("SET", cache.key("it"), raw)
    assert await cache.get("it") is None
    assert await cache.get_many(["it"]) == [None]
    assert cache.stats()["foreign"] >= 1
    runs = 0

    def compute() -> Product:
        nonlocal runs
        runs += 1
        return Product(id=1)

    assert await cache.get_or_set("it", compute) == Product(id=1)
    assert await cache.get_or_set("it", compute) == Product(id=1)
    assert runs == 1


async def test_changed_model_loads_once(manager: CacheManager) -> None:
    """A release that changes the model without the version causes no stampede."""
    before = CacheService[Product](manager, "values", Product)
    await before.set("it", Product(id=1))
    after = CacheService[Point](manager, "values", Point)
    runs = 0

    async def compute() -> Point:
        nonlocal runs
        runs += 1
        import asyncio

        await asyncio.sleep(0.05)
        return Point(1)

    import asyncio

    found = await asyncio.gather(*(after.get_or_set("it", compute) for _ in range(100)))
    assert found == [Point(1)] * 100
    assert runs == 1
    assert await after.get("it") == Point(1)
    assert await before.get("it") is None


@pytest.mark.parametrize("ttl", [0.5, dt.timedelta(seconds=0.5), 1, 86400 * 400])
async def test_lifetimes_are_numbers_or_timedeltas(manager: CacheManager, ttl: Any) -> None:
    cache = CacheService[int](manager, "values", int, jitter=False)
    assert await cache.set("it", 7, ttl)
    left = await cache.get_ttl("it")
    seconds = ttl.total_seconds() if isinstance(ttl, dt.timedelta) else ttl
    assert left == math.ceil(seconds)


@pytest.mark.parametrize("ttl", [0, -1, math.nan, math.inf])
async def test_invalid_ttl_bypasses_cache(manager: CacheManager, ttl: float) -> None:
    cache = CacheService[int](manager, "values", int)
    assert await cache.get_or_set("it", lambda: 7, ttl) == 7
    assert not await cache.set("it", 7, ttl)


@pytest.mark.parametrize("value", ["text", 7, True, [1], {"a": 1}])
async def test_other_clients_read_value(
    manager: CacheManager, server: RedisServer, value: Any
) -> None:
    import json

    cache = CacheService[Any](manager, "values", None)
    await cache.set("it", value)
    assert json.loads(server.command("GET", cache.key("it"))) == value


async def test_other_tags_are_counted(manager: CacheManager) -> None:
    cache = CacheService[int](manager, "numbers", int)
    for tags, counted in ((["a"], 0), (["b"], 1), (["b"], 1)):
        await cache.get_or_set("k", lambda: 1, tags=tags)
        assert cache.stats()["other_tags"] == counted
