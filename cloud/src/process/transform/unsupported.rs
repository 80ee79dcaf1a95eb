//! Refuses for jsonata-rs what it is known to lack, to get wrong or to die of, before it is tried.
//!
//! The list comes from running the language's own test suite through the crate. What is refused here
//! works in jsonata-core, the default engine, and the message says so.

use std::collections::HashSet;

use jsonata_core::ast::{AstNode, BinaryOp};

use super::{TransformError, syntax::each_child};

const MISSING: &[&str] = &[
    "average",
    "clone",
    "decodeUrl",
    "decodeUrlComponent",
    "encodeUrl",
    "encodeUrlComponent",
    "eval",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "parseInteger",
    "shuffle",
    "sift",
    "spread",
    "type",
];

/// Built-in functions by the arguments they need, because the crate does not fill in the context for the first.
#[rustfmt::skip]
const WITHOUT_CONTEXT: &[(usize, &[&str])] = &[
    (1, &[
        "abs", "base64decode", "base64encode", "boolean", "ceil", "floor", "fromMillis", "length", "lowercase", "not",
        "number", "round", "sqrt", "toMillis", "trim", "uppercase",
    ]),
    (2, &[
        "contains", "lookup", "match", "pad", "power", "split", "substring", "substringAfter", "substringBefore",
    ]),
    (3, &["replace"]),
];

pub(super) fn check(ast: &AstNode) -> Result<(), TransformError> {
    let mut own = HashSet::new();
    collect_names(ast, &mut own);
    let mut found = None;
    find(ast, 0, &own, &mut found);
    match found {
        None => Ok(()),
        Some(what) => Err(TransformError::new(
            "UNSUPPORTED",
            format!("jsonata-rs cannot evaluate {what}; use the engine jsonata-core"),
        )),
    }
}

/// Names the expression gives to values itself, which hide a built-in function.
fn collect_names<'a>(node: &'a AstNode, names: &mut HashSet<&'a str>) {
    match node {
        AstNode::Binary {
            op: BinaryOp::ColonEqual,
            lhs,
            ..
        } => {
            if let AstNode::Variable(name) = &**lhs {
                names.insert(name);
            }
        }
        AstNode::Lambda { params, .. } => names.extend(params.iter().map(String::as_str)),
        _ => {}
    }
    each_child(node, &mut |child| collect_names(child, names));
}

/// `piped` is the number of arguments that come from the left side of `~>`.
fn find(node: &AstNode, piped: usize, own: &HashSet<&str>, found: &mut Option<String>) {
    if found.is_some() {
        return;
    }
    *found = name_of_unsupported(node, piped, own);
    if let AstNode::Binary {
        op: BinaryOp::ChainPipe,
        lhs,
        rhs,
    } = node
    {
        find(lhs, 0, own, found);
        find(rhs, 1, own, found);
    } else {
        each_child(node, &mut |child| find(child, 0, own, found));
    }
}

fn name_of_unsupported(node: &AstNode, piped: usize, own: &HashSet<&str>) -> Option<String> {
    let what = match node {
        AstNode::Function { name, .. } | AstNode::Variable(name)
            if MISSING.contains(&name.as_str()) && !own.contains(name.as_str()) =>
        {
            return Some(format!("${name}"));
        }
        AstNode::Function {
            name,
            args,
            is_builtin: true,
        } if !own.contains(name.as_str()) && args.len() + piped < needed(name) => {
            return Some(format!("${name} without its first argument"));
        }
        AstNode::Parent(_) => "the parent operator %",
        AstNode::Binary {
            op: BinaryOp::Coalesce,
            ..
        } => "the operator ??",
        AstNode::Binary {
            op: BinaryOp::Default,
            ..
        } => "the operator ?:",
        AstNode::Lambda {
            signature: Some(_), ..
        } => "a function's signature <...>",
        AstNode::Placeholder => "an argument left open with ?",
        AstNode::Call { .. } => "a call of something that has no name",
        AstNode::Sort { terms, .. } if terms.len() > 1 => "a sort by more than one key",
        AstNode::ObjectTransform { input, .. } if matches!(**input, AstNode::Variable(_)) => {
            "grouping { } after a variable"
        }
        _ => return None,
    };
    Some(what.to_owned())
}

fn needed(name: &str) -> usize {
    WITHOUT_CONTEXT
        .iter()
        .find_map(|(needed, names)| names.contains(&name).then_some(*needed))
        .unwrap_or(0)
}
