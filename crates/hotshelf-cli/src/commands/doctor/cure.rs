//! Cures, as commands that a shell executes as they are printed.

use std::borrow::Cow;

use crate::session::Session;

/// How commands reach the server that was checked, and the user whose rights were.
pub(super) struct Target {
    /// `redis-cli` with its options.
    command: String,
    /// The user, quoted for a shell.
    user: String,
}

impl Target {
    pub(super) fn new(session: &Session, user: Option<&str>) -> Self {
        let url = session.redis_options.to_string();
        Self { command: command(&url), user: quoted(user_or_that_of(user, &url)).into_owned() }
    }

    /// Returns a cure with the address and the user filled in, where it names `redis-cli` and
    /// `{user}`.
    pub(super) fn fill(&self, cure: &str) -> String {
        cure.replace("redis-cli", &self.command).replace("{user}", &self.user)
    }
}

/// Returns the user of the connection: that which the server has told, or else that of the URL.
pub(super) fn user_or_that_of<'a>(told: Option<&'a str>, url: &'a str) -> &'a str {
    told.or_else(|| user_of(url)).unwrap_or("default")
}

/// Returns the user that a URL names.
fn user_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (credentials, _) = rest.rsplit_once('@')?;
    let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
    (!user.is_empty()).then_some(user)
}

/// Returns `redis-cli` with the options that reach the server of a URL: in a Cluster each node, and
/// behind Sentinels the primary, which the reader has to name.
fn command(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    if scheme == "unix" {
        let path = place.split('?').next().unwrap_or_default();
        return format!("redis-cli -s {}", quoted(path));
    }
    let hosts = place.split(['/', '?']).next().unwrap_or_default();
    let host = hosts.split(',').next().unwrap_or_default();
    let tls = if scheme.starts_with("rediss") { " --tls" } else { "" };
    if scheme.contains("sentinel") {
        return format!("redis-cli -h PRIMARY{tls}");
    }
    if scheme.contains("cluster") {
        return format!("redis-cli{tls} --cluster call {}", quoted(host));
    }
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "6379"));
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let name = match name {
        "127.0.0.1" | "localhost" => String::new(),
        name => format!(" -h {}", quoted(name)),
    };
    let port = if port == "6379" { String::new() } else { format!(" -p {port}") };
    format!("redis-cli{name}{port}{tls}")
}

/// Quotes a word for a shell, if it needs that.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_reach_the_server_of_the_url() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379/0", "redis-cli"),
            ("redis://app:***@cache.example:6380/2", "redis-cli -h cache.example -p 6380"),
            ("rediss://[::1]:6379", "redis-cli -h ::1 --tls"),
            ("unix:///run/my redis.sock?db=1", "redis-cli -s '/run/my redis.sock'"),
            ("redis+cluster://a:7000,b:7001", "redis-cli --cluster call a:7000"),
            ("rediss+sentinel://a:26379/main", "redis-cli -h PRIMARY --tls"),
        ] {
            assert_eq!(command(url), expected, "{url}");
        }
    }

    #[test]
    fn users_are_those_of_urls() {
        assert_eq!(user_of("redis://app:***@cache.example"), Some("app"));
        assert_eq!(user_of("redis://:***@cache.example"), None);
        assert_eq!(user_of("redis://cache.example"), None);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
