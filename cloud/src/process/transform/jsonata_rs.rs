//! Evaluates with jsonata-rs, in the worker process only.
//!
//! The crate reads its input with the parser for expressions, so it is given nothing but JSON that `serde_json`
//! wrote. It compiles anew each time, because a compiled expression holds the memory of all its evaluations.
//! Its functions are plain pointers, so what they need from outside stands in thread-locals.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bumpalo::Bump;
use chrono::{DateTime, Utc};
use jsonata_rs::{Error, FunctionContext, JsonAta, Result, Value};

use super::{Limits, Outcome, TransformError, core, output};

const MAX_DEPTH: usize = 500;
/// Half of the process's memory; reaching it is a panic, which is answered, and not the end of the process.
const ARENA: usize = 512 << 20;
/// The crate binds its own clock after anything of ours, so ours is bound inside the expression.
const CLOCK: &str = "($now := $now_of_event; $millis := $millis_of_event; ";

thread_local! {
    static NOW: Cell<DateTime<Utc>> = const { Cell::new(DateTime::UNIX_EPOCH) };
    static DO_NOT_ROUTE: Cell<bool> = const { Cell::new(false) };
}

/// Only reads the expression.
pub(super) fn check(text: &str) -> std::result::Result<(), TransformError> {
    let read = catch_unwind(|| JsonAta::new(text, &Bump::new()).map(drop));
    match read {
        Ok(result) => result.map_err(|error| failed(&error, 0)),
        Err(panic) => Err(core::panicked(panic.as_ref())),
    }
}

pub(super) fn run(text: &str, input: &str, now: DateTime<Utc>, limits: Limits) -> Outcome {
    NOW.set(now);
    DO_NOT_ROUTE.set(false);
    catch_unwind(AssertUnwindSafe(|| evaluate(text, input, limits)))
        .unwrap_or_else(|panic| Outcome::Error(core::panicked(panic.as_ref())))
}

fn evaluate(text: &str, input: &str, limits: Limits) -> Outcome {
    let arena = Bump::new();
    arena.set_allocation_limit(Some(ARENA));
    let tells_time = text.contains("$now") || text.contains("$millis");
    // A comment at the end of the text must not swallow the bracket.
    let wrapped = tells_time.then(|| format!("{CLOCK}{text}\n)"));
    let shift = if tells_time { CLOCK.len() } else { 0 };
    let result = JsonAta::new(wrapped.as_deref().unwrap_or(text), &arena).and_then(|expression| {
        expression.register_function("doNotRoute", 0, do_not_route);
        expression.register_function("now_of_event", 2, now_of_event);
        expression.register_function("millis_of_event", 0, millis_of_event);
        let timeout = usize::try_from(limits.timeout.as_millis()).unwrap_or(usize::MAX);
        expression.evaluate_timeboxed(Some(input), Some(MAX_DEPTH), Some(timeout))
    });
    if DO_NOT_ROUTE.get() {
        return Outcome::DoNotRoute;
    }
    match result {
        Ok(value) => output::from_rs(value, limits.output),
        Err(error) => Outcome::Error(failed(&error, shift)),
    }
}

/// Its messages are `T0410 @ 2: text`, where the position counts from the start of the text it was given.
fn failed(error: &Error, shift: usize) -> TransformError {
    match error {
        Error::U1001Timeout => {
            return TransformError::new(
                "TIMEOUT",
                "the expression ran too long; look for an endless loop",
            );
        }
        Error::U1001StackOverflow => {
            return TransformError::new(
                "DEPTH",
                "the expression calls too deeply; look for an endless recursion",
            );
        }
        _ => {}
    }
    let full = error.to_string();
    let rest = full
        .split_once(" @ ")
        .map_or(full.as_str(), |(_, rest)| rest);
    let (position, message) = match rest.split_once(": ") {
        Some((digits, message)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            (digits.parse().ok(), message)
        }
        _ => (None, rest),
    };
    TransformError {
        position: position.and_then(|position: usize| position.checked_sub(shift)),
        ..TransformError::new(error.code(), message)
    }
}

fn do_not_route<'a>(_: FunctionContext<'a, '_>, _: &[&'a Value<'a>]) -> Result<&'a Value<'a>> {
    DO_NOT_ROUTE.set(true);
    // Nothing can catch an error, so this ends the evaluation wherever it stands.
    Err(Error::D3137Error("not routed".to_owned()))
}

#[expect(clippy::cast_precision_loss, reason = "JSONata has no other numbers")]
fn millis() -> f64 {
    NOW.get().timestamp_millis() as f64
}

#[expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "the crate sets the type"
)]
fn millis_of_event<'a>(
    context: FunctionContext<'a, '_>,
    _: &[&'a Value<'a>],
) -> Result<&'a Value<'a>> {
    Ok(Value::number(context.arena, millis()))
}

#[expect(clippy::needless_pass_by_value, reason = "the crate sets the type")]
fn now_of_event<'a>(
    context: FunctionContext<'a, '_>,
    args: &[&'a Value<'a>],
) -> Result<&'a Value<'a>> {
    let Some(from_millis) = context.frame.lookup("fromMillis") else {
        return Err(Error::D3137Error("there is no $fromMillis".to_owned()));
    };
    let millis: &Value<'_> = Value::number(context.arena, millis());
    let args: Vec<_> = [millis]
        .into_iter()
        .chain(args.iter().copied().filter(|arg| !arg.is_undefined()))
        .collect();
    context.evaluate_function(from_millis, &args)
}
