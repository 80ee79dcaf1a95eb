//! Silences: what they hold back, and what is told when they end.

use chrono::{DateTime, TimeDelta, Utc};
use cloud::audit::{Actor, Via};
use cloud::demo::stand_in::{Answer, Fault};
use cloud::process::incident::{self, What};
use cloud::process::silence::{self, Matcher};

use crate::support::app::TestApp;
use crate::support::event::thermal;

const DEVICE: &str = "dev:864475";

pub fn ann() -> Actor {
    Actor {
        name: "ann".to_owned(),
        via: Via::Page,
    }
}

pub async fn silenced(app: &TestApp, matcher: &Matcher, minutes: i64) -> i64 {
    let time = TimeDelta::minutes(minutes);
    silence::start(&app.pool, matcher, time, "works", &ann(), app.now())
        .await
        .expect("it is silenced")
}

/// A note captured now, and all that follows from it.
async fn note(app: &TestApp, uid: &str, anomaly: f64) {
    app.take(&thermal(uid, DEVICE, app.now(), anomaly)).await;
    app.settle().await;
}

/// What the timeline says about notices that were not made.
async fn held_back(app: &TestApp, id: i64) -> Vec<(String, String, Option<DateTime<Utc>>)> {
    let timeline = incident::timeline(&app.pool, id).await.expect("a timeline");
    let held = timeline.into_iter().filter_map(|entry| match entry.what {
        What::HeldBack {
            notice,
            reason,
            until,
        } => Some((notice, reason, until)),
        _ => None,
    });
    held.collect()
}

#[tokio::test]
async fn a_silence_ends_while_firing_and_it_is_told_once() {
    let app = TestApp::new().await;
    let until = app.now() + TimeDelta::minutes(120);
    silenced(&app, &Matcher::default(), 120).await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(119)).await;
    assert_eq!(app.texts(), Vec::<String>::new());
    assert_eq!(app.count("incidents WHERE resolved_at IS NULL").await, 1);
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    assert!(app.texts()[0].starts_with("CRITICAL dev:864475: anomaly 0.9"));
    app.pass(TimeDelta::minutes(59)).await;
    assert_eq!(app.texts().len(), 1);
    app.pass(TimeDelta::minutes(1)).await;
    assert!(
        app.texts()[1].starts_with("CRITICAL reminder"),
        "{:?}",
        app.texts()
    );
    let held = (
        "opened".to_owned(),
        "silenced by ann: works".to_owned(),
        Some(until),
    );
    assert_eq!(held_back(&app, 1).await, [held]);
    app.finish().await;
}

#[tokio::test]
async fn what_comes_and_goes_within_a_silence_is_told_to_nobody() {
    let app = TestApp::new().await;
    silenced(&app, &Matcher::default(), 120).await;
    // A silence is not lost when the alarm flaps.
    for round in 0..4 {
        note(&app, &format!("hot{round}"), 0.9).await;
        app.pass(TimeDelta::minutes(10)).await;
        note(&app, &format!("calm{round}"), 0.1).await;
        app.pass(TimeDelta::minutes(10)).await;
    }
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.texts(), Vec::<String>::new());
    assert_eq!(app.count("incidents WHERE resolution = 'cleared'").await, 4);
    app.finish().await;
}

#[tokio::test]
async fn who_was_told_before_hears_the_end_although_it_is_silenced() {
    let app = TestApp::new().await;
    note(&app, "hot", 0.9).await;
    assert_eq!(app.texts().len(), 1);
    app.pass(TimeDelta::minutes(5)).await;
    silenced(&app, &Matcher::default(), 240).await;
    app.pass(TimeDelta::minutes(70)).await;
    assert_eq!(app.texts().len(), 1, "the reminder is held back");
    note(&app, "calm", 0.1).await;
    assert_eq!(app.texts().len(), 2, "{:?}", app.texts());
    assert!(app.texts()[1].starts_with("RESOLVED"));
    app.pass(TimeDelta::hours(4)).await;
    assert_eq!(
        app.texts().len(),
        2,
        "and nothing more when the silence ends"
    );
    assert_eq!(held_back(&app, 1).await[0].0, "reminder");
    app.finish().await;
}

#[tokio::test]
async fn a_reminder_held_back_comes_when_the_silence_ends() {
    let app = TestApp::new().await;
    note(&app, "hot", 0.9).await;
    silenced(&app, &Matcher::default(), 200).await;
    app.pass(TimeDelta::minutes(199)).await;
    assert_eq!(app.texts().len(), 1);
    app.pass(TimeDelta::minutes(2)).await;
    assert_eq!(app.texts().len(), 2, "{:?}", app.texts());
    assert!(app.texts()[1].starts_with("CRITICAL reminder"));
    app.pass(TimeDelta::minutes(58)).await;
    assert_eq!(app.texts().len(), 2);
}

#[tokio::test]
async fn a_silence_that_is_ended_early_is_over() {
    let app = TestApp::new().await;
    let silence = silenced(&app, &Matcher::default(), 600).await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(10)).await;
    assert_eq!(app.texts().len(), 0);
    assert_eq!(
        silence::in_force(&app.pool, app.now())
            .await
            .expect("silences")
            .len(),
        1
    );
    assert!(
        silence::end(&app.pool, silence, &ann(), app.now())
            .await
            .expect("it ends")
    );
    app.settle().await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    assert!(
        silence::in_force(&app.pool, app.now())
            .await
            .expect("silences")
            .is_empty()
    );
    let recent = silence::recent(&app.pool, 10).await.expect("silences");
    assert_eq!(recent[0].ended_by.as_deref(), Some("ann"));
    app.pass(TimeDelta::minutes(30)).await;
    assert_eq!(app.texts().len(), 1);
}

#[tokio::test]
async fn a_silence_under_another_one_ends_without_effect() {
    let app = TestApp::new().await;
    let all = silenced(&app, &Matcher::default(), 600).await;
    let rule = Matcher {
        rule: Some("anomaly".to_owned()),
        ..Matcher::default()
    };
    silenced(&app, &rule, 60).await;
    note(&app, "hot", 0.9).await;
    silence::end(&app.pool, all, &ann(), app.now())
        .await
        .expect("it ends");
    app.pass(TimeDelta::minutes(59)).await;
    assert_eq!(app.texts().len(), 0);
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(app.texts().len(), 1);
}

#[tokio::test]
async fn only_what_is_meant_is_silenced() {
    let app = TestApp::new().await;
    let other = Matcher {
        device: Some("dev:1".to_owned()),
        ..Matcher::default()
    };
    silenced(&app, &other, 600).await;
    let rule = Matcher {
        rule: Some("dwell".to_owned()),
        ..Matcher::default()
    };
    silenced(&app, &rule, 600).await;
    note(&app, "hot", 0.9).await;
    app.take(&thermal("other", "dev:1", app.now(), 0.9)).await;
    app.settle().await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    assert!(app.texts()[0].contains(DEVICE));
}

#[tokio::test]
async fn a_notice_not_sent_yet_is_withdrawn_and_told_later() {
    let app = TestApp::new().await;
    app.twilio.plan(100, Fault::Refuse(Answer::status(429)));
    note(&app, "hot", 0.9).await;
    silence::start_for_incident(
        &app.pool,
        1,
        TimeDelta::minutes(10),
        "I am on it",
        &ann(),
        app.now(),
    )
    .await
    .expect("it is silenced")
    .expect("there is such an incident");
    app.twilio.forget_faults();
    assert_eq!(
        app.count(
            "deliveries WHERE state = 'dead' AND reason = 'withdrawn: silenced by ann: I am on it'"
        )
        .await,
        1
    );
    app.pass(TimeDelta::minutes(9)).await;
    assert_eq!(app.texts().len(), 0);
    // Not after the cooldown: that counts from what was told.
    app.pass(TimeDelta::minutes(1)).await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    assert!(app.texts()[0].starts_with("CRITICAL dev"));
    app.finish().await;
}

#[tokio::test]
async fn what_was_withdrawn_and_is_over_is_told_to_nobody() {
    let app = TestApp::new().await;
    app.twilio.plan(100, Fault::Refuse(Answer::status(429)));
    note(&app, "hot", 0.9).await;
    silenced(&app, &Matcher::default(), 10).await;
    app.twilio.forget_faults();
    app.pass(TimeDelta::minutes(5)).await;
    note(&app, "calm", 0.1).await;
    app.pass(TimeDelta::minutes(60)).await;
    assert_eq!(app.texts(), Vec::<String>::new());
}

#[tokio::test]
async fn who_acknowledged_is_not_told_after_a_silence() {
    let app = TestApp::new().await;
    silenced(&app, &Matcher::default(), 30).await;
    note(&app, "hot", 0.9).await;
    assert!(
        incident::acknowledge(&app.pool, 1, &ann(), app.now())
            .await
            .expect("it is taken")
    );
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.texts().len(), 0);
}

#[tokio::test]
async fn a_restart_and_a_second_service_change_nothing() {
    let mut app = TestApp::new().await;
    silenced(&app, &Matcher::default(), 30).await;
    note(&app, "hot", 0.9).await;
    app.pass(TimeDelta::minutes(10)).await;
    let other = app.service.watch.clone();
    app.restarted("");
    app.clock.advance(TimeDelta::minutes(20));
    let now = app.now();
    let (one, two) = tokio::join!(app.service.watch.tick(now), other.tick(now));
    one.and(two).expect("both look");
    app.settle().await;
    assert_eq!(app.texts().len(), 1, "{:?}", app.texts());
    app.pass(TimeDelta::minutes(30)).await;
    assert_eq!(app.texts().len(), 1);
}

#[tokio::test]
async fn a_rule_that_does_not_repeat_is_told_when_its_cooldown_is_over() {
    let app = TestApp::with(
        "[[rule]]\nname = \"anomaly\"\nvalue = \"body.anomaly\"\nfire_above = 0.7\nrepeat = \"none\"\nnotify = [\"sms\"]",
    )
    .await;
    note(&app, "1", 0.9).await;
    app.pass(TimeDelta::minutes(1)).await;
    note(&app, "2", 0.1).await;
    app.pass(TimeDelta::minutes(1)).await;
    note(&app, "3", 0.9).await;
    assert_eq!(app.texts().len(), 2);
    app.pass(TimeDelta::minutes(30)).await;
    assert_eq!(app.texts().len(), 3, "{:?}", app.texts());
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.texts().len(), 3);
    assert_eq!(
        held_back(&app, 2).await[0].1,
        "the cooldown after the notice before"
    );
}
