//! Twilio: the form that is posted, errors by their code, and texts that are looked up before they
//! are repeated.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::deliver::destination::{Outbound, Outcome, Scope, Why};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn twilio_gets_a_form_and_answers_with_an_id() {
    let receiver = Receiver::start(created()).await;
    let attempted = attempt(&twilio(&receiver, PATIENT), &text("Hot & 100% at #A17")).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    assert!(attempted.answer.contains("SM0123"), "{attempted:?}");
    let seen = receiver.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", "/2010-04-01/Accounts/AC42/Messages.json")
    );
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Basic {}", STANDARD.encode(format!("AC42:{TOKEN}"))).as_str())
    );
    assert_eq!(
        seen[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        seen[0].body,
        "To=%2B15005550009&From=%2B15005550006&Body=Hot+%26+100%25+at+%23A17&ValidityPeriod=900"
    );

    let config::DestinationKind::Twilio(mut config) = twilio_config(&receiver, PATIENT) else {
        unreachable!()
    };
    config.api_key = Some(("SK1".to_owned(), "key-secret".into()));
    config.sender = config::Sender::MessagingService("MG7".to_owned());
    config.validity = Duration::from_millis(1_999);
    let with_key = destination(config::DestinationKind::Twilio(config));
    assert_eq!(
        attempt(&with_key, &text("x")).await.outcome,
        Outcome::Delivered
    );
    let seen = receiver.take();
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Basic {}", STANDARD.encode("SK1:key-secret")).as_str())
    );
    assert!(
        seen[0].target.contains("/AC42/"),
        "the account stays in the path"
    );
    assert_eq!(
        seen[0].body,
        "To=%2B15005550009&MessagingServiceSid=MG7&Body=x&ValidityPeriod=1"
    );
    let preview = with_key.preview(&text("x"));
    assert_eq!(
        (&preview.body, &preview.url),
        (&seen[0].body, &receiver.url(&seen[0].target))
    );
    assert!(!format!("{preview:?}").contains("key-secret"));
}

#[tokio::test]
async fn twilio_errors_are_known_by_their_code() {
    let receiver = Receiver::start(created()).await;
    let twilio = twilio(&receiver, PATIENT);
    for code in [
        21211, 21212, 21408, 21606, 21608, 21610, 21612, 21614, 21617, 30034, 55555,
    ] {
        let classic = json!({"code": code, "message": "no", "more_info": "x", "status": 400});
        let problem = json!({"type": format!("https://www.twilio.com/docs/api/errors/{code}"), "title": "no", "status": 400});
        let nested = json!({"title": "no", "status": 400, "errors": [{"code": code.to_string(), "detail": "no"}]});
        for error in [classic, problem, nested] {
            receiver.always(Answer::json(400, &error));
            match attempt(&twilio, &text("x")).await.outcome {
                Outcome::Refused { why } => {
                    assert_eq!(why.code(), format!("twilio_{code}"), "{error}")
                }
                other => panic!("{error}: {other:?}"),
            }
        }
    }
    let codes = [
        (401, 20003, false, Scope::Destination),
        (403, 20003, false, Scope::Destination),
        (404, 20404, false, Scope::Destination),
        (400, 30002, false, Scope::Destination),
        (400, 21611, false, Scope::Delivery),
        (400, 20429, false, Scope::Delivery),
        (429, 20429, false, Scope::Delivery),
        (401, 0, false, Scope::Destination),
        (408, 0, true, Scope::Delivery),
        (500, 20500, true, Scope::Delivery),
        (503, 0, true, Scope::Delivery),
        (200, 0, true, Scope::Delivery),
    ];
    for (status, code, expected_ambiguous, expected_scope) in codes {
        receiver.always(Answer::json(
            status,
            &json!({"code": code, "status": status}),
        ));
        match attempt(&twilio, &text("x")).await.outcome {
            Outcome::Retry {
                ambiguous, scope, ..
            } => {
                assert_eq!(
                    (ambiguous, scope),
                    (expected_ambiguous, expected_scope),
                    "{status} {code}"
                );
            }
            other => panic!("{status} {code}: {other:?}"),
        }
    }
    receiver.always(Answer::status(410));
    assert_eq!(
        attempt(&twilio, &text("x")).await.outcome,
        refused(Why::Status(410))
    );
    receiver.take();
    for body in [
        "{}",
        "no",
        r#"{"to":"","text":"x"}"#,
        r#"{"to":"+1","text":" "}"#,
        r#"{"to":1,"text":"x"}"#,
    ] {
        let attempted = attempt(&twilio, &outbound(body)).await;
        assert!(
            matches!(attempted.outcome, Outcome::Refused { why: Why::Body(_) }),
            "{body}"
        );
    }
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn twilio_lost_answers_are_ambiguous_and_failed_connections_are_not() {
    let receiver = Receiver::start(Answer::Vanish).await;
    let attempted = attempt(&twilio(&receiver, PATIENT), &text("x")).await;
    assert!(
        matches!(
            attempted.outcome,
            Outcome::Retry {
                why: Why::Broken(_),
                ambiguous: true,
                ..
            }
        ),
        "{attempted:?}"
    );
    receiver.always(Answer::Hang);
    assert_eq!(
        attempt(&twilio(&receiver, BRIEF), &text("x")).await.outcome,
        unknown(Why::Timeout)
    );
    // 201 is a promise, even if the rest of the answer is lost.
    receiver.always(Answer::Cut {
        status: 201,
        body: b"{".to_vec(),
    });
    assert_eq!(
        attempt(&twilio(&receiver, PATIENT), &text("x"))
            .await
            .outcome,
        Outcome::Delivered
    );

    let config::DestinationKind::Twilio(mut config) = twilio_config(&receiver, PATIENT) else {
        unreachable!()
    };
    config.base_url = closed_port().parse().expect("a URL");
    let attempted = attempt(
        &destination(config::DestinationKind::Twilio(config)),
        &text("x"),
    )
    .await;
    assert!(
        matches!(
            attempted.outcome,
            Outcome::Retry {
                why: Why::Connect(_),
                ambiguous: false,
                ..
            }
        ),
        "{attempted:?}"
    );
}

#[tokio::test]
async fn twilio_texts_that_may_have_been_sent_are_looked_up_first() {
    let receiver = Receiver::start(created()).await;
    let twilio = twilio(&receiver, PATIENT);
    let began = now() - TimeDelta::minutes(1);
    let again = Outbound {
        ambiguous_before: Some(began),
        attempt: 2,
        ..text("Hot at #A17")
    };
    let message = |body: &str, at: DateTime<Utc>| json!({"sid": "SM99", "to": "+15005550009", "body": body, "date_created": at.to_rfc2822(), "date_sent": null, "status": "queued"});
    let list = |messages: &[Value], next: Value| {
        Answer::json(200, &json!({"messages": messages, "next_page_uri": next}))
    };

    // Found: not sent again. A trial account's preface does not hide it.
    receiver.then(list(
        &[
            message("other", now()),
            message("Sent from your Twilio trial account - Hot at #A17", began),
        ],
        Value::Null,
    ));
    let attempted = attempt(&twilio, &again).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    assert!(
        attempted.answer.starts_with("found by look-up: ") && attempted.answer.contains("SM99"),
        "{attempted:?}"
    );
    let seen = receiver.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "GET");
    assert_eq!(
        seen[0].target,
        "/2010-04-01/Accounts/AC42/Messages.json?To=%2B15005550009&From=%2B15005550006&PageSize=100"
    );
    assert!(seen[0].header("authorization").is_some());

    // Found on a later page; pages are followed.
    receiver.then(list(
        &[message("other", now())],
        json!("/2010-04-01/Accounts/AC42/Messages.json?Page=1"),
    ));
    receiver.then(list(&[message("Hot at #A17", now())], Value::Null));
    assert_eq!(attempt(&twilio, &again).await.outcome, Outcome::Delivered);
    assert_eq!(
        receiver
            .take()
            .iter()
            .map(|seen| seen.method.as_str())
            .collect::<Vec<_>>(),
        ["GET", "GET"]
    );

    // Not found: an older text with the same words is not it, and pages end where it would be.
    let long_ago = message("Hot at #A17", began - TimeDelta::hours(2));
    receiver.then(list(
        &[message("Hot at #A1", now()), long_ago],
        json!("/2010-04-01/Accounts/AC42/Messages.json?Page=1"),
    ));
    assert_eq!(attempt(&twilio, &again).await.outcome, Outcome::Delivered);
    assert_eq!(
        receiver
            .take()
            .iter()
            .map(|seen| seen.method.as_str())
            .collect::<Vec<_>>(),
        ["GET", "POST"]
    );

    // Not to be found out: not sent.
    let elsewhere = list(
        &[message("other", now())],
        json!("http://127.0.0.1:9/steal"),
    );
    for answer in [
        Answer::status(500),
        Answer::status(401),
        Answer::text(200, "<html>"),
        Answer::Vanish,
        Answer::status(302),
        elsewhere,
    ] {
        receiver.then(answer.clone());
        let attempted = attempt(&twilio, &again).await;
        match &attempted.outcome {
            Outcome::Retry {
                why: Why::LookUp(_),
                ambiguous: true,
                ..
            } => {}
            other => panic!("{answer:?}: {other:?}"),
        }
        assert_eq!(
            receiver
                .take()
                .iter()
                .map(|seen| seen.method.as_str())
                .collect::<Vec<_>>(),
            ["GET"],
            "{answer:?}"
        );
    }
    // A list that never ends ends by the time limit.
    receiver.always(Answer::Drip { status: 200 });
    let started = Instant::now();
    let attempted = attempt(&self::twilio(&receiver, BRIEF), &again).await;
    assert!(
        matches!(
            attempted.outcome,
            Outcome::Retry {
                why: Why::LookUp(_),
                ambiguous: true,
                ..
            }
        ),
        "{attempted:?}"
    );
    assert!(started.elapsed() < self::twilio(&receiver, BRIEF).longest() + Duration::from_secs(5));
}

fn created() -> Answer {
    Answer::json(
        201,
        &json!({"account_sid": "AC42", "sid": "SM0123", "status": "queued", "error_code": null}),
    )
}

fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!(
        "http://{}",
        listener
            .local_addr()
            .expect("a bound listener has an address")
    )
}
