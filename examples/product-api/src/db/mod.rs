//! The products in SQLite or PostgreSQL, with the same code for both.

mod seed;

use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::error::ErrorKind;
use sqlx::{Any, AnyPool, FromRow, Row, Transaction};

use crate::product::{ListQuery, Product, ProductList};

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    price DOUBLE PRECISION NOT NULL,
    in_stock BOOLEAN NOT NULL,
    created_at TEXT NOT NULL
)";
const CREATE_INDEX: &str = "CREATE INDEX IF NOT EXISTS products_by_category ON products (category)";
const COUNT_ALL: &str = "SELECT COUNT(*) FROM products";
// `Any` cannot read BOOLEAN from SQLite, so in_stock is a number.
const FIND: &str = "SELECT id, name, category, price,
        CASE WHEN in_stock THEN 1 ELSE 0 END AS in_stock, created_at
    FROM products WHERE id = $1";
// Ids are texts: sorting by length first puts 2 before 10.
const PAGE: &str = "SELECT id, name, category, price,
        CASE WHEN in_stock THEN 1 ELSE 0 END AS in_stock, created_at
    FROM products WHERE $1 = '' OR category = $1
    ORDER BY LENGTH(id), id LIMIT $2 OFFSET $3";
const COUNT: &str = "SELECT COUNT(*) FROM products WHERE $1 = '' OR category = $1";
const UPSERT: &str = "INSERT INTO products (id, name, category, price, in_stock, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, category = excluded.category,
        price = excluded.price, in_stock = excluded.in_stock, created_at = excluded.created_at";
const SET_STOCK: &str = "UPDATE products SET in_stock = $1 WHERE id = $2 RETURNING category";
const DELETE_CATEGORY: &str = "DELETE FROM products WHERE category = $1 RETURNING id";

/// The database of products; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pool: AnyPool,
}

impl Db {
    /// Connects to `sqlite:…` or `postgres://…`, and fills an empty database with 1,000 products.
    ///
    /// A missing SQLite file is created; `sqlite::memory:` lives as long as the pool.
    ///
    /// # Errors
    /// Fails if the database cannot be reached or the table cannot be created.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        install_default_drivers();
        let db = Self { pool: connect(url).await? };
        sqlx::query(CREATE_TABLE).execute(&db.pool).await?;
        sqlx::query(CREATE_INDEX).execute(&db.pool).await?;
        if sqlx::query_scalar::<_, i64>(COUNT_ALL).fetch_one(&db.pool).await? == 0 {
            db.upsert(&seed::products()).await?;
        }
        Ok(db)
    }

    /// Makes all queries fail, or succeed again.
    ///
    /// # Errors
    /// Fails if the database already is so.
    pub async fn break_down(&self, down: bool) -> Result<(), sqlx::Error> {
        let rename = match down {
            true => "ALTER TABLE products RENAME TO broken",
            false => "ALTER TABLE broken RENAME TO products",
        };
        sqlx::query(rename).execute(&self.pool).await.map(drop)
    }

    /// Returns a product by its id.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn find(&self, id: &str) -> Result<Option<Product>, sqlx::Error> {
        sqlx::query_as(FIND).bind(id).fetch_optional(&self.pool).await
    }

    /// Returns a page of products, with the total number of products on all pages.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn page(&self, query: &ListQuery) -> Result<ProductList, sqlx::Error> {
        let category = query.category.as_deref().unwrap_or_default();
        let items = sqlx::query_as(PAGE)
            .bind(category)
            .bind(query.per_page)
            .bind(query.offset())
            .fetch_all(&self.pool)
            .await?;
        let total = sqlx::query_scalar(COUNT).bind(category).fetch_one(&self.pool).await?;
        Ok(ProductList { items, total, page: query.page, per_page: query.per_page })
    }

    /// Creates or replaces products: all of them or, on an error, none.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn upsert(&self, products: &[Product]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for product in products {
            sqlx::query(UPSERT)
                .bind(&product.id)
                .bind(&product.name)
                .bind(&product.category)
                .bind(product.price)
                .bind(product.in_stock)
                .bind(product.created_at.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Begins a transaction. It is rolled back if it is dropped.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.pool.begin().await
    }

    /// Sets whether a product is in stock, and returns its category, or `None` if there is no
    /// such product.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn set_stock(&self, id: &str, in_stock: bool) -> Result<Option<String>, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let category = set_stock(&mut transaction, id, in_stock).await?;
        transaction.commit().await.map(|()| category)
    }

    /// Deletes the products of a category and returns their ids.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn delete_category(&self, category: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(DELETE_CATEGORY).bind(category).fetch_all(&self.pool).await
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// Fails if it does not.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Closes all connections after their queries have completed.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Sets whether a product is in stock, and returns its category, or `None` if there is no such
/// product.
pub(crate) async fn set_stock(
    transaction: &mut Transaction<'_, Any>,
    id: &str,
    in_stock: bool,
) -> Result<Option<String>, sqlx::Error> {
    let setting = sqlx::query_scalar(SET_STOCK).bind(in_stock).bind(id);
    setting.fetch_optional(&mut **transaction).await
}

/// Returns whether the database failed to answer, rather than that the service asked it for something
/// impossible, or misunderstood its answer.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        // Not the violation of a constraint.
        Database(error) => matches!(error.kind(), ErrorKind::Other),
        _ => false,
    }
}

impl FromRow<'_, AnyRow> for Product {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let created_at: String = row.try_get("created_at")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            category: row.try_get("category")?,
            price: row.try_get("price")?,
            in_stock: row.try_get::<i64, _>("in_stock")? != 0,
            created_at: created_at.parse().map_err(|error| sqlx::Error::ColumnDecode {
                index: "created_at".to_owned(),
                source: Box::new(error),
            })?,
        })
    }
}

async fn connect(url: &str) -> Result<AnyPool, sqlx::Error> {
    if !url.starts_with("sqlite:") {
        return AnyPoolOptions::new().max_connections(10).connect(url).await;
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        // Each connection to memory is its own database: keep exactly one permanently.
        let one = AnyPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        return one.connect(url).await;
    }
    let pool = AnyPoolOptions::new().max_connections(4).connect(&created_if_missing(url)).await?;
    // With a write-ahead log, readers do not wait for a writer.
    sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
    Ok(pool)
}

/// Adds the mode that creates a missing SQLite file, unless the URL sets a mode.
fn created_if_missing(url: &str) -> String {
    match url.split_once('?') {
        Some((_, options)) if options.contains("mode=") => url.to_owned(),
        Some(_) => format!("{url}&mode=rwc"),
        None => format!("{url}?mode=rwc"),
    }
}

#[cfg(test)]
mod tests;
