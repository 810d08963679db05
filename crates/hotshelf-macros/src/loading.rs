//! The function that reads, and runs the body on a miss.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, ItemFn, Result, parse_quote};

use crate::arguments::Arguments;
use crate::duration::duration;
use crate::expansion::Cached;

/// The names that the expansion needs. Neither the expressions of the attribute nor the body see
/// the variables; the parameter has a name of its own.
struct Names {
    key: Ident,
    entry: Ident,
    load: Ident,
    reload: Ident,
}

impl Names {
    fn new() -> Self {
        let name = |text| Ident::new(text, Span::mixed_site());
        Self {
            key: name("key"),
            entry: name("entry"),
            load: name("load"),
            reload: name("__HOTSHELF_RELOAD"),
        }
    }
}

/// How a value is loaded: a method of entries, and one of caches, for calls without options.
struct Method {
    of_entry: &'static str,
    of_cache: Option<&'static str>,
    takes_context: bool,
}

impl Cached {
    /// Returns the function. Whether it reads at all is a parameter.
    pub(crate) fn loading(&self) -> Result<TokenStream> {
        let Self { cache, arguments, function } = self;
        let ItemFn { sig, block, .. } = &function.item;
        let written = &function.returned.written;
        let names = Names::new();
        let Names { key: key_name, entry, load, reload } = &names;
        let key = self.key()?;
        let options = options(arguments, entry)?;
        let method = self.method();
        let parameter = match (method.takes_context, &arguments.context) {
            (true, Some(context)) => quote!(#context),
            (true, None) => quote!(_),
            (false, _) => TokenStream::new(),
        };
        let of_entry = Ident::new(method.of_entry, Span::call_site());
        let of_cache = method.of_cache.filter(|_| options.is_empty());
        let of_cache = of_cache.map(|name| Ident::new(name, Span::call_site()));
        // An error of the types points at what the function returns.
        let loading = match of_cache {
            Some(of_cache) => quote_spanned! {written.span()=>
                let #load = async |#parameter| -> #written #block;
                if #reload {
                    (#cache).entry(#key_name).reload().#of_entry(#load).await
                } else {
                    (#cache).#of_cache(#key_name, #load).await
                }
            },
            None => quote_spanned! {written.span()=>
                let #entry = (#cache).entry(#key_name);
                let #entry = if #reload { #entry.reload() } else { #entry };
                #options
                #entry.#of_entry(async |#parameter| -> #written #block).await
            },
        };
        let mut sig = sig.clone();
        let output = function.returned.shared();
        sig.ident = self.loading_name();
        sig.output = parse_quote!(-> #output);
        let lifetimes = sig.generics.lifetimes().count();
        sig.generics.params.insert(lifetimes, parse_quote!(const #reload: bool));
        let attributes = self.function.attributes_of_body();
        Ok(quote!(#(#attributes)* #sig { let #key_name = #key; #loading }))
    }

    fn method(&self) -> Method {
        let returned = &self.function.returned;
        let takes_context = self.arguments.context.is_some() || returned.is_shared();
        let (of_entry, of_cache) =
            match (takes_context, returned.error.is_some(), returned.is_optional) {
                (true, _, false) => ("or_load", None),
                (true, _, true) => ("or_load_optional", None),
                (false, true, false) => ("or_try_insert_with", Some("get_or_try_insert_with")),
                (false, true, true) => ("or_try_load_optional", None),
                (false, false, false) => ("or_insert_with", Some("get_or_insert_with")),
                (false, false, true) => ("or_insert_optional_with", None),
            };
        Method { of_entry, of_cache, takes_context }
    }
}

/// Returns the statements that set the options of an entry.
fn options(arguments: &Arguments, entry: &Ident) -> Result<TokenStream> {
    let Arguments { tags, ttl, negative_ttl, when, .. } = arguments;
    let mut options = TokenStream::new();
    if let Some(tags) = tags {
        options.extend(quote_spanned!(tags.span()=> let #entry = #entry.tags(#tags);));
    }
    if let Some(ttl) = ttl {
        let ttl = duration(ttl)?;
        options.extend(quote!(let #entry = #entry.time_to_live(#ttl);));
    }
    if let Some(ttl) = negative_ttl {
        let ttl = duration(ttl)?;
        options.extend(quote!(let #entry = #entry.negative_ttl(#ttl);));
    }
    if let Some(when) = when {
        options.extend(quote!(let #entry = if #when { #entry } else { #entry.bypass() };));
    }
    Ok(options)
}
