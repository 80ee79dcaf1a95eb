//! Stations that are heard no more, and that come back.

mod returns;
mod rhythm;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::process::incident::{self, What};
use cloud::process::silence::Matcher;
use serde_json::{Value, json};
use sqlx::postgres::PgListener;

use crate::incidents::silences::{ann, silenced};
use crate::support::app::TestApp;
use crate::support::event::thermal;

pub const DEVICE: &str = "dev:864475";
pub const WATCH: &str = "[watch]\nnotify = [\"sms\"]\n";
/// The tutorial's rule, which a file with any rule has to write itself.
pub const RULE: &str = "[[rule]]\nname = \"anomaly\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.anomaly\"\nfire_above = 0.7\nclear_below = 0.5\nnotify = [\"sms\"]\n";

/// A note that was captured and received just now.
pub fn fresh(app: &TestApp, uid: &str, anomaly: f64) -> Value {
    let now = app.now() - TimeDelta::seconds(3);
    let mut event = thermal(uid, DEVICE, now, anomaly);
    event["sn"] = "boiler-room".into();
    event
}

pub async fn note(app: &TestApp, anomaly: f64) {
    let uid = format!("e{}", app.now().timestamp());
    app.take(&fresh(app, &uid, anomaly)).await;
    app.settle().await;
}

/// Time in which nothing comes; the watch looks each minute, and what is due is sent in the end.
pub async fn quiet(app: &TestApp, minutes: i64) {
    for _ in 0..minutes {
        app.clock.advance(TimeDelta::minutes(1));
        app.service
            .watch
            .tick(app.now())
            .await
            .expect("the watch looks");
        app.deliver().await;
    }
}

/// Reports each `every` minutes, `times` times.
pub async fn reports(app: &TestApp, every: i64, times: i64) {
    for _ in 0..times {
        quiet(app, every).await;
        note(app, 0.12).await;
    }
}

pub async fn silent(app: &TestApp) -> i64 {
    app.count("incidents WHERE rule = 'silent' AND resolved_at IS NULL")
        .await
}

#[tokio::test]
async fn a_station_falls_silent_and_returns() {
    let app = TestApp::with(WATCH).await;
    reports(&app, 5, 6).await;
    quiet(&app, 89).await;
    assert_eq!((silent(&app).await, app.texts().len()), (0, 0));
    quiet(&app, 1).await;
    assert_eq!(
        app.texts(),
        [
            "CRITICAL boiler-room: silent since 1 Mar 06:29 CST, last anomaly 0.12, Shorewood Hills WI #1"
        ]
    );
    let (_, devices) = app.get("/api/v1/devices").await;
    assert_eq!(devices["devices"][0]["alerts"]["silent"], "firing");
    let (_, metrics) = app.get("/metrics").await;
    assert!(
        metrics
            .as_str()
            .expect("text")
            .contains("\ncloud_stations_silent 1\n")
    );
    quiet(&app, 60).await;
    assert_eq!(app.texts().len(), 2);
    assert!(app.texts()[1].starts_with("CRITICAL reminder boiler-room: silent since"));
    quiet(&app, 30).await;
    note(&app, 0.2).await;
    assert_eq!(
        app.texts()[2],
        "RESOLVED critical boiler-room: silent for 3 h, Shorewood Hills WI, 1 Mar 06:29-09:29 CST #1"
    );
    let (_, devices) = app.get("/api/v1/devices").await;
    assert_eq!(devices["devices"][0]["alerts"]["silent"], "normal");
    quiet(&app, 60).await;
    assert_eq!((silent(&app).await, app.texts().len()), (0, 3));
    app.finish().await;
}

#[tokio::test]
async fn acknowledged_it_is_not_repeated() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    quiet(&app, 90).await;
    assert!(
        incident::acknowledge(&app.pool, 1, &ann(), app.now())
            .await
            .expect("it is taken")
    );
    quiet(&app, 180).await;
    assert_eq!(app.texts().len(), 1);
    note(&app, 0.1).await;
    assert_eq!(app.texts().len(), 2, "the end is told");
}

#[tokio::test]
async fn two_services_make_one_incident() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    quiet(&app, 89).await;
    app.clock.advance(TimeDelta::minutes(1));
    let (now, watch) = (app.now(), &app.service.watch);
    let looks = tokio::join!(watch.tick(now), watch.tick(now), watch.tick(now));
    looks.0.and(looks.1).and(looks.2).expect("all look");
    app.settle().await;
    assert_eq!((app.count("incidents").await, app.texts().len()), (1, 1));
}

#[tokio::test]
async fn an_event_that_waits_is_a_sign_of_life() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    quiet(&app, 89).await;
    app.take(&fresh(&app, "waits", 0.1)).await;
    quiet(&app, 30).await;
    assert_eq!(silent(&app).await, 0, "it is only not processed yet");
    app.settle().await;
    // Heard twice, 89 minutes apart: that is all that is known of its rhythm.
    quiet(&app, 147).await;
    assert_eq!(silent(&app).await, 0);
    quiet(&app, 2).await;
    assert_eq!(silent(&app).await, 1, "{:?}", app.texts());
}

#[tokio::test]
async fn while_it_is_silent_its_other_incidents_are_not_repeated() {
    let app = TestApp::with(&format!("{RULE}{WATCH}")).await;
    note(&app, 0.9).await;
    quiet(&app, 95).await;
    let texts = app.texts();
    assert_eq!(texts.len(), 3, "alarm, reminder, silence: {texts:?}");
    quiet(&app, 24).await;
    quiet(&app, 180).await;
    let of_the_alarm = app
        .texts()
        .iter()
        .filter(|text| text.ends_with("#1"))
        .count();
    assert_eq!(of_the_alarm, 2, "{:?}", app.texts());
    let timeline = incident::timeline(&app.pool, 1).await.expect("a timeline");
    assert!(
        timeline.iter().any(|entry| matches!(&entry.what,
            What::HeldBack { reason, until: None, .. } if reason == "the station is silent")),
        "{timeline:?}"
    );
    // It comes back, and it is still hot: one reminder, when it has said what it has to say.
    let before = app.texts().len();
    note(&app, 0.95).await;
    assert_eq!(app.texts().len(), before + 1, "the end of the silence");
    quiet(&app, 1).await;
    let texts = app.texts();
    assert_eq!(texts.len(), before + 2, "{texts:?}");
    assert!(
        texts[before + 1].starts_with("CRITICAL reminder boiler-room: anomaly 0.95"),
        "{texts:?}"
    );
}

#[tokio::test]
async fn where_nobody_is_told_of_a_silence_it_mutes_nothing() {
    let app = TestApp::with(&format!("{RULE}[watch]\n")).await;
    note(&app, 0.9).await;
    quiet(&app, 125).await;
    assert_eq!(silent(&app).await, 1);
    assert_eq!(
        app.texts().len(),
        3,
        "the alarm and two reminders: {:?}",
        app.texts()
    );
}

#[tokio::test]
async fn the_configuration_is_changed_meanwhile() {
    let mut app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    quiet(&app, 90).await;
    assert_eq!((silent(&app).await, app.texts().len()), (1, 1));
    let forget = async |app: &TestApp| {
        let plan = &app.service.watch.plan;
        incident::forget_removed_rules(&app.pool, plan, app.now())
            .await
            .expect("forgotten")
    };
    // Nobody is to be told any more: it stays an incident.
    app.restarted("[watch]\nnotify = []\n");
    assert_eq!(forget(&app).await, 0);
    quiet(&app, 120).await;
    assert_eq!((silent(&app).await, app.texts().len()), (1, 1));
    // Nobody watches: it ends.
    app.restarted("[watch]\nenabled = false\n");
    assert_eq!(forget(&app).await, 1);
    quiet(&app, 120).await;
    let end: Option<String> = sqlx::query_scalar("SELECT resolution FROM incidents")
        .fetch_one(&app.pool)
        .await
        .expect("an incident");
    assert_eq!(end.as_deref(), Some("watch switched off"));
    // Somebody watches again, and it is still silent.
    app.restarted(WATCH);
    assert_eq!(forget(&app).await, 0);
    quiet(&app, 1).await;
    assert_eq!(
        (silent(&app).await, app.texts().len()),
        (1, 2),
        "{:?}",
        app.texts()
    );
}

#[tokio::test]
async fn a_station_that_is_gone_for_good() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    quiet(&app, 90).await;
    assert!(
        incident::close(&app.pool, 1, "retired", &ann(), app.now())
            .await
            .expect("closed")
    );
    quiet(&app, 300).await;
    assert_eq!((app.count("incidents").await, app.texts().len()), (1, 1));
    // Replaying what it once said is no sign of life.
    let (_, answer) = app
        .post_as_person(
            "/api/v1/replay",
            &json!({ "event": format!("e{}", crate::support::app::start().timestamp()) }),
        )
        .await;
    assert_eq!(answer["replayed"], 1);
    app.settle().await;
    quiet(&app, 100).await;
    assert_eq!(app.count("incidents").await, 1);
    // It is found in a cupboard and switched on.
    note(&app, 0.1).await;
    assert_eq!(app.texts().len(), 1);
    quiet(&app, 900).await;
    assert_eq!(app.count("incidents").await, 2);
}

#[tokio::test]
async fn the_silence_of_a_station_can_be_silenced() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    let matcher = Matcher {
        device: Some(DEVICE.to_owned()),
        rule: Some("silent".to_owned()),
    };
    silenced(&app, &matcher, 150).await;
    quiet(&app, 149).await;
    assert_eq!((silent(&app).await, app.texts().len()), (1, 0));
    quiet(&app, 1).await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
}

#[tokio::test]
async fn open_pages_hear_of_silence_and_of_what_is_told() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    let mut listener = PgListener::connect_with(&app.pool)
        .await
        .expect("a listener");
    listener.listen("thermal_watch").await.expect("it listens");
    let mut hear = async |count: usize| {
        let mut heard = Vec::new();
        while heard.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await;
            let next = next.expect("something is announced").expect("connected");
            let change: Value = serde_json::from_str(next.payload()).expect("JSON");
            // When lanes tell that something was sent is their affair.
            if change != json!("deliveries") {
                heard.push(change);
            }
        }
        heard
    };
    quiet(&app, 90).await;
    let (incident, device) = (json!({ "incident": 1 }), json!({ "devices": [DEVICE] }));
    assert_eq!(
        hear(3).await,
        [incident.clone(), device.clone(), incident.clone()],
        "it is silent, and that is told"
    );
    note(&app, 0.1).await;
    assert_eq!(hear(2).await, [incident, device], "it is heard again");
    // Like everything else on its way, the connection goes before the database does.
    drop(listener);
    app.finish().await;
}

#[tokio::test]
async fn a_station_that_died_before_silence_was_watched_is_found() {
    let app = TestApp::with(WATCH).await;
    app.take(&fresh(&app, "last", 0.1)).await;
    app.process().await;
    let execute = async |sql: &'static str| {
        let done = sqlx::query(sql).execute(&app.pool).await;
        done.expect("it is done").rows_affected()
    };
    assert_eq!(execute("DELETE FROM heartbeats").await, 1);
    let migration = include_str!("../migrations/15_stations_watched.sql");
    // It goes by the clock of the database, by which this station died months ago: who has gone is no news.
    assert_eq!(execute(migration).await, 0);
    assert_eq!(
        execute("UPDATE devices SET last_seen = now() - interval '1 day'").await,
        1
    );
    assert_eq!(execute(migration).await, 1);
    assert_eq!(execute(migration).await, 0, "what is known stays");
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()")
        .fetch_one(&app.pool)
        .await
        .expect("the time");
    app.clock.advance(now - app.now());
    quiet(&app, 1).await;
    assert_eq!((silent(&app).await, app.texts().len()), (1, 1));
}

#[tokio::test]
async fn what_fails_holds_up_nothing_else() {
    let app = TestApp::with(&format!("{RULE}{WATCH}")).await;
    note(&app, 0.9).await;
    assert_eq!(app.texts().len(), 1);
    sqlx::query("ALTER TABLE awake RENAME TO asleep")
        .execute(&app.pool)
        .await
        .expect("renamed");
    app.clock.advance(TimeDelta::minutes(61));
    let failed = app.service.watch.tick(app.now()).await;
    let error = format!("{:#}", failed.expect_err("silence cannot be watched"));
    assert!(error.starts_with("silent stations: "), "{error}");
    app.deliver().await;
    assert_eq!(app.texts().len(), 2, "the reminder comes all the same");
}

#[tokio::test]
async fn an_incident_that_cannot_be_told_is_put_off() {
    let mut app = TestApp::with(RULE).await;
    for device in ["dev:1", "dev:2"] {
        app.take(&thermal(device, device, app.now(), 0.9)).await;
    }
    app.settle().await;
    assert_eq!(app.texts().len(), 2);
    sqlx::query("UPDATE alerts SET memory = '{\"state\": 7}' WHERE device = 'dev:1'")
        .execute(&app.pool)
        .await
        .expect("broken");
    quiet(&app, 61).await;
    assert_eq!(app.texts().len(), 3, "the other one is reminded of");
    let put_off =
        "incidents WHERE notice_due_at > (SELECT last_at FROM awake) AND device = 'dev:1'";
    assert_eq!(app.count(put_off).await, 1);
    sqlx::query("UPDATE alerts SET memory = '{}' WHERE device = 'dev:1'")
        .execute(&app.pool)
        .await
        .expect("mended");
    quiet(&app, 10).await;
    assert_eq!(app.texts().len(), 4, "told once it can be");
    // Nor does it stay due when its rule is gone and nobody could end it yet.
    app.restarted(&RULE.replace("anomaly\"\nfiles", "other\"\nfiles"));
    quiet(&app, 65).await;
    let due = "incidents WHERE notice_due_at <= (SELECT last_at FROM awake)";
    assert_eq!((app.count(due).await, app.texts().len()), (0, 4));
    assert_eq!(
        app.count("incidents WHERE notice_due_at IS NOT NULL").await,
        2
    );
}
