//! The runtime that is built in: rten, on one thread.
//!
//! It is pure Rust and safe, but it trusts the graph to be sensible in places, and panics where it is not. A panic here is
//! an error of this model; it must not take the agent down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow, ensure};
use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueView};

/// What rten wants to see written out.
mod complete;

use super::Ports;

/// rten does not tell its version; the workspace pins this one.
pub(super) const NAME: &str = "rten 0.27.0 (built in)";

pub(super) struct Engine {
    model: Model,
    input: NodeId,
    shape: Vec<usize>,
    outputs: Vec<NodeId>,
}

impl Engine {
    pub(super) fn load(bytes: &[u8], ports: &Ports) -> anyhow::Result<Self> {
        let model = guarded("loading", || Ok(Model::load(complete::completed(bytes)?)?))?;
        let node = |name: &str| {
            model
                .find_node(name)
                .with_context(|| format!("rten does not find `{name}` in the graph"))
        };
        Ok(Self {
            input: node(&ports.input)?,
            shape: ports.shape.clone(),
            outputs: ports
                .outputs
                .iter()
                .map(|name| node(name))
                .collect::<anyhow::Result<_>>()?,
            model,
        })
    }

    pub(super) fn run(&self, input: &[f32]) -> anyhow::Result<Vec<Vec<f32>>> {
        let values = guarded("running", || {
            let value = ValueView::from_shape(&self.shape, input)?;
            let options = RunOptions::default().with_thread_pool(Some(one_thread()));
            let inputs = vec![(self.input, value.into())];
            Ok(self.model.run(inputs, &self.outputs, Some(options))?)
        })?;
        ensure!(
            values.len() == self.outputs.len(),
            "rten left out an output"
        );
        values.iter().map(numbers).collect()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.model.fmt(formatter)
    }
}

/// Frames are small: waking a second thread costs more than it would save, and the other cores have other work.
fn one_thread() -> Arc<ThreadPool> {
    static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| Arc::new(ThreadPool::with_num_threads(1)))
        .clone()
}

fn guarded<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    // Nothing outside sees what a panic may have left half done: the caller gets an error and drops the engine.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.with_context(|| format!("{what} it with rten")),
        Err(panic) => Err(anyhow!(
            "rten panicked {what} it ({}): the model does something it cannot",
            super::library::panic_message(panic.as_ref())
        )),
    }
}

/// Indices are small whole numbers, which f32 holds exactly.
fn numbers(value: &Value) -> anyhow::Result<Vec<f32>> {
    if let Some(tensor) = value.as_tensor_view::<f32>() {
        return Ok(tensor.iter().copied().collect());
    }
    if let Some(tensor) = value.as_tensor_view::<i32>() {
        #[expect(clippy::cast_precision_loss, reason = "an index below 768")]
        return Ok(tensor.iter().map(|&number| number as f32).collect());
    }
    Err(anyhow!("an output holds {:?}, no numbers", value.dtype()))
}
