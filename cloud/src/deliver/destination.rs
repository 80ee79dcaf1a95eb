//! A place to send to, and what an attempt at it showed.
//!
//! The cast: an `Outbound` is one delivery as claimed from the outbox; a `Destination` sends it
//! (or several, merged) in one attempt; an `Attempted` is what is recorded of that, and its
//! `Outcome` is what `retry` and `breaker` decide upon. The kinds differ in what they send and in
//! how they read an answer; what they share about sending stands in `exchange`.
//!
//! Nothing here repeats an attempt, waits, or touches the database. An attempt ends by the
//! destination's time limit, whatever the other side does, and no secret leaves except on the
//! wire: not in an answer, not in `Debug`, not in a `Preview`.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::http::Http;
use super::twilio::Twilio;
use super::ubidots::{self, Ubidots};
use crate::config;

/// One delivery, on its way out.
#[derive(Debug, Clone)]
pub struct Outbound {
    pub id: Uuid,
    pub event_uid: Option<String>,
    pub incident_id: Option<i64>,
    pub device: String,
    pub created_at: DateTime<Utc>,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// An attempt that started then may or may not have arrived.
    pub ambiguous_before: Option<DateTime<Utc>>,
    /// The JSON text as stored.
    pub body: String,
}

/// What an attempt showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Retry {
        why: Why,
        /// What the destination asked for with Retry-After.
        after: Option<Duration>,
        /// Whether it may have arrived all the same.
        ambiguous: bool,
        scope: Scope,
    },
    /// It will never be taken as it is.
    Refused {
        why: Why,
    },
}

/// Whom a failure speaks of: this delivery, or all that go to the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Delivery,
    Destination,
}

/// One attempt, ready to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// At most 4 kB of what came back, safe to store and to show.
    pub answer: String,
}

/// Exactly what would be sent, with `***` for secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Why an attempt did not deliver. `Display` is for people, `code` for metrics and queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No (whole) answer within the time limit.
    Timeout,
    /// No connection, so nothing was sent.
    Connect(String),
    Dns(String),
    /// The connection broke after something may have been sent.
    Broken(String),
    Status(u16),
    RateLimited,
    AccountLimit,
    Payment,
    Auth(u16),
    /// Ubidots: the device is switched off there, and its data is not kept.
    Disabled,
    /// Ubidots: answered 204, which there means that nothing was saved.
    NotSaved,
    /// Ubidots: variables not saved, with the status of the first.
    Variables {
        status: u16,
        names: String,
    },
    /// Ubidots: a body merged of several deliveries was refused; each goes alone the next time.
    Merged(u16),
    Redirect(u16),
    PrivateAddress(IpAddr),
    TooLarge {
        bytes: usize,
        limit: usize,
    },
    /// The stored body is not of the form this destination needs.
    Body(String),
    Twilio {
        code: u32,
        note: &'static str,
    },
    /// Twilio: whether an earlier attempt arrived could not be found out.
    LookUp(String),
    /// A success that is not the success of this API.
    Unexpected(u16),
}

impl Outcome {
    /// A failure to repeat that surely left nothing behind at the other side.
    pub(super) fn again(why: Why) -> Self {
        Self::Retry {
            why,
            after: None,
            ambiguous: false,
            scope: Scope::Delivery,
        }
    }

    /// A failure to repeat that may have been a success.
    pub(super) fn unknown(why: Why) -> Self {
        Self::Retry {
            why,
            after: None,
            ambiguous: true,
            scope: Scope::Delivery,
        }
    }

    /// A failure that every other delivery to the same place would share.
    pub(super) fn down(why: Why) -> Self {
        Self::Retry {
            why,
            after: None,
            ambiguous: false,
            scope: Scope::Destination,
        }
    }

    /// Whether it failed with this error of Twilio's.
    pub(super) fn is_twilio(&self, wanted: u32) -> bool {
        let (Self::Retry { why, .. } | Self::Refused { why }) = self else {
            return false;
        };
        matches!(why, Why::Twilio { code, .. } if *code == wanted)
    }

    /// What an HTTP status means where an API does not say otherwise.
    ///
    /// A wrong token is not held against the delivery: it is mended in the configuration, and
    /// what was waiting should then go out. Redirects are refused, for a body must not be carried
    /// to a place nobody configured.
    pub(super) fn of_status(status: u16, after: Option<Duration>) -> Self {
        let retry = |why, ambiguous| Self::Retry {
            why,
            after,
            ambiguous,
            scope: Scope::Delivery,
        };
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Refused {
                why: Why::Redirect(status),
            },
            401 | 403 | 407 => Self::down(Why::Auth(status)),
            402 => Self::down(Why::Payment),
            429 => retry(Why::RateLimited, false),
            408 => retry(Why::Status(status), true),
            425 => retry(Why::Status(status), false),
            400..=499 => Self::Refused {
                why: Why::Status(status),
            },
            _ => retry(Why::Status(status), true),
        }
    }
}

impl Why {
    /// A stable short word for the reason, of few different values.
    pub fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Timeout => "timeout",
            Self::Connect(_) => "connect",
            Self::Dns(_) => "dns",
            Self::Broken(_) => "broken",
            Self::Status(status) => return Cow::Owned(format!("status_{status}")),
            Self::RateLimited => "rate_limited",
            Self::AccountLimit => "account_limit",
            Self::Payment => "payment",
            Self::Auth(_) => "auth",
            Self::Disabled => "disabled",
            Self::NotSaved => "not_saved",
            Self::Variables { status, .. } => return Cow::Owned(format!("inner_{status}")),
            Self::Merged(_) => "merged",
            Self::Redirect(_) => "redirect",
            Self::PrivateAddress(_) => "private_address",
            Self::TooLarge { .. } => "too_large",
            Self::Body(_) => "body",
            Self::Twilio { code, .. } => return Cow::Owned(format!("twilio_{code}")),
            Self::LookUp(_) => "look_up",
            Self::Unexpected(_) => "unexpected",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer within the time limit"),
            Self::Connect(cause) => write!(f, "could not connect: {cause}"),
            Self::Dns(cause) => write!(f, "could not resolve the host name: {cause}"),
            Self::Broken(cause) => write!(f, "the connection broke: {cause}"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::RateLimited => f.write_str("answered 429: too many requests"),
            Self::AccountLimit => f.write_str("answered 420: the account's limit is used up"),
            Self::Payment => f.write_str("answered 402: the account needs a payment"),
            Self::Auth(status) => write!(
                f,
                "answered {status}: check the credentials of this destination"
            ),
            Self::Disabled => f.write_str("answered 423: the device is disabled there"),
            Self::NotSaved => f.write_str("answered 204: a field is wrong, nothing was saved"),
            Self::Variables { status, names } => write!(f, "status {status} for variable {names}"),
            Self::Merged(status) => {
                write!(
                    f,
                    "answered {status} to a body merged of several deliveries; goes alone next"
                )
            }
            Self::Redirect(status) => {
                write!(
                    f,
                    "answered {status}: redirects are not followed, configure the final address"
                )
            }
            Self::PrivateAddress(address) => {
                write!(
                    f,
                    "{address} is not a public address; set allow_private = true if it is meant"
                )
            }
            Self::TooLarge { bytes, limit } => {
                write!(
                    f,
                    "the body has {bytes} bytes, the limit is {limit}; let the transform send less"
                )
            }
            Self::Body(problem) => write!(f, "the body cannot be sent here: {problem}"),
            Self::Twilio { code, note: "" } => write!(f, "Twilio error {code}"),
            Self::Twilio { code, note } => write!(f, "Twilio error {code}: {note}"),
            Self::LookUp(cause) => {
                write!(
                    f,
                    "an earlier attempt may have arrived, and looking it up failed: {cause}"
                )
            }
            Self::Unexpected(status) => write!(f, "answered {status}, but not as this API does"),
        }
    }
}

/// A configured place to send to, with its connections.
pub struct Destination {
    pub name: String,
    pub rate_limit: Option<config::RateLimit>,
    /// The limit of one request with its answer.
    pub timeout: Duration,
    kind: Kind,
}

enum Kind {
    Ubidots(Ubidots),
    Twilio(Twilio),
    Http(Http),
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

impl Destination {
    pub fn new(config: &config::Destination) -> anyhow::Result<Self> {
        let context = || format!("destination `{}`", config.name);
        let (rate_limit, timeout, kind) = match &config.kind {
            config::DestinationKind::Ubidots(ubidots) => {
                let kind = Kind::Ubidots(Ubidots::new(ubidots).with_context(context)?);
                (&ubidots.rate_limit, ubidots.timeout, kind)
            }
            config::DestinationKind::Twilio(twilio) => {
                let kind = Kind::Twilio(Twilio::new(twilio).with_context(context)?);
                (&twilio.rate_limit, twilio.timeout, kind)
            }
            config::DestinationKind::Http(http) => {
                let kind = Kind::Http(Http::new(http).with_context(context)?);
                (&http.rate_limit, http.timeout, kind)
            }
        };
        Ok(Self {
            name: config.name.clone(),
            rate_limit: *rate_limit,
            timeout,
            kind,
        })
    }

    /// `ubidots`, `twilio` or `http`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Ubidots(_) => "ubidots",
            Kind::Twilio(_) => "twilio",
            Kind::Http(_) => "http",
        }
    }

    /// The longest that `send` of one group takes; a lease must outlast it.
    pub fn longest(&self) -> Duration {
        match self.kind {
            // A text may be looked up before it is sent.
            Kind::Twilio(_) => self.timeout.saturating_mul(2),
            Kind::Ubidots(_) | Kind::Http(_) => self.timeout,
        }
    }

    /// Puts together what one request can carry. Every group is for one call of `send`.
    pub fn group(&self, batch: Vec<Outbound>) -> Vec<Vec<Outbound>> {
        match self.kind {
            Kind::Ubidots(_) => ubidots::group(batch),
            Kind::Twilio(_) | Kind::Http(_) => batch.into_iter().map(|one| vec![one]).collect(),
        }
    }

    /// Makes one attempt at each delivery of a group; the results stand in the same order.
    pub async fn send(&self, batch: &[Outbound], now: DateTime<Utc>) -> Vec<Attempted> {
        if let (Kind::Ubidots(ubidots), [_, _, ..]) = (&self.kind, batch)
            && let Some(attempted) = ubidots.send_merged(batch, now).await
        {
            return attempted;
        }
        let mut attempted = Vec::with_capacity(batch.len());
        for one in batch {
            attempted.push(match &self.kind {
                Kind::Ubidots(ubidots) => ubidots.send(one, now).await,
                Kind::Twilio(twilio) => twilio.send(one, now).await,
                Kind::Http(http) => http.send(one, now).await,
            });
        }
        attempted
    }

    /// What `send` would put on the wire for one delivery, had it been created just now.
    pub fn preview(&self, one: &Outbound) -> Preview {
        match &self.kind {
            Kind::Ubidots(ubidots) => ubidots.preview(one),
            Kind::Twilio(twilio) => twilio.preview(one),
            Kind::Http(http) => http.preview(one),
        }
    }
}
