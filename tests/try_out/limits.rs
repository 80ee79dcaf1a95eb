//! Who may try, and that nobody is harmed.

use axum::http::{Request, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Browser, ask, holds, tried};
use crate::support::app::TestApp;
use crate::support::event::{thermal, tutorial};

#[tokio::test]
async fn viewers_may_try_and_forged_forms_may_not() {
    use argon2::password_hash::SaltString;
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let cheap = Params::new(8, 1, 1, None).expect("parameters");
    let salt = SaltString::encode_b64(b"some salt of ours").expect("salt");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, cheap);
    let hash = argon
        .hash_password(b"staple of the viewer", &salt)
        .expect("a hash");
    let app = TestApp::with(&format!(
        "[[user]]\nname = \"vera\"\npassword_hash = \"{hash}\"\n"
    ))
    .await;
    let mut vera = Browser::signed_in(&app, "name=vera&secret=staple+of+the+viewer").await;
    let fields = [
        ("route", "ubidots"),
        ("expression", "1 + 1"),
        ("event", tutorial()),
    ];
    let (status, page) = vera.post(&fields).await;
    assert_eq!(status, StatusCode::OK);
    holds(&page, &["This would be sent."]);
    let by_script = async |cookie: &str, token: &str| {
        let request = Request::post("/api/v1/try")
            .header("cookie", cookie)
            .header("x-csrf-token", token)
            .header("content-type", "application/json");
        let question = json!({ "expression": "1", "event": {} }).to_string();
        ask(&app, request.body(question.into()).expect("a request"))
            .await
            .0
    };
    assert_eq!(by_script(&vera.cookie, &vera.csrf).await, StatusCode::OK);
    assert_eq!(
        by_script(&vera.cookie, "forged").await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(by_script("", "forged").await, StatusCode::UNAUTHORIZED);
    vera.csrf = "forged".into();
    assert_eq!(vera.post(&fields).await.0, StatusCode::FORBIDDEN);
    app.finish().await;
}

#[tokio::test]
async fn hostile_expressions_end_in_time_and_harm_nobody() {
    let app = TestApp::with("[transform]\ntimeout = \"50ms\"").await;
    let event: Value = serde_json::from_str(tutorial()).expect("JSON");
    for (expression, codes) in [
        ("($f := function($x) { $f($x) }; $f(1))", "TIMEOUT"),
        (
            "($f := function($x) { 1 + $f($x) }; $f(1))",
            "DEPTH TIMEOUT",
        ),
        ("$pad('', 1e15)", "OUTPUT_LIMIT WORKER"),
        ("[1..10000000]", "D2015 TIMEOUT PANIC WORKER"),
        (&"(".repeat(5_000), "DEPTH S0203 S0207 S0211"),
    ] {
        for question in [
            json!({ "route": "ubidots" }),
            json!({ "rule": "anomaly" }),
            json!({ "series": true }),
        ] {
            let mut question = question;
            question["expression"] = expression.into();
            question["event"] = event.clone();
            let answer = tried(&app, &question).await;
            let code = answer["error"]["code"]
                .as_str()
                .unwrap_or_else(|| panic!("{answer}"));
            assert!(codes.contains(code), "{expression:.40}: {code}");
        }
    }
    // All at once: some wait for their turn, the others are told to come again, and events are taken meanwhile.
    let endless = json!({ "route": "ubidots", "expression": "($f := function($x) { $f($x) }; $f(1))", "event": event });
    let all = join_all((0..14).map(|_| app.post_as_person("/api/v1/try", &endless)));
    let taken = async {
        app.take(&thermal("real", "dev:1", app.now(), 0.9)).await;
        app.settle().await;
    };
    let (answers, ()) = tokio::join!(all, taken);
    let busy = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::SERVICE_UNAVAILABLE)
        .count();
    assert!((1..14).contains(&busy), "{busy} of 14 were turned away");
    for (_, answer) in answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::OK)
    {
        assert_eq!(answer["error"]["code"], "TIMEOUT");
    }
    // What was tried as that route's and that rule's is not held against the real ones.
    assert_eq!(app.texts().len(), 1);
    assert_eq!(
        app.count("deliveries WHERE route = 'ubidots' AND state = 'delivered'")
            .await,
        1
    );
    assert_eq!(app.count("event_errors").await, 0);
    app.finish().await;
}
