//! Whose word counts: signatures over the address that is configured, and all that is refused.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cloud::demo::twilio::Webhook;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn ack(token: &str, url: &str) -> Webhook {
    let fields = [
        ("MessageSid", "SM1"),
        ("AccountSid", ACCOUNT),
        ("From", ANN),
        ("To", "+15005550006"),
        ("Body", "ACK 1 a+b & c"),
        ("Digits", "2"),
        ("Digits", "1"),
        ("Digits", "2"),
    ];
    Webhook::new(token, url, &fields)
}

/// Nothing was done, nor is anything kept.
async fn untouched(app: &TestApp) {
    for table in [
        "inbound_texts",
        "text_statuses",
        "audit",
        "incidents WHERE acknowledged_at IS NOT NULL",
    ] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_wrong_signature_leaves_nothing_behind() {
    let app = app().await;
    // What is counted begins with the first look.
    app.get("/metrics").await;
    hot(&app, DEVICE).await;
    let right = ack("twilio-secret-token", INBOUND);
    let wrong = [
        ack("twilio-secret-tokem", INBOUND).signature,
        // Of the other account's token: what it signs speaks for that account only.
        ack("another-secret-token", INBOUND).signature,
        ack(
            "twilio-secret-token",
            "https://other.example.com/twilio/inbound",
        )
        .signature,
        ack(
            "twilio-secret-token",
            "http://thermal.example.com/twilio/inbound",
        )
        .signature,
        ack(
            "twilio-secret-token",
            "https://thermal.example.com/twilio/status",
        )
        .signature,
        ack(
            "twilio-secret-token",
            "https://thermal.example.com/twilio/inbound?a=1",
        )
        .signature,
        right.signature.to_lowercase(),
        String::new(),
        "ÿ".to_owned(),
    ];
    for signature in wrong {
        let forged = Webhook {
            signature,
            ..right.clone()
        };
        let (status, answer) = post(&app, &forged).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{}", forged.signature);
        assert!(!answer.contains(&right.signature), "{answer}");
    }
    let changed = [
        right.body.replace("ACK+1", "ACK+2"),
        right.body.replace("%2B14155550101", "+14155550101"),
        right
            .body
            .replace(ACCOUNT, "AC00000000000000000000000000000002"),
        right.body.replace("AccountSid", "accountSid"),
        format!("{}&More=1", right.body),
        String::new(),
    ];
    for body in changed {
        let forged = Webhook {
            body,
            ..right.clone()
        };
        assert_eq!(
            post(&app, &forged).await.0,
            StatusCode::FORBIDDEN,
            "{}",
            forged.body
        );
    }
    assert_eq!(
        post_to(&app, "/twilio/inbound?a=1", &right).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post_to(&app, "/twilio/status?delivery=1", &right).await.0,
        StatusCode::FORBIDDEN
    );
    untouched(&app).await;
    let (_, metrics) = app.get("/metrics").await;
    assert!(
        metrics.as_str().is_some_and(|text| text
            .contains(r#"cloud_texts_refused_total{path="/twilio/inbound",reason="unsigned"}"#)),
        "{metrics}"
    );
    let (status, answer) = post(&app, &right).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    app.finish().await;
}

#[tokio::test]
async fn what_is_no_form_of_a_text_is_refused() {
    let app = app().await;
    let right = ack("twilio-secret-token", INBOUND);
    let request = |kind: Option<&str>, signed: bool, body: String| {
        let mut request = Request::post("/twilio/inbound");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        if signed {
            request = request.header("x-twilio-signature", &right.signature);
        }
        request.body(Body::from(body)).expect("a request")
    };
    for (kind, signed, body, expected) in [
        (None, true, right.body.clone(), 415),
        (Some("text/plain"), true, right.body.clone(), 415),
        (
            Some("multipart/form-data; boundary=x"),
            true,
            right.body.clone(),
            415,
        ),
        (Some(FORM), false, right.body.clone(), 403),
        (Some(FORM), true, "x".repeat(70_000), 413),
        (Some("application/json"), true, "[]".to_owned(), 400),
        (Some("application/json"), true, "no".to_owned(), 400),
        (
            Some("application/json"),
            true,
            format!(r#"{{"AccountSid":"{ACCOUNT}"}}"#),
            403,
        ),
    ] {
        let (status, answer) = answered(&app, request(kind, signed, body)).await;
        assert_eq!(status.as_u16(), expected, "{kind:?} {answer}");
    }
    // Signed, but nothing that we could act on.
    for (name, value) in [("From", ANN), ("MessageSid", "SM1"), ("MessageSid", "SM-1")] {
        let webhook = app
            .twilio
            .signed(INBOUND, &[("AccountSid", ACCOUNT), (name, value)]);
        assert_eq!(
            post(&app, &webhook).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let get = get(&app, "/twilio/inbound").await;
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    untouched(&app).await;
    let mixed = request(
        Some("Application/X-WWW-Form-URLencoded; charset=UTF-8"),
        true,
        right.body.clone(),
    );
    assert_eq!(answered(&app, mixed).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_address_is_the_configured_one_with_port_and_path() {
    for (public, signed, prefix) in [
        ("https://thermal.example.com/", INBOUND, ""),
        (PUBLIC, "https://thermal.example.com:443/twilio/inbound", ""),
        (
            PUBLIC,
            "https://thermal.example.com/twilio/inbound?b=2&a=1%2B1#rc=3&rp=ct,rt,5xx",
            "",
        ),
        (
            "https://thermal.example.com:8443",
            "https://thermal.example.com:8443/twilio/inbound",
            "",
        ),
        ("https://thermal.example.com:8443", INBOUND, ""),
        (
            "https://example.com/watch",
            "https://example.com/watch/twilio/inbound",
            "/watch",
        ),
        (
            "http://example.com:8080/a/b/",
            "http://example.com:8080/a/b/twilio/inbound?x",
            "/a/b",
        ),
    ] {
        let app = app_with(&server(public), "").await;
        hot(&app, DEVICE).await;
        let webhook = ack("twilio-secret-token", signed);
        let target = webhook.target(prefix).expect("a path below the prefix");
        let (status, answer) = post_to(&app, &target, &webhook).await;
        assert_eq!(status, StatusCode::OK, "{public} {signed}: {answer}");
        assert!(
            message(&answer).expect("an answer").contains("yours"),
            "{answer}"
        );
        // What the request itself says of its host counts for nothing.
        let lie = Request::post("/twilio/inbound")
            .header("host", "evil.example.com")
            .header("x-forwarded-host", "evil.example.com")
            .header("content-type", FORM)
            .header(
                "x-twilio-signature",
                ack(
                    "twilio-secret-token",
                    "https://evil.example.com/twilio/inbound",
                )
                .signature,
            )
            .body(Body::from(webhook.body))
            .expect("a request");
        assert_eq!(answered(&app, lie).await.0, StatusCode::FORBIDDEN);
        app.finish().await;
    }
}

#[tokio::test]
async fn the_token_before_counts_while_it_is_being_changed() {
    let app = app_with(
        &server(PUBLIC),
        r#"previous_auth_token = "the-token-of-last-year""#,
    )
    .await;
    for token in ["twilio-secret-token", "the-token-of-last-year"] {
        assert_eq!(
            post(&app, &ack(token, INBOUND)).await.0,
            StatusCode::OK,
            "{token}"
        );
    }
    assert_eq!(
        post(&app, &ack("the-token-of-next-year", INBOUND)).await.0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn json_is_known_by_its_digest_in_the_address() {
    use sha2::Digest as _;

    let app = app().await;
    hot(&app, DEVICE).await;
    let body = format!(
        r#"{{"MessageSid":"SM1","AccountSid":"{ACCOUNT}","From":"{ANN}","Body":"ACK 1","NumMedia":0}}"#
    );
    let digest: String = sha2::Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let webhook = Webhook::new(
        "twilio-secret-token",
        &format!("{INBOUND}?bodySHA256={digest}"),
        &[],
    );
    let request = |body: &str| {
        Request::post(webhook.target("").expect("a path"))
            .header("content-type", "application/json")
            .header("x-twilio-signature", &webhook.signature)
            .body(Body::from(body.to_owned()))
            .expect("a request")
    };
    assert_eq!(
        answered(&app, request(&body.replace("ACK 1", "ACK 2")))
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    untouched(&app).await;
    let (status, answer) = answered(&app, request(&body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(audit(&app).await, [entry("Ann", "acknowledged", 1)]);
}

#[tokio::test]
async fn without_an_address_or_an_account_there_is_nothing_to_check_against() {
    let app = app_with("", "").await;
    hot(&app, DEVICE).await;
    let (status, answer) = post(&app, &ack("twilio-secret-token", INBOUND)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.contains("server.public_url is not set"), "{answer}");
    let message = &app.twilio.messages()[0];
    assert_eq!(message.status_callback, None);
    assert!(message.body.ends_with("CST #1"), "{}", message.body);
    untouched(&app).await;

    let app = TestApp::with("").await;
    assert_eq!(
        post(&app, &ack("twilio-secret-token", INBOUND)).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn answers_are_xml_that_nobody_keeps() {
    let app = app().await;
    let webhook = app.twilio.inbound(INBOUND, ANN, "HELP");
    let request = Request::post("/twilio/inbound")
        .header("content-type", FORM)
        .header("x-twilio-signature", &webhook.signature)
        .body(Body::from(webhook.body))
        .expect("a request");
    let response = app
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(
        response.headers()["content-type"],
        "text/xml; charset=utf-8"
    );
    let short = get(&app, "/i/17").await;
    assert_eq!(short.status(), StatusCode::SEE_OTHER);
    assert_eq!(short.headers()["location"], "../incidents/17");
    assert_eq!(get(&app, "/i/x").await.status(), StatusCode::BAD_REQUEST);
}
