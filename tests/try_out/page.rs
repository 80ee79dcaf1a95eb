//! The page as a plain form: a mistake in its place, and events to choose from.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::json;

use super::{Browser, ROUTE, holds, traces, tried};
use crate::support::app::{PEOPLE, TestApp};
use crate::support::event::{thermal, tutorial};

#[tokio::test]
async fn a_mistake_is_shown_in_its_place_and_then_put_right() {
    let app = TestApp::with(ROUTE).await;
    let at = app.now() - TimeDelta::minutes(5);
    let before = traces(&app).await;
    let browser = Browser::signed_in(&app, &format!("secret={PEOPLE}")).await;
    // Nothing has come yet, so the tutorial's event is there to try on.
    let (status, page) = browser.get("/rules/try?route=to-ubidots").await;
    assert_eq!(status, StatusCode::OK);
    holds(
        &page,
        &[
            "This would be sent.",
            "dev:864475",
            "/api/v1.6/devices/dev-864475/",
            "x-auth-token: ***",
            r#"{"anomaly":{"value":0}}"#,
        ],
    );

    let event = thermal("mine", "dev:1", at, 0.25).to_string();
    let wrong = "{\r\n  \"ä\": body.anomaly + + 1\r\n}";
    let (status, page) = browser
        .post(&[
            ("route", "to-ubidots"),
            ("expression", wrong),
            ("event", &event),
        ])
        .await;
    assert_eq!(status, StatusCode::OK);
    // Lines of a form end with two characters, which must not move the place.
    holds(
        &page,
        &[
            "does not compile",
            "S0211",
            "line 2, column 23",
            "  \"ä\": body.anomaly + <mark>+</mark> 1",
        ],
    );
    let (_, page) = browser
        .post(&[
            ("route", "to-ubidots"),
            ("expression", "$error('no, ' & device)"),
            ("event", &event),
        ])
        .await;
    holds(
        &page,
        &[
            "fails on this event: nothing would be sent",
            "D3137",
            "no, dev:1",
        ],
    );
    for (expression, told) in [
        ("body.none", "yields nothing: nothing would be sent"),
        (
            "$doNotRoute()",
            "calls $doNotRoute(): nothing would be sent",
        ),
    ] {
        let (_, page) = browser
            .post(&[
                ("route", "to-ubidots"),
                ("expression", expression),
                ("event", &event),
            ])
            .await;
        holds(&page, &[told]);
    }
    let right = "{\r\n  \"score\": body.anomaly * 100\r\n}";
    let (_, page) = browser
        .post(&[
            ("route", "to-ubidots"),
            ("expression", right),
            ("event", &event),
        ])
        .await;
    holds(
        &page,
        &[
            "This would be sent.",
            r#"{"score":25}"#,
            "/api/v1.6/devices/dev-1/",
            "transform = '''\n{\n  \"score\": body.anomaly * 100\n}'''",
        ],
    );
    let (_, page) = browser
        .post(&[
            ("route", "to-ubidots"),
            ("expression", right),
            ("event", "{\"a\":"),
        ])
        .await;
    holds(&page, &["The event is not JSON"]);
    let (_, page) = browser
        .post(&[
            ("route", "to-ubidots"),
            ("expression", right),
            ("event", "{\"body\":{}}"),
        ])
        .await;
    holds(
        &page,
        &[
            "would be rejected: the event has no `event`",
            "This would be sent, were it an event.",
        ],
    );
    // Without a transform it goes out as it came, and a signature is nobody's business.
    let (_, page) = browser
        .post(&[
            ("route", "whole"),
            ("expression", " "),
            ("event", tutorial()),
        ])
        .await;
    holds(
        &page,
        &[
            "POST https://hooks.example.com/***",
            "x-key: ***",
            "webhook-signature: ***",
            "\"best_country\":\"US\"",
        ],
    );

    assert_eq!(traces(&app).await, before);
    assert_eq!(app.count("audit WHERE action <> 'signed in'").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn stored_events_are_offered_and_errors_lead_here() {
    let app = TestApp::with(ROUTE).await;
    let at = app.now() - TimeDelta::minutes(5);
    let mut other = thermal("other", "dev:2", at, 0.1);
    other["file"] = "other.qo".into();
    let mut bad = thermal("bad", "dev:1", at, 0.1);
    bad["body"]["anomaly"] = json!({ "not": "a number" });
    bad["sn"] = "<boiler>".into();
    for event in [&other, &bad] {
        app.take(event).await;
    }
    app.process().await;
    let browser = Browser::signed_in(&app, &format!("secret={PEOPLE}")).await;
    let (_, rules) = browser.get("/rules").await;
    holds(
        &rules,
        &[
            "1 error in 24 h",
            "the rule's value is no number",
            "/rules/try?rule=hot&uid=bad",
            "2 deliveries made",
            "https://hooks.example.com",
            "2 of the last 3 values",
            "whole",
        ],
    );
    let (_, page) = browser.get("/rules/try?rule=hot&uid=bad").await;
    holds(
        &page,
        &[
            "NOT_A_NUMBER",
            "with an error",
            r#"value="bad"><span><b><boiler></b> thermal.qo"#,
        ],
    );
    // What a link brings along is shown, and run only when somebody asks for it.
    let (_, page) = browser
        .get("/rules/try?expression=%22mean%22%20%26%20%22time%22")
        .await;
    holds(
        &page,
        &[
            "\"mean\" & \"time\"",
            "Nothing was tried yet",
            "Choose a stored event",
        ],
    );
    assert!(!page.contains("meantime"));
    let (_, page) = browser.post(&[("expression", "\"mean\" & \"time\"")]).await;
    holds(&page, &["meantime"]);
    // What the rule looks at comes first, and a search finds what it does not.
    let (_, page) = browser.get("/rules/try?rule=hot&device=DEV:2").await;
    holds(&page, &[r#"value="other""#, "not looked at"]);
    assert!(!page.contains(r#"value="bad""#));
    let answer = tried(
        &app,
        &json!({ "rule": "hot", "expression": "body.cold + 1", "event_uid": "other" }),
    )
    .await;
    assert_eq!(
        (&answer["event"]["taken"], &answer["rule"]["value"]),
        (&json!(false), &json!(1.0))
    );
}
