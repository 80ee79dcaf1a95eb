//! A strict local stand-in for Twilio's Messages resource.
//!
//! Sending (`POST .../Messages.json`) and listing (`GET` of the same) over Basic authentication, with Twilio's own
//! error codes for bad input and the magic numbers of its test credentials. No phone is ever reached.
//! Faults can be planned, among them the ambiguous ones: the message is accepted but the sender sees a 500 or a
//! closed connection. As with the real service nothing makes a repeated send safe, so a sender that does not look
//! first will text twice here as well.
//! What Twilio posts of itself, texts of phones and statuses of messages, is made and signed here (`webhook`) and posted by
//! whoever asked for it, so that it comes when a test says.
//! Form fields that Twilio does not know are a complaint: the real service would ignore a misspelt one silently.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::clock::Clock;

use super::segments::Segments;
use super::stand_in::{Answer, Complaints, Fault, Faults, Serving, lock, media_type, reply};

use form::Draft;
pub use webhook::Webhook;

mod form;
mod webhook;

/// No text message form comes near this.
const READ_LIMIT: usize = 64 * 1024;

/// A text message that was accepted.
#[derive(Debug, Clone)]
pub struct Message {
    pub sid: String,
    pub to: String,
    /// The sending number, or the messaging service that will choose one.
    pub from: String,
    pub body: String,
    pub validity_seconds: Option<u32>,
    /// Where its statuses are to be told.
    pub status_callback: Option<String>,
    /// The pictures to fetch and show.
    pub media: Vec<String>,
    pub segments: Segments,
    pub at: DateTime<Utc>,
}

/// Who may send.
#[derive(Debug, Clone)]
pub struct TwilioOptions {
    pub account_sid: String,
    pub auth_token: String,
    /// An API key (its sid and secret) that is as good as the auth token.
    pub api_key: Option<(String, String)>,
}

/// The running stand-in; it stops when dropped.
#[derive(Debug)]
pub struct TwilioStandIn {
    serving: Serving,
    shared: Arc<Shared>,
}

impl TwilioStandIn {
    pub async fn start(account_sid: &str, auth_token: &str) -> anyhow::Result<Self> {
        Self::start_with(TwilioOptions {
            account_sid: account_sid.to_owned(),
            auth_token: auth_token.to_owned(),
            api_key: None,
        })
        .await
    }

    pub async fn start_with(options: TwilioOptions) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            options,
            messages: Mutex::default(),
            accepted: watch::Sender::new(0),
            lookups: watch::Sender::new(0),
            faults: Faults::default(),
            complaints: Complaints::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let serving = Serving::start(router).await?;
        Ok(Self { serving, shared })
    }

    /// What to configure as `base_url`.
    pub fn url(&self) -> &Url {
        self.serving.url()
    }

    /// Every accepted message, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.shared.messages).clone()
    }

    /// How often the list was looked up.
    pub fn lookups(&self) -> u64 {
        *self.shared.lookups.borrow()
    }

    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.all()
    }

    /// The number of accepted messages as it grows, to wait on.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.accepted.subscribe()
    }

    /// Plans the same misbehaviour for the next sends (not for lookups), after those planned before.
    pub fn plan(&self, times: usize, fault: Fault) {
        self.shared.faults.plan(times, fault);
    }

    /// Drops every planned fault that has not happened yet: the destination is well again.
    pub fn forget_faults(&self) {
        self.shared.faults.forget();
    }

    /// What Twilio would post to `url` because a phone sent this text. The id is new each time.
    pub fn inbound(&self, url: &str, from: &str, body: &str) -> Webhook {
        let sid = format!("SM{}", Uuid::now_v7().simple());
        self.inbound_as(url, &sid, from, body)
    }

    /// The same under a given id, for repeats.
    pub fn inbound_as(&self, url: &str, sid: &str, from: &str, body: &str) -> Webhook {
        let fields = [
            ("ToCountry", "US"),
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("SmsMessageSid", sid),
            ("AccountSid", &self.shared.options.account_sid),
            ("From", from),
            ("To", "+15005550006"),
            ("Body", body),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("SmsStatus", "received"),
            ("ApiVersion", "2010-04-01"),
        ];
        self.signed(url, &fields)
    }

    /// What Twilio would post about a message that it accepted, to the address that came with it.
    pub fn status(&self, message: &Message, status: &str, error: Option<u32>) -> Option<Webhook> {
        let error = error.map(|code| code.to_string());
        let mut fields = vec![
            ("MessageSid", message.sid.as_str()),
            ("SmsSid", &message.sid),
            ("AccountSid", &self.shared.options.account_sid),
            ("From", &message.from),
            ("To", &message.to),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("ApiVersion", "2010-04-01"),
        ];
        fields.extend(error.as_deref().map(|code| ("ErrorCode", code)));
        Some(self.signed(message.status_callback.as_deref()?, &fields))
    }

    /// Any form, signed for an address.
    pub fn signed(&self, url: &str, fields: &[(&str, &str)]) -> Webhook {
        Webhook::new(&self.shared.options.auth_token, url, fields)
    }

    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

/// Planned answers in the words of Twilio.
impl Answer {
    pub fn twilio(status: u16, code: u32, message: &str) -> Self {
        Self::body(status, error_body(status, code, message))
    }
}

#[derive(Debug)]
struct Shared {
    options: TwilioOptions,
    messages: Mutex<Vec<Message>>,
    accepted: watch::Sender<u64>,
    lookups: watch::Sender<u64>,
    faults: Faults,
    complaints: Complaints,
}

impl Shared {
    /// Takes a message in and says what Twilio would.
    fn accept(&self, draft: Draft, now: DateTime<Utc>) -> String {
        let message = Message {
            sid: format!(
                "{}{}",
                if draft.media.is_empty() { "SM" } else { "MM" },
                Uuid::now_v7().simple()
            ),
            segments: Segments::of(&draft.body),
            to: draft.to,
            from: draft.from,
            body: draft.body,
            validity_seconds: draft.validity_seconds,
            status_callback: draft.status_callback,
            media: draft.media,
            at: now,
        };
        let answer = self.resource(&message, "queued", None).to_string();
        lock(&self.messages).push(message);
        self.accepted.send_modify(|accepted| *accepted += 1);
        answer
    }

    fn resource(&self, message: &Message, status: &str, sent: Option<DateTime<Utc>>) -> Value {
        let account = &self.options.account_sid;
        let uri = format!(
            "/2010-04-01/Accounts/{account}/Messages/{}.json",
            message.sid
        );
        let media = uri.replace(".json", "/Media.json");
        let by_service = message.from.starts_with("MG");
        let service = by_service.then_some(&message.from);
        let from = (!by_service).then_some(&message.from);
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": message.body,
            "date_created": rfc2822(message.at),
            "date_sent": sent.map(rfc2822),
            "date_updated": rfc2822(message.at),
            "direction": "outbound-api",
            "error_code": null,
            "error_message": null,
            "from": from,
            "messaging_service_sid": service,
            "num_media": message.media.len().to_string(),
            "num_segments": message.segments.count.to_string(),
            "price": null,
            "price_unit": "USD",
            "sid": message.sid,
            "status": status,
            "subresource_uris": { "media": media },
            "to": message.to,
            "uri": uri,
        })
    }

    /// The page of messages that match, newest first as Twilio lists them.
    fn list(&self, lookup: &form::Lookup, query: &str) -> String {
        let messages = lock(&self.messages);
        let newest_first = || messages.iter().rev();
        let skipped = lookup.skipped(newest_first().map(|message| message.sid.as_str()));
        let mut matching = newest_first()
            .skip(skipped)
            .filter(|message| lookup.matches(&message.to, &message.from, message.at));
        let page: Vec<&Message> = matching.by_ref().take(lookup.page_size).collect();
        let uri = format!(
            "/2010-04-01/Accounts/{}/Messages.json",
            self.options.account_sid
        );
        let last = page.last().filter(|_| matching.next().is_some());
        let next = last.map(|last| format!("{uri}?{}", form::Lookup::next(query, &last.sid)));
        let page: Vec<Value> = page
            .into_iter()
            .map(|message| self.resource(message, "sent", Some(message.at)))
            .collect();
        json!({
            "end": page.len().saturating_sub(1),
            "first_page_uri": uri,
            "messages": page,
            "next_page_uri": next,
            "page": 0,
            "page_size": lookup.page_size,
            "previous_page_uri": null,
            "start": 0,
            "uri": uri,
        })
        .to_string()
    }

    fn may_enter(&self, headers: &HeaderMap) -> bool {
        let TwilioOptions {
            account_sid,
            auth_token,
            api_key,
        } = &self.options;
        let key = api_key.as_ref().map(|(sid, secret)| (sid, secret));
        let credentials = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|decoded| String::from_utf8(decoded).ok());
        [Some((account_sid, auth_token)), key]
            .into_iter()
            .flatten()
            .any(|(user, password)| credentials == Some(format!("{user}:{password}")))
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, READ_LIMIT).await else {
        return reply(413, None, error_body(413, 20413, "Payload too large"));
    };
    let refusal = match enter(&shared, &parts) {
        Err(refusal) => refusal,
        Ok(()) if parts.method == Method::GET => {
            shared.lookups.send_modify(|lookups| *lookups += 1);
            let query = parts.uri.query().unwrap_or_default();
            match form::Lookup::parse(query) {
                Ok(lookup) => return reply(200, None, shared.list(&lookup, query)),
                Err(refusal) => refusal,
            }
        }
        Ok(()) => match send(&shared, &parts, &body) {
            Ok(draft) => {
                return match shared.faults.next() {
                    None => reply(201, None, shared.accept(draft, Clock::System.now())),
                    Some(Fault::AcceptBut(answer)) => {
                        shared.accept(draft, Clock::System.now());
                        answer.send().await
                    }
                    Some(Fault::Refuse(answer)) => answer.send().await,
                };
            }
            Err(refusal) => refusal,
        },
    };
    let (method, path) = (&parts.method, parts.uri.path());
    // The magic numbers are asked for on purpose: a refusal for one of them is no mistake of the sender.
    if !refusal.on_purpose {
        shared
            .complaints
            .add(format!("{method} {path} was refused: {refusal}"));
    }
    let answer = error_body(refusal.status, refusal.code, &refusal.message);
    reply(refusal.status, None, answer)
}

/// The right address, the right person, a method that exists.
fn enter(shared: &Shared, parts: &Parts) -> Result<(), form::Refusal> {
    let account = parts
        .uri
        .path()
        .strip_prefix("/2010-04-01/Accounts/")
        .and_then(|rest| rest.strip_suffix("/Messages.json"));
    let Some(account) = account else {
        let message = "The requested resource was not found";
        return Err(form::Refusal::new(404, 20404, message));
    };
    if !shared.may_enter(&parts.headers) || account != shared.options.account_sid {
        return Err(form::Refusal::new(401, 20003, "Authenticate"));
    }
    if parts.method != Method::POST && parts.method != Method::GET {
        return Err(form::Refusal::new(405, 20004, "Method not allowed"));
    }
    Ok(())
}

fn send(shared: &Shared, parts: &Parts, body: &Bytes) -> Result<Draft, form::Refusal> {
    let media_type = media_type(&parts.headers);
    if media_type != "application/x-www-form-urlencoded" {
        let message = format!("Unsupported Media Type: '{media_type}'");
        return Err(form::Refusal::new(415, 20415, message));
    }
    let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    for (name, _) in &fields {
        if !form::KNOWN_FIELDS.contains(&name.as_str()) {
            let complaint = format!("the form field `{name}` is unknown to Twilio");
            shared.complaints.add(complaint);
        }
    }
    Draft::parse(&fields)
}

/// Twilio's error shape.
fn error_body(status: u16, code: u32, message: &str) -> String {
    json!({
        "code": code,
        "message": message,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    })
    .to_string()
}

fn rfc2822(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
