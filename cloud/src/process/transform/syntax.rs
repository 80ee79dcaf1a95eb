//! Reads an expression's text: refuses what is empty, too long, nested too deeply or wrong, and says where.
//!
//! The parser of jsonata-core tells what is wrong but not where. It reads from left to right, so the shortest
//! beginning of the text that fails in the same words ends with the token that is at fault, which is the
//! position the reference implementation reports.

use jsonata_core::{
    ast::{AstNode, Stage},
    evaluator::Evaluator,
    parser::{self, ParserError},
    value::JValue,
};

use super::{Engine, MAX_DEPTH, MAX_TEXT, TransformError, core::CoreProgram, threads, unsupported};

/// Parsing and walking a tree of the parser's own limit of 1,000 levels, unoptimised, needs some megabytes.
const STACK: usize = 64 << 20;

/// Compiles on a thread of its own, because callers stand on small stacks.
pub(super) fn compile(text: &str, engine: Engine) -> Result<CoreProgram, TransformError> {
    if text.trim().is_empty() {
        return Err(TransformError::new("EMPTY", "the expression is empty"));
    }
    if text.len() > MAX_TEXT {
        return Err(TransformError::new(
            "TOO_LONG",
            format!(
                "the expression has {} bytes; {MAX_TEXT} are allowed",
                text.len()
            ),
        ));
    }
    threads::with_stack(STACK, || {
        let ast = parser::parse(text).map_err(|error| located(text, &error))?;
        let depth = depth(&ast);
        if depth > MAX_DEPTH {
            return Err(TransformError::new(
                "DEPTH",
                format!(
                    "the expression is nested or chained {depth} levels deep; {MAX_DEPTH} are allowed"
                ),
            ));
        }
        match engine {
            Engine::JsonataCore => check_patterns(&ast)?,
            // This parser reads more than jsonata-rs does, has a limit on nesting and does not die,
            // so it is the first judge of a text for both.
            Engine::JsonataRs => unsupported::check(&ast)?,
        }
        Ok(CoreProgram::new(ast, text))
    })?
}

fn located(text: &str, error: &ParserError) -> TransformError {
    let full = error.to_string();
    let mut located = coded(&full, fallback_code(error));
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(start, c)| start + c.len_utf8())
        .collect();
    located.position = Some(match located.code.as_str() {
        "DEPTH" => return located,
        // These are found at the end of the text, wherever they began.
        "S0101" | "S0105" | "S0106" | "S0203" | "S0207" => ends.len(),
        _ => {
            let same =
                |&end: &usize| parser::parse(&text[..end]).is_err_and(|e| e.to_string() == full);
            ends.partition_point(|end| !same(end)) + 1
        }
    });
    located
}

fn fallback_code(error: &ParserError) -> &'static str {
    match error {
        ParserError::UnclosedComment => "S0106",
        ParserError::InvalidNumber(_) => "S0102",
        _ => "S0201",
    }
}

/// Splits `… S0201: text` into its code and its text, and gives our names to the limits.
pub(super) fn coded(message: &str, fallback: &str) -> TransformError {
    let is_code = |word: &str| {
        word.len() == 5
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word[1..].bytes().all(|b| b.is_ascii_digit())
    };
    let (code, text) = message
        .match_indices(": ")
        .find_map(|(colon, _)| {
            let code = message.get(colon.checked_sub(5)?..colon)?;
            is_code(code).then(|| (code, &message[colon + 2..]))
        })
        .unwrap_or((fallback, message));
    match code {
        "D1012" => TransformError::new(
            "TIMEOUT",
            "the expression ran too long; look for an endless loop",
        ),
        "D1011" | "U1001" | "U1002" => TransformError::new(
            "DEPTH",
            "the expression calls or nests too deeply; look for an endless recursion",
        ),
        _ => TransformError::new(code, text),
    }
}

/// The engine compiles a pattern only when it is used, which is late to hear that it is wrong.
fn check_patterns(node: &AstNode) -> Result<(), TransformError> {
    let mut result = Ok(());
    if let AstNode::Regex { pattern, .. } = node {
        let call = AstNode::Function {
            name: "contains".to_owned(),
            args: vec![AstNode::String(String::new()), node.clone()],
            is_builtin: true,
        };
        result = Evaluator::new()
            .evaluate(&call, &JValue::Undefined)
            .map(drop)
            .map_err(|error| {
                TransformError::new("REGEX", format!("/{pattern}/: {}", error.message()))
            });
    }
    each_child(node, &mut |child| {
        if result.is_ok() {
            result = check_patterns(child);
        }
    });
    result
}

/// How many evaluations stand inside each other, at most, when nothing recurses.
fn depth(node: &AstNode) -> usize {
    let mut deepest = 0;
    each_child(node, &mut |child| deepest = deepest.max(depth(child)));
    // A path is flat here, but jsonata-rs nests its steps.
    let own = match node {
        AstNode::Path { steps } => steps.len(),
        _ => 1,
    };
    deepest + own
}

/// Makes the one walk over a node's children for shared and for exclusive references.
macro_rules! each_child {
    ($name:ident, $iter:ident $(, $mut:tt)?) => {
        pub(super) fn $name<'a>(node: &'a $($mut)? AstNode, visit: &mut impl FnMut(&'a $($mut)? AstNode)) {
            match node {
                AstNode::Path { steps } => {
                    for step in steps {
                        visit(& $($mut)? step.node);
                        for stage in & $($mut)? step.stages {
                            if let Stage::Filter(filter) = stage {
                                visit(filter);
                            }
                        }
                    }
                }
                AstNode::Binary { lhs, rhs, .. } => {
                    visit(lhs);
                    visit(rhs);
                }
                AstNode::Unary { operand: inner, .. }
                | AstNode::Lambda { body: inner, .. }
                | AstNode::FunctionApplication(inner) => visit(inner),
                AstNode::Function { args: items, .. }
                | AstNode::Array(items)
                | AstNode::ArrayGroup(items)
                | AstNode::Block(items) => items.$iter().for_each(visit),
                AstNode::Call { procedure, args } => {
                    visit(procedure);
                    args.$iter().for_each(visit);
                }
                AstNode::Object(pairs) => {
                    for (key, value) in pairs {
                        visit(key);
                        visit(value);
                    }
                }
                AstNode::ObjectTransform { input, pattern } => {
                    visit(input);
                    for (key, value) in pattern {
                        visit(key);
                        visit(value);
                    }
                }
                AstNode::Conditional { condition, then_branch, else_branch } => {
                    visit(condition);
                    visit(then_branch);
                    if let Some(inner) = else_branch {
                        visit(inner);
                    }
                }
                AstNode::Sort { input, terms } => {
                    visit(input);
                    for (term, _) in terms {
                        visit(term);
                    }
                }
                AstNode::Transform { location, update, delete } => {
                    visit(location);
                    visit(update);
                    if let Some(inner) = delete {
                        visit(inner);
                    }
                }
                _ => {}
            }
        }
    };
}

each_child!(each_child, iter);
each_child!(each_child_mut, iter_mut, mut);
