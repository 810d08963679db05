//! The names that an expression mentions.

use std::collections::HashSet;

use proc_macro2::{TokenStream, TokenTree};

/// Returns all names in some tokens, those in the text of `format!("{name}")` included.
pub(crate) fn mentioned(tokens: TokenStream) -> HashSet<String> {
    let mut names = HashSet::new();
    collect(tokens, &mut names);
    names
}

fn collect(tokens: TokenStream, names: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => drop(names.insert(name.to_string())),
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(literal) => names.extend(captured(&literal.to_string())),
            TokenTree::Punct(_) => {}
        }
    }
}

/// Returns the names that a format string captures.
fn captured(text: &str) -> impl Iterator<Item = String> {
    let is_text = text.contains('"');
    text.split('{').skip(1).filter(move |_| is_text).filter_map(|after| {
        let name: String =
            after.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        (!name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    #[test]
    fn names_are_found_in_groups_and_format_strings() {
        let names =
            mentioned(parse_str(r#"(a, self.b, format!("{c}:{d:?}:{}:{{e}}", f), "g")"#).unwrap());
        for name in ["a", "b", "c", "d", "f"] {
            assert!(names.contains(name), "{name}: {names:?}");
        }
        assert!(!names.contains("g"));
    }
}
