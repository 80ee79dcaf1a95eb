//! Ubidots: one POST of variables to a device, and an answer that has to be read closely.
//!
//! - The body is sent byte for byte as stored. It should carry its own timestamps (milliseconds):
//!   there is no idempotency key, and with a timestamp a repeat is at worst the same point twice.
//! - A 200 holds one `status_code` for each point. The delivery is done when every one of them is
//!   2xx, except 204, which here means *not saved*, inside as well as outside.
//! - A 2xx whose answer is not of that form is taken as delivered, and the answer is kept: points
//!   were probably saved, and repeating them for days would mend nothing. If the answer broke off
//!   before it could be read, the attempt is repeated.
//! - Deliveries of one device whose points all carry timestamps travel together, up to the limit
//!   of 10,000 bytes, because a token allows four requests a second. Only first attempts do, so
//!   that one bad body cannot hold back the others more than once.
//!
//! The label of a device is its uid in lower case with everything but `a-z 0-9 _ -` replaced by
//! `-`: `dev:864475` becomes `dev-864475`. Uids that differ only in case or in such characters
//! share a label; those of Notehub do not.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::destination::{Attempted, Outbound, Outcome, Preview, Scope, Why};
use super::exchange::{self, Answer, Client, End, HIDDEN, Setup};
use crate::config;

/// The most that Ubidots takes in one body.
const LIMIT: usize = 10_000;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How many variables a reason names before it only counts them.
const NAMED: usize = 8;

pub(super) struct Ubidots {
    client: Client,
    /// The URL up to the device's label.
    devices: String,
}

impl Ubidots {
    pub(super) fn new(config: &config::Ubidots) -> anyhow::Result<Self> {
        let token = config.token.expose_secret();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert("x-auth-token", exchange::secret_header(token)?);
        let client = Client::new(Setup {
            base: &config.base_url,
            headers,
            timeout: config.timeout,
            secrets: vec![token.to_owned()],
            guarded: false,
        })?;
        let base = config.base_url.as_str().trim_end_matches('/');
        Ok(Self {
            client,
            devices: format!("{base}/api/v1.6/devices/"),
        })
    }

    pub(super) async fn send(&self, one: &Outbound, now: DateTime<Utc>) -> Attempted {
        let bytes = one.body.len();
        if bytes > LIMIT {
            let why = Why::TooLarge {
                bytes,
                limit: LIMIT,
            };
            return exchange::unanswered(Outcome::Refused { why });
        }
        match self.post(&one.device, one.body.clone(), now).await {
            Err(outcome) => exchange::unanswered(outcome),
            Ok(answer) => self.client.attempted(read(&answer), &answer),
        }
    }

    /// Sends deliveries of one device as one body, or `None` if they do not go together.
    pub(super) async fn send_merged(
        &self,
        batch: &[Outbound],
        now: DateTime<Utc>,
    ) -> Option<Vec<Attempted>> {
        let merged = Merged::of(batch)?;
        let outcomes;
        let (status, kept) = match self.post(&batch[0].device, merged.body(), now).await {
            Err(outcome) => {
                outcomes = vec![outcome; batch.len()];
                (None, String::new())
            }
            Ok(answer) => {
                outcomes = merged.read(&answer, batch.len());
                (Some(answer.status), self.client.kept("merged: ", &answer))
            }
        };
        let attempted = |outcome| Attempted {
            outcome,
            status,
            answer: kept.clone(),
        };
        Some(outcomes.into_iter().map(attempted).collect())
    }

    pub(super) fn preview(&self, one: &Outbound) -> Preview {
        Preview {
            method: "POST".to_owned(),
            url: self.url(&one.device),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-auth-token".to_owned(), HIDDEN.to_owned()),
            ],
            body: one.body.clone(),
        }
    }

    async fn post(
        &self,
        device: &str,
        body: String,
        now: DateTime<Utc>,
    ) -> Result<Answer, Outcome> {
        let request = self.client.post(self.url(device), body);
        self.client.exchange(request, exchange::READ, now).await
    }

    fn url(&self, device: &str) -> String {
        format!("{}{}/", self.devices, label(device))
    }
}

/// Puts deliveries together that one request can carry, in the order of the first of each.
pub(super) fn group(batch: Vec<Outbound>) -> Vec<Vec<Outbound>> {
    let mut of_device: HashMap<&str, usize> = HashMap::new();
    for one in &batch {
        *of_device.entry(&one.device).or_default() += 1;
    }
    // Reading bodies costs time; nothing is read where nothing could be merged.
    let weights: Vec<Option<usize>> = batch
        .iter()
        .map(|one| {
            (one.attempt <= 1 && of_device[one.device.as_str()] > 1).then(|| weight(&one.body))?
        })
        .collect();
    let mut groups: Vec<Vec<Outbound>> = Vec::with_capacity(batch.len());
    // The group that is being filled for a device, and how many bytes it has left.
    let mut open: HashMap<String, (usize, usize)> = HashMap::new();
    for (one, weight) in batch.into_iter().zip(weights) {
        let Some(weight) = weight else {
            groups.push(vec![one]);
            continue;
        };
        match open.get_mut(&one.device) {
            Some((group, left)) if *left >= weight => {
                *left -= weight;
                groups[*group].push(one);
            }
            _ => {
                open.insert(
                    one.device.clone(),
                    (groups.len(), LIMIT.saturating_sub(weight)),
                );
                groups.push(vec![one]);
            }
        }
    }
    groups
}

/// The label of a device at Ubidots.
pub(super) fn label(device: &str) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '-') => c,
        _ => '-',
    };
    if device.is_empty() {
        "unknown".to_owned()
    } else {
        device.chars().map(letter).collect()
    }
}

fn read(answer: &Answer) -> Outcome {
    if let Some(outcome) = read_status(answer) {
        return outcome;
    }
    let variables = inner_codes(&answer.body);
    let codes: Vec<(&str, u16)> = variables
        .iter()
        .flat_map(|(name, codes)| codes.iter().map(|code| (name.as_str(), *code)))
        .collect();
    judge(&codes)
}

/// What the status alone settles; `None` if it lies with the inner codes.
fn read_status(answer: &Answer) -> Option<Outcome> {
    let retry = |why, scope| Outcome::Retry {
        why,
        after: answer.after,
        ambiguous: false,
        scope,
    };
    match (answer.status, &answer.end) {
        (204, _) => Some(Outcome::Refused { why: Why::NotSaved }),
        (200..=299, End::Whole) => None,
        (200..=299, End::TooLong) => Some(Outcome::Delivered),
        (200..=299, End::Broken(why)) => Some(Outcome::unknown(why.clone())),
        (420, _) => Some(retry(Why::AccountLimit, Scope::Destination)),
        (423, _) => Some(retry(Why::Disabled, Scope::Delivery)),
        (status, _) => Some(Outcome::of_status(status, answer.after)),
    }
}

/// What the inner codes of one delivery say together. As long as one of them may get better, the
/// delivery is repeated; what stays refused is refused then.
fn judge(codes: &[(&str, u16)]) -> Outcome {
    let passing = |code: u16| matches!(code, 408 | 420 | 423 | 429 | 500..=599);
    let why = |wanted: &dyn Fn(u16) -> bool| {
        let mut found = codes.iter().copied().filter(|(_, code)| wanted(*code));
        let (first, status) = found.next()?;
        let mut names: Vec<Cow<'_, str>> = vec![first.into()];
        for (name, _) in found {
            if names.last().is_none_or(|last| last != name) {
                names.push(name.into());
            }
        }
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if more > 0 {
            names.push(format!("and {more} more").into());
        }
        Some(Why::Variables {
            status,
            names: names.join(", "),
        })
    };
    if let Some(why) = why(&passing) {
        Outcome::again(why)
    } else if let Some(why) = why(&|code| !saved(code)) {
        Outcome::Refused { why }
    } else {
        Outcome::Delivered
    }
}

fn saved(code: u16) -> bool {
    (200..=299).contains(&code) && code != 204
}

/// The status codes by variable; empty if the answer has none.
fn inner_codes(body: &[u8]) -> Vec<(String, Vec<u16>)> {
    let Ok(Value::Object(variables)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let code = |point: &Value| {
        let code = point.get("status_code")?.as_u64()?;
        // What is no status at all is none that we know as a success.
        Some(u16::try_from(code).unwrap_or(u16::MAX))
    };
    let codes = |points: &Value| match points {
        Value::Array(points) => points.iter().filter_map(code).collect(),
        point => Vec::from_iter(code(point)),
    };
    variables
        .iter()
        .map(|(name, points)| (name.clone(), codes(points)))
        .filter(|(_, codes)| !codes.is_empty())
        .collect()
}

/// How much of a merged body a delivery can take up at most, or `None` if it travels alone.
///
/// It does unless each of its points carries its timestamp: two points that the server stamps
/// would get the same one.
fn weight(body: &str) -> Option<usize> {
    let points: Points<'_> = serde_json::from_str(body).ok()?;
    let stamped =
        |(_, point): &(String, &RawValue)| serde_json::from_str::<Stamped>(point.get()).is_ok();
    // Each point may need its own `"name":[...],`, of which it has all but the brackets.
    (!points.0.is_empty() && points.0.iter().all(stamped)).then(|| body.len() + 2 * points.0.len())
}

/// A point that can stand in an array with others.
#[derive(Deserialize)]
struct Stamped {
    #[serde(rename = "value")]
    _value: f64,
    #[serde(rename = "timestamp")]
    _timestamp: u64,
}

/// The members of an object in their order, each still as it was written.
struct Points<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Points<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Points<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of variables")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Points(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Several deliveries as one body: to each variable its points, and whose they are.
struct Merged<'a> {
    variables: Vec<(String, Vec<(usize, &'a RawValue)>)>,
}

impl<'a> Merged<'a> {
    fn of(batch: &'a [Outbound]) -> Option<Self> {
        let mut variables: Vec<(String, Vec<(usize, &'a RawValue)>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (owner, one) in batch.iter().enumerate() {
            if one.device != batch[0].device || weight(&one.body).is_none() {
                return None;
            }
            let Points(points) = serde_json::from_str(&one.body).ok()?;
            for (name, point) in points {
                let place = *places.entry(name.clone()).or_insert(variables.len());
                if place == variables.len() {
                    variables.push((name, Vec::new()));
                }
                variables[place].1.push((owner, point));
            }
        }
        let merged = Self { variables };
        (merged.body().len() <= LIMIT).then_some(merged)
    }

    fn body(&self) -> String {
        let variable = |(name, points): &(String, Vec<(usize, &RawValue)>)| {
            let points: Vec<&str> = points.iter().map(|(_, point)| point.get()).collect();
            format!("{}:[{}]", Value::from(name.as_str()), points.join(","))
        };
        let variables: Vec<String> = self.variables.iter().map(variable).collect();
        format!("{{{}}}", variables.join(","))
    }

    /// Gives each of `count` deliveries its share of the answer.
    fn read(&self, answer: &Answer, count: usize) -> Vec<Outcome> {
        match read_status(answer) {
            // Whose body was the bad one shows when each goes alone.
            Some(Outcome::Refused {
                why: Why::NotSaved | Why::Status(_),
            }) => {
                return vec![Outcome::again(Why::Merged(answer.status)); count];
            }
            Some(outcome) => return vec![outcome; count],
            None => {}
        }
        let answered: HashMap<String, Vec<u16>> = inner_codes(&answer.body).into_iter().collect();
        let mut shares: Vec<Vec<(&str, u16)>> = vec![Vec::new(); count];
        let mut unclear = vec![false; count];
        for (name, points) in &self.variables {
            let Some(codes) = answered.get(name) else {
                continue;
            };
            if codes.len() == points.len() {
                for ((owner, _), code) in points.iter().zip(codes) {
                    shares[*owner].push((name, *code));
                }
            } else if codes.iter().any(|code| !saved(*code)) {
                // Something was not saved, and the answer does not tell whose it was.
                for (owner, _) in points {
                    unclear[*owner] = true;
                }
            }
        }
        let outcome = |(share, unclear): (&Vec<(&str, u16)>, &bool)| {
            if *unclear {
                Outcome::again(Why::Merged(answer.status))
            } else {
                judge(share)
            }
        };
        shares.iter().zip(&unclear).map(outcome).collect()
    }
}
