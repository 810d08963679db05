use super::*;

async fn seeded() -> Db {
    Db::open("sqlite::memory:").await.unwrap()
}

fn query(category: Option<&str>, page: i64, per_page: i64) -> ListQuery {
    ListQuery { category: category.map(str::to_owned), page, per_page }
}

fn ids(page: &ProductList) -> Vec<&str> {
    page.items.iter().map(|product| product.id.as_str()).collect()
}

#[tokio::test]
async fn first_product_is_seeded() {
    let product = seeded().await.find("1").await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_string(&product).unwrap(),
        r#"{"id":"1","name":"Product 1","category":"electronics","price":299.99,"in_stock":true,"created_at":"2026-01-01T00:00:00Z"}"#
    );
}

#[tokio::test]
async fn pages_are_in_numeric_order() {
    let db = seeded().await;
    let page = db.page(&query(None, 2, 5)).await.unwrap();
    assert_eq!(ids(&page), ["6", "7", "8", "9", "10"]);
    assert_eq!((page.total, page.page, page.per_page), (1_000, 2, 5));

    let filtered = db.page(&query(Some("electronics"), 1, 3)).await.unwrap();
    assert_eq!(ids(&filtered), ["1", "6", "11"]);
    assert_eq!(filtered.total, 200);

    assert_eq!(db.page(&query(Some(""), 1, 1)).await.unwrap().total, 1_000);
    assert_eq!(db.page(&query(Some("none"), 1, 1)).await.unwrap().items, []);
}

#[tokio::test]
async fn page_beyond_the_end_is_empty() {
    let page = seeded().await.page(&query(None, i64::MAX, 100)).await.unwrap();
    assert_eq!((page.items.len(), page.total), (0, 1_000));
}

#[tokio::test]
async fn writes_are_read_back() {
    let db = seeded().await;
    let mut product = db.find("2").await.unwrap().unwrap();
    product.created_at = "2026-01-02T03:04:05.5+02:00".parse().unwrap();
    product.price = 1e16;
    let fresh = Product { id: "a/b:é \"".to_owned(), ..product.clone() };
    db.upsert(&[product.clone(), fresh.clone()]).await.unwrap();
    assert_eq!(db.find("2").await.unwrap(), Some(product));
    assert_eq!(db.find(&fresh.id).await.unwrap().as_ref(), Some(&fresh));

    assert_eq!(db.set_stock(&fresh.id, false).await.unwrap(), Some(fresh.category));
    assert!(!db.find(&fresh.id).await.unwrap().unwrap().in_stock);
    assert_eq!(db.set_stock("none", true).await.unwrap(), None);
}

#[tokio::test]
async fn delete_category_deletes_its_products() {
    let db = seeded().await;
    let deleted = db.delete_category("electronics").await.unwrap();
    assert_eq!(deleted.len(), 200);
    assert!(deleted.contains(&"1".to_owned()));
    assert_eq!(db.find("1").await.unwrap(), None);
    assert_eq!(db.delete_category("electronics").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn file_keeps_its_products() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("products.db").display());
    let db = Db::open(&url).await.unwrap();
    db.delete_category("toys").await.unwrap();
    db.close().await;

    let page = Db::open(&url).await.unwrap().page(&query(None, 1, 1)).await.unwrap();
    assert_eq!(page.total, 800);
}
