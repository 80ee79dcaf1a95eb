//! One after the other is told, until somebody acknowledges.

use chrono::TimeDelta;
use cloud::process::incident::{self, What};
use cloud::process::silence::Matcher;

use super::silences::{ann, silenced};
use crate::support::app::TestApp;
use crate::support::event::thermal;

const DEVICE: &str = "dev:864475";
const NUMBERS: [&str; 3] = ["+15005550011", "+15005550012", "+15005550013"];

/// Three numbers, ten minutes apart, and reminders each hour.
fn chain(app: &TestApp) -> String {
    format!(
        r#"[[destination]]
        name = "chain"
        kind = "twilio"
        base_url = "{}"
        account_sid = "AC00000000000000000000000000000001"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = {NUMBERS:?}
        escalate_after = "10m"
        rate_limit = "none"
        [[rule]]
        name = "anomaly"
        files = ["thermal.qo"]
        value = "body.anomaly"
        fire_above = 0.7
        clear_below = 0.5
        notify = ["chain"]"#,
        app.twilio.url()
    )
}

async fn escalating() -> TestApp {
    let mut app = TestApp::new().await;
    let more = chain(&app);
    app.restarted(&more);
    app
}

async fn note(app: &TestApp, uid: &str, anomaly: f64) {
    app.take(&thermal(uid, DEVICE, app.now(), anomaly)).await;
    app.settle().await;
}

/// Who was told, in order, by the last digit.
fn told(app: &TestApp) -> String {
    let messages = app.twilio.messages();
    let last = |message: &cloud::demo::twilio::Message| message.to.chars().last();
    messages.iter().filter_map(last).collect()
}

#[tokio::test]
async fn the_next_is_told_when_nobody_acknowledges() {
    let app = escalating().await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(9)).await;
    assert_eq!(told(&app), "1");
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(told(&app), "12");
    app.pass(TimeDelta::minutes(10)).await;
    assert_eq!(told(&app), "123");
    assert!(
        app.texts()[2].starts_with("CRITICAL not acknowledged, dev:864475: anomaly 0.9, limit 0.7"),
        "{:?}",
        app.texts()
    );
    assert!(app.texts()[2].ends_with("#1"));
    app.pass(TimeDelta::minutes(59)).await;
    assert_eq!(told(&app), "123");
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(told(&app).len(), 6, "a reminder goes to all that were told");
    note(&app, "calm", 0.1).await;
    assert_eq!(told(&app).len(), 9, "and so does the end");
    app.finish().await;
}

#[tokio::test]
async fn acknowledging_stops_it() {
    let app = escalating().await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(15)).await;
    incident::acknowledge(&app.pool, 1, &ann(), app.now())
        .await
        .expect("it is taken");
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(told(&app), "12");
    note(&app, "calm", 0.1).await;
    let mut ends = told(&app).split_off(2).into_bytes();
    ends.sort_unstable();
    assert_eq!(
        ends, b"12",
        "the end goes to who was told, and to nobody else"
    );
    let timeline = incident::timeline(&app.pool, 1).await.expect("a timeline");
    let story: Vec<String> = timeline
        .into_iter()
        .map(|entry| match entry.what {
            What::Opened { .. } => "opened".to_owned(),
            What::Told(told) => format!(
                "{} {} {}",
                told.notice,
                told.recipient.unwrap_or_default(),
                told.state
            ),
            What::Person { by, action, .. } => format!("{by} {action}"),
            What::Resolved { resolution } => resolution,
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        story,
        [
            "opened",
            "opened +15005550011 delivered",
            "escalated +15005550012 delivered",
            "ann acknowledged",
            "cleared",
            "resolved +15005550011 delivered",
            "resolved +15005550012 delivered",
        ]
    );
    app.finish().await;
}

#[tokio::test]
async fn the_end_stops_it() {
    let app = escalating().await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(5)).await;
    note(&app, "calm", 0.1).await;
    app.pass(TimeDelta::hours(2)).await;
    assert_eq!(told(&app), "11");
}

#[tokio::test]
async fn a_silence_holds_it() {
    let app = escalating().await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(5)).await;
    silenced(&app, &Matcher::default(), 30).await;
    app.pass(TimeDelta::minutes(29)).await;
    assert_eq!(told(&app), "1");
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(told(&app), "12");
    app.pass(TimeDelta::minutes(9)).await;
    assert_eq!(told(&app), "12", "the time counts from the last step");
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(told(&app), "123");
}

#[tokio::test]
async fn a_restart_between_and_two_services_repeat_nothing() {
    let mut app = escalating().await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(9)).await;
    let other = app.service.watch.clone();
    let more = chain(&app);
    app.restarted(&more);
    app.clock.advance(TimeDelta::minutes(1));
    let now = app.now();
    let (one, two) = tokio::join!(app.service.watch.tick(now), other.tick(now));
    one.and(two).expect("both look");
    app.settle().await;
    assert_eq!(told(&app), "12");
    app.pass(TimeDelta::minutes(10)).await;
    assert_eq!(told(&app), "123");
    app.pass(TimeDelta::minutes(30)).await;
    assert_eq!(told(&app), "123");
    app.finish().await;
}

#[tokio::test]
async fn without_it_all_are_told_at_once() {
    let mut app = TestApp::new().await;
    let more = chain(&app).replace("escalate_after = \"10m\"", "");
    app.restarted(&more);
    note(&app, "hot", 0.9).await;
    assert_eq!(told(&app).len(), 3);
    app.pass(TimeDelta::minutes(59)).await;
    assert_eq!(told(&app).len(), 3);
}

#[tokio::test]
async fn an_incident_is_closed_by_a_person() {
    let app = escalating().await;
    note(&app, "hot", 0.9).await;
    assert!(
        incident::close(&app.pool, 1, "sold", &ann(), app.now())
            .await
            .expect("it is closed")
    );
    assert!(
        !incident::close(&app.pool, 1, "sold", &ann(), app.now())
            .await
            .expect("it was")
    );
    assert!(
        !incident::close(&app.pool, 9, "sold", &ann(), app.now())
            .await
            .expect("there is none")
    );
    app.pass(TimeDelta::hours(2)).await;
    assert_eq!(told(&app), "1");
    assert_eq!(
        app.count("audit WHERE action = 'closed' AND incident_id = 1")
            .await,
        1
    );
    // The same condition opens a new one, which is told.
    note(&app, "hot2", 0.9).await;
    assert_eq!(app.count("incidents").await, 2);
    assert_eq!(told(&app), "11");
    app.finish().await;
}

#[tokio::test]
async fn two_lists_each_at_its_own_pace() {
    let mut app = TestApp::new().await;
    let first = chain(&app);
    let second = first
        .split("[[rule]]")
        .next()
        .expect("a destination")
        .replace("\"chain\"", "\"others\"")
        .replace("10m", "15m")
        .replace("+150055500", "+150055501");
    let more = format!(
        "{second}{}",
        first.replace("[\"chain\"]", "[\"chain\", \"others\"]")
    );
    app.restarted(&more);
    note(&app, "hot", 0.9).await;
    let mut steps = vec![app.texts().len()];
    for _ in 0..6 {
        app.pass(TimeDelta::minutes(5)).await;
        steps.push(app.texts().len());
    }
    assert_eq!(
        steps,
        [2, 2, 3, 4, 5, 5, 6],
        "at 0, 10, 15, 20 and 30 minutes"
    );
}
