//! The load generator: a process of its own that posts events and measures each answer.
//!
//! Closed loop: every connection sends its next event as soon as the last is answered, for a number of events or a
//! length of time. Open arrivals: events fall due at a fixed rate whatever the service does, and latency counts
//! from the moment an event fell due, so a stall is charged to every event that had to wait behind it.
//!
//! Two threads with a runtime each share the connections: no work is stolen, and little processor time is taken
//! from the service on the same machine.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use cloud::clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::child;
use crate::connection::Connection;
use crate::event::Events;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) connections: usize,
    /// Index of the first event: two loads on one database must not overlap.
    pub(crate) first: u64,
    pub(crate) load: Load,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Load {
    Events(u64),
    Window(Duration),
    Open { rate: u32, window: Duration },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Output {
    /// Requests answered with 2xx.
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) max_us: u32,
    pub(crate) cpu_seconds: f64,
}

/// What all connections share.
struct Work {
    input: Input,
    events: Events,
    next: AtomicU64,
    /// One past the last event, where that is known beforehand.
    end: u64,
    /// How many arrivals have fallen due and not been taken.
    due: Semaphore,
    ready: Barrier,
    start: OnceLock<Instant>,
}

/// What one connection saw; times are in microseconds.
#[derive(Default)]
struct Seen {
    latencies: Vec<u32>,
    errors: u64,
    first_error: Option<String>,
}

pub(crate) fn run(input: Input) -> anyhow::Result<()> {
    let threads = input.connections.clamp(1, 2);
    let pacer = matches!(input.load, Load::Open { .. });
    let end = match input.load {
        Load::Events(count) => input.first + count,
        Load::Window(_) => u64::MAX,
        Load::Open { rate, window } => input.first + u64::from(rate) * window.as_secs(),
    };
    let work = Arc::new(Work {
        next: AtomicU64::new(input.first),
        end,
        due: Semaphore::new(0),
        ready: Barrier::new(threads + usize::from(pacer)),
        start: OnceLock::new(),
        events: Events::ending(Clock::System.now()),
        input,
    });
    let mut running = Vec::new();
    for thread in 0..threads {
        let work = Arc::clone(&work);
        running.push(std::thread::spawn(move || drive(&work, thread, threads)));
    }
    if pacer {
        work.pace();
    }
    let mut seen = Seen::default();
    for thread in running {
        let part = thread
            .join()
            .map_err(|_| anyhow!("a load thread panicked"))??;
        seen.merge(part);
    }
    let seconds = work.start().elapsed().as_secs_f64();
    let output = seen.summary(seconds, child::usage(std::process::id())?.cpu_seconds);
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&output)?)?;
    Ok(())
}

/// One thread with its share of the connections.
fn drive(work: &Arc<Work>, thread: usize, threads: usize) -> anyhow::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        let mut failed = None;
        for _ in (thread..work.input.connections).step_by(threads) {
            match Connection::open(work.input.address).await {
                Ok(connection) => connections.push(connection),
                Err(error) => failed = Some(error),
            }
        }
        // Every thread comes to the barrier, also one that failed, or the others would wait for ever.
        work.ready.wait();
        work.start();
        if let Some(error) = failed {
            return Err(error);
        }
        let mut tasks = JoinSet::new();
        for connection in connections {
            tasks.spawn(send(Arc::clone(work), connection));
        }
        let mut seen = Seen::default();
        while let Some(part) = tasks.join_next().await {
            seen.merge(part?);
        }
        Ok(seen)
    })
}

/// One connection, until its load is done.
async fn send(work: Arc<Work>, mut connection: Connection) -> Seen {
    let mut seen = Seen::default();
    let mut event = String::new();
    let mut request = String::new();
    while let Some((index, scheduled)) = work.take().await {
        event.clear();
        request.clear();
        work.events.write(index, &mut event);
        work.request(&event, &mut request);
        let from = scheduled.unwrap_or_else(Instant::now);
        match connection.exchange(request.as_bytes()).await {
            Ok((200..=299, _)) => seen.latencies.push(micros(from.elapsed())),
            Ok((status, body)) => {
                let body = String::from_utf8_lossy(body);
                seen.fail(|| format!("{status}: {}", body.trim()));
            }
            Err(error) => {
                seen.fail(|| format!("{error:#}"));
                match Connection::open(work.input.address).await {
                    Ok(again) => connection = again,
                    Err(_) => break,
                }
            }
        }
    }
    seen
}

impl Work {
    /// The moment the load began: the first call, right after the barrier.
    fn start(&self) -> Instant {
        *self.start.get_or_init(Instant::now)
    }

    /// The next event to send and, with open arrivals, when it fell due; `None` when the load is done.
    async fn take(&self) -> Option<(u64, Option<Instant>)> {
        let mut scheduled = None;
        match self.input.load {
            Load::Events(_) => {}
            Load::Window(window) => {
                if self.start().elapsed() >= window {
                    return None;
                }
            }
            // The semaphore is never closed, so an error cannot come; were it to, the load would just end.
            Load::Open { .. } => self.due.acquire().await.ok()?.forget(),
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.end {
            return None;
        }
        if let Load::Open { rate, .. } = self.input.load {
            scheduled = Some(self.start() + arrival(index - self.input.first, rate));
        }
        Some((index, scheduled))
    }

    /// Lets arrivals fall due. On a thread that sleeps, because the runtime's timer is only good to a millisecond.
    fn pace(&self) {
        let Load::Open { rate, .. } = self.input.load else {
            return;
        };
        self.ready.wait();
        let arrivals = self.end - self.input.first;
        let mut released = 0;
        while released < arrivals {
            let elapsed = self.start().elapsed();
            let before = released;
            while released < arrivals && arrival(released, rate) <= elapsed {
                released += 1;
            }
            let fresh = usize::try_from(released - before).unwrap_or(0);
            self.due.add_permits(fresh);
            std::thread::sleep(arrival(released, rate).saturating_sub(self.start().elapsed()));
        }
        // One for each connection, to let it see that nothing is left.
        self.due.add_permits(self.input.connections);
    }

    fn request(&self, event: &str, out: &mut String) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "POST /notehub HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{event}",
            self.input.address,
            self.input.token,
            event.len(),
        );
    }
}

/// When the arrival of this number falls due, from the start.
fn arrival(number: u64, rate: u32) -> Duration {
    Duration::from_nanos(number * 1_000_000_000 / u64::from(rate))
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Seen {
    fn fail(&mut self, why: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(why);
    }

    fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn summary(mut self, seconds: f64, cpu_seconds: f64) -> Output {
        self.latencies.sort_unstable();
        let at = |percent: usize| {
            let rank = (self.latencies.len() * percent).div_ceil(100);
            let place = rank.saturating_sub(1);
            self.latencies.get(place).copied().unwrap_or(0)
        };
        Output {
            answered: self.latencies.len() as u64,
            errors: self.errors,
            seconds,
            p50_us: at(50),
            p99_us: at(99),
            max_us: at(100),
            cpu_seconds,
            first_error: self.first_error,
        }
    }
}
