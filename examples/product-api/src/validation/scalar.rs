//! Conversions of single values, as lenient as pydantic: a number may be a text, `yes` is
//! true.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::Fault;
use crate::date_time::DateTime;

/// Converts a string. No other type is accepted.
pub(crate) fn string(value: &Value) -> Result<String, Fault> {
    value.as_str().map(str::to_owned).ok_or(Fault::StringType)
}

/// Returns a conversion to whole numbers within `range`.
///
/// Python's integers are unlimited; one beyond `i64` becomes the nearest `i64`.
pub(crate) fn integer(range: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<i64, Fault> {
    move |value| {
        let number = match value {
            Value::String(text) => integer_from(text),
            other => other.as_i64(),
        };
        match number.ok_or(Fault::IntParsing)? {
            low if low < *range.start() => Err(Fault::GreaterThanEqual(*range.start())),
            high if high > *range.end() => Err(Fault::LessThanEqual(*range.end())),
            number => Ok(number),
        }
    }
}

/// Converts a finite number.
pub(crate) fn float(value: &Value) -> Result<f64, Fault> {
    let number = match value {
        Value::Number(number) => number.as_f64().ok_or(Fault::FloatType)?,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::String(text) => float_from(text).ok_or(Fault::FloatParsing)?,
        _ => return Err(Fault::FloatType),
    };
    if number.is_finite() { Ok(number) } else { Err(Fault::FiniteNumber) }
}

/// Converts a boolean, also from 0, 1 and the usual words.
pub(crate) fn boolean(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Ok(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Ok(false),
            _ => Err(Fault::BoolParsing),
        },
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (_, Some(1.0)) => Ok(true),
            (_, Some(0.0)) => Ok(false),
            (Some(_), _) => Err(Fault::BoolParsing),
            _ => Err(Fault::BoolType),
        },
        _ => Err(Fault::BoolType),
    }
}

/// Converts a date and time.
pub(crate) fn date_time(value: &Value) -> Result<DateTime, Fault> {
    match value {
        Value::String(text) => text.parse().map_err(Fault::DateTime),
        Value::Number(number) => {
            let number = number.as_f64().ok_or(Fault::DateTimeType)?;
            DateTime::from_unix_time(number).map_err(Fault::DateTime)
        }
        _ => Err(Fault::DateTimeType),
    }
}

fn integer_from(text: &str) -> Option<i64> {
    let whole = match text.trim().split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => {
            whole
        }
        Some(_) => return None,
        None => text.trim(),
    };
    let whole = without_underscores(whole)?;
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(&whole);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let beyond = if whole.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(whole.parse().unwrap_or(beyond))
}

fn float_from(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

/// Removes the underscores that group digits; `None` if Python rejects them.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    Some(Cow::Owned(text.replace('_', "")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers() {
        let read = |text: &str| integer(1..=100)(&json!(text));
        for (text, number) in
            [("5", 5), (" 5 ", 5), ("+5", 5), ("007", 7), ("1_0", 10), ("5.00", 5), ("\u{a0}5", 5)]
        {
            assert_eq!(read(text), Ok(number), "{text}");
        }
        for text in [
            "", "x", "5.5", "5.", ".0", "5_.0", "5.0_0", "1e3", "0x10", "-", "--1", "_1", "1__0",
            "٣",
        ] {
            assert_eq!(read(text), Err(Fault::IntParsing), "{text}");
        }
        assert_eq!(read("0"), Err(Fault::GreaterThanEqual(1)));
        assert_eq!(read("-99999999999999999999"), Err(Fault::GreaterThanEqual(1)));
        assert_eq!(read("101"), Err(Fault::LessThanEqual(100)));
        assert_eq!(integer(1..=i64::MAX)(&json!("99999999999999999999.0")), Ok(i64::MAX));
    }

    #[test]
    fn floats() {
        for (value, number) in [
            (json!(3), 3.0),
            (json!(1e16), 1e16),
            (json!(true), 1.0),
            (json!(" 1.5 "), 1.5),
            (json!("1e3"), 1000.0),
            (json!("1_0.5_0"), 10.5),
            (json!(".5"), 0.5),
            (json!("5."), 5.0),
        ] {
            assert_eq!(float(&value), Ok(number), "{value}");
        }
        for (value, fault) in [
            (json!(null), Fault::FloatType),
            (json!([]), Fault::FloatType),
            (json!(""), Fault::FloatParsing),
            (json!("0x1"), Fault::FloatParsing),
            (json!("1__0"), Fault::FloatParsing),
            (json!("inf"), Fault::FiniteNumber),
            (json!("nan"), Fault::FiniteNumber),
            (json!("1e400"), Fault::FiniteNumber),
        ] {
            assert_eq!(float(&value), Err(fault), "{value}");
        }
    }

    #[test]
    fn booleans() {
        for value in [json!(true), json!(1), json!(1.0), json!("tRue"), json!("y"), json!("ON")] {
            assert_eq!(boolean(&value), Ok(true), "{value}");
        }
        for value in [json!(false), json!(0), json!(0.0), json!("F"), json!("no"), json!("off")] {
            assert_eq!(boolean(&value), Ok(false), "{value}");
        }
        for value in [json!(2), json!(-1), json!("maybe"), json!(""), json!(" true"), json!("1.0")]
        {
            assert_eq!(boolean(&value), Err(Fault::BoolParsing), "{value}");
        }
        for value in [json!(0.5), json!(1e22), json!(null), json!([]), json!({})] {
            assert_eq!(boolean(&value), Err(Fault::BoolType), "{value}");
        }
    }

    #[test]
    fn dates_and_strings_reject_other_types() {
        for value in [json!(true), json!(null), json!([]), json!({})] {
            assert_eq!(date_time(&value), Err(Fault::DateTimeType), "{value}");
            assert_eq!(string(&value), Err(Fault::StringType), "{value}");
        }
        assert_eq!(string(&json!(1)), Err(Fault::StringType));
    }
}
