//! The parent's side of the worker process: one child for each thread of the pool that needs one.
//!
//! A child is started when the first expression needs it, asked one thing at a time, killed when it does not
//! answer in time or when its thread ends, and replaced after a number of evaluations, because jsonata-rs loses
//! memory on each. It inherits no environment, so it holds no secret.

use std::{
    cell::RefCell,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Outcome, Shared, TransformError, wire};

/// The argument that makes the executable a worker.
const ARGUMENT: &str = "transform-worker";
/// At 7 KB lost by each evaluation of jsonata-rs, this keeps a child under 400 MB.
const EVALUATIONS_PER_CHILD: u32 = 50_000;
/// What a child may take beyond its time limit before it is killed.
const GRACE: Duration = Duration::from_secs(1);

thread_local! {
    static CHILD: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Reads `text` with the engine itself, in a child of its own.
pub(super) fn check(shared: &Shared, text: &str) -> Result<(), TransformError> {
    let mut worker = Worker::start(&shared.worker_exe)?;
    let request = request(shared, text, true, 0);
    match worker.ask(&request, b"null") {
        Ok(Outcome::Error(error)) => Err(error),
        Ok(_) => Ok(()),
        Err(error) => Err(worker.autopsy(&error)),
    }
}

pub(super) fn run(shared: &Shared, text: &str, input: &Value, now: DateTime<Utc>) -> Outcome {
    let request = request(shared, text, false, now.timestamp_millis());
    let input = match serde_json::to_vec(input) {
        Ok(input) => input,
        Err(error) => return Outcome::Error(TransformError::new("INPUT", error.to_string())),
    };
    CHILD.with_borrow_mut(|child| {
        loop {
            let used = child.is_some();
            let mut worker = match child
                .take()
                .map_or_else(|| Worker::start(&shared.worker_exe), Ok)
            {
                Ok(worker) => worker,
                Err(error) => return Outcome::Error(error),
            };
            match worker.ask(&request, &input) {
                Ok(outcome) => {
                    if worker.evaluations < EVALUATIONS_PER_CHILD {
                        *child = Some(worker);
                    }
                    return outcome;
                }
                // A child that had done other work may have died of that, or of something outside.
                Err(error) if used && !timed_out(&error) => {}
                Err(error) => return Outcome::Error(worker.autopsy(&error)),
            }
        }
    })
}

fn request(shared: &Shared, text: &str, check: bool, now_ms: i64) -> wire::Request {
    wire::Request {
        engine: shared.engine,
        text: text.to_owned(),
        check,
        now_ms,
        limits: shared.limits,
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[derive(Debug)]
struct Worker {
    child: Child,
    stream: UnixStream,
    evaluations: u32,
}

impl Worker {
    fn start(exe: &Path) -> Result<Self, TransformError> {
        let failed = |error: io::Error| {
            TransformError::new(
                "WORKER",
                format!("cannot start the worker process {}: {error}", exe.display()),
            )
        };
        // The socket is the child's standard input and nothing else is open to it,
        // so nothing that a library prints can get between the answers.
        let (stream, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(exe)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            stream,
            evaluations: 0,
        })
    }

    fn ask(&mut self, request: &wire::Request, input: &[u8]) -> io::Result<Outcome> {
        self.evaluations += 1;
        let mut stream = Deadline {
            stream: &self.stream,
            at: Instant::now() + request.limits.timeout + GRACE,
        };
        wire::write_request(&mut stream, request, input)?;
        wire::read_outcome(&mut stream)
    }

    /// Ends the child and says what became of it.
    fn autopsy(&mut self, error: &io::Error) -> TransformError {
        if timed_out(error) {
            return TransformError::new(
                "TIMEOUT",
                "the expression did not stop at its time limit, and its worker process was killed",
            );
        }
        // Its end of the socket is closed, so it is dead or about to be.
        match self.child.wait() {
            Ok(status) => TransformError::new(
                "WORKER",
                format!(
                    "the expression killed its worker process ({status}), for want of memory or stack"
                ),
            ),
            Err(error) => {
                TransformError::new("WORKER", format!("lost the worker process: {error}"))
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when the child is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A socket whose reads and writes together end at one moment.
struct Deadline<'a> {
    stream: &'a UnixStream,
    at: Instant,
}

impl Deadline<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

impl Read for Deadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Deadline<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
