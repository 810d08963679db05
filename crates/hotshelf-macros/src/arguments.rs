//! The arguments of the attribute.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Result, Token, parenthesized};

const NAMES: &str =
    "`cache`, `key`, `skip`, `tags`, `ttl`, `negative_ttl`, `when`, `context` or `companions`";

/// The arguments of `#[cached(…)]`, as they are written.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) cache: Option<Expr>,
    pub(crate) key: Option<Expr>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) tags: Option<Expr>,
    pub(crate) ttl: Option<Expr>,
    pub(crate) negative_ttl: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) context: Option<Ident>,
    pub(crate) companions: Option<Ident>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            arguments.parse_one(&name, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn parse_one(&mut self, name: &Ident, input: ParseStream<'_>) -> Result<()> {
        match name.to_string().as_str() {
            "cache" => set(&mut self.cache, name, input),
            "key" => set(&mut self.key, name, input),
            "tags" => set(&mut self.tags, name, input),
            "ttl" => set(&mut self.ttl, name, input),
            "negative_ttl" => set(&mut self.negative_ttl, name, input),
            "when" => set(&mut self.when, name, input),
            "context" => set(&mut self.context, name, input),
            "companions" => set(&mut self.companions, name, input),
            "skip" => {
                let skipped;
                parenthesized!(skipped in input);
                // `self`, too.
                let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(
                    &skipped,
                    Ident::parse_any,
                );
                self.skip.extend(names?);
                Ok(())
            }
            other => {
                let message = format!("unknown argument `{other}`: use {NAMES}");
                Err(Error::new(name.span(), message))
            }
        }
    }

    /// Returns the expression of the cache.
    pub(crate) fn cache(&self) -> Result<&Expr> {
        self.cache.as_ref().ok_or_else(|| {
            let message = "name the cache: `#[cached(cache = PRODUCTS)]`, an expression such as a \
                           static, `self.products` or an argument";
            Error::new(Span::call_site(), message)
        })
    }
}

/// Reads `= value` behind a name.
fn set<V: Parse>(value: &mut Option<V>, name: &Ident, input: ParseStream<'_>) -> Result<()> {
    input.parse::<Token![=]>()?;
    match value.replace(input.parse()?) {
        None => Ok(()),
        Some(_) => Err(Error::new(name.span(), format!("`{name}` is given twice: remove one"))),
    }
}
