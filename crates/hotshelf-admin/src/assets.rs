//! The files of the page.

use std::borrow::Cow;

use crate::http::{Request, Response};

/// Declares the files, with their types.
macro_rules! files {
    ($($name:literal: $kind:literal),+ $(,)?) => {
        const FILES: &[(&str, &str, &[u8])] =
            &[$(($name, $kind, include_bytes!(concat!("../assets/", $name)))),+];
    };
}

files! {
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "cache.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "events.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "figures.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "header.js": "text/javascript; charset=utf-8",
    "history.js": "text/javascript; charset=utf-8",
    "invalidate.js": "text/javascript; charset=utf-8",
    "key.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "poll.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "table.js": "text/javascript; charset=utf-8",
}

const PAGE: &str = include_str!("../assets/index.html");

/// Returns the page or one of its files, if a request is for one.
pub(crate) fn find(request: &Request<'_>) -> Option<Response> {
    if !matches!(request.method, "GET" | "HEAD") {
        return None;
    }
    if request.path.is_empty() || request.path == "index.html" {
        // Relative addresses work below every mount path, with and without a slash at its end.
        let page = PAGE.replace("__BASE__", &escaped(request.base));
        return Some(Response::new(200, "text/html; charset=utf-8", page.into_bytes()));
    }
    let (_, kind, bytes) = FILES.iter().find(|(name, ..)| *name == request.path)?;
    Some(Response::new(200, kind, Cow::Borrowed(*bytes)))
}

/// Escapes the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
