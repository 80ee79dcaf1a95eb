//! What a rule, the series and an expression of nobody make of events.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Browser, ROUTE, holds, tried};
use crate::support::app::{PEOPLE, PHONE, TestApp};
use crate::support::event::{thermal, tutorial};

#[tokio::test]
async fn what_a_rule_would_do_and_say() {
    let app = TestApp::with(ROUTE).await;
    let judge = async |rule: &str, anomaly: f64| {
        let event = thermal("e", "dev:1", app.now(), anomaly);
        tried(&app, &json!({ "rule": rule, "event": event })).await
    };
    let hot = judge("hot", 0.88).await;
    assert_eq!(hot["told"], "0.88 is above 0.7: here the rule fires.");
    assert_eq!(hot["rule"]["when_well"], "An incident opens.");
    assert_eq!(hot["rule"]["when_open"], "The incident goes on.");
    let text = &hot["rule"]["text"];
    assert_eq!(
        (&text["notice"], &text["segments"], &text["error"]),
        (&json!("opened"), &json!(1), &Value::Null)
    );
    let said = text["text"].as_str().expect("a text");
    assert!(
        said.starts_with("CRITICAL dev:1: hot 0.88 above 0.7") && said.ends_with("#1"),
        "{said}"
    );
    let requests = hot["requests"].as_array().expect("requests");
    assert_eq!(requests.len(), 2);
    assert_eq!(
        (&requests[0]["destination"], &requests[0]["to"]),
        (&json!("sms"), &json!(PHONE))
    );
    assert!(
        requests[0]["body"]
            .as_str()
            .is_some_and(|body| body.contains("Body=CRITICAL+dev%3A1"))
    );
    assert!(
        requests[1]["body"]
            .as_str()
            .is_some_and(|body| body.starts_with("{\"notice\":\"opened\""))
    );

    let between = judge("hot", 0.6).await;
    assert_eq!(between["rule"]["when_well"], "Nothing: all stays well.");
    assert_eq!(
        between["rule"]["when_open"],
        "The incident stays open until the value is clear."
    );
    assert_eq!(
        (&between["rule"]["text"], &between["requests"]),
        (&Value::Null, &json!([]))
    );
    assert!(
        between["told"]
            .as_str()
            .is_some_and(|told| told.starts_with("0.6 is neither above 0.7,"))
    );
    let cool = judge("hot", 0.3).await;
    assert_eq!(
        (&cool["rule"]["fires"], &hot["rule"]["fires"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(cool["rule"]["when_open"], "The incident ends.");
    assert!(
        cool["rule"]["text"]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("RESOLVED critical dev:1"))
    );

    // It takes two of three, and an hour of calm; the message is its own.
    let slow = judge("slow", 0.88).await;
    assert_eq!(
        slow["rule"]["when_well"],
        "It is pending: 1 of the 2 values (among the last 3) that it takes for an incident."
    );
    assert_eq!(
        (&slow["rule"]["text"]["text"], &slow["requests"]),
        (&json!("It is 0.88 at dev:1 #1"), &json!([]))
    );
    assert_eq!(
        judge("slow", 0.1).await["rule"]["when_open"],
        "The incident stays open, and ends if this lasts for 1h."
    );

    let event = thermal("e", "dev:1", app.now() - TimeDelta::days(3), 0.9);
    let ask = async |more: Value| {
        let mut question = json!({ "rule": "hot", "event": event });
        question
            .as_object_mut()
            .expect("fields")
            .extend(more.as_object().expect("fields").clone());
        tried(&app, &question).await
    };
    // Old by now, and judged as of its arrival.
    let old = ask(json!({})).await;
    assert_eq!(
        (&old["rule"]["stale"], &old["rule"]["when_well"]),
        (&json!("3 days"), &json!("An incident opens."))
    );
    // A note that leaves the value out, and one that says nothing at all.
    assert_eq!(
        ask(json!({ "expression": "body.absent" })).await["rule"]["value"],
        0.0
    );
    let silent = ask(json!({ "expression": "body.absent", "event": { "event": "e", "device": "d", "file": "thermal.qo" } })).await;
    assert_eq!(
        (&silent["outcome"], &silent["rule"]["value"]),
        (&json!("nothing"), &Value::Null)
    );
    assert_eq!(
        silent["told"],
        "The expression yields nothing: the rule would pass over this event."
    );
    // A message with a mistake, and one that is no text: the default text would go out.
    for (message, code, compiles) in [
        ("'a' & ", "S0207", false),
        ("1", "NOT_A_TEXT", true),
        ("$error('x')", "D3137", true),
    ] {
        let text = &ask(json!({ "message": message })).await["rule"]["text"];
        assert_eq!(
            (&text["error"]["code"], &text["error"]["compiles"]),
            (&json!(code), &json!(compiles))
        );
        assert!(
            text["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("CRITICAL"))
        );
    }
    let text = ask(json!({ "message": "'STOP ' & alert.notice" })).await;
    assert_eq!(text["rule"]["text"]["text"], "#1 STOP opened");
    app.finish().await;
    assert!(app.texts().is_empty());
}

#[tokio::test]
async fn series_and_expressions_of_nobody() {
    let app = TestApp::new().await;
    let event: Value = serde_json::from_str(tutorial()).expect("JSON");
    let measured = tried(&app, &json!({ "series": true, "event": event })).await;
    assert_eq!(measured["told"], "4 measurements would be stored.");
    assert_eq!(
        measured["points"][0],
        json!({ "series": "anomaly", "value": 0.0 })
    );
    let other = tried(
        &app,
        &json!({ "series": true, "expression": "{'a': {'b': [1, '2', 'x']}}", "event": event }),
    )
    .await;
    let points = json!([{ "series": "a.b.0", "value": 1.0 }, { "series": "a.b.1", "value": 2.0 }]);
    assert_eq!(other["points"], points);
    let free = tried(
        &app,
        &json!({ "expression": "body.(cold > warm)", "event": event }),
    )
    .await;
    assert_eq!(
        (&free["body"], &free["event"]["taken"], &free["requests"]),
        (&json!(true), &Value::Null, &json!([]))
    );
    let end = tried(
        &app,
        &json!({ "expression": "{\n  'a': (1 + 2\n", "event": event }),
    )
    .await;
    assert_eq!(
        (&end["error"]["line"], &end["error"]["compiles"]),
        (&json!(2), &json!(false))
    );

    for (question, status) in [
        (
            json!({ "route": "nobody", "event": event }),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({ "rule": "nobody", "event": event }),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({ "route": "ubidots", "event_uid": "nobody" }),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({ "route": "ubidots", "rule": "anomaly", "event": event }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "route": "ubidots" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (json!({ "event": event }), StatusCode::UNPROCESSABLE_ENTITY),
        (
            json!({ "rout": "ubidots", "event": event }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "expression": "1", "event": "x".repeat(300_000) }),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let (found, answer) = app.post_as_person("/api/v1/try", &question).await;
        assert_eq!(found, status, "{answer}");
        assert!(
            answer["error"].is_string() && answer["message"].is_string(),
            "{answer}"
        );
    }
    let long = tried(
        &app,
        &json!({ "expression": " 1".repeat(40_000), "event": event }),
    )
    .await;
    assert_eq!(long["error"]["code"], "TOO_LONG");
    let browser = Browser::signed_in(&app, &format!("secret={PEOPLE}")).await;
    for path in [
        "/rules/try?route=nobody",
        "/rules/try?rule=nobody",
        "/rules/try?rule=anomaly&uid=nobody",
    ] {
        assert_eq!(browser.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, page) = browser.get("/rules/try?of=rule+anomaly").await;
    holds(
        &page,
        &[
            "Try rule anomaly",
            "[[rule]]\nname = \"anomaly\"",
            "the built-in ones are gone",
        ],
    );
    app.finish().await;
}
