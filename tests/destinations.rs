//! What goes over the wire to each kind of destination, and what is made of what comes back:
//! every attempt here is a real request to a receiver that does as it is told.

mod hostile;
mod http;
mod twilio;
mod ubidots;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use cloud::config;
use cloud::deliver::destination::{Attempted, Destination, Outbound, Outcome, Scope, Why};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::receiver::{Answer, Receiver};

/// An address that is a secret in itself.
const HOOK: &str = "/hook/T0123456789AB?key=k0123456789ab";
const TOKEN: &str = "BBFF-a1/b2c3d4e5f6g7h8i9j0";
const POINTS: &str = r#"{"cold":{"value":0.9985000000000002,"timestamp":1644340339000}}"#;
/// Long enough for any answer that is meant to come.
const PATIENT: Duration = Duration::from_secs(20);
/// For tests in which no answer is meant to come.
const BRIEF: Duration = Duration::from_millis(500);

const KEYS: [&[u8]; 2] = [
    b"the first key of the two, 32 byt",
    b"the second, for the rotation ...",
];

fn ubidots(receiver: &Receiver, timeout: Duration) -> Destination {
    destination(config::DestinationKind::Ubidots(config::Ubidots {
        base_url: receiver.url("").parse().expect("a URL"),
        token: TOKEN.into(),
        rate_limit: None,
        timeout,
        allow_private: true,
    }))
}

fn twilio(receiver: &Receiver, timeout: Duration) -> Destination {
    destination(twilio_config(receiver, timeout))
}

fn twilio_config(receiver: &Receiver, timeout: Duration) -> config::DestinationKind {
    config::DestinationKind::Twilio(config::Twilio {
        base_url: receiver.url("").parse().expect("a URL"),
        account_sid: "AC42".to_owned(),
        auth_token: TOKEN.into(),
        previous_auth_token: None,
        api_key: None,
        sender: config::Sender::From("+15005550006".to_owned()),
        to: vec!["+15005550009".to_owned()],
        escalate_after: None,
        names: std::collections::BTreeMap::new(),
        pictures: false,
        validity: Duration::from_mins(15),
        rate_limit: None,
        timeout,
        allow_private: true,
        public_url: None,
    })
}

fn http(receiver: &Receiver, timeout: Duration) -> Destination {
    destination(http_config(&receiver.url(HOOK), timeout))
}

fn http_config(url: &str, timeout: Duration) -> config::DestinationKind {
    config::DestinationKind::Http(config::Http {
        url: url.parse().expect("a URL"),
        headers: vec![("Authorization".to_owned(), "Bearer custom/secret".into())],
        signing_secrets: vec![
            format!("whsec_{}", STANDARD.encode(KEYS[0])).into(),
            format!("whsec_{}", STANDARD.encode(KEYS[1])).into(),
        ],
        rate_limit: None,
        timeout,
        allow_private: true,
    })
}

fn destination(kind: config::DestinationKind) -> Destination {
    Destination::new(&config::Destination {
        name: "there".to_owned(),
        kind,
    })
    .expect("a good configuration")
}

fn outbound(body: &str) -> Outbound {
    Outbound {
        id: Uuid::now_v7(),
        event_uid: None,
        incident_id: None,
        device: "dev:864475".to_owned(),
        created_at: now(),
        attempt: 1,
        ambiguous_before: None,
        body: body.to_owned(),
    }
}

fn text(text: &str) -> Outbound {
    outbound(&json!({"to": "+15005550009", "text": text}).to_string())
}

async fn attempt(destination: &Destination, one: &Outbound) -> Attempted {
    let mut attempted = destination.send(std::slice::from_ref(one), now()).await;
    assert_eq!(attempted.len(), 1);
    attempted.remove(0)
}

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn saved(variables: &[&str]) -> Answer {
    let point = |name: &&str| ((*name).to_owned(), json!([{"status_code": 201}]));
    Answer::text(
        200,
        Value::Object(variables.iter().map(point).collect()).to_string(),
    )
}

fn refused(why: Why) -> Outcome {
    Outcome::Refused { why }
}

fn again(why: Why) -> Outcome {
    Outcome::Retry {
        why,
        after: None,
        ambiguous: false,
        scope: Scope::Delivery,
    }
}

fn unknown(why: Why) -> Outcome {
    Outcome::Retry {
        why,
        after: None,
        ambiguous: true,
        scope: Scope::Delivery,
    }
}

fn down(why: Why) -> Outcome {
    Outcome::Retry {
        why,
        after: None,
        ambiguous: false,
        scope: Scope::Destination,
    }
}
