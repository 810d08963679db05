//! Transactions on watched keys.

use hotshelf_core::{Backend, ErrorKind};
use hotshelf_testkit::RedisCluster;

use crate::support;

#[tokio::test]
async fn changed_key_stops_transaction() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let mut stock = backend.client().optimistic();
    stock.watch(&["stock"]).await.unwrap();
    assert!(stock.command(&["GET", "stock"]).await.unwrap().bytes().unwrap().is_none());
    server.command(&["SET", "stock", "5"]);
    assert!(stock.execute(&[["SET", "stock", "1"]]).await.unwrap().is_none());
    assert_eq!(server.cli(&["GET", "stock"]), "5");

    stock.watch(&["stock"]).await.unwrap();
    let commands = [vec!["INCR", "stock"], vec!["LPUSH", "stock", "x"]];
    let replies = stock.execute(&commands).await.unwrap().unwrap();
    assert_eq!(replies[0].clone().integer().unwrap(), 6);
    assert_eq!(replies[1].clone().ok().unwrap_err().kind(), ErrorKind::WrongType);

    stock.watch(&["stock"]).await.unwrap();
    stock.unwatch().await.unwrap();
    server.command(&["SET", "stock", "7"]);
    assert!(stock.execute(&[["INCR", "stock"]]).await.unwrap().is_some());
}

#[tokio::test]
async fn lost_connection_executes_nothing() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let mut stock = backend.client().optimistic();
    assert_eq!(
        stock.command(&["GET", "stock"]).await.unwrap_err().kind(),
        ErrorKind::Configuration
    );
    stock.watch(&["stock"]).await.unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let set = [["SET", "stock", "1"]];
    // It may be in flight when the end of the connection is noticed.
    let kind = stock.execute(&set).await.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout), "{kind:?}");
    assert_eq!(stock.execute(&set).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(server.cli(&["EXISTS", "stock"]), "0");
    stock.watch(&["stock"]).await.unwrap();
    assert!(stock.execute(&set).await.unwrap().is_some());
}

#[tokio::test]
async fn connection_closes_with_handle_and_store() {
    let server = support::server();
    let backend = support::backend(&server.url());
    let open = || server.cli(&["CLIENT", "LIST"]).matches("cmd=watch").count();
    let mut first = backend.client().optimistic();
    first.watch(&["k"]).await.unwrap();
    let mut second = backend.client().optimistic();
    second.watch(&["k"]).await.unwrap();
    assert_eq!(open(), 2);
    drop(first);
    support::until("the first to close", async || (open() == 1).then_some(())).await;
    backend.close().await;
    support::until("the second to close", async || (open() == 0).then_some(())).await;
    assert_eq!(second.watch(&["k"]).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn cluster_watches_keys_of_one_slot() {
    let cluster = RedisCluster::start().unwrap();
    let backend = support::backend(&cluster.url());
    let up = async || backend.client().dbsize().await.ok();
    support::until("all primaries to reply", up).await;
    for tag in ["{a}", "{b}", "{c}", "{d}"] {
        let mut both = backend.client().optimistic();
        let keys = [format!("{tag}1"), format!("{tag}2")];
        both.watch(&keys).await.unwrap();
        let error = both.watch(&["{other}"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        let set = [["SET", &keys[0], "1"], ["SET", &keys[1], "2"]];
        assert_eq!(both.execute(&set).await.unwrap().unwrap().len(), 2);
    }
}
