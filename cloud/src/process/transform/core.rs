//! Runs expressions with jsonata-core: parsed once, evaluated by a fresh evaluator each time.
//!
//! The limits here (time, depth, length of sequences, size of the result) end every evaluation that passes
//! through the evaluator's own checks. What does not, such as writing out a value of 2^40 shared parts as text,
//! is ended from outside; see `plain` and `worker`.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use chrono::{DateTime, Utc};
use jsonata_core::{
    ast::AstNode,
    evaluator::{Context, Evaluator, EvaluatorError, EvaluatorOptions},
    value::JValue,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Limits, MAX_DEPTH, Outcome, TransformError, output, overrides, plain, syntax};

const MAX_SEQUENCE: usize = 100_000;

#[derive(Debug)]
pub(super) struct CoreProgram {
    ast: AstNode,
    pub(super) growth: Option<u64>,
    used: overrides::Used,
}

impl CoreProgram {
    pub(super) fn new(mut ast: AstNode, text: &str) -> Self {
        overrides::pass_context(&mut ast);
        Self {
            growth: plain::growth(&ast),
            used: overrides::Used::of(text),
            ast,
        }
    }

    pub(super) fn run(&self, input: &Value, now: DateTime<Utc>, limits: Limits) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.evaluate(input, now, limits)))
            .unwrap_or_else(|panic| Outcome::Error(panicked(panic.as_ref())))
    }

    fn evaluate(&self, input: &Value, now: DateTime<Utc>, limits: Limits) -> Outcome {
        let input = match JValue::deserialize(input) {
            Ok(input) => input,
            Err(error) => return Outcome::Error(TransformError::new("INPUT", error.to_string())),
        };
        let options = EvaluatorOptions {
            timeout_ms: Some(u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX)),
            max_stack_depth: Some(MAX_DEPTH),
            max_sequence_length: Some(MAX_SEQUENCE),
            ..EvaluatorOptions::default()
        };
        let mut evaluator = Evaluator::with_options(Context::new(), options);
        let do_not_route = match overrides::register(&mut evaluator, self.used, now, limits.output)
        {
            Ok(flag) => flag,
            Err(error) => return Outcome::Error(failed(&error)),
        };
        let result = evaluator.evaluate(&self.ast, &input);
        if do_not_route.get() {
            return Outcome::DoNotRoute;
        }
        match result {
            Ok(value) => output::from_core(&value, limits.output),
            Err(error) => Outcome::Error(failed(&error)),
        }
    }
}

fn failed(error: &EvaluatorError) -> TransformError {
    if let Some(message) = error.message().strip_prefix("OUTPUT_LIMIT: ") {
        return TransformError::new("OUTPUT_LIMIT", message);
    }
    syntax::coded(error.message(), "EVALUATION")
}

pub(super) fn panicked(panic: &(dyn Any + Send)) -> TransformError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    TransformError::new("PANIC", format!("the engine panicked: {text}"))
}
