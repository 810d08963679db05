//! Writes the tree as text, like `json.dumps(value, sort_keys=True)` with the default
//! separators and escapes.

use std::fmt::Write;

use super::value::{CodePoints, Dict, DictKey, Value};

/// Writes the value as Python does.
pub(super) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Number(number) => push_display(out, number),
        Value::Str(text) => push_str(out, text),
        Value::List(items) => push_list(out, items),
        Value::Dict(dict) => push_dict(out, dict),
    }
}

fn push_list(out: &mut String, items: &[Value]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_value(out, item);
    }
    out.push(']');
}

fn push_dict(out: &mut String, dict: &Dict) {
    out.push('{');
    for (index, (key, value)) in dict.entries().iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        match key {
            DictKey::Null => out.push_str("\"null\""),
            DictKey::Number(number) => push_display(out, format_args!("\"{number}\"")),
            DictKey::Str(text) => push_str(out, text),
        }
        out.push_str(": ");
        push_value(out, value);
    }
    out.push('}');
}

fn push_str(out: &mut String, text: &CodePoints) {
    out.push('"');
    for &point in &text.0 {
        match u8::try_from(point) {
            Ok(byte @ (b'"' | b'\\')) => out.extend(['\\', char::from(byte)]),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            Ok(b'\n') => out.push_str("\\n"),
            Ok(b'\r') => out.push_str("\\r"),
            Ok(b'\t') => out.push_str("\\t"),
            Ok(0x08) => out.push_str("\\b"),
            Ok(0x0c) => out.push_str("\\f"),
            _ => push_escape(out, point),
        }
    }
    out.push('"');
}

/// Writes `\uXXXX`, twice for a code point beyond the basic plane: a surrogate pair.
fn push_escape(out: &mut String, point: u32) {
    match point.checked_sub(0x1_0000) {
        None => push_display(out, format_args!("\\u{point:04x}")),
        Some(offset) => {
            let (high, low) = (0xd800 + (offset >> 10), 0xdc00 + (offset & 0x3ff));
            push_display(out, format_args!("\\u{high:04x}\\u{low:04x}"));
        }
    }
}

fn push_display(out: &mut String, part: impl std::fmt::Display) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{part}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn str_text(points: &[u32]) -> String {
        dumps(&Value::Str(CodePoints(points.to_vec())))
    }

    #[test]
    fn only_printable_ascii_is_unescaped() {
        assert_eq!(str_text(&[0x1f, 0x20, 0x7e, 0x7f, 0x80]), r#""\u001f ~\u007f\u0080""#);
        assert_eq!(dumps(&Value::from("\"\\/\u{8}\u{c}\n\r\t")), r#""\"\\/\b\f\n\r\t""#);
    }

    #[test]
    fn astral_code_points_become_surrogate_pairs() {
        assert_eq!(str_text(&[0xffff, 0x1_0000, 0x10_ffff]), r#""\uffff\ud800\udc00\udbff\udfff""#);
        assert_eq!(dumps(&Value::from("😀")), r#""\ud83d\ude00""#);
    }

    #[test]
    fn lone_surrogates_are_kept() {
        assert_eq!(str_text(&[0xd800, 0x61, 0xdfff]), r#""\ud800a\udfff""#);
    }
}
