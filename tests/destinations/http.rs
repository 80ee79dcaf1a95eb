//! Webhooks: signatures, statuses, Retry-After.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use cloud::deliver::destination::{Outbound, Outcome, Scope, Why};
use hmac::{Hmac, KeyInit, Mac};
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn http_is_signed_as_standard_webhooks_with_every_secret() {
    let receiver = Receiver::start(Answer::text(200, "ok")).await;
    let http = http(&receiver, PATIENT);
    let one = outbound(r#"{"ü":1}"#);
    assert_eq!(attempt(&http, &one).await.outcome, Outcome::Delivered);
    let later = Outbound {
        attempt: 2,
        ..one.clone()
    };
    let sent = http.send(&[later], now() + TimeDelta::seconds(61)).await;
    assert_eq!(sent[0].outcome, Outcome::Delivered);
    let seen = receiver.take();
    for (seen, timestamp) in seen.iter().zip([now().timestamp(), now().timestamp() + 61]) {
        assert_eq!(
            (
                seen.method.as_str(),
                seen.target.as_str(),
                seen.body.as_str()
            ),
            ("POST", HOOK, r#"{"ü":1}"#)
        );
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_eq!(seen.header("authorization"), Some("Bearer custom/secret"));
        assert_eq!(
            seen.header("webhook-id"),
            Some(one.id.to_string().as_str()),
            "the same in every attempt"
        );
        assert_eq!(
            seen.header("webhook-timestamp"),
            Some(timestamp.to_string().as_str())
        );
        let expected: Vec<String> = [KEYS[0], KEYS[1]]
            .map(|key| {
                let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length");
                mac.update(format!("{}.{timestamp}.{}", one.id, seen.body).as_bytes());
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            })
            .to_vec();
        assert_eq!(
            seen.header("webhook-signature"),
            Some(expected.join(" ").as_str())
        );
    }
    let preview = http.preview(&Outbound {
        created_at: now(),
        ..one
    });
    assert_eq!(
        preview.url,
        receiver.url("/***"),
        "many a webhook's address is its only secret"
    );
    for (name, value) in &preview.headers {
        let hidden = ["authorization", "webhook-signature"].contains(&name.as_str());
        assert_eq!(
            value,
            if hidden {
                "***"
            } else {
                seen[0].header(name).expect("was sent")
            }
        );
    }
    assert_eq!(preview.headers.len(), 5);
}

#[tokio::test]
async fn http_signatures_are_those_that_openssl_makes() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let config::DestinationKind::Http(mut config) = http_config(&receiver.url("/"), PATIENT) else {
        unreachable!()
    };
    config.signing_secrets = vec!["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()];
    let one = Outbound {
        id: Uuid::nil(),
        created_at: DateTime::UNIX_EPOCH,
        ..outbound("{}")
    };
    let http = destination(config::DestinationKind::Http(config));
    http.send(&[one], DateTime::UNIX_EPOCH).await;
    let seen = receiver.take();
    // printf '00000000-0000-0000-0000-000000000000.0.{}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102..1f -binary | base64
    assert_eq!(
        seen[0].header("webhook-signature"),
        Some("v1,zQFbvbOMnnid+0xl/1+ygzCTYRt1SSxFeHbtFvrIoe0=")
    );
}

#[tokio::test]
async fn http_statuses_are_final_or_passing() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let http = http(&receiver, PATIENT);
    let retry = |why, ambiguous| Outcome::Retry {
        why,
        after: None,
        ambiguous,
        scope: Scope::Delivery,
    };
    let cases = [
        (200, Outcome::Delivered),
        (201, Outcome::Delivered),
        (204, Outcome::Delivered),
        (304, refused(Why::Redirect(304))),
        (400, refused(Why::Status(400))),
        (401, down(Why::Auth(401))),
        (402, down(Why::Payment)),
        (403, down(Why::Auth(403))),
        (404, refused(Why::Status(404))),
        (408, retry(Why::Status(408), true)),
        (410, refused(Why::Status(410))),
        (413, refused(Why::Status(413))),
        (422, refused(Why::Status(422))),
        (425, retry(Why::Status(425), false)),
        (429, retry(Why::RateLimited, false)),
        (500, retry(Why::Status(500), true)),
        (599, retry(Why::Status(599), true)),
        (777, retry(Why::Status(777), true)),
    ];
    for (status, outcome) in cases {
        receiver.always(Answer::status(status));
        assert_eq!(
            attempt(&http, &outbound("{}")).await.outcome,
            outcome,
            "{status}"
        );
    }
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_or_as_a_date_and_never_believed_blindly() {
    let receiver = Receiver::start(Answer::status(503)).await;
    let http = http(&receiver, PATIENT);
    let week = 7 * 24 * 3600;
    let cases = [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("99999999999999999999999999", Some(week)),
        ("Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(week)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (value, seconds) in cases {
        receiver.always(Answer::status(503).with("retry-after", value));
        match attempt(&http, &outbound("{}")).await.outcome {
            Outcome::Retry { after, .. } => {
                assert_eq!(after, seconds.map(Duration::from_secs), "{value}")
            }
            other => panic!("{other:?}"),
        }
    }
}
