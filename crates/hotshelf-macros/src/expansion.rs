//! What the attribute is expanded to.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Error, Expr, FnArg, Ident, ItemFn, Pat, Result, Visibility, parse_quote, parse2};

use crate::arguments::Arguments;
use crate::function::{Argument, Function};
use crate::mentions::{mentioned, text_of, used};

/// The most arguments that are a key by themselves.
const MOST_IN_KEY: usize = 4;

pub(crate) fn cached(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = parse2(arguments)?;
    let function = Function::new(parse2::<ItemFn>(item)?)?;
    let cached = Cached { cache: arguments.cache()?.clone(), arguments, function };
    cached.check_key()?;
    cached.check_context()?;
    let (outer, loading) = (cached.outer(), cached.loading()?);
    let (invalidating, companions) = (cached.invalidating(), cached.companions());
    Ok(quote!(#outer #loading #invalidating #companions))
}

/// An attribute and its function.
pub(crate) struct Cached {
    pub(crate) cache: Expr,
    pub(crate) arguments: Arguments,
    pub(crate) function: Function,
}

impl Cached {
    /// Checks that each argument is either part of the key or left out on purpose.
    fn check_key(&self) -> Result<()> {
        let Self { arguments: Arguments { key, skip, .. }, function, .. } = self;
        let further = function.unmentioned_parameters();
        let mut known: Vec<&Ident> = function.arguments.iter().map(|it| &it.name).collect();
        known.extend(&further);
        let is_known = |name: &Ident| known.contains(&name) || name == "self";
        if let Some(unknown) = skip.iter().find(|skipped| !is_known(skipped)) {
            let message = format!("there is no argument `{unknown}`: remove it from `skip(…)`");
            return Err(Error::new(unknown.span(), message));
        }
        let in_cache = used(&self.cache);
        let in_key = key.as_ref().map(used);
        let mut errors: Option<Error> = None;
        let mut report = |name: &Ident, message: String| {
            let error = Error::new(name.span(), message);
            match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            }
        };
        for Argument { name, .. } in &function.arguments {
            let text = text_of(name);
            let is_skipped = skip.contains(name);
            let is_in_key = in_key.as_ref().map_or(!is_skipped, |names| names.contains(&text));
            match (is_in_key, is_skipped) {
                (true, true) => report(
                    name,
                    format!(
                        "the argument `{name}` is in the key and skipped: remove it from one of \
                         them"
                    ),
                ),
                (false, false) if !in_cache.contains(&text) => report(name, forgotten(name)),
                _ => {}
            }
        }
        let all_in_key = key.as_ref().map(|key| mentioned(key.to_token_stream()));
        let all_in_key = all_in_key.unwrap_or_default();
        for name in further {
            if !skip.contains(name) && !all_in_key.contains(&text_of(name)) {
                report(name, forgotten(name));
            }
        }
        if let Some(receiver) = &function.receiver
            && !in_cache.contains("self")
            && !all_in_key.contains("self")
            && !skip.iter().any(|skipped| skipped == "self")
        {
            let name = Ident::new("self", receiver.self_token.span);
            report(&name, forgotten(&name));
        }
        errors.map_or(Ok(()), Err)
    }

    fn check_context(&self) -> Result<()> {
        let returned = &self.function.returned;
        if returned.error.is_some() {
            return Ok(());
        }
        let because = match &self.arguments.context {
            Some(_) => "a loader with a `context`",
            None if returned.is_shared() => "a function that returns an `Arc`",
            None => return Ok(()),
        };
        let message = format!("{because} needs to return a `Result`");
        Err(Error::new_spanned(&returned.written, message))
    }

    /// Returns the key of a call.
    pub(crate) fn key(&self) -> Result<TokenStream> {
        let Arguments { key, .. } = &self.arguments;
        if let Some(key) = key {
            return Ok(key.to_token_stream());
        }
        let names: Vec<&Ident> = self.key_arguments().map(|it| &it.name).collect();
        // Each by itself, so that an error points at the argument.
        let part =
            |name: &&Ident| quote_spanned!(name.span()=> ::hotshelf::IntoKey::to_key(&#name));
        let parts = names.iter().map(part);
        match names.len() {
            0 => {
                let name = self.function.name().to_string();
                Ok(quote!(#name))
            }
            1 => Ok(quote!(#(#parts)*)),
            2..=MOST_IN_KEY => Ok(quote!((#(#parts),*))),
            _ => {
                let message = format!(
                    "a key has at most {MOST_IN_KEY} parts: group them, as in \
                     `key = ((a, b), (c, d), e)`"
                );
                Err(Error::new(names[MOST_IN_KEY].span(), message))
            }
        }
    }

    /// Returns the arguments that the key is made of.
    fn key_arguments(&self) -> impl Iterator<Item = &Argument> {
        let Arguments { key, skip, .. } = &self.arguments;
        let in_key = key.as_ref().map(used);
        let in_cache = used(&self.cache);
        self.function.arguments.iter().filter(move |Argument { name, .. }| match &in_key {
            Some(names) => names.contains(&text_of(name)),
            None => !skip.contains(name) && !in_cache.contains(&text_of(name)),
        })
    }

    /// Returns the arguments that an invalidation needs.
    fn identifying(&self) -> Vec<&Argument> {
        let in_cache = used(&self.cache);
        let in_key: Vec<&Ident> = self.key_arguments().map(|it| &it.name).collect();
        let needed =
            |it: &&Argument| in_key.contains(&&it.name) || in_cache.contains(&text_of(&it.name));
        self.function.arguments.iter().filter(needed).collect()
    }

    /// Returns the function that callers call.
    fn outer(&self) -> TokenStream {
        let attributes = self.function.attributes();
        let calling = self.calling(self.function.name(), &quote!(false));
        quote!(#(#attributes)* #calling)
    }

    /// Returns a function of this name that calls the one that loads.
    fn calling(&self, name: &Ident, reload: &TokenStream) -> TokenStream {
        let ItemFn { vis, sig, .. } = &self.function.item;
        let mut sig = sig.clone();
        let output = self.function.returned.shared();
        sig.ident = name.clone();
        sig.output = parse_quote!(-> #output);
        sig.inputs.iter_mut().for_each(plain);
        let call = self.call(reload);
        quote!(#vis #sig { #call.await })
    }

    /// Returns a call of the function that loads.
    fn call(&self, reload: &TokenStream) -> TokenStream {
        let Function { receiver, arguments, .. } = &self.function;
        let names = arguments.iter().map(|it| &it.name);
        let parameters = self.function.parameters();
        let own = receiver.as_ref().map(|_| quote!(self.));
        let name = self.loading_name();
        quote!(#own #name::<#reload #(, #parameters)*>(#(#names),*))
    }

    pub(crate) fn loading_name(&self) -> Ident {
        format_ident!("__{}", self.function.name())
    }

    fn invalidating_name(&self) -> Ident {
        match self.function.receiver {
            Some(_) => format_ident!("invalidate_{}", self.function.name()),
            None => format_ident!("__invalidate_{}", self.function.name()),
        }
    }

    fn refreshing_name(&self) -> Ident {
        match self.function.receiver {
            Some(_) => format_ident!("refresh_{}", self.function.name()),
            None => format_ident!("__refresh_{}", self.function.name()),
        }
    }

    /// Returns the function that removes the entry.
    fn invalidating(&self) -> TokenStream {
        let Self { cache, function, .. } = self;
        let arguments = self.identifying();
        // `loading` has reported an invalid key.
        let key = self.key().unwrap_or_default();
        let types = arguments.iter().map(|it| it.typed.ty.to_token_stream());
        let types = types.chain([key.clone(), cache.to_token_stream()]).collect();
        let generics = function.generics_of(types);
        let (parameters, _, clause) = generics.split_for_impl();
        let receiver = function.receiver.iter().map(ToTokens::to_token_stream);
        let typed = arguments.iter().map(|it| plain_argument(it));
        let inputs = receiver.chain(typed);
        let (name, vis) = (self.invalidating_name(), &function.item.vis);
        let attributes = self.companion_attributes("Removes the entry of");
        quote! {
            #attributes
            #vis async fn #name #parameters(#(#inputs),*)
                -> ::std::result::Result<::hotshelf::Invalidation, ::hotshelf::Error>
            #clause
            {
                (#cache).entry(#key).invalidate().await
            }
        }
    }

    /// Returns the documentation of a companion, or hides it where a module shows it.
    fn companion_attributes(&self, verb: &str) -> TokenStream {
        let name = self.function.name();
        let conditions = self.function.conditions();
        match self.function.receiver {
            Some(_) => {
                let documentation = format!(" {verb} [`{name}`](Self::{name}).");
                quote!(#(#conditions)* #[doc = #documentation] #[allow(dead_code)])
            }
            None => quote!(#(#conditions)* #[doc(hidden)] #[allow(dead_code)]),
        }
    }

    /// Returns the function that loads in any case, and for a free function the module that shows
    /// it.
    fn companions(&self) -> TokenStream {
        let vis = &self.function.item.vis;
        let (invalidating, refreshing) = (self.invalidating_name(), self.refreshing_name());
        let name = self.function.name();
        let attributes =
            self.companion_attributes("Loads and stores the value, even if it is cached, of");
        let calling = self.calling(&refreshing, &quote!(true));
        let refresh = quote!(#attributes #calling);
        if self.function.receiver.is_some() {
            return refresh;
        }
        let module = self.arguments.companions.as_ref().unwrap_or(name);
        let shown = shown_from_within(vis);
        let about = format!(" What else can be done with the values of [`{name}`](fn@{name}).");
        let conditions = self.function.conditions();
        quote! {
            #refresh
            #(#conditions)*
            #[doc = #about]
            #[allow(unused_imports)]
            #vis mod #module {
                /// Removes the entry of a call with these arguments, and refuses loads in flight.
                #[doc(inline)]
                #shown use super::#invalidating as invalidate;
                /// Loads and stores the value, even if it is cached.
                #[doc(inline)]
                #shown use super::#refreshing as refresh;
            }
        }
    }
}

/// Returns the visibility of an item of the surrounding module from within a module of it.
fn shown_from_within(vis: &Visibility) -> TokenStream {
    match vis {
        Visibility::Inherited => quote!(pub(super)),
        Visibility::Restricted(restricted) if restricted.path.is_ident("self") => {
            quote!(pub(super))
        }
        Visibility::Restricted(restricted) if begins_with(&restricted.path, "super") => {
            let path = &restricted.path;
            quote!(pub(in super::#path))
        }
        other => other.to_token_stream(),
    }
}

fn begins_with(path: &syn::Path, name: &str) -> bool {
    path.segments.first().is_some_and(|segment| segment.ident == name)
}

fn forgotten(name: &Ident) -> String {
    format!(
        "the argument `{name}` is not part of the key: add it to `key`, or leave it out on purpose \
         with `skip({name})`"
    )
}

/// Removes what concerns the body alone from an argument.
fn plain(input: &mut FnArg) {
    if let FnArg::Typed(typed) = input {
        typed.attrs.clear();
        if let Pat::Ident(pattern) = &mut *typed.pat {
            pattern.mutability = None;
        }
    }
}

fn plain_argument(argument: &Argument) -> TokenStream {
    let Argument { name, typed } = argument;
    let argument = &typed.ty;
    quote!(#name: #argument)
}
