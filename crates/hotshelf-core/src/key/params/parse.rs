//! Parses JSON text like Python's `json.loads`.
//!
//! serde_json is not an option: it rejects `NaN`, lone surrogates and numbers such as `1e400`,
//! and rounds large integers.

use super::{
    error::ParamsError,
    number::{Integer, Number},
    value::{CodePoints, Depth, Dict, DictKey, Value},
};

/// Parses a whole JSON text.
pub(super) fn document(text: &str, depth: Depth) -> Result<Value, ParamsError> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_whitespace();
    let value = parser.value(depth)?;
    parser.skip_whitespace();
    parser.end()?;
    Ok(value)
}

/// Parses a text that consists of one number.
pub(super) fn number(text: &str) -> Result<Number, ParamsError> {
    let mut parser = Parser { text, at: 0 };
    let number = parser.number()?;
    parser.end()?;
    Ok(number)
}

struct Parser<'a> {
    text: &'a str,
    /// The index of the next byte.
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: Depth) -> Result<Value, ParamsError> {
        if let Some(constant) = self.constant() {
            return Ok(constant);
        }
        match self.rest().bytes().next() {
            Some(b'"') => self.string().map(Value::Str),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.dict(depth),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(_) if self.rest().starts_with('\u{feff}') => {
                Err(self.error("unexpected byte order mark; strip it from the text"))
            }
            _ => Err(self.error("expected a JSON value")),
        }
    }

    fn constant(&mut self) -> Option<Value> {
        let (word, value) = match self.rest().bytes().next()? {
            b'n' => ("null", Value::Null),
            b't' => ("true", Value::from(true)),
            b'f' => ("false", Value::from(false)),
            b'N' => ("NaN", Value::from(f64::NAN)),
            b'I' => ("Infinity", Value::from(f64::INFINITY)),
            b'-' => ("-Infinity", Value::from(f64::NEG_INFINITY)),
            _ => return None,
        };
        self.eat(word).then_some(value)
    }

    fn list(&mut self, depth: Depth) -> Result<Value, ParamsError> {
        let depth = depth.enter().map_err(|error| self.locate(error))?;
        self.expect("[")?;
        self.skip_whitespace();
        let mut items = Vec::new();
        if self.eat("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_whitespace();
            if self.eat("]") {
                return Ok(Value::List(items));
            }
            self.expect(",")?;
            self.skip_whitespace();
        }
    }

    fn dict(&mut self, depth: Depth) -> Result<Value, ParamsError> {
        let depth = depth.enter().map_err(|error| self.locate(error))?;
        self.expect("{")?;
        self.skip_whitespace();
        let mut entries = Vec::new();
        if self.eat("}") {
            return Dict::new(entries).map(Value::Dict);
        }
        loop {
            let key = self.string()?;
            self.skip_whitespace();
            self.expect(":")?;
            self.skip_whitespace();
            entries.push((DictKey::Str(key), self.value(depth)?));
            self.skip_whitespace();
            if self.eat("}") {
                return Dict::new(entries).map(Value::Dict);
            }
            self.expect(",")?;
            self.skip_whitespace();
        }
    }

    fn string(&mut self) -> Result<CodePoints, ParamsError> {
        self.expect("\"")?;
        let mut points = Vec::new();
        loop {
            match self.rest().chars().next() {
                None => return Err(self.error("unterminated string")),
                Some(..' ') => {
                    return Err(self.error("control character in a string; write it as an escape"));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(CodePoints(points));
                }
                Some('\\') => points.push(self.escape()?),
                Some(char) => {
                    self.at += char.len_utf8();
                    points.push(u32::from(char));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<u32, ParamsError> {
        let char = match self.rest().as_bytes().get(1) {
            Some(b'u') => return self.unicode_escape(),
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return Err(self.error("invalid escape in a string")),
        };
        self.at += 2;
        Ok(u32::from(char))
    }

    /// Parses `\uXXXX`, and a second one if both are a surrogate pair. A lone surrogate is
    /// kept.
    fn unicode_escape(&mut self) -> Result<u32, ParamsError> {
        let first = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&first) || !self.rest().starts_with("\\u") {
            return Ok(first);
        }
        let after_first = self.at;
        let second = self.code_unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = after_first;
            return Ok(first);
        }
        Ok(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn code_unit(&mut self) -> Result<u32, ParamsError> {
        // The digits must be checked: `from_str_radix` accepts a sign.
        let digits = self.rest().get(2..6).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.error("expected four hex digits after `\\u`"))?;
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Number, ParamsError> {
        let start = self.at;
        self.eat("-");
        if !self.eat("0") {
            self.digits()?;
        }
        let mut is_float = false;
        if self.eat(".") {
            is_float = true;
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            is_float = true;
            let _ = self.eat("+") || self.eat("-");
            self.digits()?;
        }
        let number = &self.text[start..self.at];
        if is_float {
            number.parse().map(Number::Float).map_err(|_| self.error("expected a number"))
        } else {
            Integer::parse(number).map(Number::Int).map_err(|error| self.locate(error))
        }
    }

    fn digits(&mut self) -> Result<(), ParamsError> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err(self.error("expected a digit"));
        }
        self.at += count;
        Ok(())
    }

    /// Skips JSON's whitespace, a subset of that of Unicode and ASCII.
    fn skip_whitespace(&mut self) {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().bytes().take_while(is_space).count();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ParamsError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(format!("expected `{token}`"))) }
    }

    fn end(&self) -> Result<(), ParamsError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.error("extra text after the value")) }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, reason: impl Into<String>) -> ParamsError {
        self.locate(ParamsError::new(reason))
    }

    fn locate(&self, error: ParamsError) -> ParamsError {
        let read = &self.text[..self.at];
        let line = read.matches('\n').count() + 1;
        let column = read.chars().rev().take_while(|char| *char != '\n').count() + 1;
        error.at_line(line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::dumps, *};

    fn canonical(text: &str) -> Result<String, String> {
        let value = document(text, Depth::default()).map_err(|error| error.to_string())?;
        Ok(dumps(&value))
    }

    #[test]
    fn valid_json_parses_like_python() {
        let cases = [
            (" \t\r\n1 \n", "1"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1e16", "1e+16"),
            ("1E400", "Infinity"),
            ("-1e-400", "-0.0"),
            ("100000000000000000000000", "100000000000000000000000"),
            ("[NaN, Infinity,-Infinity]", "[NaN, Infinity, -Infinity]"),
            (r#"{"b":1,"a":2,"b":[]}"#, r#"{"a": 2, "b": []}"#),
            (r#""\/\u00E9\u007f é""#, r#""/\u00e9\u007f \u00e9""#),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn surrogates_pair_up_only_in_order() {
        let cases = [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#"{"\ud83d\ude00": 1, "\uffff": 2}"#, r#"{"\uffff": 2, "\ud83d\ude00": 1}"#),
            (r#""\ude00\ud83d""#, r#""\ude00\ud83d""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ud83d\ud83d\ude00""#),
            (r#""\ud800\n\udc00""#, r#""\ud800\n\udc00""#),
            (r#"{"\ue000": 1, "\ud800": 2}"#, r#"{"\ud800": 2, "\ue000": 1}"#),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(canonical(r#""\ud83d\u12""#).is_err());
    }

    #[test]
    fn invalid_json_is_rejected_like_python() {
        let cases = [
            "",
            " ",
            "\u{feff}1",
            "\u{a0}1",
            "1\u{b}",
            "nul",
            "True",
            "nan",
            "-NaN",
            "+1",
            "-",
            "01",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1_0",
            "0x1",
            "٣",
            "1 2",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[",
            "[1",
            "]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{'a':1}",
            "\"",
            "\"\\",
            "\"\\\"",
            "\"\\x41\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\u12é\"",
            "\"\\ud800\\u\"",
            "\"\t\"",
            "\"\n\"",
            "\"\0\"",
            "'a'",
            "//1",
            "1//",
        ];
        for text in cases {
            assert!(canonical(text).is_err(), "{text:?} gave {:?}", canonical(text));
        }
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = canonical("{\n  \"é\": tru}").unwrap_err();
        assert_eq!(error, "expected a JSON value (line 2, column 8)");
        let error = canonical(&format!("[{}]", "1".repeat(4301))).unwrap_err();
        assert!(error.contains("4301 digits") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn nesting_depth_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(canonical(&nested(500)), Ok(nested(500)));
        for text in [nested(501), nested(100_000), "{\"a\":".repeat(100_000)] {
            assert!(canonical(&text).unwrap_err().contains("nested deeper than 500 levels"));
        }
    }

    #[test]
    fn number_must_be_whole_text() {
        assert_eq!(number("-12e-1").unwrap().to_string(), "-1.2");
        for text in ["", " 1", "1 ", "NaN", "1,2", "\"1\""] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
