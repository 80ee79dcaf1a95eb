//! The configuration: one typed value, complete and checked before anything starts.
//!
//! `Config::load` layers the TOML file and the environment (`layer`), reads every key through a
//! `Section` that knows its full path (`section`), and cross-checks the whole (`check`). All
//! problems are collected, so that one run of `check-config` shows them all. Values that may be
//! secret are never repeated in a message, and secrets are held in `SecretString`, which does not
//! print itself.
//!
//! Deliberately absent: expressions are kept as text here and compiled by `process::transform`, and
//! nothing here opens a connection. `deploy/cloud.toml` shows every key; a test holds it to the
//! defaults below.

mod layer; // which file, the environment over it
mod section; // typed reads from one table, unknown keys
mod units; // "30s", "256KiB", "4/s", "2 of 3"

mod check; // what no single key can know
mod destination; // [[destination]]
mod expression; // JSONata, in place or in a file
mod flow; // [[route]] and [[rule]]
mod read; // the single sections and the order of reading
mod secret;
mod user; // [[user]] // secrets in place or in a file

mod describe; // the summary that `check-config` prints
mod scope; // which events a route or rule is about
mod snippet; // a route or rule as it would stand in the file
#[cfg(test)]
mod tests;
mod tutorial; // the route and rule of a file without any
mod watch; // [watch]

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use scope::Scope;
pub use tutorial::{DEFAULT_TRANSFORM, TUTORIAL_FILE, TUTORIAL_TRANSFORM, TUTORIAL_VALUE};
pub(crate) use units::{show_duration, show_rate, show_size};
pub use watch::SILENT;

/// What whoever holds the people token is called.
pub const PEOPLE: &str = "people";

#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub access: Access,
    pub users: Vec<User>,
    pub notehub: Notehub,
    pub destinations: Vec<Destination>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub transform: Transform,
    pub watch: Watch,
    pub series: Series,
    pub retention: Retention,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    pub body_limit: usize,
    pub request_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct Database {
    /// `None` means the embedded Postgres in `data_dir`.
    pub url: Option<SecretString>,
    pub data_dir: PathBuf,
    pub max_connections: u32,
}

#[derive(Debug, Clone)]
pub struct Access {
    pub notehub_tokens: Vec<SecretString>,
    pub people_token: Option<SecretString>,
    /// How long a browser stays signed in.
    pub session: Duration,
}

/// Somebody with a name and a password of their own.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub role: Role,
    /// Argon2 in the PHC form, as `cloud hash-password` prints it.
    pub password_hash: SecretString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Also acknowledges, silences, replays.
    Operator,
}

#[derive(Debug, Clone)]
pub struct Notehub {
    pub api_url: Url,
    /// Its uid or that of a product in it; `None` means that nothing is fetched.
    pub project: Option<String>,
    pub token: Option<SecretString>,
    /// Id and secret of an OAuth client, used in place of the token.
    pub client: Option<(String, SecretString)>,
    /// How often it is asked what was missed.
    pub every: Duration,
    /// How far back the first fetch goes.
    pub first: Duration,
    /// `None` is "none": unlimited.
    pub rate_limit: Option<RateLimit>,
    pub timeout: Duration,
    /// Whether Notehub's own notefiles, which begin with `_`, are fetched too.
    pub system_files: bool,
}

#[derive(Debug, Clone)]
pub struct Destination {
    pub name: String,
    pub kind: DestinationKind,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a handful of them are made, at the start"
)]
pub enum DestinationKind {
    Ubidots(Ubidots),
    Twilio(Twilio),
    Http(Http),
}

#[derive(Debug, Clone)]
pub struct Ubidots {
    pub base_url: Url,
    pub token: SecretString,
    /// `None` is "none": unlimited.
    pub rate_limit: Option<RateLimit>,
    pub timeout: Duration,
    pub allow_private: bool,
}

#[derive(Debug, Clone)]
pub struct Twilio {
    pub base_url: Url,
    pub account_sid: String,
    pub auth_token: SecretString,
    /// Still signs what Twilio sends to us while the token is being changed.
    pub previous_auth_token: Option<SecretString>,
    /// SID and secret of an API key, used in place of the auth token for sending.
    pub api_key: Option<(String, SecretString)>,
    pub sender: Sender,
    pub to: Vec<String>,
    /// The numbers are told one after the other, so long apart, until somebody acknowledges; `None`: all at once.
    pub escalate_after: Option<Duration>,
    /// Whose number it is, where that was given.
    pub names: BTreeMap<String, String>,
    /// Whether the picture of an incident follows its text.
    pub pictures: bool,
    pub validity: Duration,
    pub rate_limit: Option<RateLimit>,
    pub timeout: Duration,
    pub allow_private: bool,
    /// `server.public_url`: where Twilio reaches this service.
    pub public_url: Option<Url>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    From(String),
    MessagingService(String),
}

#[derive(Clone)]
pub struct Http {
    pub url: Url,
    pub headers: Vec<(String, SecretString)>,
    /// Standard Webhooks secrets as written, `whsec_` included; the first one is the newest.
    pub signing_secrets: Vec<SecretString>,
    pub rate_limit: Option<RateLimit>,
    pub timeout: Duration,
    pub allow_private: bool,
}

/// At most `count` sends in each `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub count: NonZeroU32,
    pub per: Duration,
}

#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    pub files: Vec<String>,
    pub devices: Vec<String>,
    pub fleets: Vec<String>,
    pub products: Vec<String>,
    /// `None` forwards the event as it came.
    pub transform: Option<Expression>,
    pub destination: String,
    pub enabled: bool,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub files: Vec<String>,
    pub devices: Vec<String>,
    pub fleets: Vec<String>,
    pub products: Vec<String>,
    pub value: Expression,
    pub fire: Threshold,
    /// `clear_below` of a rule that fires above, `clear_above` of one that fires below.
    pub clear: f64,
    pub hold: Duration,
    pub clear_hold: Duration,
    pub count: Count,
    /// The number assumed when `value` yields nothing, because templated notes leave zeros out.
    pub missing: Option<f64>,
    pub severity: Severity,
    pub notify: Vec<String>,
    pub message: Option<Expression>,
    /// How the default text tells the value.
    pub wording: Wording,
    pub cooldown: Duration,
    /// `None` is "none": never remind.
    pub repeat: Option<Duration>,
    pub max_age: Duration,
}

/// What the default text says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// The value beside the limit: "0.88 above 0.7".
    Limit,
    /// The value is for how many hours something has lasted, and the note's `why` says what.
    Hours,
    /// The value is 1 or 0; what there is to say is the note's `why`.
    Reason,
    /// The value is for how many hours nothing was heard.
    Silence,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    Above(f64),
    Below(f64),
}

/// `times` of the last `of` values must be beyond the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub times: u32,
    pub of: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub text: String,
    /// Where it stands, for messages: "route `x`: transform" or a file's path.
    pub source: String,
}

#[derive(Debug, Clone)]
pub struct Transform {
    pub engine: Engine,
    pub timeout: Duration,
    pub output_limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    JsonataCore,
    JsonataRs,
}

#[derive(Debug, Clone)]
pub struct Watch {
    pub enabled: bool,
    pub silent_after: Duration,
    /// How late a station may be beyond its rhythm.
    pub grace: Duration,
    pub severity: Severity,
    pub notify: Vec<String>,
    /// `None` is "none": never remind.
    pub repeat: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct Series {
    /// `None` is every number in `body`, by dotted path.
    pub transform: Option<Expression>,
}

#[derive(Debug, Clone)]
pub struct Retention {
    pub events: Duration,
    pub measurements: Duration,
    pub attempts: Duration,
    pub frames: Duration,
}

/// A configuration that passed, where it came from, and what its owner should still know.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub path: Option<PathBuf>,
    pub warnings: Vec<String>,
}

/// Everything wrong with a configuration, in the order of the file's sections.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigErrors {
    pub path: Option<PathBuf>,
    pub problems: Vec<String>,
}

impl Config {
    /// Reads the file named by `explicit`, else by `CLOUD_CONFIG`, else `cloud.toml` if there is
    /// one, and lays the environment over it.
    pub fn load(
        explicit: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Loaded, ConfigErrors> {
        let path = layer::find(explicit, environment);
        let fail = |problems| ConfigErrors {
            path: path.clone(),
            problems,
        };
        let text = layer::file_text(path.as_deref()).map_err(|problem| fail(vec![problem]))?;
        let base = path
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        let layers = layer::combine(&text, environment, base).map_err(fail)?;
        let (config, warnings) = read::config(layers).map_err(fail)?;
        Ok(Loaded {
            config,
            path,
            warnings,
        })
    }

    /// Reads a configuration from text alone, for tests and the demo: no environment, paths
    /// relative to the working directory.
    pub fn parse(toml: &str) -> Result<Config, ConfigErrors> {
        let fail = |problems| ConfigErrors {
            path: None,
            problems,
        };
        let layers = layer::combine(toml, &BTreeMap::new(), Path::new("")).map_err(fail)?;
        let (config, _warnings) = read::config(layers).map_err(fail)?;
        Ok(config)
    }

    /// The Twilio destinations.
    pub fn phones(&self) -> impl Iterator<Item = (&str, &Twilio)> {
        self.destinations.iter().filter_map(|one| match &one.kind {
            DestinationKind::Twilio(twilio) => Some((one.name.as_str(), twilio)),
            _ => None,
        })
    }

    pub fn destination(&self, name: &str) -> Option<&Destination> {
        self.destinations.iter().find(|one| one.name == name)
    }
}

impl DestinationKind {
    /// The word used for `kind` in the file.
    pub fn word(&self) -> &'static str {
        match self {
            DestinationKind::Ubidots(_) => "ubidots",
            DestinationKind::Twilio(_) => "twilio",
            DestinationKind::Http(_) => "http",
        }
    }
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }
}

impl Engine {
    pub fn word(self) -> &'static str {
        match self {
            Engine::JsonataCore => "jsonata-core",
            Engine::JsonataRs => "jsonata-rs",
        }
    }
}

impl Route {
    /// The patterns, compiled; keep the answer rather than asking again for each event.
    pub fn scope(&self) -> Scope {
        Scope::new(&self.files, &self.devices, &self.fleets, &self.products)
    }
}

impl Rule {
    /// The patterns, compiled; keep the answer rather than asking again for each event.
    pub fn scope(&self) -> Scope {
        Scope::new(&self.files, &self.devices, &self.fleets, &self.products)
    }
}

/// The path and query of a webhook address are often its secret, so only its origin is printed.
impl fmt::Debug for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Http")
            .field("url", &self.url.origin().ascii_serialization())
            .field("headers", &self.headers)
            .field("signing_secrets", &self.signing_secrets)
            .field("rate_limit", &self.rate_limit)
            .field("timeout", &self.timeout)
            .field("allow_private", &self.allow_private)
            .finish()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "the configuration in {}", path.display())?,
            None => write!(formatter, "the configuration")?,
        }
        match self.problems.len() {
            1 => write!(formatter, " has an error:")?,
            several => write!(formatter, " has {several} errors:")?,
        }
        for problem in &self.problems {
            write!(formatter, "\n  - {problem}")?;
        }
        Ok(())
    }
}
