//! `cloud demo`: a recorded day against a running service, with local stand-ins for Ubidots and Twilio.
//!
//! Needs no configuration, no account and no network. Everything between the request and the stand-ins is the real
//! service: the day's events are posted over HTTP, stored in a Postgres of the demo's own, processed and delivered.
//! The demo prints each event's journey and checks the sums at the end, so that it is a test as well as a show: when
//! something is not what it should be it says what, and ends with a failure.
//!
//! `day`, `note` and `scene` make the events, `replay` posts them and follows each, `facts` reads what came of them, `report`
//! and `curve` say it. `ubidots`, `twilio` and what they share are also what the tests send to.

/// The recorded day and what it must come to.
pub mod day;
/// How the day's stations write notes, and how Notehub wraps them.
mod note;
/// What their cameras see.
pub mod scene;

/// What both stand-ins share.
pub mod stand_in;
/// Plays Ubidots.
pub mod ubidots;

/// Plays Twilio.
pub mod twilio;

/// How many SMS segments a text takes.
pub mod segments;

/// Posts the events and follows each to its end.
mod replay;

/// What came of the events, from the database.
mod facts;

/// What the demo says and concludes.
pub mod report;

/// Scores over time, drawn.
pub mod curve;
/// Colour, where it is wanted.
pub mod ink;

use std::fmt::{self, Write as _};
use std::fs::Permissions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::command::serve::stop_signal;
use anyhow::Context as _;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Config;
use crate::receive::auth::kept_or_made;
use day::Day;
use ink::{Ink, Tone};
use report::Totals;
use twilio::TwilioStandIn;
use ubidots::UbidotsStandIn;

/// The score above which the default rule fires.
pub const THRESHOLD: f64 = 0.7;

const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";
const FROM: &str = "+15005550006";
const TO: &str = "+14155550123";

/// How to run the demo.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// Where to serve; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Use this empty Postgres database instead of an embedded one.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Wait this long between two events, to watch the day go by.
    #[arg(long, default_value = "0ms", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub pace: Duration,
    /// Stop after the summary instead of going on to serve.
    #[arg(long)]
    pub exit: bool,
    /// Print one line `ready http://ADDRESS` once the service answers.
    #[arg(long)]
    pub print_ready: bool,
}

/// Runs the demo until Ctrl-C, or to its end with `--exit`; fails when the day does not come to what it must.
pub async fn demo(options: DemoOptions) -> anyhow::Result<ExitCode> {
    play(&options, &mut Screen::stdout()).await
}

/// The demo on any screen.
pub async fn play(options: &DemoOptions, screen: &mut Screen) -> anyhow::Result<ExitCode> {
    let interrupted = stop_signal()?;
    tokio::pin!(interrupted);
    let folder = TemporaryFolder::new()?;
    screen.say("starting Postgres, the service, and stand-ins for Ubidots and Twilio ...\n")?;
    let stage = Stage::set(options, folder.path()).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("listening on {} (--listen)", options.listen))?;
    let address = listener.local_addr()?;
    let started = crate::start(stage.config.clone()).await?;
    let pool = started.app().pool.clone();
    let stop = CancellationToken::new();
    let service = tokio::spawn(started.run(listener, stop.clone().cancelled_owned()));

    let watched = async {
        let code = show(&stage, &pool, address, options, screen).await?;
        if code == ExitCode::SUCCESS && !options.exit {
            screen.say(&stage.where_to_look(address, screen.ink))?;
            std::future::pending::<()>().await;
        }
        anyhow::Ok(code)
    };
    // A service that ends by itself is noticed too: then `stop` has nothing left to stop, and its error is the answer.
    let watched = tokio::select! {
        watched = watched => watched,
        () = &mut interrupted => Ok(ExitCode::SUCCESS),
        () = stopped(&service) => Ok(ExitCode::FAILURE),
    };
    stop.cancel();
    service.await.context("the service broke down")??;
    stage.ubidots.stop().await;
    stage.twilio.stop().await;
    watched
}

/// The day from its first event to the verdict.
async fn show(
    stage: &Stage,
    pool: &PgPool,
    address: SocketAddr,
    options: &DemoOptions,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    let client = local_client()?;
    replay::wait_until_ready(&client, address).await?;
    if options.print_ready {
        screen.say(&format!("ready http://{address}\n"))?;
    }
    // Notehub received the last note some seconds after it was captured, and that is not in the future.
    let day = Day::recorded(Clock::System.now() - TimeDelta::seconds(10));
    screen.say(&opening(&day, address, screen.ink))?;
    let token = &stage.config.access.notehub_tokens[0];
    let replay = replay::Replay {
        client,
        url: format!("http://{address}/notehub"),
        token: token.expose_secret().to_owned(),
        pool: pool.clone(),
        pace: options.pace,
    };
    let answers = replay.run(&day, screen).await?;
    let totals = facts::totals(pool, &day, &answers, &stage.ubidots, &stage.twilio).await?;
    screen.say(&closing(stage, &day, &totals, screen.ink))?;
    let problems = report::problems(&totals, &day.expected());
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let heading = "The day did not come to what it must:";
    screen.say(&format!("\n{}\n", screen.ink.paint(Tone::Bad, heading)))?;
    for problem in problems {
        screen.say(&format!("  - {problem}\n"))?;
    }
    Ok(ExitCode::FAILURE)
}

/// What comes before the events.
fn opening(day: &Day, address: SocketAddr, ink: Ink) -> String {
    let heading = ink.paint(
        Tone::Strong,
        "A recorded day of two stations, posted as Notehub posts it",
    );
    let count = day.events.len();
    format!("\n{heading}\n{count} events to POST http://{address}/notehub; times are UTC\n\n")
}

/// What comes after them: to look at first, to read second.
fn closing(stage: &Stage, day: &Day, totals: &Totals, ink: Ink) -> String {
    let heading = |text: &str| format!("\n{}\n", ink.paint(Tone::Strong, text));
    let curve = day.curve();
    let last_hours = &curve[curve.len().saturating_sub(36)..];
    let mut text = heading("Anomaly score over the day, and in its last three hours");
    let whole_day = curve::sparkline(&curve, 72, THRESHOLD, ink);
    let _ = writeln!(text, "  {whole_day}\n");
    text.push_str(&curve::chart(
        last_hours,
        last_hours.len(),
        10,
        THRESHOLD,
        ink,
    ));

    text.push_str(&heading("What Ubidots got for the tutorial's event"));
    for post in facts::of_tutorial(&stage.ubidots) {
        let path = format!("POST /api/v1.6/devices/{}/", post.device_label);
        let _ = writeln!(text, "  {}\n  {}", ink.paint(Tone::Dim, &path), post.raw);
    }

    text.push_str(&heading("What the phone got"));
    for message in stage.twilio.messages() {
        text.push_str(&report::text_message(&message, ink));
    }

    text.push_str(&heading("What the day came to"));
    text.push_str(&report::summary(totals, &day.expected(), ink));
    text
}

/// Everything around the service.
struct Stage {
    ubidots: UbidotsStandIn,
    twilio: TwilioStandIn,
    config: Config,
}

impl Stage {
    async fn set(options: &DemoOptions, folder: &Path) -> anyhow::Result<Self> {
        let secret = || Uuid::now_v7().simple().to_string();
        let (ubidots_token, auth_token) = (format!("BBUS-{}", secret()), secret());
        let ubidots = UbidotsStandIn::start(&ubidots_token).await?;
        let twilio = TwilioStandIn::start(ACCOUNT_SID, &auth_token).await?;
        // The route and the rule are the defaults, those of the tutorial. The stand-in takes more than Ubidots' four
        // requests a second, or the day would last a minute and a half.
        let toml = format!(
            r#"
            [[destination]]
            name = "ubidots"
            kind = "ubidots"
            base_url = "{ubidots_url}"
            token = "{ubidots_token}"
            rate_limit = "none"

            [[destination]]
            name = "twilio"
            kind = "twilio"
            base_url = "{twilio_url}"
            account_sid = "{ACCOUNT_SID}"
            auth_token = "{auth_token}"
            from = "{FROM}"
            to = ["{TO}"]
            "#,
            ubidots_url = ubidots.url(),
            twilio_url = twilio.url(),
        );
        let mut config = Config::parse(&toml).context("the demo's configuration")?;
        config.server.listen = options.listen;
        folder.clone_into(&mut config.database.data_dir);
        config.database.url = options.database_url.clone().map(SecretString::from);
        config.access.notehub_tokens = vec![kept_or_made(folder, "notehub-token")?.0];
        config.access.people_token = Some(kept_or_made(folder, "people-token")?.0);
        Ok(Self {
            ubidots,
            twilio,
            config,
        })
    }

    fn where_to_look(&self, address: SocketAddr, ink: Ink) -> String {
        let people = self.config.access.people_token.as_ref();
        let people = people.map_or("", |token| token.expose_secret());
        let heading = ink.paint(Tone::Strong, "Look around; Ctrl-C ends it");
        format!(
            "\n{heading}\n  http://{address}/  (sign in with {people})\n  curl -H 'Authorization: Bearer {people}' http://{address}/api/v1/incidents\n"
        )
    }
}

/// Where the demo is written to.
pub struct Screen {
    out: Box<dyn Write + Send>,
    ink: Ink,
}

impl Screen {
    pub fn stdout() -> Self {
        Self::new(Box::new(std::io::stdout()), Ink::of_stdout())
    }

    pub fn new(out: Box<dyn Write + Send>, ink: Ink) -> Self {
        Self { out, ink }
    }

    /// Writes at once: a reader behind a pipe sees each line as it comes.
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .context("writing the demo's output")
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("ink", &self.ink)
            .finish_non_exhaustive()
    }
}

/// A folder that is gone when the demo is.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("thermal-watch-demo-{}", Uuid::now_v7().simple());
        let folder = Self(std::env::temp_dir().join(name));
        // If we are root, Postgres runs under another account and must be let in; the tokens inside are private files.
        std::fs::create_dir(folder.path())
            .and_then(|()| std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)))
            .with_context(|| format!("making the demo's folder {}", folder.path().display()))?;
        Ok(folder)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is only a leftover in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An HTTP client for talking to this machine: no proxy stands between.
pub fn local_client() -> anyhow::Result<reqwest::Client> {
    // Fails when a provider is installed already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .context("the HTTP client of the demo")
}

/// Resolves once the service has ended; whoever waits for it afterwards gets its result.
async fn stopped<T>(service: &JoinHandle<T>) {
    while !service.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
