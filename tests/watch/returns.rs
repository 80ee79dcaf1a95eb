//! A station that was silent comes back with what it had to say meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{DEVICE, RULE, WATCH, note, quiet, silent};
use crate::support::app::TestApp;
use crate::support::event::thermal;

/// What was captured in the last twelve hours and arrives only now, with these scores by hours ago.
fn burst(app: &TestApp, anomaly: impl Fn(i64) -> f64) -> Vec<Value> {
    let notes = (0..144).map(|number| {
        let captured = app.now() - TimeDelta::minutes(720 - 5 * number);
        let hours_ago = (720 - 5 * number) / 60;
        let mut event = thermal(
            &format!("late{number}"),
            DEVICE,
            captured,
            anomaly(hours_ago),
        );
        event["received"] = json!(app.now().timestamp());
        event
    });
    notes.collect()
}

/// Silent for twelve hours, with the texts that this brought.
async fn silent_for_long() -> (TestApp, usize) {
    let app = TestApp::with(&format!("{RULE}{WATCH}")).await;
    note(&app, 0.1).await;
    quiet(&app, 725).await;
    assert_eq!(silent(&app).await, 1);
    let texts = app.texts().len();
    (app, texts)
}

#[tokio::test]
async fn an_alarm_that_came_and_went_meanwhile_is_told_to_nobody() {
    for at_once in [true, false] {
        let (app, before) = silent_for_long().await;
        // Beyond `max_age`, and within it.
        let notes = burst(&app, |hours_ago| {
            if [2, 3, 4, 9].contains(&hours_ago) {
                0.9
            } else {
                0.1
            }
        });
        for (number, note) in notes.iter().enumerate() {
            app.take(note).await;
            if !at_once && number % 10 == 0 {
                app.settle().await;
            }
        }
        app.settle().await;
        quiet(&app, 30).await;
        let texts = app.texts().split_off(before);
        assert_eq!(texts.len(), 1, "at once {at_once}: {texts:?}");
        assert!(
            texts[0].starts_with("RESOLVED critical dev:864475: silent for 12"),
            "{texts:?}"
        );
        assert_eq!(
            app.count("incidents WHERE rule = 'anomaly' AND resolution = 'cleared'")
                .await,
            1
        );
        assert_eq!(silent(&app).await, 0);
        app.finish().await;
    }
}

#[tokio::test]
async fn an_alarm_that_is_still_true_is_told_once() {
    let (app, before) = silent_for_long().await;
    for note in burst(&app, |hours_ago| if hours_ago < 4 { 0.9 } else { 0.1 }) {
        app.take(&note).await;
        app.process().await;
    }
    app.settle().await;
    quiet(&app, 30).await;
    let texts = app.texts().split_off(before);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].starts_with("RESOLVED critical dev:864475: silent for"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("CRITICAL dev:864475: anomaly 0.9 above 0.7"),
        "{texts:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_alarm_from_before_that_ended_meanwhile_is_only_ended() {
    let app = TestApp::with(&format!("{RULE}{WATCH}")).await;
    note(&app, 0.9).await;
    quiet(&app, 725).await;
    let before = app.texts().len();
    for note in burst(&app, |hours_ago| if hours_ago > 6 { 0.9 } else { 0.1 }) {
        app.take(&note).await;
    }
    app.settle().await;
    quiet(&app, 30).await;
    let mut texts = app.texts().split_off(before);
    texts.sort();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].starts_with("RESOLVED critical boiler-room: anomaly")
            || texts[0].starts_with("RESOLVED critical dev:864475: anomaly"),
        "{texts:?}"
    );
    assert!(texts[1].contains("silent for"), "{texts:?}");
    app.finish().await;
}

#[tokio::test]
async fn old_notes_fetched_while_it_is_silent_open_nothing_that_is_told() {
    let (app, before) = silent_for_long().await;
    let old: DateTime<Utc> = app.now() - TimeDelta::hours(5);
    app.take(&thermal("fetched", DEVICE, old, 0.9)).await;
    app.settle().await;
    quiet(&app, 30).await;
    assert_eq!(
        silent(&app).await,
        1,
        "what was received five hours ago is no sign of life"
    );
    let texts = app.texts().split_off(before);
    assert!(
        texts.iter().all(|text| text.contains("silent since")),
        "{texts:?}"
    );
}
