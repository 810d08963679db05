//! `hotshelf dashboard`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{filled, run};

/// A page that is served until it is dropped.
struct Page {
    program: Child,
    address: String,
}

impl Page {
    fn open(url: &str, arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut program = Command::new(env!("CARGO_BIN_EXE_hotshelf"));
        program.args(["dashboard", "--url", url, "--listen", &address]).args(arguments);
        let program = program.stderr(Stdio::piped()).spawn().unwrap();
        let mut page = Self { program, address };
        let mut lines = BufReader::new(page.program.stderr.take().unwrap()).lines();
        let is_address = |line: &str| line == format!("the page is at http://{}/", page.address);
        assert!(lines.any(|line| is_address(&line.unwrap())));
        // It listens by now.
        assert!(TcpStream::connect(&page.address).is_ok());
        page
    }

    /// Sends a request, and returns its response, with the headers.
    fn ask(&self, request: &str, host: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let headers = "connection: close\r\nx-hotshelf-admin: 1";
        let text = format!(
            "{request} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    fn json(&self, request: &str, body: &str) -> Value {
        let response = self.ask(request, &self.address, body);
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{response}"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

const INVALIDATE: &str = r#"{"by": "cache", "name": "shop:v1:products", "dry_run": false}"#;

#[tokio::test]
async fn caches_of_the_server_are_shown() {
    let server = filled().await;
    let page = Page::open(&server.url(), &[]);
    assert!(page.ask("GET /", &page.address, "").contains("location: /admin"));
    assert!(page.ask("GET /admin/", &page.address, "").contains("<base href=\"/admin/\""));
    let state = page.json("GET /admin/api/state", "");
    let caches = state["metrics"]["caches"].as_array().unwrap();
    let ids: Vec<_> = caches.iter().map(|cache| cache["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &state["writes"]), (vec!["shop:v1:products"], &Value::from(false)), "{state}");
    let keys = page.json("GET /admin/api/keys?pattern=shop:*", "");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 3, "{keys}");
    let lifetimes = page.json("GET /admin/api/cache?id=shop:v1:products", "");
    assert_eq!(lifetimes["ttl"]["sampled"], 3, "{lifetimes}");
    let key = page.json("GET /admin/api/key?key=shop:v1:products:1", "");
    assert_eq!((&key["found"], &key["value"]), (&true.into(), &().into()), "{key}");
    assert!(
        page.ask("POST /admin/api/invalidate", &page.address, INVALIDATE)
            .starts_with("HTTP/1.1 403")
    );
}

#[tokio::test]
async fn writes_have_to_be_allowed() {
    let server = filled().await;
    let page = Page::open(&server.url(), &["--writes", "--values"]);
    let key = page.json("GET /admin/api/key?key=shop:v1:products:1", "");
    assert_eq!(key["value"], "\"lamp 1\"", "{key}");
    let done = page.json("POST /admin/api/invalidate", INVALIDATE);
    assert_eq!((&done["applied"], &done["removed"]), (&true.into(), &3.into()), "{done}");
}

/// A site could have its own name lead to this machine.
#[tokio::test]
async fn names_of_other_sites_are_refused() {
    let server = filled().await;
    let page = Page::open(&server.url(), &[]);
    assert!(page.ask("GET /admin/api/state", "evil.example", "").starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn address_in_use_is_an_error() {
    let server = filled().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let shown = run(&server, &["dashboard", "--listen", &address]);
    let message = format!("hotshelf: can't listen on {address}: Address already in use");
    assert!(shown.code == 3 && shown.errors.contains(&message), "{shown:?}");
    assert!(!shown.errors.contains("the page is at"), "{shown:?}");
    let shown = run(&server, &["dashboard", "--json", "--listen", &address]);
    let error: Value = serde_json::from_str(&shown.errors).unwrap();
    assert_eq!((shown.code, &error["error"]["kind"]), (3, &"unavailable".into()), "{shown:?}");
}
