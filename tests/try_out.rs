//! Expressions are tried: a mistake in its place, what would be sent where, what a rule would do; and nobody is harmed.

/// What may not be done.
mod limits;
/// The page.
mod page;
/// What a rule would do.
mod rule;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::app::{PEOPLE, TestApp};

const ROUTE: &str = r#"
[[route]]
name = "to-ubidots"
files = ["thermal.qo"]
transform = '{"anomaly": {"value": body.anomaly}}'
destination = "ubidots"
[[route]]
name = "whole"
destination = "hook"
[[destination]]
name = "hook"
kind = "http"
url = "https://hooks.example.com/secret-path"
headers = { x-key = "secret-header" }
signing_secrets = ["whsec_c2VjcmV0LXNpZ25pbmcta2V5LW9mLXRoZS10ZXN0cw=="]
[[rule]]
name = "hot"
files = ["thermal.qo"]
value = "body.anomaly"
fire_above = 0.7
clear_below = 0.5
missing = 0
notify = ["sms", "hook"]
[[rule]]
name = "slow"
files = ["thermal.qo"]
value = "body.anomaly"
fire_above = 0.7
clear_below = 0.5
count = "2 of 3"
clear_hold = "1h"
message = "'It is ' & body.anomaly & ' at ' & alert.name"
notify = ["sms"]
"#;

/// None of these may be shown, whatever is tried.
const SECRETS: [&str; 6] = [
    "secret-path",
    "secret-header",
    "c2VjcmV0LXNp",
    "ubidots-secret-token",
    "twilio-secret-token",
    PEOPLE,
];

/// Somebody with a browser.
struct Browser<'a> {
    app: &'a TestApp,
    cookie: String,
    csrf: String,
}

async fn ask(app: &TestApp, request: Request<Body>) -> (StatusCode, String, String) {
    let response = app
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer");
    let status = response.status();
    let cookie = response
        .headers()
        .get("set-cookie")
        .map(|it| it.to_str().expect("text").to_owned());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    (
        status,
        cookie.unwrap_or_default(),
        String::from_utf8_lossy(&body).into_owned(),
    )
}

impl<'a> Browser<'a> {
    async fn signed_in(app: &'a TestApp, form: &str) -> Browser<'a> {
        let request = Request::post("/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned().into())
            .expect("a request");
        let cookie = ask(app, request).await.1;
        let mut browser = Browser {
            app,
            cookie: cookie.split(';').next().expect("a cookie").to_owned(),
            csrf: String::new(),
        };
        let page = browser.get("/rules").await.1;
        let (_, rest) = page
            .split_once(r#"<meta name="csrf" content=""#)
            .expect("a token");
        browser.csrf = rest.split('"').next().expect("a token").to_owned();
        browser
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header("cookie", &self.cookie);
        let (status, _, text) =
            ask(self.app, request.body(Body::empty()).expect("a request")).await;
        (status, unescaped(&text))
    }

    async fn post(&self, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let fields = [("csrf", self.csrf.as_str())]
            .into_iter()
            .chain(fields.iter().copied());
        let encoded = reqwest::Url::parse_with_params("http://form/", fields).expect("fields");
        let form = encoded.query().unwrap_or_default().to_owned();
        let request = Request::post("/rules/try")
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(form.into()).expect("a request");
        let (status, _, text) = ask(self.app, request).await;
        (status, unescaped(&text))
    }
}

/// As a reader sees it.
fn unescaped(html: &str) -> String {
    [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ]
    .iter()
    .fold(html.to_owned(), |text, (from, to)| text.replace(from, to))
}

async fn tried(app: &TestApp, question: &Value) -> Value {
    let (status, answer) = app.post_as_person("/api/v1/try", question).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// Everything that trying might have left behind.
async fn traces(app: &TestApp) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "received_events",
        "rejected",
        "measurements",
        "delivery_contents",
        "incidents",
        "alerts",
        "event_errors",
    ] {
        counts.push(app.count(table).await);
    }
    counts
}

#[track_caller]
fn holds(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part}: {page}");
    }
    for secret in SECRETS {
        assert!(!page.contains(secret), "{secret}: {page}");
    }
}
