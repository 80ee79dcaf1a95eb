//! Each station by its own rhythm, and nobody for what the service missed itself.

use chrono::TimeDelta;
use serde_json::json;

use super::{DEVICE, WATCH, fresh, note, quiet, reports, silent};
use crate::support::app::TestApp;
use crate::support::event::thermal;

#[tokio::test]
async fn by_its_own_word() {
    let app = TestApp::with(WATCH).await;
    let mut health = fresh(&app, "health", 0.0);
    health["file"] = "health.qo".into();
    health["body"] = json!({ "v": 1, "every": 3600, "why": "start" });
    app.take(&health).await;
    app.settle().await;
    quiet(&app, 119).await;
    assert_eq!(silent(&app).await, 0, "an hourly reporter may miss one");
    quiet(&app, 1).await;
    assert_eq!(silent(&app).await, 1);
}

#[tokio::test]
async fn a_shorter_word_counts_at_once() {
    let app =
        TestApp::with("[watch]\nnotify = [\"sms\"]\nsilent_after = \"10m\"\ngrace = \"10m\"\n")
            .await;
    for (uid, every) in [("slow", 86_400), ("fast", 300)] {
        let mut health = fresh(&app, uid, 0.0);
        health["file"] = "health.qo".into();
        health["body"] = json!({ "v": 1, "every": every });
        app.take(&health).await;
        app.settle().await;
        quiet(&app, 14).await;
        assert_eq!(silent(&app).await, 0);
    }
    // By its word it reports each 5 minutes; it was once heard after 14.
    quiet(&app, 13).await;
    assert_eq!(silent(&app).await, 0);
    quiet(&app, 1).await;
    assert_eq!(silent(&app).await, 1);
}

#[tokio::test]
async fn learned_from_its_arrivals() {
    let app = TestApp::with(WATCH).await;
    note(&app, 0.1).await;
    reports(&app, 80, 4).await;
    quiet(&app, 159).await;
    assert_eq!(silent(&app).await, 0);
    quiet(&app, 1).await;
    assert_eq!(silent(&app).await, 1);
}

#[tokio::test]
async fn several_notes_in_one_sync_are_one_arrival() {
    let app = TestApp::with(WATCH).await;
    // Every five minutes a reading, every hour a sync, of which one fails.
    for sync in 0..5 {
        quiet(&app, if sync == 3 { 119 } else { 60 }).await;
        for reading in 0..12 {
            let captured = app.now() - TimeDelta::minutes(60 - 5 * reading);
            let mut event = thermal(&format!("s{sync}r{reading}"), DEVICE, captured, 0.1);
            event["received"] = json!(app.now().timestamp());
            app.take(&event).await;
        }
        app.settle().await;
        assert_eq!(app.count("incidents").await, 0, "sync {sync}");
    }
    quiet(&app, 119).await;
    assert_eq!(silent(&app).await, 0);
    quiet(&app, 121).await;
    assert_eq!(silent(&app).await, 1);
}

#[tokio::test]
async fn while_the_service_was_away_nobody_was_silent() {
    let mut app = TestApp::with(WATCH).await;
    reports(&app, 5, 4).await;
    app.clock.advance(TimeDelta::hours(10));
    app.restarted(WATCH);
    app.settle().await;
    assert_eq!(app.count("incidents").await, 0);
    quiet(&app, 89).await;
    assert_eq!(silent(&app).await, 0, "it has its time once more");
    quiet(&app, 1).await;
    assert_eq!(silent(&app).await, 1);
    // Who was silent before stays so.
    app.clock.advance(TimeDelta::hours(10));
    app.restarted(WATCH);
    app.settle().await;
    assert_eq!(silent(&app).await, 1);
    note(&app, 0.1).await;
    assert_eq!(silent(&app).await, 0);
}

#[tokio::test]
async fn a_restart_is_no_absence() {
    let mut app = TestApp::with(WATCH).await;
    reports(&app, 5, 4).await;
    for _ in 0..89 {
        app.restarted(WATCH);
        quiet(&app, 1).await;
    }
    assert_eq!((silent(&app).await, app.count("absences").await), (0, 0));
    quiet(&app, 1).await;
    assert_eq!(silent(&app).await, 1);
}

#[tokio::test]
async fn what_arrived_long_ago_is_no_sign_of_life() {
    let app = TestApp::with(WATCH).await;
    // Fetched now, received then: a station that is perhaps long gone.
    app.take(&thermal(
        "old",
        DEVICE,
        app.now() - TimeDelta::days(30),
        0.1,
    ))
    .await;
    app.settle().await;
    quiet(&app, 200).await;
    assert_eq!(app.count("incidents").await, 0);
    note(&app, 0.1).await;
    quiet(&app, 90).await;
    assert_eq!(
        app.count("incidents").await,
        0,
        "thirty days of silence were learned as its rhythm"
    );
}
