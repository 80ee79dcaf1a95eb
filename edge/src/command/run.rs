//! `edge run`: the agent, for as long as the machine has power; and `edge once`: one cycle of it.

use std::process::ExitCode;

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

use super::station;
use crate::agent::{self, Agent, Setup};
use crate::classify;
use crate::clock::Clock;
use crate::config::Period;
use crate::hardware::Station;
use crate::health::{Supervisor, Told};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Takes a picture every 5 minutes, judges it with the model, and queues notes on the Notecard: \
readings on its schedule, alarms at once, with the picture. \
What the Notecard does not take waits on disk. Ends on Ctrl-C or SIGTERM.

  edge check                                what is missing, before the first start
  edge run --config /etc/thermal-watch/edge.toml

Under systemd it says when it is ready and feeds the watchdog as long as it gets on. \
RUST_LOG=edge=debug says more.")]
pub struct Options {
    #[command(flatten)]
    station: station::Place,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
For a timer, or a machine that is switched on for each reading. \
What is going on (an open alarm, how long a state has lasted) is kept on disk between two runs.

  edge once                                 one reading, and what waits is handed over
  edge once --sleep 30m                     then the Notecard cuts this machine's power
                                            for 30 minutes (see deploy/edge.md)

Exit code 1: not everything was handed over. Without a Notecard it takes a minute to find out.")]
pub struct OnceOptions {
    #[command(flatten)]
    station: station::Place,
    /// In the end, let the Notecard cut this machine's power for so long: 10m, 1h
    #[arg(long, value_name = "TIME")]
    sleep: Option<Period>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let agent = prepare(&options.station, Supervisor::new(Told::Systemd))?;
    let stop = agent.stop();
    station::on_signal(move || stop.stop())?;
    agent.run();
    tracing::info!("stopped; what was not handed over waits on disk");
    Ok(ExitCode::SUCCESS)
}

pub fn once(options: &OnceOptions) -> anyhow::Result<ExitCode> {
    let agent = prepare(&options.station, Supervisor::new(Told::Nobody))?;
    let handed_over = agent.once(options.sleep.map(Period::get));
    Ok(if handed_over {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn prepare(options: &station::Place, supervisor: Supervisor) -> anyhow::Result<Agent> {
    let configured = options.load()?;
    // Before anything is done that must not happen twice: this may start the program anew.
    classify::prepare_environment(&configured.config.model.runtime())?;
    station::start_logs("info");
    let classifier = station::classifier(&configured.config)?;
    tracing::info!(
        model = agent::model_id(&classifier),
        model.labels = classifier.labels().join(", "),
        model.runtime = classifier.runtime(),
        state = %configured.state_dir.display(),
        "Thermal Watch {}",
        env!("CARGO_PKG_VERSION")
    );
    Agent::new(Setup {
        config: configured.config,
        clock: Clock::system(),
        station: Station::Machine,
        state_dir: configured.state_dir,
        classifier,
        supervisor,
        chance: ChaCha8Rng::seed_from_u64(unlikely()),
    })
}

/// A number that no other station begins with.
fn unlikely() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}
