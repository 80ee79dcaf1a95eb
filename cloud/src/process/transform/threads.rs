//! A few plain threads with stacks that no bounded evaluation can overflow.
//!
//! The stacks are address space only, until they are used. The threads start with the first work
//! and end when the last `Transforms` is gone, taking their worker processes with them.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::{TransformError, core};

const STACK: usize = 256 << 20;
const MAX_THREADS: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    static ON_POOL: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread of a pool, the only place where an expression may run.
pub(super) fn on_pool() -> bool {
    ON_POOL.get()
}

#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Option<mpsc::Sender<Job>>>);

impl Pool {
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more when the caller was dropped.
            if !sender.is_closed() {
                sender.send(catch_unwind(AssertUnwindSafe(work))).ok();
            }
        });
        self.jobs()?
            .send(job)
            .ok()
            .context("the transform threads have ended")?;
        match receiver.await.context("the transform threads have ended")? {
            Ok(result) => Ok(result),
            Err(panic) => Err(core::panicked(panic.as_ref()).into()),
        }
    }

    fn jobs(&self) -> anyhow::Result<mpsc::Sender<Job>> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(jobs.clone());
        }
        Ok(jobs.insert(start()?).clone())
    }
}

fn start() -> anyhow::Result<mpsc::Sender<Job>> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    let count = thread::available_parallelism().map_or(2, |n| n.get().clamp(2, MAX_THREADS));
    for index in 0..count {
        let receiver = Arc::clone(&receiver);
        thread::Builder::new()
            .name(format!("transform-{index}"))
            .stack_size(STACK)
            .spawn(move || {
                ON_POOL.set(true);
                loop {
                    // The lock is held only while waiting for the next job, never while running it.
                    let job = receiver
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv();
                    match job {
                        Ok(job) => job(),
                        Err(mpsc::RecvError) => break,
                    }
                }
            })
            .context("cannot start a transform thread")?;
    }
    Ok(sender)
}

/// Runs `work` once on a thread with a stack of `size`, for callers that cannot wait asynchronously.
pub(super) fn with_stack<T: Send>(
    size: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, TransformError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(size)
            .spawn_scoped(scope, work)
            .map_err(|error| {
                TransformError::new("THREAD", format!("cannot start a thread: {error}"))
            })?;
        thread
            .join()
            .map_err(|panic| core::panicked(panic.as_ref()))
    })
}
