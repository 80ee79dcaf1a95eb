//! Twilio: one text to one number, and the question whether it was sent.
//!
//! There is no idempotency key for messages, and a text sent twice wakes a person twice. So an
//! attempt whose outcome is unknown (no answer, a broken connection, 5xx) is never repeated
//! blindly: the next attempt first lists what was sent to that number since, and looks for our own
//! text, which carries the incident's id. Found is delivered. A look-up that fails leaves the
//! question open, and the text unsent, until it succeeds or the notice is given up.
//!
//! The list is asked for newest first and without `DateSent`: a text that still waits in Twilio's
//! queue has no such date, and it is just the one we must not miss.
//!
//! Errors are known by their code, in one table (`codes`); a code that is not in it is judged by its status.
//!
//! Where Twilio can reach us it is asked to report how far each text gets, at an address that holds the delivery's id, so
//! that a report needs no look-up and may come before the answer to the sending. Twilio refuses a whole text for an
//! address that it does not like; then that is the last thing it was asked, for a text matters more than its status.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::destination::{Attempted, Outbound, Outcome, Preview, Scope, Why};
use super::exchange::{self, Answer, Client, End, HIDDEN, Setup};
use super::media::{self, Picture};
use crate::config::{self, Sender};
use codes::{CODES, Meaning};

pub mod codes;

const FORM: &str = "application/x-www-form-urlencoded";
/// A page of the list, with room for long texts.
const PAGE: usize = 100;
const PAGE_READ: usize = 1024 * 1024;
const PAGES: usize = 10;
/// How far Twilio's clock may be behind ours. Two notices with the same text are further apart.
const SKEW: TimeDelta = TimeDelta::minutes(5);

pub(super) struct Twilio {
    client: Client,
    messages: Url,
    sender: Sender,
    /// In whole seconds, as Twilio wants it.
    validity: u64,
    timeout: std::time::Duration,
    /// Where Twilio reaches us, if it can.
    public_url: Option<Url>,
    /// What links to pictures are made with.
    token: SecretString,
    /// Set when Twilio did not like the address for statuses.
    unreported: AtomicBool,
}

/// What a delivery to Twilio holds.
#[derive(Deserialize)]
struct Text {
    to: String,
    #[serde(rename = "text")]
    words: String,
    /// Shown with the text.
    picture: Option<Picture>,
}

impl Twilio {
    pub(super) fn new(config: &config::Twilio) -> anyhow::Result<Self> {
        let auth_token = config.auth_token.expose_secret();
        let (user, password) = match &config.api_key {
            Some((sid, secret)) => (sid, secret.expose_secret()),
            None => (&config.account_sid, auth_token),
        };
        let basic = STANDARD.encode(format!("{user}:{password}"));
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            exchange::secret_header(&format!("Basic {basic}"))?,
        );
        let client = Client::new(Setup {
            base: &config.base_url,
            headers,
            timeout: config.timeout,
            secrets: vec![auth_token.to_owned(), password.to_owned(), basic],
            guarded: false,
        })?;
        let mut messages = config.base_url.clone();
        messages
            .path_segments_mut()
            .ok()
            .context("base_url is not an address of a server")?
            .pop_if_empty()
            .extend([
                "2010-04-01",
                "Accounts",
                &config.account_sid,
                "Messages.json",
            ]);
        Ok(Self {
            client,
            messages,
            sender: config.sender.clone(),
            validity: config.validity.as_secs().clamp(1, 36_000),
            timeout: config.timeout,
            public_url: config.public_url.clone().filter(media::reachable),
            token: config.auth_token.clone(),
            unreported: AtomicBool::new(false),
        })
    }

    pub(super) async fn send(&self, one: &Outbound, now: DateTime<Utc>) -> Attempted {
        let text = match Text::of(one) {
            Ok(text) => text,
            Err(why) => return exchange::unanswered(Outcome::Refused { why }),
        };
        if text.picture.is_some() && self.public_url.is_none() {
            let why = Why::Body("Twilio fetches pictures from server.public_url".to_owned());
            return exchange::unanswered(Outcome::Refused { why });
        }
        if let Some(since) = one.ambiguous_before {
            // The limit is for all pages together, so that a lease can be reckoned with.
            let looked = tokio::time::timeout(self.timeout, self.look_up(&text, since, now)).await;
            match looked
                .unwrap_or_else(|_| Err(unresolved("no answer within the time limit", None)))
            {
                Ok(None) => {}
                Ok(Some(found)) => return found,
                Err(failed) => return failed,
            }
        }
        let request = self
            .client
            .post(self.messages.clone(), self.form(one, &text, now))
            .header(CONTENT_TYPE, HeaderValue::from_static(FORM));
        match self.client.exchange(request, exchange::READ, now).await {
            Err(outcome) => exchange::unanswered(outcome),
            Ok(answer) => {
                let outcome = read(&answer);
                if outcome.is_twilio(codes::CALLBACK) {
                    self.unreported.store(true, Ordering::Relaxed);
                }
                self.client.attempted(outcome, &answer)
            }
        }
    }

    pub(super) fn preview(&self, one: &Outbound) -> Preview {
        let body = match Text::of(one) {
            Ok(text) => self.form(one, &text, one.created_at),
            Err(why) => why.to_string(),
        };
        Preview {
            method: "POST".to_owned(),
            url: self.messages.to_string(),
            headers: vec![
                ("authorization".to_owned(), format!("Basic {HIDDEN}")),
                ("content-type".to_owned(), FORM.to_owned()),
            ],
            body,
        }
    }

    fn form(&self, one: &Outbound, text: &Text, now: DateTime<Utc>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("To", &text.to);
        match &self.sender {
            Sender::From(number) => form.append_pair("From", number),
            Sender::MessagingService(sid) => form.append_pair("MessagingServiceSid", sid),
        };
        form.append_pair("Body", &text.words)
            .append_pair("ValidityPeriod", &self.validity.to_string());
        if let Some(base) = &self.public_url {
            if !self.unreported.load(Ordering::Relaxed) {
                let path = format!("/twilio/status?delivery={}", one.id);
                form.extend_pairs(
                    media::public(Some(base), &path).map(|url| ("StatusCallback", url)),
                );
            }
            if let Some(picture) = &text.picture {
                let link = media::link(base, &self.token, picture, now + media::GOOD_FOR);
                form.append_pair("MediaUrl", &link);
            }
        }
        form.finish()
    }

    /// Looks for a text that an earlier attempt may have sent. The error is the attempt that ends
    /// here, with the question still open.
    async fn look_up(
        &self,
        text: &Text,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Attempted>, Attempted> {
        let since = since
            .checked_sub_signed(SKEW)
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut url = self.messages.clone();
        url.query_pairs_mut().append_pair("To", &text.to);
        if let Sender::From(number) = &self.sender {
            url.query_pairs_mut().append_pair("From", number);
        }
        url.query_pairs_mut()
            .append_pair("PageSize", &PAGE.to_string());
        for _ in 0..PAGES {
            let answer = self
                .client
                .exchange(self.client.get(url.clone()), PAGE_READ, now)
                .await
                .map_err(|outcome| unresolved_by(&outcome))?;
            let page = Page::of(&answer).map_err(|problem| {
                let attempted = unresolved(
                    &problem,
                    Some(&Outcome::of_status(answer.status, answer.after)),
                );
                Attempted {
                    status: Some(answer.status),
                    answer: self.client.kept("", &answer),
                    ..attempted
                }
            })?;
            if let Some(found) = page
                .messages
                .iter()
                .find(|message| text.is_in(message, since))
            {
                return Ok(Some(self.found(&answer, found)));
            }
            // The newest come first, so behind a page that ends before the attempt is nothing.
            let older = page
                .messages
                .last()
                .and_then(created)
                .is_some_and(|at| at < since);
            match page.next_page_uri {
                Some(next) if !older => url = self.same_server(&next)?,
                _ => return Ok(None),
            }
        }
        Err(unresolved("too many texts since to look through", None))
    }

    fn found(&self, answer: &Answer, message: &Value) -> Attempted {
        let message = Answer {
            status: answer.status,
            after: None,
            date: None,
            body: message.to_string().into_bytes(),
            end: End::Whole,
        };
        Attempted {
            outcome: Outcome::Delivered,
            status: Some(answer.status),
            answer: self.client.kept("found by look-up: ", &message),
        }
    }

    /// The next page, if it is where our credentials belong.
    fn same_server(&self, next: &str) -> Result<Url, Attempted> {
        match self.messages.join(next) {
            Ok(url) if url.origin() == self.messages.origin() => Ok(url),
            _ => Err(unresolved("the next page is on another server", None)),
        }
    }
}

impl Text {
    fn of(one: &Outbound) -> Result<Self, Why> {
        let text: Self = serde_json::from_str(&one.body).map_err(|_| {
            Why::Body(r#"it is not of the form {"to":"+1...","text":"..."}"#.to_owned())
        })?;
        if text.to.trim().is_empty() || text.words.trim().is_empty() {
            return Err(Why::Body("it has no number or no text".to_owned()));
        }
        Ok(text)
    }

    /// Whether a listed message is this text, sent since then.
    fn is_in(&self, message: &Value, since: DateTime<Utc>) -> bool {
        // A trial account puts a sentence of its own before the text.
        let same = message["body"]
            .as_str()
            .is_some_and(|body| body.trim().ends_with(self.words.trim()));
        let to = message["to"].as_str().is_none_or(|to| to == self.to.trim());
        same && to && created(message).is_none_or(|at| at >= since)
    }
}

/// A page of the list of messages.
struct Page {
    messages: Vec<Value>,
    next_page_uri: Option<String>,
}

impl Page {
    fn of(answer: &Answer) -> Result<Self, String> {
        if answer.status != 200 {
            return Err(format!("answered {}", answer.status));
        }
        match &answer.end {
            End::Whole => {}
            End::TooLong => return Err("the list is too long".to_owned()),
            End::Broken(why) => return Err(why.to_string()),
        }
        let page: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let messages = page.as_ref().and_then(|page| page["messages"].as_array());
        Ok(Self {
            messages: messages.ok_or("the answer is no list of messages")?.clone(),
            next_page_uri: page.and_then(|page| page["next_page_uri"].as_str().map(str::to_owned)),
        })
    }
}

fn created(message: &Value) -> Option<DateTime<Utc>> {
    let date = message["date_created"].as_str()?;
    DateTime::parse_from_rfc2822(date)
        .ok()
        .map(|date| date.to_utc())
}

/// An attempt that ends without knowing whether an earlier one arrived.
fn unresolved(problem: &str, outcome: Option<&Outcome>) -> Attempted {
    let (after, scope) = match outcome {
        Some(Outcome::Retry { after, scope, .. }) => (*after, *scope),
        _ => (None, Scope::Delivery),
    };
    let why = Why::LookUp(problem.to_owned());
    exchange::unanswered(Outcome::Retry {
        why,
        after,
        ambiguous: true,
        scope,
    })
}

fn unresolved_by(outcome: &Outcome) -> Attempted {
    let problem = match outcome {
        Outcome::Retry { why, .. } | Outcome::Refused { why } => why.to_string(),
        Outcome::Delivered => String::new(),
    };
    unresolved(&problem, Some(outcome))
}

fn read(answer: &Answer) -> Outcome {
    let by_status = Outcome::of_status(answer.status, answer.after);
    match answer.status {
        201 => Outcome::Delivered,
        // Not what Twilio documents, yet a message id is a message. Anything else that says
        // "success" is perhaps not Twilio at all, and a notice must not end there.
        200..=299 => match json(answer)["sid"].as_str() {
            Some(_) => Outcome::Delivered,
            None => Outcome::unknown(Why::Unexpected(answer.status)),
        },
        429 => by_status,
        400..=499 => match error_code(&json(answer)) {
            Some(code) => by_code(code, by_status, answer),
            None => by_status,
        },
        _ => by_status,
    }
}

fn by_code(code: u32, by_status: Outcome, answer: &Answer) -> Outcome {
    let Some((_, meaning, note)) = CODES.iter().find(|(known, ..)| *known == code) else {
        return match by_status {
            Outcome::Refused { .. } => Outcome::Refused {
                why: Why::Twilio { code, note: "" },
            },
            other => other,
        };
    };
    let why = Why::Twilio { code, note };
    let retry = |why, scope| Outcome::Retry {
        why,
        after: answer.after,
        ambiguous: false,
        scope,
    };
    match meaning {
        Meaning::Final => Outcome::Refused { why },
        Meaning::Later => retry(why, Scope::Delivery),
        Meaning::Account => retry(why, Scope::Destination),
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The code of an error: of the classic form `code`, or of a problem document, where it may also
/// stand in the first of `errors` or end the `type` address.
fn error_code(error: &Value) -> Option<u32> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|code| u32::try_from(code).ok()),
    };
    let in_type = || {
        error["type"]
            .as_str()?
            .trim_end_matches('/')
            .rsplit('/')
            .next()?
            .parse()
            .ok()
    };
    number(&error["code"])
        .or_else(|| number(&error["errors"][0]["code"]))
        .or_else(in_type)
}
