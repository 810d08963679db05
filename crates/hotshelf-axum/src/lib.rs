//! The admin page of [hotshelf](https://docs.rs/hotshelf) for axum.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use axum::routing::any;
use hotshelf::{Error, ErrorKind, Store};
use hotshelf_admin::{Admin, AdminOptions};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode, header};
use tokio::time::timeout;

/// The largest body of a request, in bytes, and how long it is waited for: a shutdown waits as long.
const LARGEST: usize = 128 << 10;
const PATIENCE: Duration = Duration::from_secs(2);

type Who = Pin<Box<dyn Future<Output = Option<String>> + Send>>;
type Auth = Arc<dyn Fn(Parts) -> Who + Send + Sync>;

/// The admin page of a store.
///
/// Costs the caches nothing. A page that is open costs a request, and one round trip to the server,
/// each second.
#[must_use = "it is mounted by `at`"]
pub struct AdminPage {
    store: Store,
    options: AdminOptions,
    auth: Option<Auth>,
    /// What a proxy strips from the paths of requests.
    proxy_prefix: String,
}

impl AdminPage {
    /// Creates a page that is read-only and shows no values.
    pub fn new(store: &Store) -> Self {
        let mut options = AdminOptions::default();
        options.address = store.address().unwrap_or("memory://").to_owned();
        Self { store: store.clone(), options, auth: None, proxy_prefix: String::new() }
    }

    /// Sets what decides who is let in: it returns the name of the visitor, for the log of what was
    /// removed by whom, or `None` or an empty name to refuse them with status 401. It is called for
    /// each request, files included. A browser sends cookies and the credentials of a login that the
    /// application or a proxy asks for; it sends no bearer token by itself.
    pub fn auth<F, W>(mut self, auth: F) -> Self
    where
        F: Fn(Parts) -> W + Send + Sync + 'static,
        W: Future<Output = Option<String>> + Send + 'static,
    {
        self.auth = Some(Arc::new(move |request| Box::pin(auth(request))));
        self
    }

    /// Lets everybody in who can reach the address: for development, or behind a proxy that decides.
    ///
    /// The page then answers only for `localhost`, IP addresses and [`hosts`](Self::hosts), since any
    /// site could have a name of its own lead to this machine (DNS rebinding).
    pub fn insecure_open(mut self) -> Self {
        self.options.is_open = true;
        self.auth(|_| std::future::ready(Some("anybody".to_owned())))
    }

    /// Sets the names by which an open page is reached, as in `Host`, without ports. Default: none.
    pub fn hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.options.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what a proxy strips from the begin of each path, such as `/tools`. Default: nothing.
    pub fn proxy_prefix(mut self, prefix: &str) -> Self {
        self.proxy_prefix = prefix.trim_end_matches('/').to_owned();
        self
    }

    /// Sets whether visitors may invalidate. Default: they may not.
    pub fn writes(mut self, writes: bool) -> Self {
        self.options.writes = writes;
        self
    }

    /// Sets whether visitors may see values. Default: they may not.
    pub fn values(mut self, values: bool) -> Self {
        self.options.values = values;
        self
    }

    /// Returns the page as a router, to be merged into the application's: it answers below `path`,
    /// with and without a slash at its end, also if the application is nested.
    ///
    /// From then on, a sample of the counters is taken each second, for the history that a page shows
    /// when it is opened, until the router is dropped. Call it on tokio.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] without [`auth`](Self::auth) and
    /// [`insecure_open`](Self::insecure_open), and for a path that doesn't begin with a slash.
    pub fn at<S: Clone + Send + Sync + 'static>(self, path: &str) -> Result<Router<S>, Error> {
        let Some(auth) = self.auth else {
            let message = "the admin page needs `auth`, or `insecure_open()` to let everybody in";
            return Err(Error::new(ErrorKind::Configuration, message));
        };
        let is_valid = path.starts_with('/') && !path.contains(['{', '}', '*']);
        let path = path.trim_end_matches('/');
        if !is_valid {
            let message =
                format!("invalid path {path:?} of the admin page: use one like \"/admin\"");
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let admin = Admin::new(self.store.bytes().clone(), self.options);
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            tokio.spawn(admin.sampling());
        }
        let (depth, prefix) = (path.len(), self.proxy_prefix);
        let answer = any(async move |OriginalUri(uri): OriginalUri, request: Request| {
            let original = format!("{prefix}{}", uri.path());
            respond(&admin, &auth, depth, &original, request).await
        });
        let router = match path {
            "" => Router::new(),
            path => Router::new().route(path, answer.clone()),
        };
        Ok(router
            .route(&format!("{path}/"), answer.clone())
            .route(&format!("{path}/{{*rest}}"), answer))
    }
}

/// Answers a request. `depth` is the length of the path where the page is mounted in its router, and
/// `original` the path that the client has asked for.
async fn respond(
    admin: &Admin,
    auth: &Auth,
    depth: usize,
    original: &str,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(who) = auth(parts.clone()).await.filter(|who| !who.is_empty()) else {
        return convert(hotshelf_admin::Response::error(401, "you have to log in"));
    };
    let body = match parts.method {
        Method::POST => match timeout(PATIENCE, to_bytes(body, LARGEST)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                return convert(hotshelf_admin::Response::error(413, "the request is too large"));
            }
            Err(_) => {
                return convert(hotshelf_admin::Response::error(408, "the request is too slow"));
            }
        },
        _ => Bytes::new(),
    };
    let rest = parts.uri.path().get(depth..).unwrap_or_default().trim_start_matches('/');
    let base = original.strip_suffix(rest).unwrap_or(original).trim_end_matches('/');
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).or_else(|| parts.uri.authority().map(|it| it.as_str()));
    let request = hotshelf_admin::Request {
        method: parts.method.as_str(),
        path: rest,
        base: &format!("{base}/"),
        query: parts.uri.query().unwrap_or_default(),
        body: &body,
        host,
        origin: text(header::ORIGIN),
        fetch_site: text(HeaderName::from_static("sec-fetch-site")),
        intent: text(HeaderName::from_static("x-hotshelf-admin")),
        who: &who,
    };
    convert(admin.respond(request).await)
}

fn convert(response: hotshelf_admin::Response) -> Response {
    let hotshelf_admin::Response { status, headers, body, .. } = response;
    let mut converted = Response::new(Body::from(body.into_owned()));
    *converted.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = value.as_ref().try_into() {
            converted.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    converted
}

impl fmt::Debug for AdminPage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("AdminPage");
        debug.field("options", &self.options).field("has_auth", &self.auth.is_some());
        debug.finish_non_exhaustive()
    }
}
