//! The worker process: reads expressions and events from its standard input, a socket, and answers there.
//!
//! Whatever happens to it here is an error of one event for the service: it has a memory limit of its own, it
//! ends itself when an evaluation does not stop, and it ends when the service is gone, as the socket is closed then.

use std::{
    collections::HashMap,
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use chrono::DateTime;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{
    Engine, Outcome, TransformError,
    core::CoreProgram,
    jsonata_rs, syntax,
    wire::{self, Request},
};

const MEMORY: u64 = 1 << 30;
const STACK: usize = 256 << 20;
/// The parent kills earlier; this is for a child whose parent is gone.
const GRACE: Duration = Duration::from_secs(3);
const MAX_CACHED: usize = 64;

/// The whole of the hidden subcommand `transform-worker`.
pub fn worker_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let limit = |resource, most| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )
    };
    limit(Resource::As, MEMORY)?;
    limit(Resource::Core, 0)?;
    let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (requests, inbox) = mpsc::channel();
    let (outbox, outcomes) = mpsc::channel();
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || evaluate_all(&inbox, &outbox))?;
    while let Some((request, input)) = wire::read_request(&mut stream)? {
        let patience = request.limits.timeout + GRACE;
        requests.send((request, input)).map_err(io::Error::other)?;
        let outcome = outcomes.recv_timeout(patience).map_err(io::Error::other)?;
        wire::write_outcome(&mut stream, &outcome)?;
    }
    Ok(())
}

fn evaluate_all(inbox: &mpsc::Receiver<(Request, Vec<u8>)>, outbox: &mpsc::Sender<Outcome>) {
    let mut programs = HashMap::new();
    while let Ok((request, input)) = inbox.recv() {
        let outcome = evaluate(&mut programs, &request, &input).unwrap_or_else(Outcome::Error);
        if outbox.send(outcome).is_err() {
            break;
        }
    }
}

fn evaluate(
    programs: &mut HashMap<String, CoreProgram>,
    request: &Request,
    input: &[u8],
) -> Result<Outcome, TransformError> {
    let bad = |error: &dyn std::fmt::Display| {
        TransformError::new("WORKER", format!("bad request: {error}"))
    };
    let now =
        DateTime::from_timestamp_millis(request.now_ms).ok_or_else(|| bad(&"no such time"))?;
    match request.engine {
        Engine::JsonataRs if request.check => {
            jsonata_rs::check(&request.text).map(|()| Outcome::Nothing)
        }
        Engine::JsonataRs => {
            let input = std::str::from_utf8(input).map_err(|error| bad(&error))?;
            Ok(jsonata_rs::run(&request.text, input, now, request.limits))
        }
        Engine::JsonataCore => {
            let input = serde_json::from_slice(input).map_err(|error| bad(&error))?;
            if !programs.contains_key(&request.text) {
                // There are as many as there are routes and rules; more means that they were changed.
                if programs.len() >= MAX_CACHED {
                    programs.clear();
                }
                programs.insert(
                    request.text.clone(),
                    syntax::compile(&request.text, request.engine)?,
                );
            }
            Ok(programs[&request.text].run(&input, now, request.limits))
        }
    }
}
