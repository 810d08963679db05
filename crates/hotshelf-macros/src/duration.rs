//! Durations as text.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Returns an expression of type `Duration`: text is converted, any other expression remains.
pub(crate) fn duration(written: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = written else {
        return Ok(quote_spanned!(written.span()=> #written));
    };
    match lit {
        Lit::Str(text) => {
            let millis = millis(text)?;
            Ok(quote_spanned!(text.span()=> ::std::time::Duration::from_millis(#millis)))
        }
        other => Err(Error::new(other.span(), invalid("a number has no unit"))),
    }
}

fn millis(literal: &LitStr) -> Result<u64> {
    let text = literal.value();
    let error = |reason: &str| Error::new(literal.span(), invalid(reason));
    let (mut rest, mut millis) = (text.as_str(), 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit());
        let (number, after) = rest.split_at(digits.ok_or_else(|| error("a unit is missing"))?);
        let end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let known = UNITS.iter().find(|(known, _)| *known == unit);
        let (_, factor) = known.ok_or_else(|| error(&format!("unknown unit `{unit}`")))?;
        let number: u64 = number.parse().map_err(|_| error("a number is missing"))?;
        let sum = number.checked_mul(*factor).and_then(|part| millis.checked_add(part));
        millis = sum.ok_or_else(|| error("it is too long"))?;
        rest = after;
    }
    if millis == 0 { Err(error("it is zero")) } else { Ok(millis) }
}

fn invalid(reason: &str) -> String {
    format!(
        "invalid duration, {reason}: use text such as \"15m\", \"1h30m\", \"250ms\", with the units \
         ms, s, m, h and d, or a `Duration`"
    )
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    #[test]
    fn durations_are_text_with_units() {
        let millis = |text: &str| {
            let expression = duration(&parse_str(&format!("{text:?}")).unwrap());
            expression.map(|it| it.to_string()).map_err(|error| error.to_string())
        };
        for (text, expected) in [
            ("15m", "900000u64"),
            ("1h30m", "5400000u64"),
            ("250ms", "250u64"),
            ("2d", "172800000u64"),
            ("1s", "1000u64"),
        ] {
            assert!(millis(text).unwrap().contains(expected), "{text}: {:?}", millis(text));
        }
        for (text, reason) in [
            ("15", "a unit is missing"),
            ("m", "a number is missing"),
            ("15 m", "unknown unit ` m`"),
            ("-1s", "unknown unit `-`"),
            ("1w", "unknown unit `w`"),
            ("0s", "it is zero"),
            ("", "it is zero"),
            ("99999999999999999999s", "a number is missing"),
            ("18446744073709551615d", "it is too long"),
        ] {
            assert!(millis(text).unwrap_err().contains(reason), "{text}: {:?}", millis(text));
        }
    }
}
