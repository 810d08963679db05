//! The function that is cached.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Error, FnArg, GenericArgument, GenericParam, Generics, Ident, ItemFn, Pat, PatType,
    PathArguments, PathSegment, Receiver, Result, ReturnType, Type, WherePredicate,
};

use crate::mentions::mentioned;

/// An argument with a name.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) typed: PatType,
}

/// A function, as far as its expansion depends on it.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) returned: Returned,
}

/// What the function returns.
pub(crate) struct Returned {
    /// The type as it is written.
    pub(crate) written: Type,
    /// The type of the value, without `Option` and `Result`.
    pub(crate) value: Type,
    pub(crate) is_optional: bool,
    /// The type of the error.
    pub(crate) error: Option<TokenStream>,
}

impl Function {
    pub(crate) fn new(item: ItemFn) -> Result<Self> {
        let sig = &item.sig;
        if sig.asyncness.is_none() {
            let message = "`#[cached]` needs an async function: write `async fn`";
            return Err(Error::new_spanned(sig.fn_token, message));
        }
        let mut receiver = None;
        let mut arguments = Vec::new();
        for input in &sig.inputs {
            match input {
                FnArg::Receiver(own) => receiver = Some(own.clone()),
                FnArg::Typed(typed) => arguments.push(argument(typed)?),
            }
        }
        let returned = Returned::new(&sig.output)?;
        Ok(Self { receiver, arguments, returned, item })
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.item.sig.ident
    }

    /// Returns the generic parameters that some arguments mention.
    pub(crate) fn generics_of(&self, arguments: &[&Argument]) -> Generics {
        let types = arguments.iter().map(|argument| argument.typed.ty.to_token_stream());
        let names = mentioned(types.collect());
        let all = &self.item.sig.generics;
        let mut removed = HashSet::new();
        let mut generics = all.clone();
        generics.params = (all.params.iter())
            .filter(|parameter| {
                let name = match parameter {
                    GenericParam::Type(parameter) => &parameter.ident,
                    GenericParam::Const(parameter) => &parameter.ident,
                    GenericParam::Lifetime(parameter) => &parameter.lifetime.ident,
                };
                let name = name.to_string();
                names.contains(&name) || !removed.insert(name)
            })
            .cloned()
            .collect();
        if let Some(clause) = &mut generics.where_clause {
            let is_kept = |predicate: &&WherePredicate| {
                mentioned(predicate.to_token_stream()).is_disjoint(&removed)
            };
            clause.predicates = clause.predicates.iter().filter(is_kept).cloned().collect();
        }
        generics
    }
}

fn argument(typed: &PatType) -> Result<Argument> {
    match &*typed.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Ok(Argument { name: pattern.ident.clone(), typed: typed.clone() })
        }
        other => {
            let message = "`#[cached]` needs the names of arguments: take the value by a name, and \
                           destructure it in the body";
            Err(Error::new_spanned(other, message))
        }
    }
}

impl Returned {
    fn new(output: &ReturnType) -> Result<Self> {
        let ReturnType::Type(_, written) = output else {
            let message = "`#[cached]` needs a function that returns a value";
            return Err(Error::new(Span::call_site(), message));
        };
        let written = (**written).clone();
        if let Type::ImplTrait(_) = written {
            let message = "`#[cached]` needs the name of the type that is returned";
            return Err(Error::new_spanned(written, message));
        }
        let (mut value, mut error) = (written.clone(), None);
        if let Some((segment, parameters)) = last_segment(&written)
            && segment.ident.to_string().ends_with("Result")
            && let Some(first) = parameters.first()
        {
            error = Some(match parameters.get(1) {
                Some(second) => second.to_token_stream(),
                None => quote!(<#written as ::hotshelf::macros::Fallible>::Error),
            });
            value = first.clone();
        }
        let inner = last_segment(&value)
            .filter(|(segment, parameters)| segment.ident == "Option" && parameters.len() == 1)
            .map(|(_, mut parameters)| parameters.remove(0));
        let is_optional = inner.is_some();
        let value = inner.unwrap_or(value);
        Ok(Self { written, value, is_optional, error })
    }

    /// Returns whether the body returns a shared value.
    pub(crate) fn is_shared(&self) -> bool {
        last_segment(&self.value).is_some_and(|(segment, _)| segment.ident == "Arc")
    }

    /// Returns the type that callers get.
    pub(crate) fn shared(&self) -> TokenStream {
        let value = &self.value;
        let shared = match self.is_shared() {
            true => quote!(#value),
            false => quote!(::std::sync::Arc<#value>),
        };
        let found = match self.is_optional {
            true => quote!(::std::option::Option<#shared>),
            false => shared,
        };
        match &self.error {
            Some(error) => quote!(::std::result::Result<#found, ::hotshelf::LoadError<#error>>),
            None => found,
        }
    }
}

/// Returns the last segment of a path, and its type parameters.
fn last_segment(path: &Type) -> Option<(&PathSegment, Vec<Type>)> {
    let Type::Path(path) = path else { return None };
    let segment = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Some((segment, Vec::new()));
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(parameter) => Some(parameter.clone()),
        _ => None,
    });
    Some((segment, types.collect()))
}
