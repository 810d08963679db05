//! The admin page of [hotshelf](https://docs.rs/hotshelf), independent of a web framework.
//!
//! [`Admin::respond`] answers requests below the path where the page is mounted: the page's own
//! assets, and a JSON interface of one request a second. Adapters (`hotshelf-axum`, the Python
//! package) convert requests and responses, decide who is let in, and tell who it is.
//!
//! - Nothing is written unless [`AdminOptions::writes`] allows it, and values are shown only with
//!   [`AdminOptions::values`].
//! - What is written takes a `POST` with a header that no form of another site can send, from the
//!   same origin.
//! - The page has no inline script or style, no third-party code, and sends no request to elsewhere.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod assets;
mod cache;
mod http;
mod invalidation;
mod keys;
mod log;
mod samples;
mod state;

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{BoxFuture, ByteStore};

pub use http::{Request, Response};
use keys::Scans;
use log::Log;
use samples::Samples;

/// Options of an admin page.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AdminOptions {
    /// Whether visitors may invalidate. Default: the page is read-only.
    pub writes: bool,
    /// Whether visitors may see values. Default: they are redacted.
    pub values: bool,
    /// The address of the server, without a password.
    pub address: String,
    /// Whether everybody is let in who can reach the page. It then answers only requests to
    /// `localhost`, to IP addresses and to `hosts`: any other name may be one of another site that
    /// leads here (DNS rebinding).
    pub is_open: bool,
    /// The names by which an open page is reached, without ports.
    pub hosts: Vec<String>,
}

/// The admin page of a store.
pub struct Admin {
    store: ByteStore,
    options: AdminOptions,
    samples: Samples,
    scans: Scans,
    log: Log,
    /// Identifies the process, whose counters are its own.
    process: String,
}

impl Admin {
    /// Creates the page.
    #[must_use]
    pub fn new(store: ByteStore, options: AdminOptions) -> Arc<Self> {
        let (samples, scans, log) = (Samples::default(), Scans::default(), Log::default());
        let process = format!("{:08x}", store.runtime().random() >> 32);
        Arc::new(Self { store, options, samples, scans, log, process })
    }

    /// Takes a sample of the counters, for the history that a page shows when it is opened, unless
    /// there is one of the last second.
    pub fn sample(&self) {
        self.samples.take(&self.store);
    }

    /// Takes a sample of the counters each second, for the history that a page shows when it is
    /// opened. Never completes; it ends when it is dropped, or the page is.
    pub fn sampling(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let admin = Arc::downgrade(self);
        let runtime = Arc::clone(self.store.runtime());
        async move {
            while let Some(admin) = admin.upgrade() {
                admin.samples.take(&admin.store);
                drop(admin);
                runtime.sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Answers a request.
    pub fn respond<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            if self.options.is_open && !request.names_this_machine(&self.options.hosts) {
                let error = "an open page answers for localhost and IP addresses: allow other names \
                             by the option `hosts`";
                return Response::error(403, error);
            }
            if let Some(asset) = assets::find(&request) {
                return asset;
            }
            match (request.method, request.path) {
                ("GET" | "HEAD", "api/state") => self.state(&request).await,
                ("GET" | "HEAD", "api/cache") => self.cache(&request).await,
                ("GET", "api/keys") => self.keys(&request).await,
                ("GET" | "HEAD", "api/key") => self.key(&request).await,
                ("GET" | "HEAD", "api/log") => self.log.entries(self.now()),
                // Each page ends by what it sends.
                ("HEAD", "api/keys") => Response::error(405, "use GET"),
                ("POST", "api/invalidate") => match request.check_origin() {
                    Ok(()) => self.invalidate(&request).await,
                    Err(refused) => refused,
                },
                (_, "api/state" | "api/cache" | "api/keys" | "api/key" | "api/log") => {
                    Response::error(405, "use GET")
                }
                (_, "api/invalidate") => Response::error(405, "use POST"),
                _ => Response::error(404, "there is no such page"),
            }
        })
    }

    /// Returns the time on the page's clock, in seconds.
    fn now(&self) -> f64 {
        let now = self.store.runtime().now();
        now.since(hotshelf_core::Moment::default()).as_secs_f64()
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admin").field("options", &self.options).finish_non_exhaustive()
    }
}
