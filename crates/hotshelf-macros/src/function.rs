//! The function that is cached.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    AttrStyle, Attribute, Error, FnArg, GenericArgument, GenericParam, Generics, Ident, ItemFn,
    Pat, PatType, PathArguments, PathSegment, Receiver, Result, ReturnType, Type, WherePredicate,
};

use crate::mentions::{mentioned, text_of};

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

    /// Returns the attributes of the function that callers call.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        let of_body = |it: &&Attribute| it.path().is_ident("expect") || is_inner(it);
        self.item.attrs.iter().filter(move |it| !of_body(it))
    }

    /// Returns those of the function with the body: conditions and lints.
    pub(crate) fn attributes_of_body(&self) -> impl Iterator<Item = Attribute> {
        const KINDS: [&str; 6] = ["allow", "cfg", "deny", "expect", "forbid", "warn"];
        let of_body = |it: &&Attribute| KINDS.iter().any(|kind| it.path().is_ident(kind));
        let outer = |it: &Attribute| Attribute { style: AttrStyle::Outer, ..it.clone() };
        self.item.attrs.iter().filter(of_body).map(outer)
    }

    /// Returns the conditions under which the function exists.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.item.attrs.iter().filter(|it| it.path().is_ident("cfg"))
    }

    /// Returns the type and const parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Ident> {
        self.item.sig.generics.params.iter().filter_map(|it| match it {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) => None,
        })
    }

    /// Returns the type and const parameters that no argument mentions.
    pub(crate) fn unmentioned_parameters(&self) -> Vec<&Ident> {
        let all = self.arguments.iter().map(|it| it.typed.ty.to_token_stream());
        let names = mentioned(all.collect());
        self.parameters().filter(|name| !names.contains(&text_of(name))).collect()
    }

    /// Returns the generic parameters that some tokens mention, and those that these need.
    pub(crate) fn generics_of(&self, tokens: TokenStream) -> Generics {
        let all = &self.item.sig.generics;
        let name = |parameter: &GenericParam| match parameter {
            GenericParam::Type(parameter) => text_of(&parameter.ident),
            GenericParam::Const(parameter) => text_of(&parameter.ident),
            GenericParam::Lifetime(parameter) => text_of(&parameter.lifetime.ident),
        };
        let receiver = self.receiver.iter().map(ToTokens::to_token_stream);
        let mut names = mentioned(receiver.chain([tokens]).collect());
        for _ in &all.params {
            let kept = all.params.iter().filter(|it| names.contains(&name(it)));
            let bounds: TokenStream = kept.map(ToTokens::to_token_stream).collect();
            names.extend(mentioned(bounds));
        }
        let (kept, removed): (Vec<_>, Vec<_>) =
            all.params.iter().cloned().partition(|it| names.contains(&name(it)));
        let removed: HashSet<String> = removed.iter().map(name).collect();
        let mut generics = Generics { params: kept.into_iter().collect(), ..all.clone() };
        if let Some(clause) = &mut generics.where_clause {
            let is_kept = |predicate: &&WherePredicate| {
                mentioned(predicate.to_token_stream()).is_disjoint(&removed)
            };
            clause.predicates = clause.predicates.iter().filter(is_kept).cloned().collect();
        }
        generics
    }
}

fn is_inner(attribute: &Attribute) -> bool {
    matches!(attribute.style, AttrStyle::Inner(_))
}

fn argument(typed: &PatType) -> Result<Argument> {
    if let Some(condition) = typed.attrs.iter().find(|it| it.path().is_ident("cfg")) {
        let message = "`#[cached]` can't leave arguments out: put `#[cfg]` on two functions";
        return Err(Error::new_spanned(condition, message));
    }
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
    let path = match path {
        Type::Path(path) => path,
        // By a macro.
        Type::Group(group) => return last_segment(&group.elem),
        Type::Paren(group) => return last_segment(&group.elem),
        _ => return None,
    };
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
