//! What the whole agent takes: memory, and processor time for each cycle.
//!
//! Each figure is of a process of its own, with more of the agent or less of what is not the agent. None has a camera:
//! there is none here. `edge run` is the program itself, with a Notecard on its serial line. The agent on a tape does a
//! day's work, as [`work`]; beside it there are only the words it is shown and an emulated Notecard, or none and a spool
//! that is full. `edge simulate` is the agent with all emulators: it learns a scene, renders it, and posts what Notehub
//! would.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use axum::Router;
use axum::body::Bytes;
use edge::agent::{Agent, Setup};
use edge::classify::{Classifier, Runtime};
use edge::clock::Clock;
use edge::config::Config;
use edge::emulate::bus::Bus;
use edge::emulate::notecard::{self, Notecard};
use edge::emulate::time::World;
use edge::hardware::{Emulated, Station};
use edge::health::{Supervisor, Told};
use edge::model::DEMONSTRATION;
use edge::note::{Class, Moment, Note, THERMAL};
use edge::send::spool::{Limits, Spool};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::recording::{Recording, Tape, start};
use crate::spent;

/// What asks this program to be the agent on a tape.
pub const ROLE: &str = "--agent-on-tape";
/// The agent is to need less, MB.
pub const MEMORY: f64 = 25.0;

const EDGE: &str = env!("CARGO_BIN_EXE_edge-under-test");
const SETTINGS: &str = "[notecard]\nproduct = \"com.example.benchmarks:cycle\"\n";
/// The state of an agent whose spool is full.
const FULL: &str = "full";
const DAY: f64 = 86_400.0;

/// What a process took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    /// The most it held at a time, MB.
    pub memory: f64,
    /// Of its processors, s.
    pub processor: f64,
    /// How many readings it made.
    pub cycles: usize,
}

impl Took {
    /// Processor time for each cycle, ms.
    pub fn per_cycle(&self) -> f64 {
        self.processor * 1e3 / self.cycles as f64
    }
}

/// `edge run` for some seconds: everything but a picture.
pub fn run(folder: &Path, time: Duration) -> anyhow::Result<Took> {
    let card = Notecard::new(Clock::system(), notecard::Options::default());
    let line = card.on_pty().context("a pseudo-terminal")?;
    let no_bus = folder.join("no-camera");
    let config = format!(
        "state_dir = \"state\"\n[camera]\nbus = {no_bus:?}\n{SETTINGS}port = {:?}\n",
        line.path
    );
    let path = folder.join("edge.toml");
    fs::write(&path, config)?;
    let mut command = edge(folder)?;
    let mut child = command.args(["run", "--config"]).arg(&path).spawn()?;
    thread::sleep(time);
    let process = child.id().to_string();
    let took = spent::peak_memory(&process).and_then(|memory| {
        Ok(Took {
            memory,
            processor: spent::processor_time_of(&process, false)?,
            cycles: 0,
        })
    });
    child.kill()?;
    child.wait()?;
    let done = card.tally().done;
    ensure!(
        done >= 10,
        "`edge run` did not talk to its Notecard, which has answered {done} requests: {}",
        said(folder)
    );
    took
}

/// The agent on a tape, for some days. Without a Notecard, what it makes waits in a spool that was full before.
pub fn on_tape(folder: &Path, days: f64, notecard: bool) -> anyhow::Result<Took> {
    let state = folder.join(if notecard { "taped" } else { FULL });
    if !notecard {
        fill(&state.join("spool"))?;
    }
    let output = Command::new(std::env::current_exe()?)
        .arg(ROLE)
        .args([folder, &state])
        .arg(days.to_string())
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "the agent on a tape failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The agent on a tape: what the process does that [`on_tape`] starts.
pub fn work(folder: &Path, state: &Path, days: f64) -> anyhow::Result<Took> {
    let world = World::new(start(), None);
    let clock = Clock::simulated(world.local());
    let config = Config::parse(SETTINGS, &std::collections::BTreeMap::new(), Path::new(""))?;
    let bus = Bus::new(clock.clone(), 100_000.0);
    bus.attach(config.camera.address, Tape::new(Recording::load(folder)?));
    let card = Notecard::new(clock.clone(), notecard::Options::default());
    let has_notecard = !state.ends_with(FULL);
    if has_notecard {
        bus.attach(config.notecard.address, card.on_i2c());
    }
    let interval = config.camera.interval.get();
    let agent = Agent::new(Setup {
        config,
        clock: clock.clone(),
        station: Station::Emulated(Box::new(Emulated {
            bus,
            serial: None,
            synchronised: Arc::new(AtomicBool::new(true)),
            powered: Duration::ZERO,
        })),
        state_dir: state.to_owned(),
        classifier: Classifier::load(DEMONSTRATION, &Runtime::Embedded)?,
        supervisor: Supervisor::new(Told::Systemd),
        chance: ChaCha8Rng::seed_from_u64(1),
    })?;
    let stop = agent.stop();
    let before = spent::processor_time();
    let running = clock.spawn("agent", move || agent.run());
    clock.sleep(Duration::from_secs_f64(days * DAY));
    stop.stop();
    running.join().map_err(|_| anyhow!("the agent panicked"))?;
    let processor = spent::processor_time() - before;
    let queued = card.queued();
    let readings = queued.iter().filter(|note| note.file == THERMAL).count();
    let cycles = (days * DAY / interval.as_secs_f64()).round() as usize;
    ensure!(
        !has_notecard || readings + 1 >= cycles,
        "there were {cycles} cycles and only {readings} readings"
    );
    Ok(Took {
        memory: spent::peak_memory("self")?,
        processor: processor.as_secs_f64(),
        cycles,
    })
}

/// As many readings as a spool takes.
fn fill(folder: &Path) -> anyhow::Result<()> {
    let Config { spool, .. } = Config::default();
    let limits = Limits {
        bytes: spool.most_bytes,
        notes: spool.most_notes,
    };
    let json = serde_json::json!({
        "anomaly": 0.0123, "cold": 0.0123, "warm": 0.0123, "hot": 0.9631, "v": 1, "seq": 1, "boot": 1_234_567_890,
        "max": 47.54, "mean": 21.51, "x": 10, "y": 19, "dt": -0.93, "dwell": 0.0,
    });
    let mut note = Note {
        file: THERMAL.to_owned(),
        class: Class::Reading,
        body: json.as_object().cloned().unwrap_or_default(),
        payload: None,
        urgent: false,
        boot: 1_234_567_890,
        seq: 0,
        moment: Moment {
            uptime: Duration::ZERO,
            at: Some(start()),
        },
    };
    let mut spool = Spool::open(folder, limits)?;
    for seq in 1..=limits.notes {
        note.seq = u32::try_from(seq)?;
        spool.push(note.clone())?;
    }
    Ok(())
}

/// `edge simulate` for some days in which nothing happens.
pub fn simulate(folder: &Path, days: f64) -> anyhow::Result<Took> {
    #[derive(Deserialize)]
    struct Ledger {
        readings: usize,
    }
    let (address, posted) = sink()?;
    let ledger = folder.join("ledger.json");
    let mut command = edge(folder)?;
    command
        .args([
            "simulate",
            "--calm",
            "--no-hot-spot",
            "--speed",
            "max",
            "--json",
        ])
        .args([
            "--token",
            "benchmark",
            "--notehub",
            &format!("http://{address}"),
        ])
        .args(["--days", &days.to_string()])
        .stdout(File::create(&ledger)?);
    let before = spent::processor_time_of("self", true)?;
    let mut child = command.spawn()?;
    let memory = peak_until_end(&mut child)?;
    let status = child.wait()?;
    ensure!(
        status.success(),
        "`edge simulate` ended with {status}: {}",
        said(folder)
    );
    let Ledger { readings } = serde_json::from_slice(&fs::read(&ledger)?)?;
    ensure!(
        posted.load(Ordering::Relaxed) >= readings,
        "not every reading was posted"
    );
    Ok(Took {
        memory,
        processor: spent::processor_time_of("self", true)? - before,
        cycles: readings,
    })
}

/// The program, configured by nothing but its arguments.
fn edge(folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(EDGE);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("edge.log"))?);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("EDGE_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// The last line of what the program logged.
fn said(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("edge.log")).unwrap_or_default();
    log.lines().last().unwrap_or_default().to_owned()
}

/// The peak only ever rises: the last look before the end is it, but for what came in the last moments.
fn peak_until_end(child: &mut Child) -> anyhow::Result<f64> {
    let process = child.id().to_string();
    let mut peak = 0.0;
    while child.try_wait()?.is_none() {
        // A process that has just ended has no memory any more.
        peak = spent::peak_memory(&process).map_or(peak, |now| now.max(peak));
        thread::sleep(Duration::from_millis(10));
    }
    Ok(peak)
}

/// Takes every event, as `cloud` would; counts them.
fn sink() -> anyhow::Result<(SocketAddr, Arc<AtomicUsize>)> {
    let count = Arc::new(AtomicUsize::new(0));
    let posted = count.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let router = Router::new().fallback(async move |_: Bytes| {
                count.fetch_add(1, Ordering::Relaxed);
                "{}"
            });
            Ok(axum::serve(listener, router).await?)
        })
    });
    Ok((address, posted))
}
