//! A webhook: the body as stored, signed as Standard Webhooks describe.
//!
//! `webhook-id` is the delivery's id and the same in every attempt, so a receiver can drop
//! repeats. `webhook-signature` holds one signature for each configured secret: to change a
//! secret, add the new one, move the receivers over, take the old one away.
//!
//! 2xx is delivered, whatever the answer says. 3xx, 410 and most other 4xx are final; 408, 425,
//! 429 and 5xx are tried again, and so are 401, 402, 403 and 407, which are about the credentials
//! and not about this delivery.

use std::net::IpAddr;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use sha2::Sha256;
use url::Url;

use super::destination::{Attempted, Outbound, Outcome, Preview, Why};
use super::exchange::{self, Client, HIDDEN, Setup};
use super::guard;
use crate::config;

/// Headers that belong to the signature or to the transport.
const RESERVED: [&str; 7] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// A word of a URL as long as this may be a secret by itself.
const LONG: usize = 12;

pub(super) struct Http {
    client: Client,
    url: Url,
    /// The names of the configured headers; their values are the client's.
    headers: Vec<String>,
    keys: Vec<Vec<u8>>,
    /// The address the URL names, if it must not be reached.
    refused: Option<IpAddr>,
}

impl Http {
    pub(super) fn new(config: &config::Http) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut secrets = Vec::new();
        for (name, value) in &config.headers {
            let header: HeaderName = name
                .parse()
                .with_context(|| format!("header `{name}` has no valid name"))?;
            if RESERVED.contains(&header.as_str()) {
                bail!("header `{name}` is set by the delivery itself; leave it out");
            }
            let value = value.expose_secret();
            let hidden = exchange::secret_header(value)
                .with_context(|| format!("the value of header `{name}`"))?;
            headers.insert(header, hidden);
            // `Bearer abc` is also secret without its first word.
            secrets.extend(value.split_whitespace().skip(1).map(str::to_owned));
            secrets.push(value.to_owned());
        }
        secrets.extend(parts(&config.url));
        let mut keys = Vec::new();
        for (place, secret) in config.signing_secrets.iter().enumerate() {
            let secret = secret.expose_secret();
            let text = secret.strip_prefix("whsec_").unwrap_or(secret);
            let key = STANDARD.decode(text).ok().filter(|key| !key.is_empty()).with_context(|| {
                format!("signing secret {} must be `whsec_` and base64, as `openssl rand -base64 32` prints it", place + 1)
            })?;
            keys.push(key);
            secrets.push(text.to_owned());
        }
        let guarded = !config.allow_private;
        let client = Client::new(Setup {
            base: &config.url,
            headers,
            timeout: config.timeout,
            secrets,
            guarded,
        })?;
        Ok(Self {
            client,
            url: config.url.clone(),
            headers: config
                .headers
                .iter()
                .map(|(name, _)| name.to_ascii_lowercase())
                .collect(),
            keys,
            refused: guarded
                .then(|| guard::refused_literal(&config.url))
                .flatten(),
        })
    }

    pub(super) async fn send(&self, one: &Outbound, now: DateTime<Utc>) -> Attempted {
        if let Some(address) = self.refused {
            return exchange::unanswered(Outcome::Refused {
                why: Why::PrivateAddress(address),
            });
        }
        let mut request = self.client.post(self.url.clone(), one.body.clone());
        for (name, value) in self.signed(one, now) {
            request = request.header(name, value);
        }
        match self.client.exchange(request, exchange::READ, now).await {
            Err(outcome) => exchange::unanswered(outcome),
            Ok(answer) => self
                .client
                .attempted(Outcome::of_status(answer.status, answer.after), &answer),
        }
    }

    pub(super) fn preview(&self, one: &Outbound) -> Preview {
        let mut headers = Vec::new();
        if !self.headers.iter().any(|name| name == "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(
            self.headers
                .iter()
                .map(|name| (name.clone(), HIDDEN.to_owned())),
        );
        let signed = self.signed(one, one.created_at);
        headers.extend(
            signed
                .into_iter()
                // Shown, it would be a signature for whatever somebody likes to have signed.
                .map(|(name, value)| match name {
                    "webhook-signature" => (name.to_owned(), HIDDEN.to_owned()),
                    _ => (name.to_owned(), value),
                }),
        );
        Preview {
            method: "POST".to_owned(),
            url: shown(&self.url),
            headers,
            body: one.body.clone(),
        }
    }

    /// The headers of Standard Webhooks.
    fn signed(&self, one: &Outbound, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let (id, timestamp) = (one.id.to_string(), now.timestamp().to_string());
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| signature(key, &[&id, ".", &timestamp, ".", &one.body]))
            .collect();
        let mut headers = vec![("webhook-id", id), ("webhook-timestamp", timestamp)];
        if !signatures.is_empty() {
            headers.push(("webhook-signature", signatures.join(" ")));
        }
        headers
    }
}

/// The parts of a URL that may be what keeps others from using it, and so are treated as secret:
/// many a webhook is nothing but a long address.
fn parts(url: &Url) -> impl Iterator<Item = String> {
    let (path, query) = (url.path(), url.query());
    let whole = [Some(path), query, url.password()].into_iter().flatten();
    let words = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|word| word.len() >= LONG);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let values = values.filter(|value| value.len() >= LONG);
    whole.chain(words).map(str::to_owned).chain(values)
}

/// A URL without those parts.
fn shown(url: &Url) -> String {
    let host = url.origin().ascii_serialization();
    if url.path() == "/" && url.query().is_none() {
        format!("{host}/")
    } else {
        format!("{host}/{HIDDEN}")
    }
}

fn signature(key: &[u8], parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
