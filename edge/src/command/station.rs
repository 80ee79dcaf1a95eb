//! What the commands at a station have in common: its configuration, its model, its logs.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

use crate::classify::{self, Classifier};
use crate::config::Config;
use crate::model;

/// Where the configuration is
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The configuration [default: EDGE_CONFIG, else edge.toml if it is here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A station as it is configured.
#[derive(Debug)]
pub struct Configured {
    pub config: Config,
    pub state_dir: PathBuf,
}

impl Place {
    pub fn load(&self) -> anyhow::Result<Configured> {
        let environment = environment();
        let config = Config::load(self.config.as_deref(), &environment)?;
        let state_dir = config.state_dir(&environment);
        Ok(Configured { config, state_dir })
    }
}

/// The variables that are text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Loads the model that is configured, else the one that is for demonstration, with a warning.
pub fn classifier(config: &Config) -> anyhow::Result<Classifier> {
    let runtime = config.model.runtime();
    let program = std::env::current_exe().context("finding this program")?;
    let options = config.model.options(Some(program));
    if let Some(file) = &config.model.file {
        return classify::load_file(file, &runtime, &options);
    }
    tracing::warn!(
        "no model is configured: one of a simulated boiler judges, for demonstration only; see [model] file"
    );
    classify::load_bytes(model::DEMONSTRATION, &runtime, &options)
        .context("the model that ships for demonstration")
}

/// Does this once when the program is asked to end; when it is asked again, it ends as any program would.
pub fn on_signal(act: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag as it was, the second one finds it raised.
        flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("waiting for signals")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.forever().next().is_some() {
                act();
            }
        })
        .context("starting a thread")?;
    Ok(())
}

/// To standard error: short lines, without a time where the journal adds its own. `usual` is the level if RUST_LOG sets
/// none.
pub fn start_logs(usual: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    // Whoever set one up before, as a test may, keeps it.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().try_init()
    } else {
        lines.try_init()
    };
}
