//! Requests and responses, as far as the page needs them.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path below the mount path, without a slash at its start.
    pub path: &'a str,
    /// The mount path, with a slash at its end.
    pub base: &'a str,
    /// The query, as it was sent.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The header `Host`.
    pub host: Option<&'a str>,
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The header `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// The header `X-Hotshelf-Admin`.
    pub intent: Option<&'a str>,
    /// The visitor, as the application knows them.
    pub who: &'a str,
}

impl Request<'_> {
    /// Returns a parameter of the query, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    }

    /// Checks that the page itself has sent a request that changes something: another site's page
    /// can't send the header without asking first, and a browser tells where a request comes from.
    /// What it tells by `Sec-Fetch-Site` holds behind proxies that change `Host`, too.
    pub(crate) fn check_origin(&self) -> Result<(), Response> {
        let is_own = match (self.fetch_site, self.origin, self.host) {
            (Some(site), _, _) => matches!(site, "same-origin" | "none"),
            (None, None, _) => true,
            (None, Some(origin), Some(host)) => {
                origin.split_once("://").is_some_and(|(_, authority)| authority == host)
            }
            (None, Some(_), None) => false,
        };
        if self.intent == Some("1") && is_own {
            return Ok(());
        }
        let error = "requests of other sites are refused, and such without `x-hotshelf-admin: 1`";
        Err(Response::error(403, error))
    }

    /// Returns `true` if the page was asked for by an IP address, by `localhost`, or by one of these
    /// names: by none that another site could have lead here.
    pub(crate) fn names_this_machine(&self, hosts: &[String]) -> bool {
        let Some(host) = self.host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Decodes `%41` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

/// What every response says: nothing is loaded from elsewhere, embedded, guessed or kept.
const SAFETY: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

impl Response {
    pub(crate) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let mut headers = vec![("content-type", Cow::Borrowed(content_type))];
        headers.extend(SAFETY.map(|(name, value)| (name, Cow::Borrowed(value))));
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(200, "application/json", body),
            Err(_) => Self::error(500, "the state can't be encoded"),
        }
    }

    /// Returns a response with the text of an error.
    #[must_use]
    pub fn error(status: u16, text: &str) -> Self {
        let body = serde_json::json!({ "error": text }).to_string().into_bytes();
        Self::new(status, "application/json", body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'static> = Request {
        method: "POST",
        path: "api/invalidate",
        base: "/admin/",
        query: "key=a%3Ab+c%zz&empty=&key=other",
        body: b"",
        host: Some("cache.example:8000"),
        origin: Some("https://cache.example:8000"),
        fetch_site: Some("same-origin"),
        intent: Some("1"),
        who: "ann",
    };

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(REQUEST.parameter("key").as_deref(), Some("a:b c%zz"));
        assert_eq!(REQUEST.parameter("empty").as_deref(), Some(""));
        assert_eq!(REQUEST.parameter("none"), None);
    }

    /// What a browser tells by `Sec-Fetch-Site` counts; older ones, and pages without TLS, don't tell.
    #[test]
    fn other_sites_are_refused() {
        let old = Request { fetch_site: None, ..REQUEST };
        let behind_a_proxy = Request { host: Some("127.0.0.1:9000"), ..REQUEST };
        for own in [REQUEST, old, behind_a_proxy, Request { origin: None, ..old }] {
            assert!(own.check_origin().is_ok(), "{own:?}");
        }
        for refused in [
            Request { intent: None, ..REQUEST },
            Request { fetch_site: Some("cross-site"), ..REQUEST },
            Request { fetch_site: Some("same-site"), ..REQUEST },
            Request { origin: Some("https://evil.example"), ..old },
            Request { origin: Some("null"), ..old },
            Request { origin: Some("https://evil.example/cache.example:8000"), ..old },
            Request { host: None, ..old },
        ] {
            assert_eq!(refused.check_origin().unwrap_err().status, 403, "{refused:?}");
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        let hosts = ["Admin.example".to_owned()];
        let is_known = |host| Request { host: Some(host), ..REQUEST }.names_this_machine(&hosts);
        for known in ["localhost", "LOCALHOST:80", "10.0.0.1:80", "[fe80::1]:80", "admin.example"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", ":80", "evil.example", "127.0.0.1.evil.example", "localhost:x"] {
            assert!(!is_known(unknown), "{unknown}");
        }
        assert!(!Request { host: None, ..REQUEST }.names_this_machine(&hosts));
    }
}
