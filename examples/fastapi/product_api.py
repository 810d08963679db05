"""An HTTP API for a product catalogue, with FastAPI, SQLAlchemy, SQLite and hotshelf.

It is the same API as the one in Rust (`../product-api`), with the same keys and tags, so that
both can run on one Redis and one database file:

    pip install ../../python fastapi uvicorn 'sqlalchemy[asyncio]' aiosqlite
    REDIS_URL=redis://localhost uvicorn product_api:app

| setting | default |
| --- | --- |
| `REDIS_URL` | none: cache in memory |
| `NEAR_TIER` | `1`: what is read from Redis stays in the memory of the process, too |
| `DATABASE` | `products.db`, created if missing |
| `DEBUG` | none; `1`: `/cache/explain` is served |
| `ADMIN` | none; `open`: the admin page is served at `/admin`, to everybody, who may invalidate |

The following are in seconds; 0 switches each of them off.

| setting | default | |
| --- | --- | --- |
| `STALE_WHILE_REVALIDATE` | 600 | for how long a page is served after its lifetime, while it is loaded anew in the background |
| `STALE_IF_ERROR` | 3600 | for how long after its lifetime a page or a product is served if the database fails |
| `ERROR_THROTTLE` | 30 | how long a failed load isn't repeated while there is a stale value |
| `ERROR_BACKOFF` | 1 | how long a failed load isn't repeated if there is none |
| `SOFT_TIMEOUT` | 1 | how long a request waits for the database before it is given a stale value |
| `HARD_TIMEOUT` | 10 | how long a request waits for the database at all |
"""

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import hotshelf
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse, PlainTextResponse
from hotshelf import CacheService, CacheServiceOptions
from hotshelf.sqlalchemy import invalidate_after_commit
from pydantic import BaseModel, ConfigDict
from sqlalchemy import NullPool, delete, event, func, insert, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PAGES = "product-list"
NO_DATABASE = "Database unavailable"
#: What is raised if SQLite can't answer: the only errors that a stale value may answer. Any other
#: one is a fault of the service, which must not stay unnoticed.
OUTAGE = OperationalError


class Product(BaseModel):
    """A product, as cached and returned."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    category: str
    price: float
    in_stock: bool
    created_at: datetime


class ProductList(BaseModel):
    """One page of products."""

    items: list[Product]
    total: int
    page: int
    per_page: int


class Base(DeclarativeBase):
    """The tables, which the service in Rust creates alike."""


class Row(Base):
    """A product, as stored."""

    __tablename__ = "products"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str] = mapped_column(index=True)
    price: Mapped[float]
    in_stock: Mapped[bool]
    #: In ISO 8601.
    created_at: Mapped[str]


#: Each session opens a connection with its first query, so that a hit opens none. SQLite runs on a
#: thread, and never blocks the loop.
engine = create_async_engine(
    f"sqlite+aiosqlite:///{os.environ.get('DATABASE', 'products.db')}",
    connect_args={"timeout": 10},
    poolclass=NullPool,
)
sessions = async_sessionmaker(engine)


@event.listens_for(engine.sync_engine, "connect")
def use_log(connection: Any, _: Any) -> None:
    """Lets readers and a writer of SQLite go on side by side."""
    connection.execute("PRAGMA journal_mode = WAL")


async def create_tables() -> None:
    """Creates the table, and fills it if it is empty."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        if not await session.scalar(select(func.count(Row.id))):
            await upsert(session, seed())


async def find(product_id: str) -> Product | None:
    async with sessions() as session:
        row = await session.get(Row, product_id)
        return None if row is None else Product.model_validate(row)


async def find_page(category: str | None, page: int, per_page: int) -> ProductList:
    of_category = () if category is None else (Row.category == category,)
    # Identifiers are strings: ordering by length first puts 2 before 10.
    wanted = select(Row).where(*of_category).order_by(func.length(Row.id), Row.id)
    async with sessions() as session:
        rows = await session.scalars(wanted.limit(per_page).offset((page - 1) * per_page))
        items = [Product.model_validate(row) for row in rows]
        total = await session.scalar(select(func.count(Row.id)).where(*of_category))
    return ProductList(items=items, total=total or 0, page=page, per_page=per_page)


async def upsert(session: AsyncSession, products: list[Product]) -> None:
    """Inserts products, in place of those of the same identifiers."""
    values = [{**it.model_dump(), "created_at": it.created_at.isoformat()} for it in products]
    await session.execute(insert(Row).prefix_with("OR REPLACE"), values)


def seed() -> list[Product]:
    """Returns the same 1,000 products each time."""
    categories = ["electronics", "books", "garden", "kitchen", "toys"]
    first = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        Product(
            id=str(number),
            name=f"Product {number}",
            category=categories[(number - 1) % 5],
            # A step that is coprime to the range spreads the prices evenly.
            price=(500 + (29_499 + (number - 1) * 1_037) % 49_500) / 100,
            in_stock=number % 10 != 0,
            created_at=first + timedelta(minutes=number - 1),
        )
        for number in range(1, 1001)
    ]


def seconds(name: str, default: float) -> float:
    """Returns a duration from the environment."""
    return float(os.environ.get(name) or default)


STALE_IF_ERROR = seconds("STALE_IF_ERROR", 3600)
#: The options of both caches: the first two as in the Rust service, and what happens when the
#: database is slow or down.
COMMON: CacheServiceOptions = {
    "prefix": "api",
    "key_layout": "fastapi_rc",
    "stale_if_error": STALE_IF_ERROR,
    "stale_if_error_on": OUTAGE,
    "error_throttle": seconds("ERROR_THROTTLE", 30),
    "error_backoff": seconds("ERROR_BACKOFF", 1),
    "soft_timeout": (STALE_IF_ERROR and seconds("SOFT_TIMEOUT", 1)) or None,
    "hard_timeout": seconds("HARD_TIMEOUT", 10) or None,
}
OF_PRODUCTS: CacheServiceOptions = {**COMMON, "ttl": 900, "negative_ttl": 30}
OF_PAGES: CacheServiceOptions = {
    **COMMON,
    "ttl": 180,
    "stale_while_revalidate": seconds("STALE_WHILE_REVALIDATE", 600),
}

cache = hotshelf.CacheManager(
    os.environ.get("REDIS_URL", "memory://"), near=os.environ.get("NEAR_TIER") == "1"
)
products = cache.service("products", Product, **OF_PRODUCTS)
pages = cache.service("products", ProductList, **OF_PAGES)

Products = Annotated[CacheService[Product], Depends(products)]
Pages = Annotated[CacheService[ProductList], Depends(pages)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await create_tables()
    async with cache.lifespan(app):
        yield


#: The responses that endpoints may send instead of theirs.
FAILURES: dict[int | str, dict[str, Any]] = {
    503: {"description": "The database is down"},
    504: {"description": "The database takes too long"},
}
app = FastAPI(title="Product API", lifespan=lifespan)


@app.exception_handler(OUTAGE)
async def database_is_down(request: Request, error: OperationalError) -> JSONResponse:
    return JSONResponse({"detail": NO_DATABASE}, 503)


@app.exception_handler(hotshelf.LoadBackoffError)
async def load_backs_off(request: Request, error: hotshelf.LoadBackoffError) -> JSONResponse:
    # Rounded up, so that a client doesn't come too early.
    headers = {"Retry-After": str(math.ceil(error.retry_after))}
    return JSONResponse({"detail": NO_DATABASE}, 503, headers)


@app.exception_handler(hotshelf.LoadTimeoutError)
async def load_timed_out(request: Request, error: hotshelf.LoadTimeoutError) -> JSONResponse:
    return JSONResponse({"detail": "Database timed out"}, 504)


@app.exception_handler(Exception)
async def service_failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "Internal Server Error"}, 500)


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yields the session of a request."""
    async with sessions() as session:
        yield session


Database = Annotated[AsyncSession, Depends(get_session)]


def tag_of(category: str | None) -> str:
    """Returns the tag of the pages of a category; `None` for pages of all categories."""
    return f"category:{category or ''}"


def invalidate_pages(session: AsyncSession, category: str) -> None:
    """Invalidates the pages that a write to products of a category may change, once it is
    committed."""
    invalidate_after_commit(session, cache, tag_of(category), tag_of(None))


def tell(response: Response, outcome: hotshelf.Outcome) -> None:
    """Says where a value comes from: `Cache-Status` (RFC 9211), and `Age` (RFC 9111) unless it was
    just loaded. A stale value has `detail=stale`."""
    forwarded = {"expired": "fwd=stale", "missing": "fwd=uri-miss", "disabled": "fwd=bypass"}
    is_stored = outcome.source in ("local", "server")
    if is_stored and (not outcome.loaded or outcome.in_background):
        status = "hotshelf; hit"
    else:
        status = f"hotshelf; {forwarded.get(outcome.reason or '', 'fwd=miss')}"
    status += "; collapsed" if outcome.source == "other_call" else ""
    status += "; detail=stale" if outcome.is_stale else ""
    response.headers["Cache-Status"] = status
    if outcome.age is not None:
        response.headers["Age"] = str(int(outcome.age))


@app.get("/products/{product_id}", responses=FAILURES)
async def get_product(product_id: str, products: Products, response: Response) -> Product:
    # It opens its own session: a load that takes too long goes on when the request is answered.
    trace = hotshelf.Trace()
    found = await products.get_or_set(
        product_id, lambda: find(product_id), background=True, trace=trace
    )
    tell(response, trace.outcome)
    if found is None:
        raise HTTPException(404, "Product not found")
    return found


@app.get("/products", responses=FAILURES)
async def list_products(
    pages: Pages,
    response: Response,
    category: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ProductList:
    # As above; besides, a stale page is returned at once, and loaded anew in the background.
    trace = hotshelf.Trace()
    found = await pages.get_or_set(
        "list",
        lambda: find_page(category, page, per_page),
        params={"category": category, "page": page, "per_page": per_page},
        tags=[PAGES, tag_of(category)],
        background=True,
        trace=trace,
    )
    tell(response, trace.outcome)
    return found


@app.post("/products/batch", status_code=status.HTTP_201_CREATED, responses={503: FAILURES[503]})
async def create_products(batch: list[Product], products: Products, db: Database) -> dict[str, Any]:
    async def write() -> dict[str, Product]:
        async with db.begin():
            await upsert(db, batch)
        return {product.id: product for product in batch}

    await products.write_through_many([product.id for product in batch], write)
    # The products may have been in other categories before, so invalidate all pages.
    await cache.invalidate_tag(PAGES)
    return {"created": len(batch), "cached": True}


@app.put("/products/{product_id}/stock", responses={503: FAILURES[503]})
async def set_stock(
    product_id: str, in_stock: bool, products: Products, db: Database
) -> dict[str, Any]:
    async with db.begin():
        changed = update(Row).where(Row.id == product_id).values(in_stock=in_stock)
        category = await db.scalar(changed.returning(Row.category))
        if category is None:
            raise HTTPException(404, "Product not found")
        invalidate_after_commit(db, products, product_id)
        invalidate_pages(db, category)
    return {"product_id": product_id, "in_stock": in_stock}


@app.delete("/categories/{category}", responses={503: FAILURES[503]})
async def delete_category(category: str, products: Products, db: Database) -> dict[str, Any]:
    async with db.begin():
        deleted = delete(Row).where(Row.category == category).returning(Row.id)
        ids = (await db.scalars(deleted)).all()
        if ids:
            invalidate_after_commit(db, products, *ids)
            invalidate_pages(db, category)
    return {"category_deleted": category, "products_deleted": len(ids)}


@app.get("/cache/info")
async def cache_info() -> hotshelf.Health:
    return await cache.health()


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> str:
    return cache.metrics_text()


if os.environ.get("ADMIN") == "open":
    app.mount("/admin", hotshelf.AdminPage(cache, insecure_open=True, writes=True))


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy" if await cache.ping() else "degraded"}


if os.environ.get("DEBUG") == "1":

    @app.get("/cache/explain/products/{product_id}")
    async def explain_product(product_id: str, products: Products) -> dict[str, Any]:
        """Says what a request for the product would find in the cache, and why."""
        return (await products.explain(product_id)).as_dict()

    @app.get("/cache/explain/products")
    async def explain_page(
        pages: Pages, category: str | None = None, page: int = 1, per_page: int = 20
    ) -> dict[str, Any]:
        params = {"category": category, "page": page, "per_page": per_page}
        tags = [PAGES, tag_of(category)]
        return (await pages.explain("list", params=params, tags=tags)).as_dict()
