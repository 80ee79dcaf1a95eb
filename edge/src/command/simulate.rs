//! `edge simulate`: the real agent on emulated hardware, posting to a running `cloud` as Notehub does.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use super::{say, station};
use crate::clock;
use crate::config::Period;
use crate::emulate::notehub::Route;
use crate::emulate::scene;
use crate::emulate::station::{self as emulated, Ledger, Plan, Progress};

/// The product that the emulated Notecard belongs to, if none is configured.
const PRODUCT: &str = "com.example.thermal-watch:simulation";
/// The hot spot ends so long before the simulation does, and lasts so long.
const HOT_SPOT_ENDS: Duration = Duration::from_mins(90);
const HOT_SPOT_LASTS: Duration = Duration::from_hours(2);
/// Exit code when something did not arrive, or a rule of the hardware was broken.
const INCOMPLETE: u8 = 3;
/// As shells call the end by Ctrl-C.
const INTERRUPTED: i32 = 130;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Camera, Notecard, network and Notehub are emulated, down to registers and wires; \
the agent with its drivers and spool is the real one. \
A simulated week with network gaps, power cuts, camera faults and one hot spot ends at the present moment.

  cloud serve
  export EDGE_NOTEHUB_TOKEN=$(cat data/notehub-token)
  edge simulate --notehub http://127.0.0.1:8080
      a week, a thousand times as fast: ten minutes
  edge simulate --notehub http://127.0.0.1:8080 --days 1 --speed max
      a day, as fast as it goes

The same --seed gives the same days of the same station; once more, they bring no new incident. \
Exit code 3: something did not arrive.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct Options {
    /// Where `cloud` listens; /notehub is added if there is no path
    #[arg(long, value_name = "URL", value_parser = url)]
    notehub: String,
    /// The Notehub token of that `cloud` (data/notehub-token where it runs)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "EDGE_NOTEHUB_TOKEN",
        hide_env_values = true
    )]
    token: String,
    /// How many days, from 0.01 to 400
    #[arg(long, default_value_t = 7.0, value_name = "D", value_parser = days)]
    days: f64,
    /// How many times faster than real time, or `max`
    #[arg(long, default_value = "1000", value_name = "N", value_parser = speed)]
    speed: Speed,
    /// Which scene is watched
    #[arg(long, value_enum, default_value = "boiler", value_name = "SCENE")]
    scene: scene::Kind,
    /// Which of the simulated scenes, and which troubles
    #[arg(long, default_value_t = 7, value_name = "N")]
    seed: u64,
    /// When it begins, as 2026-03-01T00:00:00Z [default: so that it ends now]
    #[arg(long, value_name = "TIME")]
    start: Option<DateTime<Utc>>,
    /// Nothing goes wrong but the hot spot
    #[arg(long)]
    calm: bool,
    /// No hot spot
    #[arg(long)]
    no_hot_spot: bool,
    /// When the hot spot begins, from the beginning [default: 3.5 hours before the end]
    #[arg(long, value_name = "TIME", conflicts_with = "no_hot_spot")]
    hot_spot_after: Option<Period>,
    /// The Notecard hangs on a serial line, and not on the camera's I2C bus
    #[arg(long)]
    serial: bool,
    /// Keep the agent's state here [default: a folder that is removed in the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    station: station::Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Speed {
    Times(f64),
    Max,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut config = options.station.load()?.config;
    // What the agent has to say of its troubles is for who asks; the ledger tells what became of them.
    station::start_logs("edge::command::simulate=info");
    config
        .notecard
        .product
        .get_or_insert_with(|| PRODUCT.to_owned());
    let scratch;
    let state_dir = if let Some(folder) = &options.state {
        folder.clone()
    } else {
        scratch = tempfile::Builder::new()
            .prefix("thermal-watch-simulate-")
            .tempdir()
            .context("making a folder for the agent's state")?;
        remove_on_signal(scratch.path().to_owned())?;
        scratch.path().to_owned()
    };
    let length = Duration::from_secs_f64(options.days * 86_400.0);
    let start = options.start.unwrap_or_else(|| options.ends_now(length));
    ensure!(
        start + length <= options.ends_now(length) + length + Duration::from_mins(1),
        "the days would end after now, and `cloud` does not believe what comes from the future; begin earlier"
    );
    ensure!(
        options
            .hot_spot_after
            .is_none_or(|after| after.get() < length),
        "the hot spot would begin after the end"
    );
    let bar = progress_bar(length);
    bar.set_message("learning the scene");
    let ledger = emulated::simulate(
        emulated::Options {
            kind: options.scene,
            seed: options.seed,
            days: options.days,
            start,
            pace: match options.speed {
                Speed::Times(pace) => Some(pace),
                Speed::Max => None,
            },
            plan: options.plan(length),
            route: Route::new(&address(&options.notehub), &options.token),
            config,
            state_dir,
            serial: options.serial,
        },
        &mut |progress| tell(&bar, progress),
    )?;
    bar.finish_and_clear();
    if options.json {
        say(&format!("{}\n", serde_json::to_string(&ledger)?))?;
    } else {
        say(&ledger.to_string())?;
        if ledger.unrouted == 0 {
            say(&hints(options, &ledger))?;
        }
    }
    Ok(if ledger.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}

impl Options {
    fn plan(&self, length: Duration) -> Plan {
        let plan = if self.calm {
            Plan::default()
        } else {
            Plan::troubled(self.seed, self.days)
        };
        if self.no_hot_spot {
            return plan;
        }
        let usual = length.saturating_sub(HOT_SPOT_ENDS + HOT_SPOT_LASTS);
        let at = self.hot_spot_after.map_or(usual, Period::get);
        plan.with_hot_spot(at, HOT_SPOT_LASTS.min(length / 4), 18.0)
    }

    /// On a full minute, so that the days end when the simulation does.
    fn ends_now(&self, length: Duration) -> DateTime<Utc> {
        let takes = match self.speed {
            Speed::Times(pace) => length.div_f64(pace),
            Speed::Max => Duration::ZERO,
        };
        let start = clock::now() + takes - length;
        start - TimeDelta::seconds(start.timestamp() % 60)
    }
}

/// Whoever interrupts it shall find nothing of it.
fn remove_on_signal(folder: PathBuf) -> anyhow::Result<()> {
    station::on_signal(move || {
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(INTERRUPTED);
    })
}

/// `cloud` takes events at /notehub.
fn address(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    match url[after_scheme..].find('/') {
        Some(at) if url[after_scheme + at..].len() > 1 => url.to_owned(),
        _ => format!("{}/notehub", url.trim_end_matches('/')),
    }
}

fn tell(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.elapsed.as_secs());
    bar.set_message(format!(
        "{} UTC  {} events",
        progress.now.format("%b %d %H:%M"),
        progress.events
    ));
    if bar.is_hidden() {
        // A line a day is enough where nobody looks on.
        let (days, rest) = (
            progress.elapsed.as_secs() / 86_400,
            progress.elapsed.as_secs() % 86_400,
        );
        if rest < 600 && days > 0 && progress.happened.is_none() {
            tracing::info!(
                "{} UTC: day {days}, {} events",
                progress.now.format("%b %d"),
                progress.events
            );
        }
        return;
    }
    if let Some(happened) = &progress.happened {
        bar.println(format!(
            "{} UTC  {happened}",
            progress.now.format("%b %d %H:%M")
        ));
    }
}

/// To standard error, and nothing where nobody looks.
fn progress_bar(length: Duration) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length.as_secs());
    let style = ProgressStyle::with_template("{msg:32} {bar:32} {percent:>3} %  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn hints(options: &Options, ledger: &Ledger) -> String {
    let url = options
        .notehub
        .trim_end_matches('/')
        .trim_end_matches("/notehub");
    let what = if ledger.alerts.is_empty() {
        "stations"
    } else {
        "incident"
    };
    format!(
        "\nSee the {what} at {url}/ or\n  curl -H \"Authorization: Bearer $(cat data/people-token)\" {url}/api/v1/incidents\n(data is the folder of the running `cloud`)\n"
    )
}

fn url(text: &str) -> Result<String, String> {
    let is_url = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    is_url
        .then(|| text.to_owned())
        .ok_or_else(|| "an address such as http://127.0.0.1:8080".to_owned())
}

fn days(text: &str) -> Result<f64, String> {
    let days: f64 = text
        .parse()
        .map_err(|_| "not a number of days".to_owned())?;
    (0.01..=400.0)
        .contains(&days)
        .then_some(days)
        .ok_or_else(|| "between 0.01 and 400 days".to_owned())
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    text.parse()
        .ok()
        .filter(|speed| (0.1..=1e6).contains(speed))
        .map(Speed::Times)
        .ok_or_else(|| "a number of times, such as 1000, or max".to_owned())
}
