//! What Twilio posts to us: texts that people sent, and how far ours got.
//!
//! A request is admitted only with Twilio's signature over the address that is configured and all of its fields, made with
//! the auth token of the account that it names (`signature`). Of whatever is refused nothing is stored: it is counted, and
//! there is a line in the log that repeats nothing of it. `inbound` does what a text asks for (`command`, pure) and answers
//! it (`answer`, pure); `status` keeps reports; `media` serves the pictures that Twilio fetches by signed links.
//!
//! Twilio gives us 15 seconds, so everything here ends before that. What could not be stored is 503: nothing was done then,
//! and Twilio comes again if its address says so (`#rc=3&rp=ct,rt,5xx`).

pub mod answer;
pub mod command;
pub mod inbound;
pub mod media;
pub mod signature;

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use crate::App;
use crate::config::Config;
use crate::deliver::media::public;
use crate::deliver::text_status::{self, Report};
use signature::Signed;

const INBOUND: &str = "/twilio/inbound";
const STATUS: &str = "/twilio/status";

/// Twilio waits for 15 seconds.
const LONGEST: Duration = Duration::from_secs(12);
/// Far more than a text with ten pictures and every field that Twilio has.
const BODY_LIMIT: usize = 64 * 1024;

/// A request that Twilio signed, by its fields.
#[derive(Debug)]
pub struct Admitted {
    pub account: String,
    fields: Vec<(String, String)>,
}

impl Admitted {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// Why a request of Twilio's is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no twilio destination")]
    NoAccount,
    #[error("server.public_url is not set, so signatures cannot be checked")]
    NoPublicUrl,
    #[error("send a form (application/x-www-form-urlencoded) or JSON")]
    Unsupported,
    #[error("the body is too large")]
    TooLarge,
    #[error("the body cannot be read")]
    Unreadable,
    #[error("the signature is missing, or is not one for this address and body")]
    Unsigned,
    #[error("a field is missing or wrong: {0}")]
    Field(&'static str),
    #[error("it cannot be stored now; try again")]
    Unavailable,
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::NoPublicUrl => "no_public_url",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Unsigned => "unsigned",
            Self::Field(_) => "field",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NoAccount => StatusCode::NOT_FOUND,
            Self::NoPublicUrl | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Unsigned => StatusCode::FORBIDDEN,
            Self::Field(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(error = %error, "a request of Twilio's was not stored");
        Self::Unavailable
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.name(), "message": self.to_string() });
        let mut response = (self.status(), Json(body)).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let soon = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

/// A text that somebody sent to one of our numbers.
pub async fn inbound(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let answer = in_time(&app, async {
        let request = admit(&app, INBOUND, &uri, &headers, body).await?;
        inbound::take(&app, &request).await
    });
    match answer.await {
        Ok(twiml) => ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], twiml).into_response(),
        Err(refused) => refuse(INBOUND, refused),
    }
}

/// How far one of our texts got.
pub async fn status(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let kept = in_time(&app, async {
        let request = admit(&app, STATUS, &uri, &headers, body).await?;
        keep_status(&app, &uri, &request).await
    });
    match kept.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => refuse(STATUS, refused),
    }
}

fn refuse(path: &'static str, refused: Refused) -> Response {
    metrics::counter!("cloud_texts_refused_total", "path" => path, "reason" => refused.name())
        .increment(1);
    tracing::warn!(path, reason = %refused, "a request in Twilio's name was refused");
    refused.into_response()
}

async fn in_time<T>(
    app: &App,
    work: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    let limit = app.config.server.request_timeout.min(LONGEST);
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(Refused::Unavailable))
}

/// Reads a request and checks that Twilio sent it.
async fn admit(
    app: &App,
    path: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Admitted, Refused> {
    if app.config.phones().next().is_none() {
        return Err(Refused::NoAccount);
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let path = format!("{path}{}", query.unwrap_or_default());
    let address =
        public(app.config.server.public_url.as_ref(), &path).ok_or(Refused::NoPublicUrl)?;
    let form = is_form(headers)?;
    let presented = headers.get("x-twilio-signature").ok_or(Refused::Unsigned)?;
    let limit = BODY_LIMIT.min(app.config.server.body_limit);
    let body = to_bytes(body, limit).await.map_err(|error| {
        match crate::error::Error::of_body(&error, limit) {
            crate::error::Error::TooLarge(_) => Refused::TooLarge,
            _ => Refused::Unreadable,
        }
    })?;
    let fields = if form {
        form_urlencoded::parse(&body).into_owned().collect()
    } else {
        of_json(&body).ok_or(Refused::Unreadable)?
    };
    let signed = if form {
        Signed::Form(&fields)
    } else {
        Signed::Digest(&body)
    };
    let named = fields.iter().find(|(name, _)| name == "AccountSid");
    let account = named.map(|(_, sid)| sid.clone()).ok_or(Refused::Unsigned)?;
    let presented = presented.to_str().map_err(|_| Refused::Unsigned)?;
    if !signature::accepts(tokens(&app.config, &account), &address, signed, presented) {
        return Err(Refused::Unsigned);
    }
    Ok(Admitted { account, fields })
}

fn is_form(headers: &HeaderMap) -> Result<bool, Refused> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("application/x-www-form-urlencoded") => Ok(true),
        Some("application/json") => Ok(false),
        _ => Err(Refused::Unsupported),
    }
}

/// The tokens that may sign for an account: of each destination that uses it, also the one that is being replaced.
fn tokens<'a>(
    config: &'a Config,
    account: &str,
) -> impl Iterator<Item = &'a secrecy::SecretString> {
    config
        .phones()
        .filter(move |(_, twilio)| twilio.account_sid == account)
        .flat_map(|(_, twilio)| {
            [
                Some(&twilio.auth_token),
                twilio.previous_auth_token.as_ref(),
            ]
        })
        .flatten()
}

/// The fields of a JSON object, as a form would have them.
fn of_json(body: &[u8]) -> Option<Vec<(String, String)>> {
    let Value::Object(object) = serde_json::from_slice(body).ok()? else {
        return None;
    };
    let fields = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    Some(fields.collect())
}

/// The number of a message, as Twilio writes them.
fn message_sid(request: &Admitted) -> Result<&str, Refused> {
    let sid = request
        .field("MessageSid")
        .or_else(|| request.field("SmsSid"));
    sid.filter(|sid| sid.len() <= 64 && sid.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .ok_or(Refused::Field("MessageSid"))
}

async fn keep_status(app: &App, uri: &Uri, request: &Admitted) -> Result<(), Refused> {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let delivery = query
        .filter(|(name, _)| name == "delivery")
        .find_map(|(_, id)| id.parse::<Uuid>().ok());
    // The account may report on texts that are not ours to one address; these say nothing to us.
    let Some(delivery_id) = delivery else {
        return Ok(());
    };
    let status = request
        .field("MessageStatus")
        .or_else(|| request.field("SmsStatus"));
    let status = status
        .map(str::to_ascii_lowercase)
        .filter(|status| {
            status.len() <= 32
                && status
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .ok_or(Refused::Field("MessageStatus"))?;
    let report = Report {
        message_sid: message_sid(request)?.to_owned(),
        delivery_id,
        error_code: request
            .field("ErrorCode")
            .and_then(|code| code.parse().ok()),
        status,
    };
    if !text_status::keep(&app.pool, &report, app.clock.now()).await? {
        return Ok(());
    }
    metrics::counter!("cloud_text_statuses_total", "status" => report.status.clone()).increment(1);
    if text_status::has_failed(&report.status) {
        let code = report
            .error_code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        let known = report.error_code.and_then(|code| u32::try_from(code).ok());
        let why = known.and_then(crate::deliver::twilio::codes::explain);
        tracing::warn!(delivery.id = %delivery_id, status = report.status, code, why, "a text did not arrive");
        metrics::counter!("cloud_texts_undelivered_total", "code" => code).increment(1);
    }
    Ok(())
}
