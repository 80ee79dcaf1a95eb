//! The rounds: what is measured, in which order, and how one measurement of each kind is made.
//!
//! Every round measures everything once, each figure next to the floor it is set against, because the machine's
//! speed drifts while the benchmark runs. The slow disk comes last, with rounds of its own: Postgres is restarted
//! for it. Nothing is decided here; medians, ratios and targets are `report` and `targets`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;
use sqlx::{Connection, Executor};

use crate::arguments::{Arguments, Part, Plan, Role};
use crate::child::{self, Child};
use crate::limit;
use crate::load::{self, Load};
use crate::one_insert;
use crate::server::{Database, Server};

/// Both tokens of the service under test; it listens on this machine only and lives for seconds.
pub(crate) const TOKEN: &str = "throughput-benchmark-token-0123456789abcdef";
/// Connections of a closed loop where nothing else is said.
pub(crate) const MAIN: u32 = 64;
/// All that are measured.
const CONNECTIONS: [u32; 3] = [MAIN, 256, 1];
const RATES: [u32; 2] = [2_000, 5_000];
/// Enough that an open arrival hardly ever waits for a free connection.
const OPEN_CONNECTIONS: u32 = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    Floor {
        connections: u32,
    },
    Limit {
        clients: u32,
    },
    Ingest {
        connections: u32,
    },
    /// Ingest with `process` held back, as if another replica did that work.
    Receive {
        connections: u32,
    },
    OneInsert {
        connections: u32,
    },
    Open {
        rate: u32,
    },
    Whole,
    SlowIngest,
    SlowOneInsert,
}

/// One figure in one round. What a kind of measurement does not have is `None`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    /// To the floor of the same round; on the slow disk to one INSERT per request.
    pub(crate) ratio: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
    /// Of the server measured, not of Postgres nor of the load.
    pub(crate) cpu_per_10k: Option<f64>,
    pub(crate) load_cpu_per_10k: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    pub(crate) errors: u64,
    /// Events answered with 2xx since the database was made, warm-up included.
    pub(crate) accepted: u64,
    pub(crate) notes: Vec<String>,
    /// Something was lost or left behind: the figure does not count.
    pub(crate) broken: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) plan: Plan,
    pub(crate) machine: String,
    pub(crate) samples: Vec<(Measure, Vec<Sample>)>,
    /// What could not be measured, and why.
    pub(crate) skipped: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<Measured> {
    tokio::select! {
        measured = measure(arguments) => measured,
        // Unwinding from here removes the data and ends the children.
        _ = tokio::signal::ctrl_c() => bail!("stopped"),
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Measured> {
    let mut server = Server::start().await?;
    let mut bench = Bench {
        plan: arguments.plan(),
        round: 0,
        log: server.folder().join("children.log"),
        measured: Measured {
            plan: arguments.plan(),
            machine: machine(&mut server).await?,
            samples: Vec::new(),
            skipped: Vec::new(),
        },
    };
    for round in 1..=bench.plan.runs {
        bench.round = round;
        bench.round(&mut server, arguments).await?;
    }
    if arguments.wants(Part::Slow) {
        let (slow, possible) = server.restart_slow().await?;
        server = slow;
        match possible {
            Ok(()) => bench.slow_rounds(&mut server).await?,
            Err(why) => bench.measured.skipped.push(format!("slow disk: {why}")),
        }
    }
    server.stop().await?;
    Ok(bench.measured)
}

async fn machine(server: &mut Server) -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!(
        "{cores} cores, Postgres {}, fsync on, disk syncs {:.0}/s",
        server.version().await?,
        server.syncs_per_second()?
    ))
}

pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) round: u32,
    /// What the children wrote to stderr, shown when one fails.
    pub(crate) log: PathBuf,
    pub(crate) measured: Measured,
}

impl Bench {
    async fn round(&mut self, server: &mut Server, arguments: &Arguments) -> anyhow::Result<()> {
        let wants = |part| arguments.wants(part);
        for connections in CONNECTIONS {
            // The insert limit and the whole way are set against the floor at 64 connections.
            let base = connections == MAIN && (wants(Part::Limit) || wants(Part::Whole));
            if base || wants(Part::Floor) || wants(Part::Ingest) {
                self.floor(connections).await?;
            }
            if wants(Part::Ingest) {
                self.ingest(server, connections, Measure::Ingest { connections })
                    .await?;
            }
            if connections >= MAIN && wants(Part::Ingest) {
                self.receive(server, connections).await?;
            }
            if connections == MAIN && wants(Part::Whole) {
                self.whole(server).await?;
            }
            if connections == MAIN && wants(Part::Ingest) {
                self.one_insert(server, Measure::OneInsert { connections })
                    .await?;
            }
            if connections == MAIN && wants(Part::Limit) {
                self.limit(server, 1).await?;
                self.limit(server, 2).await?;
            }
        }
        if wants(Part::Open) {
            for rate in RATES {
                self.open(server, rate).await?;
            }
        }
        Ok(())
    }

    async fn slow_rounds(&mut self, server: &mut Server) -> anyhow::Result<()> {
        for round in 1..=self.plan.runs {
            self.round = round;
            self.one_insert(server, Measure::SlowOneInsert).await?;
            self.ingest(server, MAIN, Measure::SlowIngest).await?;
        }
        Ok(())
    }

    async fn floor(&mut self, connections: u32) -> anyhow::Result<()> {
        let floor = Child::start(Role::Floor, &(), &self.log).await?;
        let sample = self.closed_loop(&floor, connections).await?;
        floor.end().await?;
        self.keep(Measure::Floor { connections }, sample)
    }

    async fn limit(&mut self, server: &mut Server, clients: u32) -> anyhow::Result<()> {
        let database = server.create_with_minimal_table().await?;
        let input = limit::Input {
            database: database.url.clone(),
            clients,
            window: self.plan.window,
        };
        let output: limit::Output = child::ask(Role::Limit, &input, &self.log).await?;
        server.discard(database).await?;
        let sample = Sample {
            rate: per_second(output.rows, output.seconds),
            ..Sample::default()
        };
        self.keep(Measure::Limit { clients }, sample)
    }

    async fn one_insert(&mut self, server: &mut Server, measure: Measure) -> anyhow::Result<()> {
        let database = server.create_with_minimal_table().await?;
        let input = one_insert::Input {
            database: database.url.clone(),
        };
        let child = Child::start(Role::OneInsert, &input, &self.log).await?;
        let sample = self.closed_loop(&child, MAIN).await?;
        child.end().await?;
        server.discard(database).await?;
        self.keep(measure, sample)
    }

    async fn ingest(
        &mut self,
        server: &mut Server,
        connections: u32,
        measure: Measure,
    ) -> anyhow::Result<()> {
        let database = server.create().await?;
        let cloud = self.cloud(&database, "").await?;
        let mut sample = self.closed_loop(&cloud, connections).await?;
        check_stored(server, &database, &mut sample).await?;
        cloud.end().await?;
        server.discard(database).await?;
        self.keep(measure, sample)
    }

    async fn receive(&mut self, server: &mut Server, connections: u32) -> anyhow::Result<()> {
        let database = server.create().await?;
        let cloud = self.cloud(&database, "").await?;
        // Whoever holds the rows of the shards processes their devices; the service leaves them to us.
        let mut held = server.connect(&database).await?;
        let mut shards = held.begin().await?;
        shards
            .execute("SELECT 1 FROM process_shards FOR UPDATE")
            .await?;
        let mut sample = self.closed_loop(&cloud, connections).await?;
        shards.rollback().await?;
        held.close().await?;
        check_stored(server, &database, &mut sample).await?;
        cloud.end().await?;
        server.discard(database).await?;
        self.keep(Measure::Receive { connections }, sample)
    }

    async fn open(&mut self, server: &mut Server, rate: u32) -> anyhow::Result<()> {
        let database = server.create().await?;
        let cloud = self.cloud(&database, "").await?;
        let window = self.plan.window;
        let load = Load::Open { rate, window };
        let mut sample = self.load(&cloud, OPEN_CONNECTIONS, load).await?;
        check_stored(server, &database, &mut sample).await?;
        cloud.end().await?;
        server.discard(database).await?;
        self.keep(Measure::Open { rate }, sample)
    }

    async fn closed_loop(&self, child: &Child, connections: u32) -> anyhow::Result<Sample> {
        self.load(child, connections, Load::Window(self.plan.window))
            .await
    }

    /// Warms the server up, then puts the load on it and sees what that took.
    async fn load(&self, child: &Child, connections: u32, load: Load) -> anyhow::Result<Sample> {
        let warm_up = self.warm_up(child, connections).await?;
        let before = child.usage()?;
        let output = self.send(child, connections, warm_up, load).await?;
        let after = child.usage()?;
        let mut sample = sample(&output);
        sample.cpu_per_10k = Some(per_10k(
            after.cpu_seconds - before.cpu_seconds,
            output.answered,
        ));
        sample.rss_mb = Some(after.peak_rss_mb);
        sample.accepted += warm_up;
        Ok(sample)
    }

    /// Opens the server's connections and fills its caches; returns how many events that took.
    pub(crate) async fn warm_up(&self, child: &Child, connections: u32) -> anyhow::Result<u64> {
        let events = u64::from(connections * 100).clamp(300, 3_000);
        let output = self
            .send(child, connections, 0, Load::Events(events))
            .await?;
        if output.answered < events {
            bail!(
                "only {} of the first {events} events were answered with 2xx; {}",
                output.answered,
                output.first_error.unwrap_or_default()
            );
        }
        Ok(events)
    }

    pub(crate) async fn send(
        &self,
        child: &Child,
        connections: u32,
        first: u64,
        load: Load,
    ) -> anyhow::Result<load::Output> {
        let input = load::Input {
            address: child.address,
            token: TOKEN.to_owned(),
            connections: usize::try_from(connections)?,
            first,
            load,
        };
        child::ask(Role::Load, &input, &self.log).await
    }

    /// The service on this database, with its defaults but for what `more` configures.
    pub(crate) async fn cloud(&self, database: &Database, more: &str) -> anyhow::Result<Child> {
        let folder = self.log.parent().context("the log is in a folder")?;
        let config = folder.join("cloud.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\
             [database]\nurl = \"{}\"\ndata_dir = \"{}\"\n\
             [access]\nnotehub_tokens = [\"{TOKEN}\"]\npeople_token = \"{TOKEN}\"\n{more}",
            database.url,
            folder.join("cloud").display(),
        );
        std::fs::write(&config, text)?;
        Child::cloud(&config, &self.log).await
    }

    /// Keeps a sample with its ratio, and says on stderr how far we are.
    pub(crate) fn keep(&mut self, measure: Measure, mut sample: Sample) -> anyhow::Result<()> {
        let base = match measure {
            Measure::Floor { .. } | Measure::Open { .. } | Measure::SlowOneInsert => None,
            Measure::SlowIngest => self.latest(Measure::SlowOneInsert),
            Measure::Ingest { connections } | Measure::Receive { connections } => {
                self.latest(Measure::Floor { connections })
            }
            Measure::Limit { .. } | Measure::OneInsert { .. } | Measure::Whole => {
                self.latest(Measure::Floor { connections: MAIN })
            }
        };
        sample.ratio = base.map(|base| sample.rate / base);
        writeln!(
            std::io::stderr(),
            "round {}/{}: {measure}: {:.0}/s",
            self.round,
            self.plan.runs,
            sample.rate
        )?;
        let samples = &mut self.measured.samples;
        match samples.iter_mut().find(|(kept, _)| *kept == measure) {
            Some((_, kept)) => kept.push(sample),
            None => samples.push((measure, vec![sample])),
        }
        Ok(())
    }

    fn latest(&self, measure: Measure) -> Option<f64> {
        let (_, samples) = self
            .measured
            .samples
            .iter()
            .find(|(kept, _)| *kept == measure)?;
        samples.last().map(|sample| sample.rate)
    }
}

/// Every event answered with 2xx must be in the table, and how many still wait to be processed is worth knowing.
async fn check_stored(
    server: &Server,
    database: &Database,
    sample: &mut Sample,
) -> anyhow::Result<()> {
    let stored = server
        .count(database, "SELECT count(*) FROM events")
        .await?;
    if stored < sample.accepted {
        let accepted = sample.accepted;
        sample.notes.push(format!(
            "LOST: only {stored} of {accepted} accepted events are stored"
        ));
        sample.broken = true;
    }
    let waiting = "SELECT count(*) FROM events WHERE processed_at IS NULL";
    let waiting = server.count(database, waiting).await?;
    sample.notes.push(format!(
        "{waiting} of {stored} events still to be processed when the load ended"
    ));
    Ok(())
}

pub(crate) fn sample(output: &load::Output) -> Sample {
    let ms = |us: u32| Some(f64::from(us) / 1_000.0);
    let notes = output
        .first_error
        .iter()
        .map(|error| format!("first error: {error}"));
    Sample {
        rate: per_second(output.answered, output.seconds),
        p50_ms: ms(output.p50_us),
        p99_ms: ms(output.p99_us),
        max_ms: ms(output.max_us),
        load_cpu_per_10k: Some(per_10k(output.cpu_seconds, output.answered)),
        errors: output.errors,
        accepted: output.answered,
        notes: notes.collect(),
        ..Sample::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn per_10k(seconds: f64, count: u64) -> f64 {
    seconds * 10_000.0 / count.max(1) as f64
}
