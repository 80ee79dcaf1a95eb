//! The HTTP route: one attempt, what it showed, and when the next one is.

use std::io::Read;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::{Rng, RngExt};
use ureq::Agent;

/// How often an event is tried.
const TRIES: u32 = 3;
/// What is kept of an answer, bytes.
const KEPT: u64 = 2048;

/// What a user sets for a route at Notehub.
#[derive(Clone)]
pub struct Route {
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// Whether failed attempts are made again; at Notehub one has to ask for it.
    pub retry: bool,
    /// Only these notefiles; all if there are none.
    pub files: Vec<String>,
    /// Whether Notehub's own events (`_session.qo`) are posted too.
    pub system: bool,
    /// For connecting, and again for the answer.
    pub timeout: Duration,
}

/// Headers hold the service's token, which stays out of logs.
impl std::fmt::Debug for Route {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Route")
            .field("url", &self.url)
            .field("retry", &self.retry)
            .field("files", &self.files)
            .field("system", &self.system)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why an event was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Normal,
    Retry,
    Manual,
}

/// A line of the route's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub began: DateTime<Utc>,
    pub took: Duration,
    /// The event's uid.
    pub event: String,
    pub source: Source,
    /// What Notehub calls `attn`.
    pub failed: bool,
    /// None if there was no answer.
    pub status: Option<u16>,
    /// The beginning of the answer, or what went wrong.
    pub text: String,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// No answer, no proper one, or 5xx: worth another try.
    Failed,
    /// Anything else. It is final, and the event is not delivered.
    Refused,
}

#[derive(Debug)]
pub struct Answer {
    pub verdict: Verdict,
    pub status: Option<u16>,
    pub text: String,
    /// How long it must have lasted, whatever the clock says.
    pub at_least: Duration,
}

/// Makes the attempts.
#[derive(Debug)]
pub struct Caller {
    route: Route,
    agent: Agent,
}

impl Route {
    /// To `cloud`, with retries and without Notehub's own events.
    pub fn new(url: &str, token: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
            retry: true,
            files: Vec::new(),
            system: false,
            timeout: Duration::from_secs(30),
        }
    }

    /// Whether events of this notefile are posted.
    pub fn passes(&self, file: &str) -> bool {
        if file.starts_with('_') {
            return self.system;
        }
        self.files.is_empty() || self.files.iter().any(|wanted| wanted == file)
    }
}

impl Caller {
    pub fn new(route: Route) -> Self {
        let mut config = Agent::config_builder()
            .user_agent("BluesNotehub/1.0")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A connection that the service closed meanwhile must not look like a failed attempt.
            .max_idle_connections(0)
            .timeout_resolve(Some(route.timeout))
            .timeout_connect(Some(route.timeout))
            .timeout_send_request(Some(route.timeout))
            .timeout_send_body(Some(route.timeout))
            .timeout_recv_response(Some(route.timeout))
            .timeout_recv_body(Some(route.timeout));
        // What runs on this machine is not asked for through a proxy.
        if ["//127.0.0.1", "//localhost", "//[::1]"]
            .iter()
            .any(|here| route.url.contains(here))
        {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        Self { route, agent }
    }

    pub fn route(&self) -> &Route {
        &self.route
    }

    pub fn post(&self, text: &str) -> Answer {
        let mut request = self
            .agent
            .post(&self.route.url)
            .header("Content-Type", "application/json");
        for (name, value) in &self.route.headers {
            request = request.header(name, value);
        }
        match request.send(text) {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let mut start = Vec::new();
                let mut body = answer.into_body().into_reader().take(KEPT);
                match body.read_to_end(&mut start) {
                    Ok(_) => Answer {
                        verdict: verdict(status),
                        status: Some(status),
                        text: String::from_utf8_lossy(&start).into_owned(),
                        at_least: Duration::ZERO,
                    },
                    Err(error) => self.failed(Some(status), &ureq::Error::from(error)),
                }
            }
            Err(error) => self.failed(None, &error),
        }
    }

    fn failed(&self, status: Option<u16>, error: &ureq::Error) -> Answer {
        let late = matches!(error, ureq::Error::Timeout(_));
        Answer {
            verdict: Verdict::Failed,
            status,
            text: error.to_string(),
            at_least: if late {
                self.route.timeout
            } else {
                Duration::ZERO
            },
        }
    }
}

/// An attempt while nobody can be reached.
pub fn unreachable() -> Answer {
    Answer {
        verdict: Verdict::Failed,
        status: None,
        text: "cannot connect".to_owned(),
        at_least: Duration::ZERO,
    }
}

fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Taken,
        500.. => Verdict::Failed,
        _ => Verdict::Refused,
    }
}

/// From the end of this attempt (counted from 1) to the next, if there is one: the last is about six minutes after the
/// first.
pub fn wait(number: u32, chance: &mut impl Rng) -> Option<Duration> {
    (number < TRIES).then(|| {
        Duration::from_secs(120 * u64::from(number)).mul_f64(chance.random_range(0.9..1.1))
    })
}
