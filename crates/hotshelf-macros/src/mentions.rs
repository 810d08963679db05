//! The variables that an expression uses.

use std::collections::HashSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprClosure, ExprForLoop, ExprIf, ExprPath, ExprWhile, Ident, Local, Pat,
};

/// Returns the variables that an expression uses and doesn't bind by itself. Of what is passed to a
/// macro all names count, also those in the text of `format!("{name}")`.
pub(crate) fn used(expression: &Expr) -> HashSet<String> {
    let mut uses = Uses::default();
    uses.visit_expr(expression);
    uses.names
}

/// Returns all names in some tokens.
pub(crate) fn mentioned(tokens: TokenStream) -> HashSet<String> {
    let mut names = HashSet::new();
    collect(tokens, &mut names);
    names
}

/// Returns the text of a name, without `r#`.
pub(crate) fn text_of(name: &Ident) -> String {
    name.unraw().to_string()
}

#[derive(Default)]
struct Uses {
    names: HashSet<String>,
    /// What the surrounding code has bound.
    bound: Vec<String>,
}

impl Uses {
    fn bind(&mut self, pattern: &Pat) {
        let mut bindings = Bindings(Vec::new());
        bindings.visit_pat(pattern);
        self.bound.append(&mut bindings.0);
    }

    /// Visits code that sees further bindings.
    fn within(&mut self, visit: impl FnOnce(&mut Self)) {
        let outside = self.bound.len();
        visit(self);
        self.bound.truncate(outside);
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(name) = path.path.get_ident().map(text_of)
            && !self.bound.contains(&name)
        {
            self.names.insert(name);
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.within(|uses| {
            closure.inputs.iter().for_each(|input| uses.bind(input));
            uses.visit_expr(&closure.body);
        });
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.within(|uses| visit::visit_block(uses, block));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
        self.bind(&local.pat);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        self.within(|uses| {
            uses.bind(&arm.pat);
            visit::visit_arm(uses, arm);
        });
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.within(|uses| {
            uses.visit_expr(&branch.cond);
            uses.visit_block(&branch.then_branch);
        });
        branch.else_branch.iter().for_each(|(_, other)| self.visit_expr(other));
    }

    fn visit_expr_while(&mut self, repeated: &'ast ExprWhile) {
        self.within(|uses| visit::visit_expr_while(uses, repeated));
    }

    fn visit_expr_for_loop(&mut self, repeated: &'ast ExprForLoop) {
        self.visit_expr(&repeated.expr);
        self.within(|uses| {
            uses.bind(&repeated.pat);
            uses.visit_block(&repeated.body);
        });
    }

    fn visit_expr_let(&mut self, bound: &'ast syn::ExprLet) {
        self.visit_expr(&bound.expr);
        self.bind(&bound.pat);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let names = mentioned(called.tokens.clone());
        self.names.extend(names.into_iter().filter(|name| !self.bound.contains(name)));
    }
}

/// The names that a pattern binds.
struct Bindings(Vec<String>);

impl<'ast> Visit<'ast> for Bindings {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.0.push(text_of(&pattern.ident));
        visit::visit_pat_ident(self, pattern);
    }
}

fn collect(tokens: TokenStream, names: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => drop(names.insert(text_of(&name))),
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(literal) => names.extend(captured(&literal.to_string())),
            TokenTree::Punct(_) => {}
        }
    }
}

/// Returns the names that a format string captures.
fn captured(text: &str) -> impl Iterator<Item = String> {
    let text = if text.contains('"') { text.replace("{{", "") } else { String::new() };
    let names = text.split('{').skip(1).map(|after| {
        after.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect::<String>()
    });
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    use super::*;

    #[test]
    fn only_variables_are_used() {
        for (expression, expected) in [
            ("id", "id"),
            ("(tenant, user.id)", "tenant user"),
            ("self.pages", "self"),
            ("ids.iter().map(|id| *id + offset).sum::<u32>()", "ids offset"),
            ("{ let id = other; id }", "other"),
            ("if let Some(id) = found { id } else { id }", "found id"),
            ("match kind { Kind::A(id) => id, _ => 0 }", "kind"),
            ("(\"{id}\", other)", "other"),
            ("format!(\"{a}:{b:?}:{}:{{c}}\", d)", "a b d"),
            ("Key { id, name: text }", "id text"),
            ("module::id(r#type)", "type"),
        ] {
            let found = used(&parse_str(expression).unwrap());
            let expected: HashSet<_> = expected.split(' ').map(str::to_owned).collect();
            assert_eq!(found, expected, "{expression}");
        }
    }
}
