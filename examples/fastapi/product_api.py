"""An HTTP API for a product catalogue, with FastAPI, SQLite and hotshelf.

It is the same API as the one in Rust (`../product-api`), with the same keys and tags, so that
both can run on one Redis and one database file:

    pip install ../../python fastapi uvicorn
    REDIS_URL=redis://localhost uvicorn product_api:app

| setting | default |
| --- | --- |
| `REDIS_URL` | none: cache in memory |
| `NEAR_TIER` | `1`: what is read from Redis stays in the memory of the process, too |
| `DATABASE` | `products.db`, created if missing |
| `DEBUG` | none; `1`: `/cache/explain` is served |

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
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import hotshelf
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from hotshelf import CacheService, CacheServiceOptions
from pydantic import BaseModel

PAGES = "product-list"
NO_DATABASE = "Database unavailable"
#: What SQLite raises if it can't answer: the only errors that a stale value may answer. Any other one
#: is a fault of the service, which must not stay unnoticed.
OUTAGE = sqlite3.OperationalError


class Product(BaseModel):
    """A product, as stored, cached and returned."""

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


class Db:
    """A connection to the database of products, for one request or one load in the background. Its
    first query opens it, so that a hit doesn't. SQLite runs on a thread, and never blocks the loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
            self._opened.row_factory = sqlite3.Row
        return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            await run_in_threadpool(self._opened.close)

    def create(self) -> None:
        """Creates the table, and fills it if it is empty."""
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self._connection:
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, name TEXT NOT NULL,"
                " category TEXT NOT NULL, price DOUBLE PRECISION NOT NULL,"
                " in_stock BOOLEAN NOT NULL, created_at TEXT NOT NULL)"
            )
            self._connection.execute(
                "CREATE INDEX IF NOT EXISTS products_by_category ON products (category)"
            )
            if self._one("SELECT COUNT(*) FROM products") == 0:
                self._upsert(seed())

    async def find(self, product_id: str) -> Product | None:
        rows = await self._rows("SELECT * FROM products WHERE id = ?", product_id)
        return Product.model_validate(dict(rows[0])) if rows else None

    async def page(self, category: str | None, page: int, per_page: int) -> ProductList:
        wanted = category or ""
        # Identifiers are strings: ordering by length first puts 2 before 10.
        rows = await self._rows(
            "SELECT * FROM products WHERE ? = '' OR category = ?"
            " ORDER BY LENGTH(id), id LIMIT ? OFFSET ?",
            wanted, wanted, per_page, (page - 1) * per_page,
        )
        total = await self._rows(
            "SELECT COUNT(*) AS total FROM products WHERE ? = '' OR category = ?", wanted, wanted
        )
        items = [Product.model_validate(dict(row)) for row in rows]
        return ProductList(items=items, total=total[0]["total"], page=page, per_page=per_page)

    async def upsert(self, products: list[Product]) -> None:
        def write() -> None:
            with self._connection:
                self._upsert(products)

        await run_in_threadpool(write)

    async def set_stock(self, product_id: str, in_stock: bool) -> str | None:
        """Returns the category of the product; `None` if there is no such product."""
        rows = await self._rows(
            "UPDATE products SET in_stock = ? WHERE id = ? RETURNING category", in_stock, product_id
        )
        return rows[0]["category"] if rows else None

    async def delete_category(self, category: str) -> list[str]:
        rows = await self._rows("DELETE FROM products WHERE category = ? RETURNING id", category)
        return [row["id"] for row in rows]

    async def _rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        def run() -> list[sqlite3.Row]:
            with self._connection:
                return self._connection.execute(statement, values).fetchall()

        return await run_in_threadpool(run)

    def _one(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]

    def _upsert(self, products: list[Product]) -> None:
        self._connection.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " name = excluded.name, category = excluded.category, price = excluded.price,"
            " in_stock = excluded.in_stock, created_at = excluded.created_at",
            [
                (p.id, p.name, p.category, p.price, p.in_stock, p.created_at.isoformat())
                for p in products
            ],
        )


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
async def connect() -> AsyncIterator[Db]:
    """Yields a connection of the caller's own."""
    db = Db(os.environ.get("DATABASE", "products.db"))
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with connect() as db:
        db.create()
    async with cache.lifespan(app):
        yield


#: The responses that endpoints may send instead of theirs.
FAILURES: dict[int | str, dict[str, Any]] = {
    503: {"description": "The database is down"},
    504: {"description": "The database takes too long"},
}
app = FastAPI(title="Product API", lifespan=lifespan)


@app.exception_handler(OUTAGE)
async def database_is_down(request: Request, error: sqlite3.OperationalError) -> JSONResponse:
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


async def get_db() -> AsyncIterator[Db]:
    """Yields the connection of a request."""
    async with connect() as db:
        yield db


Database = Annotated[Db, Depends(get_db)]


def tag_of(category: str | None) -> str:
    """Returns the tag of the pages of a category; `None` for pages of all categories."""
    return f"category:{category or ''}"


async def invalidate_pages(category: str) -> None:
    """Invalidates the pages that a write to products of a category may change."""
    await cache.invalidate_tags([tag_of(category), tag_of(None)])


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
    async def load() -> Product | None:
        # Not the request's connection: a load that takes too long goes on when the request has been
        # answered. A thread can't be interrupted.
        async with connect() as db:
            return await db.find(product_id)

    trace = hotshelf.Trace()
    found = await products.get_or_set(product_id, load, background=True, trace=trace)
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
    async def load() -> ProductList:
        # As above; besides, a stale page is returned at once, and loaded anew in the background.
        async with connect() as db:
            return await db.page(category, page, per_page)

    trace = hotshelf.Trace()
    found = await pages.get_or_set(
        "list",
        load,
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
        await db.upsert(batch)
        return {product.id: product for product in batch}

    await products.write_through_many([product.id for product in batch], write)
    # The products may have been in other categories before, so invalidate all pages.
    await cache.invalidate_tag(PAGES)
    return {"created": len(batch), "cached": True}


@app.put("/products/{product_id}/stock", responses={503: FAILURES[503]})
async def set_stock(
    product_id: str, in_stock: bool, products: Products, db: Database
) -> dict[str, Any]:
    category = await db.set_stock(product_id, in_stock)
    if category is None:
        raise HTTPException(404, "Product not found")
    await products.delete(product_id)
    await invalidate_pages(category)
    return {"product_id": product_id, "in_stock": in_stock}


@app.delete("/categories/{category}", responses={503: FAILURES[503]})
async def delete_category(category: str, products: Products, db: Database) -> dict[str, Any]:
    ids = await db.delete_category(category)
    if ids:
        await products.delete_many(ids)
        await invalidate_pages(category)
    return {"category_deleted": category, "products_deleted": len(ids)}


@app.get("/cache/info")
async def cache_info() -> hotshelf.Health:
    return await cache.health()


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
