//! Ubidots: the bytes that are posted, what every status means inside and outside, and deliveries
//! that travel together.

use std::time::Duration;

use cloud::deliver::destination::{Destination, Outbound, Outcome, Scope, Why};
use serde_json::json;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn ubidots_gets_the_body_byte_for_byte() {
    let receiver = Receiver::start(saved(&["b"])).await;
    let body = "{ \"b\":{\"value\":1.50,\"timestamp\":1644340339000},\t\"a\":1e2 }";
    let attempted = attempt(&ubidots(&receiver, PATIENT), &outbound(body)).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    assert_eq!(attempted.status, Some(200));
    assert_eq!(attempted.answer, r#"{"b":[{"status_code":201}]}"#);
    let seen = receiver.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", "/api/v1.6/devices/dev-864475/")
    );
    assert_eq!(seen[0].header("x-auth-token"), Some(TOKEN));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].body, body);
}

#[tokio::test]
async fn ubidots_labels_are_lower_case_letters_digits_and_dashes() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let ubidots = ubidots(&receiver, PATIENT);
    let check = |device: &str, label: &str| {
        let preview = ubidots.preview(&Outbound {
            device: device.to_owned(),
            ..outbound(POINTS)
        });
        assert_eq!(
            preview.url,
            receiver.url(&format!("/api/v1.6/devices/{label}/"))
        );
        assert_eq!(preview.body, POINTS);
        assert!(
            preview
                .headers
                .contains(&("x-auth-token".to_owned(), "***".to_owned()))
        );
    };
    check("dev:864475", "dev-864475");
    check("dev:AB12_c-9", "dev-ab12_c-9");
    check("../../x?y#z/%2e", "------x-y-z--2e");
    check("gerät 7", "ger-t-7");
    check("", "unknown");
}

#[tokio::test]
async fn ubidots_inner_codes_decide() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let ubidots = ubidots(&receiver, PATIENT);
    let variables = |status, names: &str| Why::Variables {
        status,
        names: names.to_owned(),
    };
    let cases = [
        (
            r#"{"a":[{"status_code":201}],"b":[{"status_code":200},{"status_code":202}]}"#,
            Outcome::Delivered,
        ),
        (
            r#"{"a":[{"status_code":201}],"b":[{"status_code":204}]}"#,
            refused(variables(204, "b")),
        ),
        (
            r#"{"a":[{"status_code":400},{"status_code":400}],"b":{"status_code":404},"c":[{"status_code":201}]}"#,
            refused(variables(400, "a, b")),
        ),
        (
            r#"{"a":[{"status_code":500}],"b":[{"status_code":201}]}"#,
            again(variables(500, "a")),
        ),
        // What may still be saved comes before what never will.
        (
            r#"{"a":[{"status_code":400}],"b":[{"status_code":429}]}"#,
            again(variables(429, "b")),
        ),
        (
            r#"{"a":[{"status_code":70000}]}"#,
            refused(variables(65535, "a")),
        ),
        (
            r#"{"a":[{"status_code":302}]}"#,
            refused(variables(302, "a")),
        ),
        // Not the documented form: taken as delivered.
        ("<html>fine</html>", Outcome::Delivered),
        ("", Outcome::Delivered),
        ("[1,2]", Outcome::Delivered),
        (
            r#"{"a":[{"status_code":"x"}],"_status":{"x":1}}"#,
            Outcome::Delivered,
        ),
    ];
    for (answer, outcome) in cases {
        receiver.always(Answer::text(200, answer));
        let attempted = attempt(&ubidots, &outbound(POINTS)).await;
        assert_eq!(attempted.outcome, outcome, "{answer}");
        assert_eq!(attempted.answer, answer);
    }
    let many: Vec<String> = (0..12)
        .map(|n| format!(r#""v{n:02}":[{{"status_code":400}}]"#))
        .collect();
    receiver.always(Answer::text(200, format!("{{{}}}", many.join(","))));
    let why = "status 400 for variable v00, v01, v02, v03, v04, v05, v06, v07, and 4 more";
    match attempt(&ubidots, &outbound(POINTS)).await.outcome {
        Outcome::Refused { why: found } => assert_eq!(found.to_string(), why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ubidots_statuses_have_their_own_meanings() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let ubidots = ubidots(&receiver, PATIENT);
    let after = Some(Duration::from_secs(7));
    let retry = |why, ambiguous, scope| Outcome::Retry {
        why,
        after,
        ambiguous,
        scope,
    };
    let cases = [
        (202, Outcome::Delivered),
        (204, refused(Why::NotSaved)),
        (302, refused(Why::Redirect(302))),
        (400, refused(Why::Status(400))),
        (401, down(Why::Auth(401))),
        (402, down(Why::Payment)),
        (403, down(Why::Auth(403))),
        (404, refused(Why::Status(404))),
        (405, refused(Why::Status(405))),
        (415, refused(Why::Status(415))),
        (420, retry(Why::AccountLimit, false, Scope::Destination)),
        (423, retry(Why::Disabled, false, Scope::Delivery)),
        (429, retry(Why::RateLimited, false, Scope::Delivery)),
        (500, retry(Why::Status(500), true, Scope::Delivery)),
        (503, retry(Why::Status(503), true, Scope::Delivery)),
    ];
    for (status, outcome) in cases {
        receiver.always(Answer::status(status).with("retry-after", "7"));
        let attempted = attempt(&ubidots, &outbound(POINTS)).await;
        assert_eq!(attempted.outcome, outcome, "{status}");
        assert_eq!(attempted.status, Some(status));
    }
}

#[tokio::test]
async fn ubidots_bodies_over_the_limit_are_not_sent() {
    let receiver = Receiver::start(saved(&["a"])).await;
    let ubidots = ubidots(&receiver, PATIENT);
    let fits = format!(r#"{{"a":1{}}}"#, " ".repeat(10_000 - 7));
    assert_eq!(
        attempt(&ubidots, &outbound(&fits)).await.outcome,
        Outcome::Delivered
    );
    let attempted = attempt(&ubidots, &outbound(&format!("{fits} "))).await;
    assert_eq!(
        attempted.outcome,
        refused(Why::TooLarge {
            bytes: 10_001,
            limit: 10_000
        })
    );
    assert_eq!(receiver.take().len(), 1);
}

#[tokio::test]
async fn ubidots_answers_that_break_off_are_repeated() {
    let receiver = Receiver::start(Answer::Cut {
        status: 200,
        body: br#"{"a":[{"status_"#.to_vec(),
    })
    .await;
    let attempted = attempt(&ubidots(&receiver, PATIENT), &outbound(POINTS)).await;
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
    receiver.always(Answer::Drip { status: 200 });
    let attempted = attempt(&ubidots(&receiver, BRIEF), &outbound(POINTS)).await;
    assert_eq!(attempted.outcome, unknown(Why::Timeout));
}

#[tokio::test]
async fn ubidots_deliveries_of_a_device_travel_together_and_part_with_their_own_outcomes() {
    let answer = json!({
        "a": [{"status_code": 201}, {"status_code": 400}, {"status_code": 201}],
        "b": [{"status_code": 201}, {"status_code": 503}],
    });
    let receiver = Receiver::start(Answer::json(200, &answer)).await;
    let ubidots = ubidots(&receiver, PATIENT);
    let batch = vec![
        outbound(r#"{"a":{"value":1.50,"timestamp":1},"b":{"value":2,"timestamp":1}}"#),
        outbound(r#"{"a": {"value":3,"timestamp":2,"context":{"x":"y"}} }"#),
        outbound(r#"{"b":{"timestamp":3,"value":4},"a":{"value":5,"timestamp":3}}"#),
    ];
    let groups = ubidots.group(batch);
    assert_eq!(groups.len(), 1);
    let attempted = ubidots.send(&groups[0], now()).await;
    let variables = |status, name: &str| Why::Variables {
        status,
        names: name.to_owned(),
    };
    let outcomes: Vec<Outcome> = attempted.iter().map(|one| one.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Delivered,
            refused(variables(400, "a")),
            again(variables(503, "b"))
        ]
    );
    assert!(
        attempted
            .iter()
            .all(|one| one.status == Some(200) && one.answer.starts_with("merged: {"))
    );
    let seen = receiver.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].body,
        r#"{"a":[{"value":1.50,"timestamp":1},{"value":3,"timestamp":2,"context":{"x":"y"}},{"value":5,"timestamp":3}],"b":[{"value":2,"timestamp":1},{"timestamp":3,"value":4}]}"#
    );

    // One bad body does not decide for the others.
    receiver.always(Answer::status(400));
    let attempted = ubidots.send(&groups[0], now()).await;
    assert!(
        attempted
            .iter()
            .all(|one| one.outcome == again(Why::Merged(400))),
        "{attempted:?}"
    );
    // Nor does an answer that cannot be told apart.
    receiver.always(Answer::json(
        200,
        &json!({"a": [{"status_code": 400}], "b": [{"status_code": 201}]}),
    ));
    let attempted = ubidots.send(&groups[0], now()).await;
    assert!(
        attempted
            .iter()
            .all(|one| one.outcome == again(Why::Merged(200))),
        "{attempted:?}"
    );
    // What speaks for all, holds for all.
    receiver.always(Answer::status(401));
    let attempted = ubidots.send(&groups[0], now()).await;
    assert!(
        attempted.len() == 3
            && attempted
                .iter()
                .all(|one| one.outcome == down(Why::Auth(401)))
    );
}

#[tokio::test]
async fn only_what_goes_together_is_grouped() {
    let receiver = Receiver::start(Answer::status(200)).await;
    let point = |n: u64| outbound(&format!(r#"{{"a":{{"value":{n},"timestamp":{n}}}}}"#));
    let sizes = |destination: &Destination, batch: Vec<Outbound>| -> Vec<usize> {
        let ids: Vec<Uuid> = batch.iter().map(|one| one.id).collect();
        let groups = destination.group(batch);
        let mut grouped: Vec<Uuid> = groups.iter().flatten().map(|one| one.id).collect();
        grouped.sort_by_key(|id| ids.iter().position(|other| other == id));
        assert_eq!(grouped, ids, "nothing is lost, nothing doubled");
        groups.iter().map(Vec::len).collect()
    };
    let ubidots = ubidots(&receiver, PATIENT);
    assert_eq!(sizes(&ubidots, Vec::new()), [0; 0]);
    assert_eq!(sizes(&ubidots, vec![point(1), point(2), point(3)]), [3]);
    let other = Outbound {
        device: "dev:1".to_owned(),
        ..point(2)
    };
    assert_eq!(sizes(&ubidots, vec![point(1), other, point(3)]), [2, 1]);
    let second = Outbound {
        attempt: 2,
        ..point(2)
    };
    assert_eq!(sizes(&ubidots, vec![point(1), second, point(3)]), [2, 1]);
    for alone in [
        r#"{"a":1}"#,
        r#"{"a":{"value":1}}"#,
        r#"{"a":{"value":null,"timestamp":1}}"#,
        "[]",
        "{}",
        "no",
    ] {
        assert_eq!(
            sizes(&ubidots, vec![point(1), outbound(alone), point(3)]),
            [2, 1],
            "{alone}"
        );
    }
    let groups = ubidots.group((0..1000).map(point).collect());
    assert!(
        groups.len() > 3 && groups.len() < 6,
        "{} groups",
        groups.len()
    );
    for group in &groups {
        ubidots.send(group, now()).await;
    }
    let seen = receiver.take();
    assert_eq!(seen.len(), groups.len());
    assert!(seen.iter().all(|seen| seen.body.len() <= 10_000));
    assert!(
        seen[0].body.len() > 8_000,
        "bodies are filled: {}",
        seen[0].body.len()
    );
    assert_eq!(
        sizes(&http(&receiver, PATIENT), vec![point(1), point(2)]),
        [1, 1]
    );
    assert_eq!(
        sizes(&twilio(&receiver, PATIENT), vec![point(1), point(2)]),
        [1, 1]
    );
}
