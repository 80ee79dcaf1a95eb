//! Runs this program once more, for work that may crash, hang or eat the memory.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// More than this of what a child says is not read.
const MOST_OUTPUT: u64 = 64 * 1024;

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// With what it printed.
    Fine(String),
    /// It said why.
    Refused(String),
    /// By this signal, perhaps with last words.
    Killed { signal: i32, words: String },
    /// It was still running when its time was over, and was killed.
    TooSlow,
}

/// Runs a command to its end, or to the end of its time.
pub(super) fn run(
    mut command: Command,
    input: Vec<u8>,
    time_limit: Duration,
) -> anyhow::Result<Ending> {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("RUST_BACKTRACE", "0")
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that dies early closes its end; how it ended says more than that.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().map(|pipe| read(pipe, sender.clone()));
    let stderr = child.stderr.take().map(|pipe| read(pipe, sender));
    // Both pipes close when the child ends.
    let deadline = Instant::now() + time_limit;
    let in_time = || {
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).is_ok()
    };
    if !(in_time() && in_time()) {
        child.kill().context("killing a child that hangs")?;
        child.wait().context("waiting for a killed child")?;
        return Ok(Ending::TooSlow);
    }
    let status = child.wait().context("waiting for a child")?;
    let text = |thread: Option<thread::JoinHandle<String>>| {
        thread
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    };
    Ok(ending(status, text(stdout), &text(stderr)))
}

/// `SIGSEGV`, and what it means.
pub(super) fn signal_name(signal: i32) -> String {
    let (name, meaning) = match signal {
        4 => ("SIGILL", "an instruction that this processor lacks"),
        5 => ("SIGTRAP", "a trap"),
        6 => ("SIGABRT", "it gave up, mostly for lack of memory"),
        7 => ("SIGBUS", "a bad memory access"),
        8 => ("SIGFPE", "a division by zero"),
        9 => ("SIGKILL", "killed from outside, mostly for lack of memory"),
        11 => ("SIGSEGV", "a bad memory access"),
        24 => ("SIGXCPU", "its time on the processor was over"),
        31 => ("SIGSYS", "a forbidden system call"),
        _ => return format!("signal {signal}"),
    };
    format!("{name}: {meaning}")
}

fn read(pipe: impl Read + Send + 'static, done: mpsc::Sender<()>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.take(MOST_OUTPUT).read_to_end(&mut bytes);
        // The receiver is gone if the time was over.
        let _ = done.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn ending(status: ExitStatus, stdout: String, stderr: &str) -> Ending {
    let words = last_words(stderr);
    match (status.success(), status.signal()) {
        (true, _) => Ending::Fine(stdout),
        (false, Some(signal)) => Ending::Killed { signal, words },
        (false, None) if words.is_empty() => Ending::Refused(status.to_string()),
        (false, None) => Ending::Refused(words),
    }
}

/// What it said of its end: its error if it named one, else all of it.
fn last_words(stderr: &str) -> String {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let named: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix("error: "))
        .collect();
    if named.is_empty() {
        lines().collect::<Vec<_>>().join("; ")
    } else {
        named.join("; ")
    }
}
