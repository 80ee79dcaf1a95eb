//! Whatever the other side does: nothing private is reached, nothing is held up or flooded, and no
//! secret comes back.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloud::deliver::destination::{Destination, Outcome, Scope, Why};

use super::*;

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Receiver::start(Answer::status(200)).await;
    let receiver = Receiver::start(Answer::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        receiver.always(Answer::status(status).with("location", &target.url("/")));
        assert_eq!(
            attempt(&http(&receiver, PATIENT), &outbound("{}"))
                .await
                .outcome,
            refused(Why::Redirect(status))
        );
    }
    assert!(target.seen().is_empty());
    assert_eq!(receiver.seen().len(), 5);
}

#[tokio::test]
async fn private_addresses_are_refused_before_and_after_dns() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let port = receiver.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "0.0.0.0",
    ] {
        let url = format!("http://{host}:{port}/");
        let config::DestinationKind::Http(mut config) = http_config(&url, PATIENT) else {
            unreachable!()
        };
        config.allow_private = false;
        let attempted = attempt(
            &destination(config::DestinationKind::Http(config)),
            &outbound("{}"),
        )
        .await;
        assert!(
            matches!(
                attempted.outcome,
                Outcome::Refused {
                    why: Why::PrivateAddress(_)
                }
            ),
            "{host}: {attempted:?}"
        );
    }
    assert!(receiver.seen().is_empty());
    let url = format!("http://localhost:{port}/");
    let allowed = destination(http_config(&url, PATIENT));
    assert_eq!(
        attempt(&allowed, &outbound("{}")).await.outcome,
        Outcome::Delivered
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_speaks_for_the_destination() {
    let destination = destination(http_config("http://no-such-host.invalid/", PATIENT));
    match attempt(&destination, &outbound("{}")).await.outcome {
        Outcome::Retry {
            why: Why::Dns(_),
            ambiguous: false,
            scope: Scope::Destination,
            ..
        } => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn hostile_answers_are_bounded_in_time_and_size() {
    let receiver = Receiver::start(Answer::Hang).await;
    let http = http(&receiver, BRIEF);
    let started = Instant::now();
    assert_eq!(
        attempt(&http, &outbound("{}")).await.outcome,
        unknown(Why::Timeout)
    );
    receiver.always(Answer::Drip { status: 200 });
    let attempted = attempt(&http, &outbound("{}")).await;
    assert_eq!(
        attempted.outcome,
        Outcome::Delivered,
        "the status is all that counts"
    );
    assert!(attempted.answer.starts_with(".."), "{attempted:?}");
    receiver.always(Answer::Drip { status: 400 });
    assert_eq!(
        attempt(&http, &outbound("{}")).await.outcome,
        refused(Why::Status(400))
    );
    receiver.always(Answer::Endless {
        status: 200,
        chunk: "ä".repeat(5_000).into_bytes(),
    });
    let attempted = attempt(&http, &outbound("{}")).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    assert!(
        attempted.answer.len() <= 4096 && attempted.answer.len() > 4090,
        "{}",
        attempted.answer.len()
    );
    assert!(attempted.answer.ends_with("ä…"));
    receiver.always(Answer::Cut {
        status: 500,
        body: b"half".to_vec(),
    });
    let attempted = attempt(&http, &outbound("{}")).await;
    assert_eq!(attempted.outcome, unknown(Why::Status(500)));
    assert_eq!(attempted.answer, "half");
    assert!(started.elapsed() < 5 * BRIEF + Duration::from_secs(5));
}

#[tokio::test]
async fn no_secret_comes_back_in_an_answer_or_in_debug() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let basic = STANDARD.encode(format!("AC42:{TOKEN}"));
    let escaped = TOKEN.replace('/', "\\/");
    let spoken = format!(
        "x {TOKEN} y \"{escaped}\" {basic} Bearer custom/secret, custom/secret {} POST {HOOK} T0123456789AB z",
        STANDARD.encode(KEYS[0])
    );
    for (destination, secrets) in [
        (ubidots(&receiver, PATIENT), vec![TOKEN, escaped.as_str()]),
        (
            twilio(&receiver, PATIENT),
            vec![TOKEN, escaped.as_str(), basic.as_str()],
        ),
        (
            http(&receiver, PATIENT),
            vec![
                "custom/secret",
                "T0123456789AB",
                "k0123456789ab",
                &STANDARD.encode(KEYS[0]),
            ],
        ),
    ] {
        let sent = || async { attempt(&destination, &text("x")).await };
        receiver.always(Answer::text(400, spoken.clone()));
        let attempted = sent().await;
        for secret in &secrets {
            assert!(
                !attempted.answer.contains(secret),
                "{destination:?}: {}",
                attempted.answer
            );
        }
        assert!(
            attempted.answer.starts_with("x ") && attempted.answer.ends_with(" z"),
            "{}",
            attempted.answer
        );
        assert!(attempted.answer.contains("***"));
        // Nor in part, where an answer is cut: by us at the end of what is read ...
        receiver.always(Answer::Endless {
            status: 400,
            chunk: secrets[0].as_bytes().to_vec(),
        });
        let attempted = sent().await;
        assert_eq!(
            attempted
                .answer
                .trim_end_matches('…')
                .replace("***", "")
                .replace('*', ""),
            "",
            "{}",
            attempted.answer
        );
        // ... or by the other side.
        let half = &secrets[0][..secrets[0].len() - 1];
        receiver.always(Answer::Cut {
            status: 400,
            body: format!("x {half}").into_bytes(),
        });
        assert_eq!(sent().await.answer, "x ");
        let debug = format!("{destination:?} {:?}", destination.preview(&text("x")));
        for secret in &secrets {
            assert!(!debug.contains(secret), "{debug}");
        }
    }
}

#[tokio::test]
async fn answers_are_made_safe_to_store_and_show() {
    let body = b"a\0b\x1b[31mc\r\nd\te\xff\xe2\x80\xae".to_vec();
    let receiver = Receiver::start(Answer::text(200, body)).await;
    let attempted = attempt(&http(&receiver, PATIENT), &outbound("{}")).await;
    assert_eq!(
        attempted.answer,
        "a\u{fffd}b\u{fffd}[31mc\u{fffd}\nd\te\u{fffd}\u{fffd}"
    );
}

#[tokio::test]
async fn connections_are_used_again() {
    let receiver = Receiver::start(saved(&["cold"])).await;
    let ubidots = ubidots(&receiver, PATIENT);
    for _ in 0..20 {
        assert_eq!(
            attempt(&ubidots, &outbound(POINTS)).await.outcome,
            Outcome::Delivered
        );
    }
    assert!(receiver.seen().iter().all(|seen| seen.connection == 1));
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_start_without_showing_the_secret() {
    let base = |change: &dyn Fn(&mut config::Http)| {
        let config::DestinationKind::Http(mut config) = http_config("http://127.0.0.1:9/", PATIENT)
        else {
            unreachable!()
        };
        change(&mut config);
        let kind = config::DestinationKind::Http(config);
        format!(
            "{:#}",
            Destination::new(&config::Destination {
                name: "hook".to_owned(),
                kind
            })
            .expect_err("is refused")
        )
    };
    let message = base(&|config| config.signing_secrets.push("whsec_not!base64".into()));
    assert!(
        message.starts_with("destination `hook`: signing secret 3 must be")
            && !message.contains("not!"),
        "{message}"
    );
    let message = base(&|config| config.headers.push(("Webhook-Id".to_owned(), "x".into())));
    assert!(
        message.contains("header `Webhook-Id` is set by the delivery itself"),
        "{message}"
    );
    let message = base(&|config| config.headers.push(("a b".to_owned(), "x".into())));
    assert!(
        message.contains("header `a b` has no valid name"),
        "{message}"
    );
    let message = base(&|config| {
        config
            .headers
            .push(("x-key".to_owned(), "hidden\nsecret".into()))
    });
    assert!(
        message.contains("`x-key`") && !message.contains("hidden"),
        "{message}"
    );
}
