//! Spans of round trips, at debug level, named as OpenTelemetry's conventions for Redis say:
//! <https://opentelemetry.io/docs/specs/semconv/db/redis/>. A command's arguments are never recorded.

use hotshelf_core::Error;
use hotshelf_wire::resp::Value;
use tracing::field::Empty;
use tracing::{Span, debug_span};

use super::state::Shared;
use crate::connection::Request;
use crate::options::Address;

/// Returns the span of commands that are sent together.
pub(super) fn sending<'a>(requests: impl ExactSizeIterator<Item = &'a Request> + Clone) -> Span {
    let count = requests.len();
    let span = debug_span!(
        "redis",
        otel.name = Empty,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "redis",
        db.operation.name = Empty,
        db.operation.batch.size = Empty,
        db.response.status_code = Empty,
        error.r#type = Empty,
        server.address = Empty,
        server.port = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let names = requests.filter_map(name);
    let mut names: Vec<String> = names.collect();
    names.dedup();
    let operation = match (&*names, count) {
        ([name], 1) => name.clone(),
        ([name], _) => format!("PIPELINE {name}"),
        _ => "PIPELINE".to_owned(),
    };
    span.record("otel.name", &operation).record("db.operation.name", &operation);
    if count > 1 {
        span.record("db.operation.batch.size", count);
    }
    span
}

/// Records to which server the commands were sent, and the first error.
pub(super) fn end<'a>(
    span: &Span,
    shared: &Shared,
    replies: impl IntoIterator<Item = &'a Result<Value, Error>>,
) {
    if span.is_disabled() {
        return;
    }
    match shared.address() {
        Some(Address::Tcp(server)) => {
            span.record("server.address", server.host()).record("server.port", server.port());
        }
        Some(Address::Unix(path)) => {
            span.record("server.address", path);
        }
        None => {}
    }
    for reply in replies.into_iter().flat_map(with_parts) {
        match reply {
            // It is sent once more, with its text.
            Ok(Value::Error(error)) if error.code() == b"NOSCRIPT" => continue,
            Ok(Value::Error(error)) => {
                let code = String::from_utf8_lossy(error.code()).into_owned();
                span.record("db.response.status_code", &code).record("error.type", &code);
            }
            Err(error) => {
                span.record("error.type", error.kind().name());
            }
            Ok(_) => continue,
        }
        span.record("otel.status_code", "ERROR");
        return;
    }
}

/// Returns a reply and, if it is that of a transaction, those of its commands.
fn with_parts(reply: &Result<Value, Error>) -> impl Iterator<Item = Result<&Value, &Error>> {
    let parts = match reply {
        Ok(Value::Array(parts)) => parts.as_slice(),
        _ => &[],
    };
    std::iter::once(reply.as_ref()).chain(parts.iter().map(Ok))
}

/// Returns the name of a command.
fn name(request: &Request) -> Option<String> {
    let name = request.command.arguments().next()?;
    Some(String::from_utf8_lossy(name).to_ascii_uppercase())
}
