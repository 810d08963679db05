//! The expansions in `tests/expansions`.
#![expect(clippy::disallowed_methods, reason = "tests read the environment")]

use std::path::Path;

use crate::expansion::cached;

/// `ACCEPT=1` writes the files anew.
#[test]
fn expansions_are_what_one_would_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansions");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_str().unwrap().ends_with(".in.rs") {
            continue;
        }
        count += 1;
        let found = expanded(&std::fs::read_to_string(&path).unwrap());
        let expected = path.to_str().unwrap().replace(".in.rs", ".out.rs");
        if std::env::var_os("ACCEPT").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&expected).unwrap(), found, "{path:?}");
    }
    assert_eq!(count, 3);
}

/// Returns what the one function or method of a file is expanded to.
fn expanded(file: &str) -> String {
    let item = syn::parse_file(file).unwrap().items.remove(0);
    let expanded = match item {
        syn::Item::Fn(function) => function_expanded(function),
        syn::Item::Impl(mut block) => {
            let Some(syn::ImplItem::Fn(method)) = block.items.pop() else { panic!("not a method") };
            let syn::ImplItemFn { attrs, vis, sig, block: body, .. } = method;
            let (methods, owner) = (
                function_expanded(syn::ItemFn { attrs, vis, sig, block: Box::new(body) }),
                block.self_ty,
            );
            quote::quote!(impl #owner { #methods })
        }
        _ => panic!("neither a function nor methods"),
    };
    prettyplease::unparse(&syn::parse2(expanded).unwrap())
}

fn function_expanded(mut function: syn::ItemFn) -> proc_macro2::TokenStream {
    let position = function.attrs.iter().position(|it| it.path().is_ident("cached")).unwrap();
    let attribute = function.attrs.remove(position);
    let arguments = attribute.meta.require_list().unwrap().tokens.clone();
    cached(arguments, quote::quote!(#function)).unwrap()
}
