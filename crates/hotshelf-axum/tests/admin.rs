//! The admin page in an axum application.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use futures_util::FutureExt;
use hotshelf::{Cache, ErrorKind, KeyLayout, Store};
use hotshelf_axum::AdminPage;
use hotshelf_testkit::RedisServer;
use http::request::Parts;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn filled() -> (Store, Cache<String>) {
    let store = Store::memory();
    let ttl = Duration::from_secs(600);
    let cache = store.cache("products").prefix("shop").time_to_live(ttl).build().unwrap();
    for key in ["1", "2", "<script>alert(1)</script>"] {
        cache.entry(key).tags(["all"]).insert("a lamp".to_owned()).await;
    }
    cache.get("1").await;
    (store, cache)
}

fn with_token(request: Parts) -> std::future::Ready<Option<String>> {
    let is_known = request.headers.get("authorization").is_some_and(|it| it == "Bearer secret");
    std::future::ready(is_known.then(|| "ann".to_owned()))
}

fn open(store: &Store) -> AdminPage {
    AdminPage::new(store).insecure_open().hosts(["cache.example"])
}

async fn get(app: &Router, path: &str) -> Response {
    let request = Request::get(path).header("host", "cache.example").body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

async fn json_of(app: &Router, path: &str) -> Value {
    let response = get(app, path).await;
    assert_eq!(response.status(), 200, "{path}");
    serde_json::from_str(&text(response).await).unwrap()
}

fn invalidation(by: &str, name: &str, dry_run: bool) -> http::request::Builder {
    let _ = (by, name, dry_run);
    Request::post("/admin/api/invalidate")
        .header("host", "cache.example")
        .header("origin", "https://cache.example")
        .header("sec-fetch-site", "same-origin")
        .header("x-hotshelf-admin", "1")
}

async fn invalidate(app: &Router, by: &str, name: &str, dry_run: bool) -> (StatusCode, Value) {
    let body = json!({ "by": by, "name": name, "dry_run": dry_run }).to_string();
    let request = invalidation(by, name, dry_run).body(Body::from(body)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    (response.status(), serde_json::from_str(&text(response).await).unwrap())
}

#[tokio::test]
async fn page_needs_auth() {
    let (store, _) = filled().await;
    let refused = AdminPage::new(&store).at::<()>("/admin").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(refused.to_string().contains("insecure_open"));
    let app: Router = AdminPage::new(&store).auth(with_token).at("/admin").unwrap();
    for path in ["/admin", "/admin/", "/admin/app.js", "/admin/api/state", "/admin/api/keys"] {
        assert_eq!(get(&app, path).await.status(), 401, "{path}");
        let request = Request::get(path).header("authorization", "Bearer secret");
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn visitor_without_a_name_is_refused() {
    let (store, _) = filled().await;
    let nobody = |_| std::future::ready(Some(String::new()));
    let app: Router = AdminPage::new(&store).auth(nobody).at("/admin").unwrap();
    assert_eq!(get(&app, "/admin/api/state").await.status(), 401);
}

/// Another site may have a name of its own lead to this machine.
#[tokio::test]
async fn open_page_answers_for_names_of_this_machine_alone() {
    let (store, _) = filled().await;
    let open: Router = AdminPage::new(&store).insecure_open().at("/admin").unwrap();
    let closed: Router = AdminPage::new(&store).auth(with_token).at("/admin").unwrap();
    for (host, status) in [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("10.0.0.7:8000", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        let request = || {
            let request = Request::get("/admin/api/state").header("host", host);
            request.header("authorization", "Bearer secret").body(Body::empty()).unwrap()
        };
        assert_eq!(open.clone().oneshot(request()).await.unwrap().status(), status, "{host}");
        assert_eq!(closed.clone().oneshot(request()).await.unwrap().status(), 200, "{host}");
    }
}

#[tokio::test]
async fn page_works_at_the_root_and_behind_a_proxy_that_strips_a_prefix() {
    let (store, _) = filled().await;
    let root: Router = open(&store).at("/").unwrap();
    let page = text(get(&root, "/").await).await;
    assert!(page.contains("<base href=\"/\""), "{page}");
    assert_eq!(get(&root, "/app.js").await.status(), 200);
    let behind: Router = open(&store).proxy_prefix("/tools/").at("/admin").unwrap();
    let page = text(get(&behind, "/admin").await).await;
    assert!(page.contains("<base href=\"/tools/admin/\""), "{page}");
}

#[tokio::test]
async fn keys_of_others_are_not_shown() {
    let server = RedisServer::start().unwrap();
    assert_eq!(server.cli(&["SET", "session:7", "token"]), "OK");
    let store = Store::connect(&server.url()).await.unwrap();
    let cache = store.cache::<String>("products").build().unwrap();
    cache.insert("1", "a lamp".to_owned()).await;
    let app: Router = open(&store).values(true).at("/admin").unwrap();
    let page = json_of(&app, "/admin/api/keys?pattern=*").await;
    let keys: Vec<_> = page["keys"].as_array().unwrap().iter().map(|it| &it["key"]).collect();
    assert_eq!(keys, ["cache:v1:products:1"]);
    let shown = json_of(&app, "/admin/api/key?key=session%3A7").await;
    assert_eq!((&shown["found"], &shown["value"]), (&json!(false), &Value::Null));
    let shown = json_of(&app, "/admin/api/key?key=cache%3Av1%3Aproducts%3A1").await;
    assert_eq!(shown["value"], "\"a lamp\"");
}

/// Their ends say what they are: large ones aren't read whole.
#[tokio::test]
async fn large_entries_and_other_types_are_listed() {
    let server = RedisServer::start().unwrap();
    let store = Store::connect(&server.url()).await.unwrap();
    let cache = store.cache::<String>("texts").max_value_bytes(16 << 20).build().unwrap();
    cache.entry("large").tags(["t"]).insert("x".repeat(8 << 20)).await;
    assert_eq!(server.cli(&["RPUSH", "cache:v1:texts:list", "a"]), "1");
    let app: Router = open(&store).values(true).at("/admin").unwrap();
    let sent = || -> u64 {
        let stats = server.cli(&["INFO", "stats"]);
        let sent = stats.lines().find_map(|it| it.strip_prefix("total_net_output_bytes:"));
        sent.unwrap().trim().parse().unwrap()
    };
    let before = sent();
    let page = json_of(&app, "/admin/api/keys?pattern=*").await;
    let mut keys = page["keys"].as_array().unwrap().clone();
    keys.sort_by_key(|it| it["key"].as_str().unwrap().to_owned());
    let shown: Vec<_> = keys.iter().map(|it| (&it["state"], &it["tags"])).collect();
    let (fresh, foreign) = (json!("fresh"), json!("foreign"));
    assert_eq!(shown, [(&fresh, &json!(1)), (&foreign, &json!(0))], "{keys:?}");
    assert!(keys[0]["size"].as_u64().unwrap() > 8 << 20);
    assert!(sent() - before < 1 << 20, "an entry was read whole");
    let list = json_of(&app, "/admin/api/key?key=cache%3Av1%3Atexts%3Alist").await;
    assert_eq!((&list["found"], &list["value"]), (&json!(true), &Value::Null));
}

/// The visitor goes to another page, or a proxy gives up: the removal goes on, and is logged.
#[tokio::test]
async fn invalidation_whose_visitor_leaves_is_logged() {
    let server = RedisServer::start().unwrap();
    let store = Store::connect(&server.url()).await.unwrap();
    let cache = store.cache::<u32>("numbers").build().unwrap();
    cache.insert("1", 1).await;
    let app: Router = open(&store).writes(true).at("/admin").unwrap();
    let leaving = invalidate(&app, "pattern", "cache:v1:numbers:*", false).now_or_never();
    assert!(leaving.is_none(), "the server takes some time");
    let log = json_of(&app, "/admin/api/log").await;
    assert_eq!(log["entries"][0]["what"], "invalidated the pattern cache:v1:numbers:*");
    assert_eq!(log["entries"][0]["outcome"], "goes on: the visitor has left");
    while cache.get("1").await.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_not_waited_for() {
    let (store, _) = filled().await;
    let app: Router = open(&store).writes(true).at("/admin").unwrap();
    let endless =
        || Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let request = invalidation("", "", false).body(endless()).unwrap();
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 408);
    let request = Request::get("/admin/app.js").header("host", "cache.example");
    let response = app.clone().oneshot(request.body(endless()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "the body of a GET is not read");
}

#[tokio::test]
async fn page_works_below_every_path() {
    let (store, _) = filled().await;
    let app = || -> Router { open(&store).at("/tools/admin").unwrap() };
    let nested = Router::new().nest("/outer", app());
    for (app, base) in [(app(), "/tools/admin"), (nested, "/outer/tools/admin")] {
        for slash in ["", "/"] {
            let response = get(&app, &format!("{base}{slash}")).await;
            assert_eq!(response.status(), 200);
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(policy.starts_with("default-src 'self'"));
            let page = text(response).await;
            assert!(page.contains(&format!("<base href=\"{base}/\"")), "{base}{slash}\n{page}");
            assert!(!page.contains("<script>") && !page.contains("style="), "nothing is inline");
        }
        assert_eq!(get(&app, &format!("{base}/app.js")).await.status(), 200);
        assert_eq!(get(&app, &format!("{base}/../Cargo.toml")).await.status(), 404);
        assert_eq!(get(&app, &format!("{base}/%2e%2e/Cargo.toml")).await.status(), 404);
    }
}

#[tokio::test]
async fn state_tells_what_the_store_does() {
    let (store, cache) = filled().await;
    let app: Router = open(&store).at("/admin").unwrap();
    let state = json_of(&app, "/admin/api/state").await;
    assert_eq!((&state["backend"], &state["up"]), (&json!("memory"), &json!(true)));
    assert_eq!(state["metrics"]["caches"][0]["id"], "shop:v1:products");
    assert_eq!(state["metrics"]["caches"][0]["stats"]["hits"], 1);
    let samples = state["samples"].as_array().unwrap();
    assert_eq!(samples.last().unwrap()["caches"]["shop:v1:products"][1], 1.0);
    cache.invalidate("2").await.unwrap();
    let state = json_of(&app, "/admin/api/state?since=1000000").await;
    assert_eq!(state["samples"], json!([]));
    assert_eq!(state["events"][0]["kind"], "invalidated");
    assert_eq!(state["events"][0]["names"][0], "shop:v1:products:2");
}

#[tokio::test]
async fn keys_are_listed_and_values_are_redacted() {
    let (store, _) = filled().await;
    let app: Router = open(&store).at("/admin").unwrap();
    let page = json_of(&app, "/admin/api/keys?pattern=shop:*").await;
    let keys = page["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &page["scan"]), (3, &Value::Null));
    assert_eq!((&keys[0]["cache"], &keys[0]["tags"]), (&json!("shop:v1:products"), &json!(1)));
    let shown = json_of(&app, "/admin/api/key?key=shop%3Av1%3Aproducts%3A1").await;
    assert_eq!((&shown["found"], &shown["value"]), (&json!(true), &Value::Null));
    assert!(shown["explanation"].as_str().unwrap().contains("shop:v1:products:1"));
    let app: Router = open(&store).values(true).at("/admin").unwrap();
    let shown = json_of(&app, "/admin/api/key?key=shop%3Av1%3Aproducts%3A1").await;
    assert_eq!(shown["value"], "\"a lamp\"");
    assert_eq!(json_of(&app, "/admin/api/key?key=none").await["found"], false);
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let store = Store::memory();
    let cache = store.cache::<u32>("numbers").build().unwrap();
    cache.insert_many((0..120).map(|key| (key, key))).await;
    let app: Router = open(&store).at("/admin").unwrap();
    let (mut found, mut path) = (Vec::new(), "/admin/api/keys".to_owned());
    loop {
        let page = json_of(&app, &path).await;
        found.extend(page["keys"].as_array().unwrap().iter().map(|it| it["key"].to_string()));
        match page["scan"].as_str() {
            Some(scan) => path = format!("/admin/api/keys?scan={scan}"),
            None => break,
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 120);
    assert_eq!(get(&app, "/admin/api/keys?scan=77").await.status(), 410);
}

#[tokio::test]
async fn invalidations_are_tried_out_first_and_logged() {
    let (store, cache) = filled().await;
    let app: Router = open(&store).at("/admin").unwrap();
    assert_eq!(invalidate(&app, "key", "shop:v1:products:1", true).await.0, 403, "read-only");
    let app: Router = open(&store).writes(true).at("/admin").unwrap();
    let (status, tried) = invalidate(&app, "cache", "shop:v1:products", true).await;
    assert_eq!(
        (status, &tried["matches"], &tried["applied"]),
        (StatusCode::OK, &json!(3), &json!(false))
    );
    assert!(cache.get("1").await.is_some(), "a dry run removes nothing");
    let (_, done) = invalidate(&app, "key", "shop:v1:products:1", false).await;
    assert_eq!((&done["applied"], &done["removed"]), (&json!(true), &json!(1)));
    assert!(cache.get("1").await.is_none());
    let (_, done) = invalidate(&app, "tag", "all", false).await;
    assert_eq!(done["applied"], true);
    assert!(cache.get("2").await.is_none());
    let (_, refused) = invalidate(&app, "pattern", "*", false).await;
    assert_eq!(refused["applied"], false);
    let (_, refused) = invalidate(&app, "key", "other:v1:products:1", false).await;
    assert_eq!(refused["applied"], false, "another application's key");
    let log = json_of(&app, "/admin/api/log").await;
    assert_eq!(log["entries"].as_array().unwrap().len(), 4);
    assert_eq!(log["entries"][2]["what"], "invalidated the tag all");
    assert_eq!(log["entries"][2]["who"], "anybody");
    assert_eq!(invalidate(&app, "everything", "x", false).await.0, 400);
}

/// The preview promises nothing that is refused afterwards.
#[tokio::test]
async fn refused_invalidations_are_refused_at_once_and_logged_as_such() {
    let (store, _) = filled().await;
    let app: Router = open(&store).writes(true).at("/admin").unwrap();
    for (by, name) in
        [("pattern", "*"), ("pattern", "list:*"), ("key", "products:1"), ("cache", "none")]
    {
        for dry_run in [true, false] {
            let (status, answer) = invalidate(&app, by, name, dry_run).await;
            let refused = (answer["error"].is_string(), &answer["applied"], &answer["matches"]);
            assert_eq!((status, refused), (StatusCode::OK, (true, &json!(false), &Value::Null)));
        }
    }
    let events = json_of(&app, "/admin/api/state").await;
    assert_eq!(events["events"][0]["what"], "failed to invalidate the cache none");
    let log = json_of(&app, "/admin/api/log").await;
    assert_eq!(log["entries"][0]["what"], "failed to invalidate the cache none");
    let (_, missing) = invalidate(&app, "key", "shop:v1:products:9", true).await;
    assert_eq!((&missing["matches"], &missing["names"]), (&json!(0), &json!([])));
}

/// In fastapi-rc's layout several kinds of values have one name.
#[tokio::test]
async fn entries_are_explained_by_the_kind_that_they_are_of() {
    let store = Store::memory();
    let layout = KeyLayout::FastapiRc;
    let numbers = store.cache::<u32>("things").key_layout(layout).build().unwrap();
    let window = Duration::from_secs(60);
    let texts = store.cache::<String>("things").key_layout(layout);
    let texts = texts.stale_while_revalidate(window).build().unwrap();
    numbers.insert("n", 1).await;
    texts.insert("t", "one".to_owned()).await;
    let app: Router = open(&store).at("/admin").unwrap();
    for key in ["n", "t"] {
        let shown = json_of(&app, &format!("/admin/api/key?key=cache%3Av1%3Athings%3A{key}")).await;
        let explanation = shown["explanation"].as_str().unwrap();
        assert!(explanation.contains("hit"), "{key}: {explanation}");
    }
    let cache = json_of(&app, "/admin/api/cache?id=cache:v1:things").await;
    let windows = cache["options"].as_array().unwrap().iter().map(|of| {
        let options = of["options"].as_array().unwrap();
        let window = options.iter().find(|it| it[0] == "stale_while_revalidate").unwrap();
        (of["type"].as_str().unwrap().rsplit("::").next().unwrap(), window[1].as_str().unwrap())
    });
    let windows: std::collections::BTreeMap<_, _> = windows.collect();
    assert_eq!(windows, [("String", "60s"), ("u32", "off")].into());
}

#[tokio::test]
async fn other_sites_cannot_invalidate() {
    let (store, cache) = filled().await;
    let app: Router = open(&store).writes(true).at("/admin").unwrap();
    let body = json!({ "by": "key", "name": "shop:v1:products:1", "dry_run": false }).to_string();
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("x-hotshelf-admin", ""),
    ] {
        let mut request = invalidation("", "", false).body(Body::from(body.clone())).unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 403, "{header}");
    }
    assert_eq!(get(&app, "/admin/api/invalidate").await.status(), 405);
    assert!(cache.get("1").await.is_some());
    let mut request = invalidation("", "", false).body(Body::from(body.clone())).unwrap();
    request.headers_mut().remove("sec-fetch-site");
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 403, "an old browser");
    // A proxy has changed `Host`: what the browser tells counts.
    let mut request = invalidation("", "", false).body(Body::from(body)).unwrap();
    request.headers_mut().insert("host", "127.0.0.1:8000".parse().unwrap());
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 200);
    assert!(cache.get("1").await.is_none());
}

#[tokio::test]
async fn one_cache_shows_its_options() {
    let (store, _) = filled().await;
    let app: Router = open(&store).at("/admin").unwrap();
    let cache = json_of(&app, "/admin/api/cache?id=shop:v1:products").await;
    assert_eq!(cache["options"][0]["options"][0], json!(["time_to_live", "600s"]));
    assert_eq!(cache["ttl"]["sampled"], 3);
    assert_eq!(get(&app, "/admin/api/cache?id=none").await.status(), 404);
}
