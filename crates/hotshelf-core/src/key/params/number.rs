//! Python's numbers: integers of any size, floats and bools, compared exactly and written like
//! `repr`.

use std::{
    cmp::Ordering,
    fmt::{self, Display, LowerExp, Write},
    str::FromStr,
};

use super::error::ParamsError;

/// Python's limit for converting integers to text and back.
const MAX_DIGITS: usize = 4300;

/// A Python number, including bools: `True == 1 == 1.0`.
#[derive(Debug, Clone)]
pub(super) enum Number {
    Bool(bool),
    Int(Integer),
    Float(f64),
}

impl Number {
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Bool(bool) => !bool,
            Self::Int(integer) => integer.digits == "0",
            Self::Float(float) => *float == 0.0,
        }
    }

    /// Compares by exact value; `None` if one of the two is NaN.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Float(left), right) => {
                right.as_integer().compare_float(*left).map(Ordering::reverse)
            }
            (left, Self::Float(right)) => left.as_integer().compare_float(*right),
            (left, right) => Some(left.as_integer().cmp(&right.as_integer())),
        }
    }

    /// Returns the value as an integer, without the fraction of a float.
    fn as_integer(&self) -> Integer {
        match self {
            Self::Bool(bool) => Integer::from(i128::from(*bool)),
            Self::Int(integer) => integer.clone(),
            Self::Float(float) => Integer::truncate(*float),
        }
    }

    /// Returns the name of the type in Python, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
        }
    }
}

/// Writes the number as `json.dumps` does.
impl Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(bool) => write!(formatter, "{bool}"),
            Self::Int(integer) => write!(formatter, "{integer}"),
            Self::Float(float) => write_float(formatter, *float),
        }
    }
}

/// Writes a float like `repr`: with an exponent only below 1e-4 and from 1e16 on.
fn write_float(out: &mut impl Write, float: f64) -> fmt::Result {
    if float.is_nan() {
        return out.write_str("NaN");
    }
    if float.is_sign_negative() {
        out.write_char('-')?;
    }
    if float.is_infinite() {
        return out.write_str("Infinity");
    }
    let text = shortest(float.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.replace('.', "");
    match exponent {
        -4..0 => write!(out, "0.{digits:0>places$}", places = places_below_one(&digits, exponent)),
        0..16 => {
            let whole = exponent.unsigned_abs() as usize + 1;
            let digits = format!("{digits:0<whole$}");
            let (whole, fraction) = digits.split_at(whole);
            write!(out, "{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
        }
        _ => write!(out, "{mantissa}e{exponent:+03}"),
    }
}

fn places_below_one(digits: &str, exponent: i32) -> usize {
    digits.len() + exponent.unsigned_abs() as usize - 1
}

/// Converts an `f32` to the `f64` of its shortest decimal: `0.1f32` is meant as 0.1, not as
/// 0.10000000149011612, which has the same bits.
pub(super) fn widen(float: f32) -> f64 {
    shortest(float).parse().unwrap_or(f64::from(float))
}

/// Returns the shortest digits that parse to the same float, as `1.25e-7`.
///
/// Rust and Python agree on the number of digits. If two candidates are equally near (2⁻²⁵ is
/// 2.98023223876953125e-08), Rust's shortest form rounds up and Python chooses the even digit,
/// as Rust does for a given precision.
fn shortest<F>(float: F) -> String
where
    F: Copy + LowerExp + FromStr + PartialEq,
{
    let text = format!("{float:e}");
    let mantissa = text.split_once('e').map_or("", |(mantissa, _)| mantissa);
    let precision = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let even = format!("{float:.precision$e}");
    if even.parse::<F>().is_ok_and(|read| read == float) { even } else { text }
}

/// An integer of any size, stored as decimal digits: keys only need its text and its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Integer {
    /// Never set for zero, so that `-0` is the integer 0 as in Python.
    negative: bool,
    /// Without leading zeros.
    digits: String,
}

impl Integer {
    /// Parses an integer in JSON: an optional minus sign and digits without leading zeros.
    pub(super) fn parse(text: &str) -> Result<Self, ParamsError> {
        let integer = Self::from_decimal(text);
        if integer.digits.len() > MAX_DIGITS {
            let digits = integer.digits.len();
            return Err(ParamsError::new(format!(
                "integer of {digits} digits exceeds Python's limit of {MAX_DIGITS}; \
                 pass it as text"
            )));
        }
        Ok(integer)
    }

    fn from_decimal(text: &str) -> Self {
        let digits = text.trim_start_matches('-');
        Self { negative: digits != text && digits != "0", digits: digits.to_owned() }
    }

    /// Drops the fraction of a finite float. With a precision Rust writes every digit exactly;
    /// without one it pads the shortest digits with zeros.
    fn truncate(float: f64) -> Self {
        Self::from_decimal(&format!("{:.0}", float.trunc()))
    }

    fn compare_float(&self, float: f64) -> Option<Ordering> {
        if !float.is_finite() {
            return 0.0_f64.partial_cmp(&float);
        }
        match self.cmp(&Self::truncate(float)) {
            Ordering::Equal => 0.0_f64.partial_cmp(&float.fract()),
            unequal => Some(unequal),
        }
    }
}

impl From<i128> for Integer {
    fn from(value: i128) -> Self {
        Self { negative: value < 0, digits: value.unsigned_abs().to_string() }
    }
}

impl From<u128> for Integer {
    fn from(value: u128) -> Self {
        Self { negative: false, digits: value.to_string() }
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_magnitude = || {
            let lengths = self.digits.len().cmp(&other.digits.len());
            lengths.then_with(|| self.digits.cmp(&other.digits))
        };
        match (self.negative, other.negative) {
            (false, false) => by_magnitude(),
            (true, true) => by_magnitude().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for Integer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        write!(formatter, "{sign}{}", self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i128) -> Number {
        Number::Int(Integer::from(value))
    }

    #[test]
    fn floats_are_formatted_like_python() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (9.999_999_999_999_999e-5, "9.999999999999999e-05"),
            (1.5e-300, "1.5e-300"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (float, text) in cases {
            assert_eq!(Number::Float(float).to_string(), text);
        }
    }

    #[test]
    fn even_shortest_form_is_chosen() {
        // Rust's own shortest forms end in 3 here.
        assert_eq!(Number::Float(2_f64.powi(-25)).to_string(), "2.9802322387695312e-08");
        assert_eq!(Number::Float(widen(2_f32.powi(-12))).to_string(), "0.00024414062");
    }

    #[test]
    fn f32_widens_to_shortest_decimal() {
        for (single, double) in [(0.1, 0.1), (-0.0, -0.0), (f32::MAX, 3.4028235e38), (1e-45, 1e-45)]
        {
            assert_eq!(widen(single).to_bits(), f64::to_bits(double));
        }
        assert!(widen(f32::NAN).is_nan());
        assert_eq!(widen(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn integers_and_floats_compare_exactly() {
        let ascending = [
            Number::Float(f64::NEG_INFINITY),
            Number::Float(-1e300),
            int(i128::MIN),
            Number::Float(-1.5),
            int(-1),
            Number::Float(-0.5),
            int(0),
            Number::Float(5e-324),
            Number::Bool(true),
            Number::Float(1.5),
            int((1 << 53) - 1),
            Number::Float(9_007_199_254_740_992.0),
            int((1 << 53) + 1),
            // 1e23 as a float is 99999999999999991611392.
            int(99_999_999_999_999_991_611_391),
            Number::Float(1e23),
            int(99_999_999_999_999_991_611_393),
            Number::Int(Integer::from(u128::MAX)),
            Number::Float(340_282_366_920_938_463_463_374_607_431_768_211_456.0),
            Number::Float(f64::INFINITY),
        ];
        for (left_rank, left) in ascending.iter().enumerate() {
            for (right_rank, right) in ascending.iter().enumerate() {
                assert_eq!(left.compare(right), Some(left_rank.cmp(&right_rank)));
            }
        }
    }

    #[test]
    fn numbers_compare_equal_across_types() {
        let pairs = [
            (Number::Bool(true), Number::Float(1.0)),
            (Number::Bool(false), Number::Float(-0.0)),
            (int(0), Number::Float(-0.0)),
            (int(i128::MIN), Number::Float(-170_141_183_460_469_231_731_687_303_715_884_105_728.0)),
        ];
        for (left, right) in pairs {
            assert_eq!(left.compare(&right), Some(Ordering::Equal), "{left} {right}");
            assert_eq!(right.compare(&left), Some(Ordering::Equal), "{left} {right}");
        }
    }

    #[test]
    fn nan_compares_with_nothing() {
        let nan = Number::Float(f64::NAN);
        for other in [int(1), Number::Bool(false), Number::Float(0.0), nan.clone()] {
            assert_eq!(nan.compare(&other), None);
            assert_eq!(other.compare(&nan), None);
        }
    }

    #[test]
    fn integers_stop_at_python_limit() {
        let longest = "9".repeat(MAX_DIGITS);
        assert_eq!(Integer::parse(&longest).unwrap().to_string(), longest);
        assert!(Integer::parse(&format!("-{longest}")).is_ok());
        let error = Integer::parse(&format!("{longest}9")).unwrap_err().to_string();
        assert!(error.contains("4301 digits") && error.contains("pass it as text"), "{error}");
    }
}
