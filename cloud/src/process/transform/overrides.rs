//! Built-in functions of jsonata-core that are replaced or added.
//!
//! `$now` and `$millis` take the time from the caller. `$random`, `$now(picture)` and `$fromMillis` of a fraction
//! of a millisecond are missing in the crate, the two `$encodeUrl` functions encode too little or too much,
//! and `$pad` would fill the memory when asked to. `$doNotRoute` is Notehub's. A replaced function asks
//! the original for everything it does not mean to change, so argument errors stay the same.

use std::{cell::Cell, rc::Rc};

use chrono::{DateTime, SecondsFormat, Utc};
use jsonata_core::{
    ast::{AstNode, BinaryOp},
    evaluator::{Context, Evaluator, EvaluatorError, HostFnResult},
    value::JValue,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::syntax::each_child_mut;

/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What `encodeURI` leaves as it is.
const WHOLE: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');

/// The replaced functions that `text` may call. A name can hide in text that `$eval` puts together.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one flag a function")]
pub(super) struct Used {
    time: bool,
    from_millis: bool,
    random: bool,
    pad: bool,
    encode: bool,
    do_not_route: bool,
}

impl Used {
    pub(super) fn of(text: &str) -> Self {
        let may_call = |name| text.contains(name) || text.contains("eval");
        Self {
            time: may_call("now") || may_call("millis"),
            from_millis: may_call("fromMillis"),
            random: may_call("random"),
            pad: may_call("pad"),
            encode: may_call("encodeUrl"),
            do_not_route: may_call("doNotRoute"),
        }
    }
}

/// Returns the flag that `$doNotRoute()` sets.
pub(super) fn register(
    evaluator: &mut Evaluator,
    used: Used,
    now: DateTime<Utc>,
    widest: usize,
) -> Result<Rc<Cell<bool>>, EvaluatorError> {
    let do_not_route = Rc::new(Cell::new(false));
    if used.do_not_route {
        let flag = Rc::clone(&do_not_route);
        evaluator.register_fn("doNotRoute", move |_: &[JValue]| -> HostFnResult {
            flag.set(true);
            // Nothing can catch an error, so this ends the evaluation wherever it stands.
            Err(EvaluatorError::EvaluationError("not routed".to_owned()))
        })?;
    }
    if used.time {
        #[expect(clippy::cast_precision_loss, reason = "JSONata has no other numbers")]
        let millis = now.timestamp_millis() as f64;
        evaluator.register_fn_override("millis", move |args: &[JValue]| match args {
            [] => Ok(JValue::Number(millis)),
            args => original("millis", args),
        })?;
        evaluator.register_fn_override("now", move |args: &[JValue]| match args {
            [] => Ok(JValue::from(
                now.to_rfc3339_opts(SecondsFormat::Millis, true),
            )),
            picture => {
                let args: Vec<_> = [JValue::Number(millis)]
                    .into_iter()
                    .chain(picture.iter().cloned())
                    .collect();
                original("fromMillis", &args)
            }
        })?;
    }
    if used.from_millis {
        evaluator.register_fn_override("fromMillis", |args: &[JValue]| match args {
            [JValue::Number(millis), picture @ ..] => {
                let whole = JValue::Number(millis.trunc());
                let args: Vec<_> = [whole].into_iter().chain(picture.iter().cloned()).collect();
                original("fromMillis", &args)
            }
            args => original("fromMillis", args),
        })?;
    }
    if used.random {
        evaluator.register_fn_override("random", |_: &[JValue]| -> HostFnResult {
            Ok(JValue::Number(rand::random()))
        })?;
    }
    if used.pad {
        evaluator.register_fn_override("pad", move |args: &[JValue]| pad(args, widest))?;
    }
    if used.encode {
        evaluator.register_fn_override("encodeUrl", |args: &[JValue]| {
            encode("encodeUrl", args, WHOLE)
        })?;
        evaluator.register_fn_override("encodeUrlComponent", |args: &[JValue]| {
            encode("encodeUrlComponent", args, COMPONENT)
        })?;
    }
    Ok(do_not_route)
}

fn pad(args: &[JValue], widest: usize) -> HostFnResult {
    #[expect(clippy::cast_precision_loss, reason = "a limit need not be exact")]
    let widest = widest as f64;
    match args.get(1) {
        Some(JValue::Number(width)) if width.abs() > widest => {
            Err(EvaluatorError::EvaluationError(format!(
                "OUTPUT_LIMIT: $pad to {width} characters; {widest} are allowed"
            )))
        }
        _ => original("pad", args),
    }
}

fn encode(name: &str, args: &[JValue], set: &'static AsciiSet) -> HostFnResult {
    match args {
        // `$map` and its like hand a replaced function more arguments than it takes.
        [JValue::String(text), ..] => Ok(JValue::from(utf8_percent_encode(text, set).to_string())),
        args => original(name, args),
    }
}

/// Calls the built-in function itself, with an evaluator that has no replacements.
fn original(name: &str, args: &[JValue]) -> HostFnResult {
    let mut context = Context::new();
    let names = (0..args.len()).map(|index| format!("argument{index}"));
    let call = AstNode::Function {
        name: name.to_owned(),
        args: names.clone().map(AstNode::Variable).collect(),
        is_builtin: true,
    };
    for (name, value) in names.zip(args) {
        context.bind(name, value.clone());
    }
    // No function here takes null for a missing first argument, as it would take a fitting context.
    Evaluator::with_context(context).evaluate(&call, &JValue::Null)
}

/// Writes the context as an argument where a replaced function would have taken it by itself
/// (`name.$pad(9)`), because a replacement is not told the context.
pub(super) fn pass_context(node: &mut AstNode) {
    if let AstNode::Binary {
        op: BinaryOp::ChainPipe,
        lhs,
        rhs,
    } = node
    {
        pass_context(lhs);
        // Here the left side becomes the first argument.
        each_child_mut(rhs, &mut pass_context);
        return;
    }
    if let AstNode::Function {
        name,
        args,
        is_builtin: true,
    } = node
    {
        let takes_context = match (name.as_str(), args.as_slice()) {
            ("fromMillis" | "encodeUrl" | "encodeUrlComponent", []) | ("pad", [_]) => true,
            ("pad", [width, _]) => matches!(width, AstNode::Number(_) | AstNode::Unary { .. }),
            _ => false,
        };
        if takes_context && !args.contains(&AstNode::Placeholder) {
            args.insert(0, AstNode::Variable(String::new()));
        }
    }
    each_child_mut(node, &mut pass_context);
}
