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
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import hotshelf
from fastapi import Depends, FastAPI, HTTPException, Query, status
from fastapi.concurrency import run_in_threadpool
from hotshelf import CacheService
from pydantic import BaseModel

PAGES = "product-list"


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
    """The database of products. SQLite runs on a thread, so that it never blocks the loop."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
        self._connection.row_factory = sqlite3.Row
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


cache = hotshelf.CacheManager(
    os.environ.get("REDIS_URL", "memory://"), near=os.environ.get("NEAR_TIER") == "1"
)
products = cache.service(
    "products", Product, ttl=900, prefix="api", key_layout="fastapi_rc", negative_ttl=30
)
pages = cache.service("products", ProductList, ttl=180, prefix="api", key_layout="fastapi_rc")

Products = Annotated[CacheService[Product], Depends(products)]
Pages = Annotated[CacheService[ProductList], Depends(pages)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.db = Db(os.environ.get("DATABASE", "products.db"))
    async with cache.lifespan(app):
        yield


app = FastAPI(title="Product API", lifespan=lifespan)


def get_db() -> Db:
    return app.state.db


Database = Annotated[Db, Depends(get_db)]


def tag_of(category: str | None) -> str:
    """Returns the tag of the pages of a category; `None` for pages of all categories."""
    return f"category:{category or ''}"


async def invalidate_pages(category: str) -> None:
    """Invalidates the pages that a write to products of a category may change."""
    await cache.invalidate_tags([tag_of(category), tag_of(None)])


@app.get("/products/{product_id}")
async def get_product(product_id: str, products: Products, db: Database) -> Product:
    found = await products.get_or_set(product_id, lambda: db.find(product_id))
    if found is None:
        raise HTTPException(404, "Product not found")
    return found


@app.get("/products")
async def list_products(
    pages: Pages,
    db: Database,
    category: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ProductList:
    return await pages.get_or_set(
        "list",
        lambda: db.page(category, page, per_page),
        params={"category": category, "page": page, "per_page": per_page},
        tags=[PAGES, tag_of(category)],
    )


@app.post("/products/batch", status_code=status.HTTP_201_CREATED)
async def create_products(batch: list[Product], products: Products, db: Database) -> dict[str, Any]:
    async def write() -> dict[str, Product]:
        await db.upsert(batch)
        return {product.id: product for product in batch}

    await products.write_through_many([product.id for product in batch], write)
    # The products may have been in other categories before, so invalidate all pages.
    await cache.invalidate_tag(PAGES)
    return {"created": len(batch), "cached": True}


@app.put("/products/{product_id}/stock")
async def set_stock(
    product_id: str, in_stock: bool, products: Products, db: Database
) -> dict[str, Any]:
    category = await db.set_stock(product_id, in_stock)
    if category is None:
        raise HTTPException(404, "Product not found")
    await products.delete(product_id)
    await invalidate_pages(category)
    return {"product_id": product_id, "in_stock": in_stock}


@app.delete("/categories/{category}")
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
