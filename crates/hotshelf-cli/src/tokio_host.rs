//! Connections and the admin page on tokio.

use std::io;

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::response::Redirect;
use axum::routing::get;
use hotshelf::{ErrorKind, Store};
use hotshelf_axum::AdminPage;
use hotshelf_core::Error;
use hotshelf_redis::RedisOptions;

use crate::commands::dashboard::Dashboard;
use crate::host::{Connection, Host};
use crate::terminal::{StandardTerminal, Terminal};

/// Where the page is mounted; the root leads to it.
const PATH: &str = "/admin";

/// Connects on tokio's sockets. [`run`](crate::run) has to be polled in a runtime of tokio.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TokioHost;

impl TokioHost {
    /// Creates the host.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Host for TokioHost {
    fn connect(&self, options: &RedisOptions) -> Result<Connection, Error> {
        let store = Store::builder().redis(options.clone()).build()?;
        let redis = store.redis().expect("it was built with a server").clone();
        Ok(Connection { store: store.bytes().clone(), redis })
    }
}

/// Serves the admin page, until the process ends. Writes its address to the error output.
///
/// # Errors
/// If the address can't be listened on.
///
/// # Cancel safety
/// If dropped, requests in flight are not answered.
pub async fn serve(dashboard: &Dashboard) -> Result<(), Error> {
    let store = Store::builder().redis(dashboard.redis.clone()).build()?;
    dashboard.caches.build_on(store.bytes())?;
    let allowed = dashboard.clone();
    let page = AdminPage::new(&store).auth(move |request: Parts| {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        std::future::ready(allowed.allows_host(host).then(|| "anybody".to_owned()))
    });
    let page = page.writes(dashboard.writes).values(dashboard.values).at(PATH)?;
    let page = page.route("/", get(Redirect::temporary(PATH)));
    let failed = |error: io::Error| {
        let message = format!("can't listen on {}: {error}", dashboard.listen);
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    };
    let listener = tokio::net::TcpListener::bind(dashboard.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    StandardTerminal::new().write_error(&format!("the page is at http://{address}/\n"));
    axum::serve(listener, page).await.map_err(failed)
}
