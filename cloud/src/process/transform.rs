//! Runs the JSONata expressions that people write: routes' transforms, rules' values and messages.
//!
//! This is the one seam behind which an expression engine lives; no type of an engine crate leaves it.
//! `Transforms::compile` refuses a bad expression with its position and reason, `Program::run` is a pure
//! function of the input and `now`, and its `Outcome` says what to do with the event.
//!
//! Promise: no expression can stop, slow or grow the service. An expression whose work is bounded by its
//! text and its input (`plain`) runs on a thread of the pool; every other one runs in a child process
//! with a memory limit, which is killed when it does not answer. Only there may it loop, recurse or explode.
//!
//! Codes of errors are JSONata's (`S....`, `T....`, `D....`) or ours: `EMPTY`, `TOO_LONG`, `REGEX`, `DEPTH`, `TIMEOUT`,
//! `OUTPUT_LIMIT`, `FUNCTION` (the result holds a function), `INPUT` (the event is nested too deeply),
//! `UNSUPPORTED` (by the chosen engine), `EVALUATION` (any error without a code), `PANIC`, `WORKER` (the child
//! process died or could not be started) and `THREAD` (run outside `Transforms::on_thread`).

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config;

/// Reads a text, and refuses a bad one with its place.
mod syntax;

/// What jsonata-rs is not even asked.
mod unsupported;

/// Which expressions may run in this process.
mod plain;

/// The pool with its large stacks.
mod threads;

/// The engine jsonata-core.
mod core;

/// Its replaced built-in functions.
mod overrides;

/// Its result as JSON, within a budget.
mod output;

/// The other process, seen from here.
mod worker;

/// What is said between the two.
mod wire;

/// The other process itself.
mod worker_main;

/// The engine jsonata-rs, which runs only there.
mod jsonata_rs;

pub use worker_main::worker_main;

/// The longest expression that is compiled.
const MAX_TEXT: usize = 64 * 1024;
/// JSONata's own depth of evaluation, and the nesting an expression's text may have.
const MAX_DEPTH: usize = 200;
/// `serde_json` reads no deeper, so nothing deeper can have come from a request.
const MAX_INPUT_DEPTH: usize = 127;

/// What an expression made of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Json(Value),
    /// The expression gave no value at all (`undefined`), which is not `null`.
    Nothing,
    /// The expression called `$doNotRoute()`.
    DoNotRoute,
    Error(TransformError),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformError {
    pub code: String,
    pub message: String,
    /// Characters read from the start of the expression when the error was found, if the engine tells.
    pub position: Option<usize>,
}

impl TransformError {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            position: None,
        }
    }
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{} at {position}: {}", self.code, self.message),
            None => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for TransformError {}

/// The chosen engine, its limits and its threads. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Transforms(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: Engine,
    limits: Limits,
    worker_exe: PathBuf,
    pool: threads::Pool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Engine {
    JsonataCore,
    JsonataRs,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Limits {
    timeout: Duration,
    output: usize,
}

/// A compiled expression; cheap to clone, and shared by all threads.
#[derive(Debug, Clone)]
pub struct Program(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: String,
    core: core::CoreProgram,
    transforms: Transforms,
}

impl Transforms {
    /// `worker_exe` is started with the argument `transform-worker` and must then call `worker_main`.
    pub fn new(config: &config::Transform, worker_exe: PathBuf) -> Self {
        Self(Arc::new(Shared {
            engine: match config.engine {
                config::Engine::JsonataCore => Engine::JsonataCore,
                config::Engine::JsonataRs => Engine::JsonataRs,
            },
            limits: Limits {
                timeout: config.timeout,
                output: config.output_limit,
            },
            worker_exe,
            pool: threads::Pool::default(),
        }))
    }

    pub fn compile(&self, text: &str) -> Result<Program, TransformError> {
        let core = syntax::compile(text, self.0.engine)?;
        if self.0.engine == Engine::JsonataRs {
            worker::check(&self.0, text)?;
        }
        Ok(Program(Arc::new(Compiled {
            text: text.to_owned(),
            core,
            transforms: self.clone(),
        })))
    }

    /// Runs `work`, which may run many programs, on a thread with a stack no expression can overflow.
    /// A panic in it becomes an error.
    pub async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        self.0.pool.run(work).await
    }
}

impl Program {
    /// Evaluates with `$now()` and `$millis()` being `now`. Call it inside `Transforms::on_thread`.
    pub fn run(&self, input: &Value, now: DateTime<Utc>) -> Outcome {
        if !threads::on_pool() {
            return Outcome::Error(TransformError::new(
                "THREAD",
                "an expression runs only inside Transforms::on_thread",
            ));
        }
        let Some(input_size) = output::size_within(input, MAX_INPUT_DEPTH) else {
            return Outcome::Error(TransformError::new(
                "INPUT",
                format!("the event is nested more than {MAX_INPUT_DEPTH} levels deep"),
            ));
        };
        let shared = &self.0.transforms.0;
        match shared.engine {
            Engine::JsonataCore if plain::bounded(self.0.core.growth, input_size) => {
                self.0.core.run(input, now, shared.limits)
            }
            _ => worker::run(shared, &self.0.text, input, now),
        }
    }
}
