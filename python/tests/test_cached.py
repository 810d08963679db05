"""Tests of functions whose results are cached."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import inspect
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from conftest import RedisServer
from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Header, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from hotshelf import CachedFunction, CacheManager, CacheService, ConfigurationError


class Product(BaseModel):
    id: int
    name: str


class Database:
    """Counts the loads."""

    def __init__(self) -> None:
        self.loads = 0

    async def product(self, id: int) -> Product | None:
        self.loads += 1
        return Product(id=id, name=f"load {self.loads}") if id > 0 else None


@pytest.fixture(params=["memory", "redis", "near"])
def manager(request: pytest.FixtureRequest, own_server: RedisServer) -> CacheManager:
    url = "memory://" if request.param == "memory" else own_server.url
    return CacheManager(url, near=request.param == "near", read_timeout=5, store_timeout=5)


@pytest.fixture(autouse=True)
async def closed(manager: CacheManager) -> Any:
    yield
    await manager.close()


def products_of(manager: CacheManager) -> CacheService[Product]:
    return manager.service("products", Product, backend_budget=5)


async def test_function_is_cached_with_its_companions(manager: CacheManager) -> None:
    products, database = products_of(manager), Database()

    @products.cached(key=lambda id: id, skip=["database"], ttl="15m")
    async def fetch(id: int, database: Database) -> Product | None:
        """Fetches a product."""
        return await database.product(id)

    first = await fetch(7, database)
    assert first == await fetch(id=7, database=database) == Product(id=7, name="load 1")
    assert await products.get(7) == first, "the key is that of the service"
    assert 800 < await products.get_ttl(7) < 1000
    assert await fetch.peek(7) == first
    assert await fetch.peek(8) is None
    assert fetch.key(7) == products.key(7) == "cache:v1:products:7"
    assert await fetch.refresh(7, database) == await fetch(7, database)
    assert (await fetch.peek(id=7)) == Product(id=7, name="load 2")
    assert await fetch.invalidate(7)
    assert await fetch(7, database) == Product(id=7, name="load 3")
    assert await fetch(-1, database) is None
    assert await fetch(-1, database) is None
    assert database.loads == 4
    assert fetch.cache_info()["loads"] == 4
    assert fetch.service is products


async def test_concurrent_calls_run_the_function_once(manager: CacheManager) -> None:
    runs = 0

    @manager.cached(backend_budget=5)
    async def slow(number: int) -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return number

    assert await asyncio.gather(*(slow(1) for _ in range(10))) == [1] * 10
    assert runs == 1


async def test_function_looks_like_itself(manager: CacheManager) -> None:
    async def plain(id: int, *, page: int = 1) -> list[Product]:
        """Lists products."""
        return []

    cached = manager.cached()(plain)
    assert inspect.signature(cached) == inspect.signature(plain)
    assert (cached.__name__, cached.__doc__) == ("plain", "Lists products.")
    assert cached.__wrapped__ is plain
    assert "plain" in repr(cached)
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required positional argument: 'id'"):
        await cached()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        await cached(1, size=2)  # type: ignore[call-arg]


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Filter:
    name: str


async def test_key_follows_from_all_arguments(manager: CacheManager) -> None:
    runs: list[Any] = []

    @manager.cached(backend_budget=5)
    async def search(
        tenant: str,
        number: int,
        text: str | int = "",
        *names: str,
        color: Color | None = None,
        filter: Filter | None = None,
        kind: Literal["a", "b"] = "a",
        sizes: Sequence[int] = (),
        anything: Any = None,
        **rest: float,
    ) -> int:
        runs.append(None)
        return len(runs)

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("a", 1), {}),
        (("a", 2), {}),
        (("b", 1), {}),
        (("a", 1, 1), {}),
        (("a", 1, "1"), {}),
        (("a", 1, "", "x"), {}),
        (("a", 1), {"color": Color.RED}),
        (("a", 1), {"filter": Filter("x")}),
        (("a", 1), {"kind": "b"}),
        (("a", 1), {"sizes": [1, 2]}),
        (("a", 1), {"anything": {"x": True}}),
        (("a", 1), {"factor": 0.5}),
    ]
    for _ in range(2):
        found = [await search(*args, **kwargs) for args, kwargs in calls]
        assert found == list(range(1, len(calls) + 1))
    # However they are passed, and with defaults.
    assert await search(number=1, tenant="a", kind="a") == 1
    assert search.key("a", 1) == search.key(number=1, tenant="a", text="")


async def test_uuids_and_numbers_are_the_identifier(manager: CacheManager) -> None:
    @manager.cached(name="orders")
    async def order(shop: int, id: UUID) -> int:
        return shop

    id = UUID(int=5)
    assert order.key(3, id) == manager.service("orders", int).key((3, id))


class Repository:
    def __init__(self, manager: CacheManager) -> None:
        self.manager = manager
        self.loads = 0

    def __hash__(self) -> int:
        raise AssertionError("it isn't part of the key")


async def test_methods_are_cached_without_their_object(manager: CacheManager) -> None:
    class Shop(Repository):
        @manager.cached(name="shop", skip=["self"], backend_budget=5)
        async def price(self, id: int) -> int:
            self.loads += 1
            return 10 * id

        @classmethod
        @manager.cached(name="tax", skip=["cls"], backend_budget=5)
        async def tax(cls, country: str) -> float:
            return 0.19 if country == "DE" else 0.2

    shop = Shop(manager)
    assert await shop.price(7) == await shop.price(id=7) == await Shop(manager).price(7) == 70
    assert shop.loads == 1
    assert await shop.price.peek(7) == 70
    assert shop.price.key(7) == "cache:v1:shop:7"
    assert await shop.price.invalidate(7)
    assert await shop.price.refresh(7) == 70
    assert shop.loads == 2
    assert isinstance(Shop.price, CachedFunction)
    assert await Shop.price(shop, 7) == 70
    assert await Shop.tax("DE") == 0.19
    assert await Shop.tax.peek("DE") == 0.19


async def test_tags_are_names_or_follow_from_the_result(manager: CacheManager) -> None:
    database = Database()

    @manager.cached(name="static", tags=["all"], skip=["database"], backend_budget=5)
    async def static(id: int, database: Database) -> Product | None:
        return await database.product(id)

    await static(1, database)
    assert await static(1, database) == Product(id=1, name="load 1")
    await manager.invalidate_tag("all")
    assert await static(1, database) == Product(id=1, name="load 2")

    def tags_of(result: Product, id: int) -> list[str]:
        return [f"product:{result.id}", f"asked:{id}"]

    @manager.cached(name="late", tags=tags_of, skip=["database"], backend_budget=5)
    async def late(id: int, database: Database) -> Product | None:
        return await database.product(id)

    for tag in ("product:1", "asked:1"):
        # The first value with a new tag isn't stored.
        while await late.peek(1) is None:
            await late(1, database)
            await asyncio.sleep(0.2)
        await manager.invalidate_tag(tag)
        assert await late.peek(1) is None


async def opened() -> Database:
    return Database()


async def test_endpoints_are_cached_for_each_user(manager: CacheManager) -> None:
    runs = []

    def user(request: Request) -> str:
        return request.headers.get("authorization", "")

    app = FastAPI()

    @app.get("/basket/{id}")
    @manager.cached(vary=user, skip=["database"], ttl="1m", backend_budget=5)
    async def basket(
        id: int,
        request: Request,
        response: Response,
        tasks: BackgroundTasks,
        database: Annotated[Database, Depends(opened)],
        page: Annotated[int, Query(ge=1)] = 1,
    ) -> Product:
        runs.append(None)
        return Product(id=id, name=request.headers["authorization"])

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(2):
            for name in ("ann", "bob"):
                got = await client.get("/basket/7", headers={"Authorization": name})
                assert got.json() == {"id": 7, "name": name}
        assert len(runs) == 2
        assert (await client.get("/basket/7?page=0")).status_code == 422
        schema = (await client.get("/openapi.json")).json()
    parameters = schema["paths"]["/basket/{id}"]["get"]["parameters"]
    assert [it["name"] for it in parameters] == ["id", "page"]
    stored = await manager.redis.keys("*") if manager.store.backend == "redis" else []
    assert not any("ann" in str(key) for key in stored), "what tells users apart is hashed"


async def stated(request: Request) -> str:
    return str(request.state.user)


async def helped(request: Request) -> str:
    return json.dumps(dict(request))


async def authenticated(token: Annotated[str, Depends(HTTPBearer())]) -> str:
    return token


async def aliased(token: Annotated[str, Header(alias="Authorization")]) -> str:
    return token


async def test_function_that_depends_on_its_user_needs_vary(manager: CacheManager) -> None:
    async def cookies(request: Request) -> str:
        return request.cookies["session"]

    async def authorization(authorization: Annotated[str, Header()]) -> str:
        return authorization

    async def cookie(theme: Annotated[str, Cookie()]) -> str:
        return theme

    for function, names in (
        (cookies, r"reads `request.cookies`.*pass `vary`"),
        (stated, r"reads `request.state`.*pass `vary`"),
        (helped, r"'request' \(Request\) of helped can't be part of a key: pass `vary`"),
        (authenticated, r"depends on its user by 'token' \(HTTPBearer\): pass `vary`"),
        (aliased, r"depends on its user by 'token' \(Header\): pass `vary`"),
        (authorization, r"depends on its user by 'authorization' \(Header\): pass `vary`"),
        (cookie, r"depends on its user by 'theme' \(Cookie\): pass `vary`"),
    ):
        with pytest.raises(ConfigurationError, match=names):
            manager.cached()(function)

    async def without_request(id: int) -> int:
        return id

    with pytest.raises(ConfigurationError, match="has no parameter of type Request"):
        manager.cached(vary=lambda request: 1)(without_request)

    @manager.cached(skip=["request"])
    async def harmless(request: Request, accept: Annotated[str, Header()] = "") -> str:
        return "harmless"

    assert await harmless.invalidate()
    assert harmless.key(accept="secret") != harmless.key()
    assert "secret" not in harmless.key(accept="secret")


async def test_parameters_that_are_no_key_are_refused_by_name(manager: CacheManager) -> None:
    async def with_database(id: int, database: Database, other: list[Database]) -> int:
        return id

    async def injected(id: int, user: Annotated[str, Depends(opened)]) -> int:
        return id

    for function, names in (
        (with_database, r"'database' \(Database\), 'other' .*`skip=\['database', 'other'\]`"),
        (injected, r"'user' \(Depends\) of .*if the result depends on them, pass `key`"),
    ):
        with pytest.raises(ConfigurationError, match=names):
            manager.cached()(function)

    async def paged(id: int, page: int, size: int = 5) -> int:
        return id

    with pytest.raises(ConfigurationError, match="'page', 'size' of .*paged are not part of"):
        manager.cached(key=lambda id: id)(paged)
    manager.cached(key=lambda id, **_: id)(paged)
    manager.cached(key=lambda id: id, skip=["page", "size"])(paged)
    with pytest.raises(ConfigurationError, match="`key` takes 'ident', which .*paged doesn't"):
        manager.cached(key=lambda ident: ident)(paged)
    with pytest.raises(ConfigurationError, match="has no parameter 'pag'"):
        manager.cached(skip=["pag"])(paged)
    with pytest.raises(TypeError, match="`skip` must be a list"):
        manager.cached(skip="page")(paged)


async def test_tags_of_arguments_are_known_before_the_load(manager: CacheManager) -> None:
    loads = 0

    @manager.cached(tags=lambda category, page: [f"category:{category}"])
    async def names(category: str, page: int = 1) -> list[str]:
        nonlocal loads
        loads += 1
        return [f"{category} {page}"]

    @manager.cached(tags=lambda number: [1 / number])
    def inverse(number: int) -> float:
        return 1 / number if number else 0

    for _ in range(2):
        assert await names("books") == ["books 1"]
        assert await names("toys", page=2) == ["toys 2"]
    assert loads == 2
    assert await manager.invalidate_tag("category:books")
    await names("books")
    await names("toys", page=2)
    assert loads == 3
    for _ in range(2):
        assert await asyncio.to_thread(inverse, 0) == 0
    assert inverse.cache_info()["loads"] == 0, "its tags are unknown"


async def test_functions_that_cannot_be_cached_are_refused(manager: CacheManager) -> None:
    async def numbers(id: int) -> AsyncIterator[int]:
        yield id

    async def untyped(id: int):  # type: ignore[no-untyped-def]
        return id

    with pytest.raises(ConfigurationError, match="numbers is a generator, .*: return a list"):
        manager.cached()(numbers)
    with pytest.raises(ConfigurationError, match="untyped returns isn't known: annotate it"):
        manager.cached()(untyped)
    assert await manager.cached(model=int)(untyped)(1) == 1
    for ttl in ("15", "15 m", "m", "", "1w", -1):
        with pytest.raises(ConfigurationError, match="invalid `ttl`"):
            manager.cached(ttl=ttl, model=int)(untyped)


async def test_two_functions_do_not_share_entries_by_accident(manager: CacheManager) -> None:
    numbers = manager.service("numbers", int)

    @numbers.cached()
    async def one(id: int) -> int:
        return 1

    with pytest.raises(ConfigurationError, match=r"two and .*one would share the entries"):

        @numbers.cached()
        async def two(id: int) -> int:
            return 2

    # As a notebook defines it again.
    numbers.cached()(one.__wrapped__)

    @numbers.cached(key=lambda id: ("three", id))
    async def three(id: int) -> int:
        return 3

    assert (await one(1), await three(1)) == (1, 3)


async def test_functions_that_differ_in_what_they_hold_are_refused(
    manager: CacheManager,
) -> None:
    def made(factor: int) -> Any:
        @manager.cached(model=int)
        async def times(number: int) -> int:
            return factor * number

        return times

    assert await made(1)(5) == await made(1)(5) == 5
    with pytest.raises(ConfigurationError, match="two functions .*times would share the entries"):
        made(2)

    @manager.cached(name="named", key=lambda id: id)
    async def one(id: int) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="two and .*one would share the entries"):

        @manager.cached(name="named", key=lambda id: id)
        async def two(id: int) -> int:
            return 2


class Hidden(BaseModel):
    tenant: str = Field(exclude=True)


class Shape(BaseModel):
    pass


class Circle(Shape):
    radius: int


class Drawing(BaseModel):
    shape: Shape


class Weekday(enum.IntEnum):
    MONDAY = 1


async def test_values_that_differ_have_different_keys(manager: CacheManager) -> None:
    @manager.cached(model=int)
    async def held(of: Any) -> int:
        return 0

    values = [
        Hidden(tenant="a"), Hidden(tenant="b"), Drawing(shape=Circle(radius=1)),
        Drawing(shape=Circle(radius=2)), Filter("a"), Filter("b"), "1", 1, 1.0, True, Decimal(1),
        Weekday.MONDAY, UUID(int=1), str(UUID(int=1)), (1,), [1], {1}, frozenset({1}), {1: 2},
        {"1": 2}, b"1", None, "None", [], {},
    ]  # fmt: skip
    keys = [held.key(value) for value in values]
    assert len(set(keys)) == len(values)
    assert held.key({"a": 1, "b": 2}) == held.key({"b": 2, "a": 1})
    assert held.key({Color.RED, 1, "x"}) == held.key({"x", 1, Color.RED})


async def test_parameters_may_have_any_names(manager: CacheManager) -> None:
    @manager.cached(vary=lambda request: request.method, model=int)
    async def endpoint(
        request: Request, vary: bool, _hotshelf_vary: int = 1, page: int = Query(7)
    ) -> int:
        return 0

    def key(method: str, **arguments: Any) -> str:
        request = Request({"type": "http", "method": method, "headers": []})
        return endpoint.key(request, **arguments)

    assert key("GET", vary=True) != key("POST", vary=True) != key("POST", vary=False)
    assert key("GET", vary=True) == key("GET", vary=True, _hotshelf_vary=1, page=7)


async def test_bound_methods_are_endpoints(manager: CacheManager) -> None:
    class View:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @manager.cached(name="view", key=lambda self, id: (self.factor, id), backend_budget=5)
        async def get(self, id: int) -> int:
            return self.factor * id

    one, two = View(1), View(2)
    app = FastAPI()
    app.add_api_route("/one/{id}", one.get)
    app.add_api_route("/two/{id}", two.get)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(2):
            assert (await client.get("/one/7")).json() == 7
            assert (await client.get("/two/7")).json() == 14
    assert await two.get.peek(7) == 14
    assert one.get.key(7) == View.get.key(one, 7) != two.get.key(7)
    assert await one.get.invalidate(7)
    assert await one.get.peek(7) is None
    assert one.get == one.get != two.get
    assert inspect.iscoroutinefunction(one.get.__call__)

    class Counter:
        count = 0

        @manager.cached(name="counter", skip=["self"], backend_budget=5)
        async def next(self, *, by: int = 1) -> int:
            self.count += by
            return self.count

    counter = Counter()
    assert await counter.next(by=2) == await counter.next(by=2) == 2
    assert await Counter.next.invalidate(by=2)
    assert await counter.next(by=2) == 4
    with pytest.raises(ConfigurationError, match="'self' .*can't be part of a key"):

        class Undecided:
            @manager.cached()
            async def get(self) -> int:
                return 1


async def test_tags_function_that_fails_costs_no_result(
    manager: CacheManager, caplog: pytest.LogCaptureFixture
) -> None:
    @manager.cached(tags=lambda result: result.missing)
    async def broken(id: int) -> int:
        return id

    for _ in range(2):
        assert await broken(1) == 1
    assert await broken.peek(1) is None
    assert [it for it in caplog.messages if "the tags of" in it] == [caplog.messages[0]]

    @manager.cached(tags=lambda result: "single", backend_budget=5)
    async def single(id: int) -> int:
        return id

    while await single.peek(1) is None:
        await single(1)
        await asyncio.sleep(0.2)
    await manager.invalidate_tag("single")
    assert await single.peek(1) is None
    for tags in (lambda r: [r], lambda result, other: [result]):
        with pytest.raises(ConfigurationError, match="`tags` of .*must be a function of `result`"):
            manager.cached(tags=tags)(single.__wrapped__)


async def test_misuse_names_the_cure(manager: CacheManager) -> None:
    async def fetch(id: int) -> int:
        return id

    with pytest.raises(TypeError, match="write @cache.cached.. with parentheses"):
        manager.cached(fetch)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="invalid `key` 'id' of .*fetch: use a function"):
        manager.cached(key="id")(fetch)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is no function"):
        manager.cached()(functools.partial(fetch, 1))
    with pytest.raises(ConfigurationError, match="`vary` of .*must be a function that isn't async"):
        manager.cached(vary=fetch)(helped)
    cached = manager.cached()(fetch)
    with pytest.raises(KeyError, match="invalid identifier of type list"):
        await cached.invalidate([1])


async def test_argument_without_a_form_does_not_stop_the_call(manager: CacheManager) -> None:
    @manager.cached(model=int)
    async def count(of: Any) -> int:
        return 5

    assert await count(object()) == 5
    with pytest.raises(TypeError, match="'of' can't be part of a key .*pass `key`, .*or leave it"):
        count.key(object())


async def test_exceptions_reach_the_caller(manager: CacheManager) -> None:
    @manager.cached()
    async def failing(id: int) -> int:
        raise LookupError(id)

    with pytest.raises(LookupError):
        await failing(1)


async def test_function_that_calls_itself_stops(manager: CacheManager) -> None:
    @manager.cached(backend_budget=5)
    async def factorial(number: int) -> int:
        return 1 if number == 0 else number * await factorial(number - 1)

    assert await factorial(10) == 3_628_800
    assert await factorial.peek(9) == 362_880
