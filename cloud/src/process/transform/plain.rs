//! Decides which expressions may run inside the service: those whose work is bounded before they start.
//!
//! A plain expression has no variables, functions of its own, ranges, sorting or text it evaluates, so it can
//! neither loop nor recurse, and each part of it makes from a context of size `s` at most `growth * s`. That is
//! all a mapping of fields needs. Everything else, however harmless it may look, runs in a worker process, which
//! costs some fifty microseconds and can be killed; so this list may err only on the side of leaving things out.

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};

/// Bytes of work, about a tenth of a second.
const BUDGET: u64 = 32 << 20;

/// Built-in functions that make no more than their arguments together, in time that grows with them alone.
#[rustfmt::skip]
const LINEAR: &[&str] = &[
    "abs", "append", "assert", "average", "base64decode", "base64encode", "boolean", "ceil", "contains", "count",
    "decodeUrl", "decodeUrlComponent", "doNotRoute", "encodeUrl", "encodeUrlComponent", "error", "exists", "floor",
    "formatBase", "keys", "length", "lookup", "lowercase", "max",
    "merge", "millis", "min", "not", "number", "power", "random", "reverse", "round", "split", "spread",
    "sqrt", "string", "substring", "substringAfter", "substringBefore", "sum", "trim", "type",
    "uppercase",
];

/// A regular expression is compiled anew for each use, which costs as much as reading some thousand bytes.
const REGEX: u64 = 4096;

pub(super) fn bounded(growth: Option<u64>, input_size: usize) -> bool {
    growth.is_some_and(|growth| growth.saturating_mul(input_size as u64) <= BUDGET)
}

/// How many times larger than its context the work and the result of `node` can be; `None` if it is not plain.
pub(super) fn growth(node: &AstNode) -> Option<u64> {
    match node {
        AstNode::Number(_)
        | AstNode::Boolean(_)
        | AstNode::Null
        | AstNode::Name(_)
        | AstNode::Wildcard => Some(1),
        AstNode::String(text) => Some(1 + text.len() as u64),
        AstNode::Regex { .. } => Some(REGEX),
        AstNode::Variable(name) if name.is_empty() => Some(1),
        AstNode::Path { steps } => steps
            .iter()
            .map(step_growth)
            .try_fold(1u64, |all, step| Some(all.saturating_mul(step?))),
        AstNode::Binary { op, lhs, rhs } if is_plain(*op) => sum([&**lhs, rhs]),
        AstNode::Unary { operand: inner, .. } | AstNode::FunctionApplication(inner) => {
            growth(inner)
        }
        AstNode::Function {
            name,
            args,
            is_builtin: true,
        } => call_growth(name, args),
        AstNode::Array(items) | AstNode::ArrayGroup(items) | AstNode::Block(items) => sum(items),
        AstNode::Object(pairs) => sum(pairs.iter().flat_map(|(key, value)| [key, value])),
        AstNode::Conditional {
            condition,
            then_branch,
            else_branch,
        } => sum([condition, then_branch]
            .into_iter()
            .chain(else_branch)
            .map(|node| &**node)),
        _ => None,
    }
}

/// Steps multiply: each is evaluated for every item of the one before, and may take it up more than once.
fn step_growth(step: &PathStep) -> Option<u64> {
    if step.focus.is_some()
        || step.index_var.is_some()
        || step.ancestor_label.is_some()
        || step.is_tuple
    {
        return None;
    }
    step.stages
        .iter()
        .map(|stage| match stage {
            Stage::Filter(filter) => growth(filter),
            Stage::KeepArray => Some(0),
            Stage::Index(_) => None,
        })
        .chain([growth(&step.node)])
        .try_fold(0u64, |all, one| Some(all.saturating_add(one?)))
}

fn call_growth(name: &str, args: &[AstNode]) -> Option<u64> {
    let literal = |arg: &AstNode| match arg {
        AstNode::String(text) => Some(1 + text.len() as u64),
        _ => None,
    };
    match (name, args) {
        (name, args) if LINEAR.contains(&name) => sum(args),
        ("join", [items]) => growth(items),
        // The second text is repeated as often as the first one says, so only a literal is bounded.
        ("join", [items, between]) => Some(growth(items)?.saturating_mul(literal(between)?)),
        ("replace", [text, pattern, by]) => {
            let times = literal(by)?.saturating_mul(2);
            Some(
                growth(text)?
                    .saturating_mul(times)
                    .saturating_add(growth(pattern)?),
            )
        }
        ("now", pictures) => pictured(pictures),
        ("fromMillis" | "toMillis" | "formatNumber" | "formatInteger", []) => Some(1),
        ("fromMillis" | "toMillis" | "formatNumber" | "formatInteger", [value, pictures @ ..]) => {
            Some(growth(value)?.saturating_add(pictured(pictures)?))
        }
        ("match", [text, pattern @ AstNode::Regex { .. }]) => sum([text, pattern]),
        ("pad", [text, width, rest @ ..]) => {
            let AstNode::Number(width) = unsigned(width) else {
                return None;
            };
            let fill = rest
                .iter()
                .map(literal)
                .try_fold(0, |all, one| Some(all + one?))?;
            // Widths worth padding to are small; a larger one is no mapping of fields.
            (*width <= 1000.0).then_some(())?;
            Some(growth(text)?.saturating_add(1000).saturating_add(fill))
        }
        _ => None,
    }
}

/// A picture can ask for a number of a billion digits, so it must be there to be read.
fn pictured(pictures: &[AstNode]) -> Option<u64> {
    let harmless = |picture: &AstNode| match picture {
        AstNode::String(text) => text
            .split(|c: char| !c.is_ascii_digit())
            .all(|digits| digits.len() < 4),
        _ => false,
    };
    pictures.iter().all(harmless).then_some(())?;
    sum(pictures)
}

fn unsigned(node: &AstNode) -> &AstNode {
    match node {
        AstNode::Unary { operand, .. } => operand,
        node => node,
    }
}

fn sum<'a>(nodes: impl IntoIterator<Item = &'a AstNode>) -> Option<u64> {
    nodes
        .into_iter()
        .try_fold(1u64, |all, node| Some(all.saturating_add(growth(node)?)))
}

fn is_plain(op: BinaryOp) -> bool {
    !matches!(
        op,
        BinaryOp::Range
            | BinaryOp::ColonEqual
            | BinaryOp::FocusBind
            | BinaryOp::IndexBind
            | BinaryOp::ChainPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, plain: bool) {
        let ast = jsonata_core::parser::parse(text).expect("the case parses");
        let growth = growth(&ast);
        assert_eq!(bounded(growth, 2000), plain, "{text}: {growth:?}");
    }

    #[test]
    fn only_bounded_work_is_plain() {
        check(
            r#"{"cold": {"value": body.cold, "timestamp": when * 1000}}"#,
            true,
        );
        check(
            r#"body.readings[value > 1].{"v": value, "u": $uppercase(unit)}"#,
            true,
        );
        check(
            r#"device & " is hot: " & $string($round(body.anomaly, 2))"#,
            true,
        );
        check("$merge(body.readings.{name: value})", true);
        check("body.anomaly > 0.7 ? $ : $doNotRoute()", true);
        check(
            r#"$pad(device, 20) & $join(body.list, ", ") & $replace(device, "dev:", "")"#,
            true,
        );
        for text in [
            "$x := 1",
            "[1..10]",
            "$map(a, function($v) { $v })",
            "a ~> $sum",
            "$eval('1')",
            "$$",
            "**",
            "a^(b)",
            "$sort(a)",
            "$distinct(a)",
            "a.b.%.c",
            "a@$x.b",
            "$pad('', 1e9)",
            "$pad('', width)",
            "$replace(a, 'x', a)",
            "$join(a, b)",
            "$string(1, 2)(3)",
            "$fromMillis(when, '[Y,999999999]')",
            "$fromMillis(when, picture)",
            "a.{'k': b}{k: k}",
        ] {
            check(text, false);
        }
        // Each step alone is harmless; forty of them make a value of 2^40 parts.
        check(&format!("${}", r#".{"a":$,"b":$}"#.repeat(40)), false);
    }
}
