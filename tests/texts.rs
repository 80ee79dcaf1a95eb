//! Texts both ways: what people may ask for by text, whose word counts, how far our own texts got, and the pictures that
//! follow them. Everything comes in through the router, signed as Twilio signs.

mod commands;
mod parser;
mod pictures;
mod signatures;
mod statuses;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::clock::Clock;
use cloud::config::Config;
use cloud::demo::twilio::{TwilioStandIn, Webhook};
use cloud::demo::ubidots::UbidotsStandIn;
use cloud::{Service, web};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::app::{TOKEN, TestApp, program, start};
use crate::support::database::{TestDatabase, database};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const PUBLIC: &str = "https://thermal.example.com";
const INBOUND: &str = "https://thermal.example.com/twilio/inbound";
/// Texted of the rule `anomaly`, and known by name.
const ANN: &str = "+14155550101";
/// Texted of the same.
const BEN: &str = "+14155550102";
/// Texted of the rule `cold` only.
const EVE: &str = "+14155550103";
/// Known to the other account only.
const KIM: &str = "+14155550104";
const STRANGER: &str = "+14155550199";
const DEVICE: &str = "dev:864475";
const EMPTY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

async fn app() -> TestApp {
    app_with(&server(PUBLIC), "").await
}

fn server(public: &str) -> String {
    format!("[server]\npublic_url = \"{public}\"")
}

/// With sections of one's own, and more keys for the destination `crew`.
async fn app_with(sections: &str, crew: &str) -> TestApp {
    app_on(database().await, sections, crew).await
}

async fn app_on(database: TestDatabase, sections: &str, crew: &str) -> TestApp {
    let ubidots = UbidotsStandIn::start("ubidots-secret-token")
        .await
        .expect("the Ubidots stand-in starts");
    let twilio = TwilioStandIn::start(ACCOUNT, "twilio-secret-token")
        .await
        .expect("the Twilio stand-in starts");
    let clock = Clock::manual(start());
    let config = config(twilio.url().as_str(), sections, crew);
    let pool = database.pool.clone();
    let service =
        Service::new(config, pool.clone(), clock.clone(), program()).expect("the service is made");
    TestApp {
        router: web::router(service.app.clone()),
        service,
        clock,
        pool,
        ubidots,
        twilio,
        database,
    }
}

fn config(twilio: &str, sections: &str, crew: &str) -> Config {
    let text = format!(
        r#"
        {sections}
        [access]
        notehub_tokens = ["{TOKEN}"]
        people_token = "people-token-of-the-tests"
        [[destination]]
        name = "crew"
        kind = "twilio"
        base_url = "{twilio}"
        account_sid = "{ACCOUNT}"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = ["Ann {ANN}", "{BEN}"]
        rate_limit = "none"
        {crew}
        [[destination]]
        name = "owner"
        kind = "twilio"
        base_url = "{twilio}"
        account_sid = "{ACCOUNT}"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = ["{EVE}"]
        rate_limit = "none"
        [[destination]]
        name = "other"
        kind = "twilio"
        base_url = "{twilio}"
        account_sid = "AC00000000000000000000000000000002"
        auth_token = "another-secret-token"
        from = "+15005550006"
        to = ["{KIM}"]
        [[rule]]
        name = "anomaly"
        files = ["thermal.qo"]
        value = "body.anomaly"
        fire_above = 0.7
        clear_below = 0.5
        notify = ["crew"]
        [[rule]]
        name = "cold"
        files = ["thermal.qo"]
        value = "body.cold"
        fire_above = 0.9
        notify = ["owner"]
        "#
    );
    Config::parse(&text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn ago(app: &TestApp, minutes: i64) -> DateTime<Utc> {
    app.now() - TimeDelta::minutes(minutes)
}

/// A hot spot at a station: an incident, told to Ann and Ben.
async fn hot(app: &TestApp, device: &str) {
    let at = ago(app, 1);
    let uid = format!("{device}-{at}");
    app.take(&crate::support::event::thermal(&uid, device, at, 0.88))
        .await;
    app.settle().await;
}

async fn calm(app: &TestApp, device: &str) {
    let uid = format!("{device}-{}", app.now());
    app.take(&crate::support::event::thermal(
        &uid,
        device,
        app.now(),
        0.1,
    ))
    .await;
    app.settle().await;
}

/// Posts what Twilio would.
async fn post(app: &TestApp, webhook: &Webhook) -> (StatusCode, String) {
    let target = webhook.target("").expect("an address with a path");
    post_to(app, &target, webhook).await
}

async fn post_to(app: &TestApp, target: &str, webhook: &Webhook) -> (StatusCode, String) {
    let request = Request::post(target)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", &webhook.signature)
        .body(Body::from(webhook.body.clone()))
        .expect("a request");
    answered(app, request).await
}

async fn answered(app: &TestApp, request: Request<Body>) -> (StatusCode, String) {
    let (status, answer) = app.send(Ok(request)).await;
    let text = match answer {
        Value::String(text) => text,
        other => other.to_string(),
    };
    (status, text)
}

/// Texts the service and returns what it answers, if anything.
async fn text(app: &TestApp, from: &str, body: &str) -> Option<String> {
    let (status, twiml) = post(app, &app.twilio.inbound(INBOUND, from, body)).await;
    assert_eq!(status, StatusCode::OK, "{twiml}");
    message(&twiml)
}

fn message(twiml: &str) -> Option<String> {
    if twiml == EMPTY {
        return None;
    }
    let (head, rest) = twiml.split_once("<Message>").expect("a message");
    let (text, tail) = rest.split_once("</Message>").expect("its end");
    assert_eq!(
        (head, tail),
        (
            r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#,
            "</Response>"
        )
    );
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

async fn get(app: &TestApp, path: &str) -> axum::response::Response {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    app.router
        .clone()
        .oneshot(request)
        .await
        .expect("the router answers")
}

/// Who did what, in order.
async fn audit(app: &TestApp) -> Vec<(String, String, String, Option<i64>)> {
    sqlx::query_as("SELECT person, via, action, incident_id FROM audit ORDER BY id")
        .fetch_all(&app.pool)
        .await
        .expect("rows")
}

fn entry(person: &str, action: &str, incident: i64) -> (String, String, String, Option<i64>) {
    (
        person.to_owned(),
        "sms".to_owned(),
        action.to_owned(),
        Some(incident),
    )
}
