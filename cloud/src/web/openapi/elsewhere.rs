//! What is not for people: Notehub's posts, and the probes. Their handlers know nothing of this document.
#![expect(dead_code, reason = "only what is written above them is read")]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "event": "5ffa7e24-c559-40a0-8228-46ff8426b387", "status": "stored" }))]
pub struct Taken {
    /// Its uid.
    event: String,
    status: Took,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Took {
    Stored,
    /// It was there already; nothing was done.
    Duplicate,
}

/// An event as Notehub posts it; whatever else it holds is kept as well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "event": "5ffa7e24-c559-40a0-8228-46ff8426b387", "device": "dev:864475",
    "file": "thermal.qo", "when": 1_644_340_339, "received": 1_644_340_365.888_508,
    "body": { "anomaly": 0.0, "cold": 0.9985, "warm": 0.0015, "hot": 0.0 }
}))]
pub struct RoutedEvent {
    /// Its uid: an event that comes twice is stored once.
    #[schema(min_length = 1, max_length = 256)]
    event: String,
    #[schema(min_length = 1, max_length = 256)]
    device: String,
    /// The notefile.
    #[schema(min_length = 1, max_length = 256)]
    file: String,
    /// Seconds since 1970 by the Notecard's clock, or 0 while that is not set.
    when: Option<f64>,
    /// Seconds since 1970 by Notehub's clock.
    received: Option<f64>,
    body: Option<Value>,
}

/// Post an event
///
/// For the HTTP route of a Notehub project. The event is stored for good before this answers, and never twice. Any JSON
/// object with `event`, `device` and `file` is taken, whatever its notefile; everything else in it is kept.
#[utoipa::path(post, path = "/notehub", tag = "Notehub", operation_id = "postEvent",
    request_body = RoutedEvent,
    security(("notehubToken" = []), ("notehubHeader" = [])),
    responses(
        (status = 200, description = "It is stored.", body = Taken),
        (status = 401, description = "No token, or a wrong one.", body = super::Problem),
        (status = 422, description = "That is no event; the body is kept in the table `rejected`.", body = super::Problem),
        (status = 503, description = "It could not be stored now. Notehub repeats it.", body = super::Problem)))]
pub fn notehub() {}

/// What Twilio posts, of which these fields are read; all of them are signed.
#[derive(ToSchema)]
#[schema(as = InboundText)]
#[expect(dead_code, reason = "it is only described")]
pub struct InboundText {
    #[schema(rename = "MessageSid", example = "SM00000000000000000000000000000000")]
    message_sid: String,
    #[schema(rename = "AccountSid")]
    account_sid: String,
    #[schema(rename = "From", example = "+15005550009")]
    from: String,
    #[schema(rename = "Body", example = "ACK 17")]
    body: String,
}

/// Bring a text
///
/// For Twilio: `ACK 17`, `STATUS`, `SILENCE 17 2h` or `HELP` from a number that is texted. The answer is TwiML. What comes
/// again with the same `MessageSid` gets the same answer, and nothing is done twice.
#[utoipa::path(post, path = "/twilio/inbound", tag = "Twilio", operation_id = "postInboundText",
    request_body(content = InboundText, content_type = "application/x-www-form-urlencoded"),
    security(("twilioSignature" = [])),
    responses(
        (status = 200, description = "TwiML, empty for strangers.", body = String, content_type = "text/xml"),
        (status = 403, description = "The signature is missing or wrong.", body = super::Problem),
        (status = 404, description = "No Twilio destination is configured.", body = super::Problem),
        (status = 503, description = "Not now, or `server.public_url` is not set.", body = super::Problem)))]
pub fn inbound_text() {}

/// Report on a text
///
/// For Twilio: how far a text got. Reports may come late, twice and in any order.
#[utoipa::path(post, path = "/twilio/status", tag = "Twilio", operation_id = "postTextStatus",
    params(("delivery" = uuid::Uuid, Query, description = "Whose text it is")),
    request_body(content = Value, content_type = "application/x-www-form-urlencoded"),
    security(("twilioSignature" = [])),
    responses(
        (status = 204, description = "It is kept."),
        (status = 403, description = "The signature is missing or wrong.", body = super::Problem),
        (status = 404, description = "No Twilio destination is configured.", body = super::Problem),
        (status = 503, description = "Not now, or `server.public_url` is not set.", body = super::Problem)))]
pub fn text_status() {}

/// Does the process answer
#[utoipa::path(get, path = "/healthz", tag = "Probes", operation_id = "getAlive", security(()),
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain", example = "alive\n")))]
pub fn alive() {}

/// Can events be stored
#[utoipa::path(get, path = "/readyz", tag = "Probes", operation_id = "getReady", security(()),
    responses(
        (status = 200, description = "They can.", body = String, content_type = "text/plain", example = "ready\n"),
        (status = 503, description = "The database cannot be reached.", body = super::Problem)))]
pub fn ready() {}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "Probes", operation_id = "getMetrics", security(()),
    responses((status = 200, description = "Text in the format 0.0.4.", body = String, content_type = "text/plain", example = "cloud_database_up 1\n")))]
pub fn metrics() {}
