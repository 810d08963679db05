//! Date and time in the formats of pydantic.
//!
//! Clients of the original API send ISO 8601 with or without an offset, a bare date, or a Unix
//! time in seconds or milliseconds. A naive time stays naive: no offset is ever added.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{self, Date, Time};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// A calendar date and time with microseconds and, unless it is naive, an offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    civil: civil::DateTime,
    offset_minutes: Option<i16>,
}

/// The reason why a text or a number is not a [`DateTime`], in pydantic's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTimeError {
    /// Neither a date nor a number.
    Unreadable(&'static str),
    /// Well formed, but outside the years 1 to 9999.
    OutOfRange(&'static str),
}

const TOO_SHORT: DateTimeError = DateTimeError::Unreadable("input is too short");
const EXTRA: DateTimeError =
    DateTimeError::Unreadable("unexpected extra characters at the end of the input");
const SEPARATOR: DateTimeError = DateTimeError::Unreadable("invalid date separator, expected `-`");
const MONTH: DateTimeError =
    DateTimeError::Unreadable("month value is outside expected range of 1-12");
const DAY: DateTimeError = DateTimeError::Unreadable("day value is outside expected range");
const YEAR_ZERO: DateTimeError = DateTimeError::OutOfRange("year 0 is out of range");
const TOO_EARLY: DateTimeError =
    DateTimeError::OutOfRange("dates before 0000 are not supported as unix timestamps");
const TOO_LATE: DateTimeError =
    DateTimeError::OutOfRange("dates after 9999 are not supported as unix timestamps");

/// Larger Unix times are milliseconds: as seconds they would be after the year 2603.
const LARGEST_SECONDS: f64 = 2e10;
const YEAR_0: f64 = -62_167_219_200.0;
const YEAR_1: f64 = -62_135_596_800.0;
const YEAR_10000: f64 = 253_402_300_800.0;

impl DateTime {
    /// Converts a Unix time in seconds, or in milliseconds if seconds would be after 2603.
    ///
    /// # Errors
    /// Fails if the time is outside of the years 1 to 9999.
    pub fn from_unix_time(number: f64) -> Result<Self, DateTimeError> {
        let (seconds, microseconds_each) = if number.abs() > LARGEST_SECONDS {
            (number / 1e3, 1_000)
        } else {
            (number, 1_000_000)
        };
        match seconds {
            _ if seconds < YEAR_0 => Err(TOO_EARLY),
            _ if seconds < YEAR_1 => Err(YEAR_ZERO),
            _ if seconds < YEAR_10000 => {
                // Separately, since f64 cannot represent each microsecond of the year 9999.
                let fraction = (number.fract() * microseconds_each as f64).round() as i64;
                Self::from_unix_microseconds(number as i64 * microseconds_each + fraction)
            }
            _ => Err(TOO_LATE),
        }
    }

    fn from_unix_microseconds(microseconds: i64) -> Result<Self, DateTimeError> {
        let civil = civil::date(1970, 1, 1)
            .at(0, 0, 0, 0)
            .checked_add(SignedDuration::from_micros(microseconds))
            .map_err(|_| TOO_LATE)?;
        Ok(Self { civil, offset_minutes: Some(0) })
    }

    fn from_iso(text: &str) -> Result<Self, DateTimeError> {
        let (date, rest) = split_date(text)?;
        if rest.is_empty() {
            return Ok(Self { civil: date.to_datetime(Time::midnight()), offset_minutes: None });
        }
        let (time, offset_minutes) =
            rest.strip_prefix(['T', 't', ' ', '_']).and_then(time_and_offset).ok_or(EXTRA)?;
        Ok(Self { civil: date.to_datetime(time), offset_minutes })
    }
}

impl FromStr for DateTime {
    type Err = DateTimeError;

    fn from_str(text: &str) -> Result<Self, DateTimeError> {
        Self::from_iso(text)
            .or_else(|unreadable| Self::from_unix_time(decimal_number(text).ok_or(unreadable)?))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.civil.date(), self.civil.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), date.month(), date.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        let microseconds = time.subsec_nanosecond() / 1000;
        if microseconds != 0 {
            write!(f, ".{microseconds:06}")?;
        }
        match self.offset_minutes {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

impl fmt::Display for DateTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreadable(reason) | Self::OutOfRange(reason)) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for DateTimeError {}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Parses a number: pydantic accepts an exponent only with a decimal point.
fn decimal_number(text: &str) -> Option<f64> {
    if text.contains('.') {
        text.parse().ok()
    } else {
        text.parse::<i64>().ok().map(|seconds| seconds as f64)
    }
}

fn split_date(text: &str) -> Result<(Date, &str), DateTimeError> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 {
        return Err(TOO_SHORT);
    }
    let field = |range, reason| digits(&bytes[range]).ok_or(DateTimeError::Unreadable(reason));
    let dash = |at: usize| if bytes[at] == b'-' { Ok(()) } else { Err(SEPARATOR) };
    let year = field(0..4, "invalid character in year")?;
    dash(4)?;
    let month = field(5..7, "invalid character in month")?;
    dash(7)?;
    let day = field(8..10, "invalid character in day")?;
    if !(1..=12).contains(&month) {
        return Err(MONTH);
    }
    let date = Date::new(year, month as i8, day as i8).map_err(|_| DAY)?;
    if year == 0 {
        return Err(YEAR_ZERO);
    }
    // Ten ASCII bytes were just read, so this is a character boundary.
    Ok((date, &text[10..]))
}

/// Parses `HH:MM[:SS[.fraction]][offset]`; `None` if it is malformed.
fn time_and_offset(text: &str) -> Option<(Time, Option<i16>)> {
    let mut rest = Cursor(text);
    let hour = rest.two_digits(24)?;
    rest.take(&[':'])?;
    let minute = rest.two_digits(60)?;
    let (mut second, mut nanosecond) = (0, 0);
    if rest.take(&[':']).is_some() {
        second = rest.two_digits(60)?;
        if rest.take(&['.', ',']).is_some() {
            nanosecond = rest.microseconds()? * 1000;
        }
    }
    let time = Time::new(hour, minute, second, nanosecond).ok()?;
    let offset = rest.offset_minutes()?;
    rest.0.is_empty().then_some((time, offset))
}

struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn take(&mut self, any_of: &[char]) -> Option<char> {
        let first = self.0.chars().next().filter(|first| any_of.contains(first))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    fn two_digits(&mut self, limit: i16) -> Option<i8> {
        let value = digits(self.0.as_bytes().get(..2)?).filter(|value| *value < limit)?;
        self.0 = &self.0[2..];
        Some(value as i8)
    }

    /// Parses at least one digit; digits after the sixth are ignored.
    fn microseconds(&mut self) -> Option<i32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, rest) = self.0.split_at(length);
        self.0 = rest;
        if fraction.is_empty() { None } else { format!("{fraction:0<6.6}").parse().ok() }
    }

    /// Parses an offset if there is one; the outer `None` means that it is malformed.
    fn offset_minutes(&mut self) -> Option<Option<i16>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let sign = match self.take(&['Z', 'z', '+', '-', '\u{2212}'])? {
            'Z' | 'z' => return Some(Some(0)),
            '+' => 1,
            _ => -1,
        };
        let hours = self.two_digits(24)?;
        self.take(&[':']);
        let minutes = self.two_digits(60)?;
        Some(Some(sign * (i16::from(hours) * 60 + i16::from(minutes))))
    }
}

fn digits(bytes: &[u8]) -> Option<i16> {
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i16::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_like_pydantic() {
        let table = [
            ("2026-01-02T03:04:05", "2026-01-02T03:04:05"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05"),
            ("2026-01-02_03:04:05", "2026-01-02T03:04:05"),
            ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04", "2026-01-02T03:04:00"),
            ("2026-01-02", "2026-01-02T00:00:00"),
            ("2026-01-02T03:04:05.1", "2026-01-02T03:04:05.100000"),
            ("2026-01-02T03:04:05,5", "2026-01-02T03:04:05.500000"),
            ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T03:04:05.9999999", "2026-01-02T03:04:05.999999"),
            ("2026-01-02T03:04:05.000000", "2026-01-02T03:04:05"),
            ("2026-01-02T03:04:05+0200", "2026-01-02T03:04:05+02:00"),
            ("2026-01-02T03:04:05-02:30", "2026-01-02T03:04:05-02:30"),
            ("2026-01-02T03:04:05\u{2212}02:00", "2026-01-02T03:04:05-02:00"),
            ("2026-01-02T03:04+02:00", "2026-01-02T03:04:00+02:00"),
            ("2026-01-02T03:04:05-00:00", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+23:59", "2026-01-02T03:04:05+23:59"),
            ("2024-02-29T00:00:00", "2024-02-29T00:00:00"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000123.456", "2023-11-14T22:13:20.123456Z"),
            ("1.7e9", "2023-11-14T22:13:20Z"),
            ("20260102", "1970-08-23T11:48:22Z"),
            ("-.5", "1969-12-31T23:59:59.500000Z"),
        ];
        for (text, written) in table {
            let read: DateTime = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), written, "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn large_unix_times_are_milliseconds() {
        let table = [
            (0.0, "1970-01-01T00:00:00Z"),
            (-1.5, "1969-12-31T23:59:58.500000Z"),
            (1_700_000_000.123_456, "2023-11-14T22:13:20.123456Z"),
            (0.000_000_6, "1970-01-01T00:00:00.000001Z"),
            (20_000_000_000.0, "2603-10-11T11:33:20Z"),
            (20_000_000_001.0, "1970-08-20T11:33:20.001000Z"),
            (-20_000_000_001.0, "1969-05-14T12:26:39.999000Z"),
            (1_700_000_000_123.5, "2023-11-14T22:13:20.123500Z"),
            (253_402_300_799_999.0, "9999-12-31T23:59:59.999000Z"),
            (-62_135_596_800_000.0, "0001-01-01T00:00:00Z"),
        ];
        for (number, written) in table {
            assert_eq!(DateTime::from_unix_time(number).unwrap().to_string(), written, "{number}");
        }
    }

    #[test]
    fn errors_name_the_reason() {
        let texts = [
            ("", TOO_SHORT),
            ("abc", TOO_SHORT),
            ("1e3", TOO_SHORT),
            ("2026-1-2T03:04:05", DateTimeError::Unreadable("invalid character in month")),
            ("2026/01/02", SEPARATOR),
            ("2026-13-02", MONTH),
            ("2026-02-30", DAY),
            ("2026-01-0\u{e9}", DateTimeError::Unreadable("invalid character in day")),
            ("2026-01-02\u{e9}", EXTRA),
            ("2026-01-02T", EXTRA),
            ("2026-01-02T24:00:00", EXTRA),
            ("2026-01-02T03:04:60", EXTRA),
            ("2026-01-02T03:04:05.", EXTRA),
            ("2026-01-02T03:04:05+02", EXTRA),
            ("2026-01-02T03:04:05+24:00", EXTRA),
            ("2026-01-02T03:04:05 +02:00", EXTRA),
            ("2026-01-02T03:04:05Zx", EXTRA),
            ("0000-01-02", YEAR_ZERO),
        ];
        for (text, reason) in texts {
            assert_eq!(text.parse::<DateTime>(), Err(reason), "{text}");
        }
        let numbers = [
            (253_402_300_800_000.0, TOO_LATE),
            (1e300, TOO_LATE),
            (f64::NAN, TOO_LATE),
            (-62_135_596_801_000.0, YEAR_ZERO),
            (-1e300, TOO_EARLY),
        ];
        for (number, reason) in numbers {
            assert_eq!(DateTime::from_unix_time(number), Err(reason), "{number}");
        }
    }
}
