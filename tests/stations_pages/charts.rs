//! Series as charts get them: no peak is lost, gaps are told, and an answer stays small.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ago, fetch, fleet, fleet_every, run, shortened};
use crate::support::app::TestApp;
use crate::support::event::thermal;

const SERIES: &str = "/api/v1/devices/dev%3A1/series";

async fn series(app: &TestApp, hours: i64, more: &str) -> Value {
    let path = format!("{SERIES}?from={}{more}", ago(app, hours));
    let (status, answer) = app.get(&path).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn numbers(line: &Value, key: &str) -> Vec<Option<f64>> {
    let list = line[key]
        .as_array()
        .unwrap_or_else(|| panic!("{key} in {line}"));
    list.iter().map(Value::as_f64).collect()
}

/// The highest of a line, whatever its step.
fn highest(line: &Value) -> f64 {
    let key = if line["high"].is_null() {
        "mean"
    } else {
        "high"
    };
    numbers(line, key)
        .into_iter()
        .flatten()
        .fold(f64::MIN, f64::max)
}

fn line<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let lines = answer["series"].as_array().expect("series");
    lines
        .iter()
        .find(|line| line["name"] == name)
        .expect("the series")
}

/// A year with one peak and one dip of a single measurement 100 days ago, and two days without any.
async fn year(minutes: u32) -> TestApp {
    let app = TestApp::new().await;
    fleet_every(&app, 1, 24 * 365, minutes).await;
    let (spot, from, to) = (ago(&app, 2_400), ago(&app, 1_200), ago(&app, 1_152));
    run(
        &app,
        &format!(
            "UPDATE measurements SET value = 0.9731 WHERE series = 'anomaly' AND at = '{spot}';
             UPDATE measurements SET value = 3.25 WHERE series = 'mean' AND at = '{spot}';
             DELETE FROM measurements WHERE at >= '{from}' AND at < '{to}'"
        ),
    )
    .await;
    app
}

#[tokio::test]
async fn a_peak_of_one_measurement_is_in_every_range_and_in_short_it_is_all_the_same() {
    let app = year(30).await;
    // In steps of a minute, of an hour, of hours, of a day, of days.
    let asked = [
        (2_403, "&to=SPOT"),
        (2_700, "&to=SPOT"),
        (3_000, "&points=500"),
        (8_700, "&points=500"),
        (8_700, "&points=60"),
    ];
    let mut before = Vec::new();
    for (hours, more) in asked {
        let more = more.replace("SPOT", &ago(&app, 2_390));
        before.push(series(&app, hours, &more).await);
    }
    let steps: Vec<_> = before
        .iter()
        .map(|answer| answer["step_seconds"].as_i64().expect("a step"))
        .collect();
    assert_eq!(steps, [120, 3_600, 21_600, 86_400, 604_800]);
    for answer in &before {
        assert_eq!(
            highest(line(answer, "anomaly")),
            0.9731,
            "{}",
            answer["step_seconds"]
        );
        let lowest = line(answer, "mean");
        let key = if lowest["low"].is_null() {
            "mean"
        } else {
            "low"
        };
        assert!(
            numbers(lowest, key).contains(&Some(3.25)),
            "{}",
            answer["step_seconds"]
        );
        assert!(answer.to_string().len() < 200_000);
    }
    assert!(
        before[0]["series"][0]["low"].is_null(),
        "single measurements"
    );
    assert_eq!(shortened(&app, app.now()).await, 365);
    assert_eq!(app.count("measurement_days_due").await, 1, "today goes on");
    for ((hours, more), before) in asked.into_iter().zip(before) {
        let more = more.replace("SPOT", &ago(&app, 2_390));
        assert_eq!(series(&app, hours, &more).await, before, "{hours} h {more}");
    }
}

#[tokio::test]
async fn where_nothing_was_heard_there_is_a_null_and_only_there() {
    let app = year(30).await;
    shortened(&app, app.now()).await;
    let gap = |answer: &Value| {
        let line = line(answer, "cold");
        let (at, mean) = (numbers(line, "at"), numbers(line, "mean"));
        assert_eq!(
            (at.len(), at.len()),
            (mean.len(), numbers(line, "high").len())
        );
        let nulls: Vec<_> = at
            .iter()
            .zip(&mean)
            .filter(|(_, mean)| mean.is_none())
            .map(|(at, _)| at.expect("a time") as i64)
            .collect();
        nulls
    };
    let begin = app.now() - TimeDelta::hours(1_200);
    for hours in [1_400, 3_000] {
        let nulls = gap(&series(&app, hours, "").await);
        assert_eq!(nulls.len(), 1, "{hours}: {nulls:?}");
        let after = nulls[0] - begin.timestamp();
        // A step that begins before the gap may end in it.
        assert!((-21_600..48 * 3_600).contains(&after), "{hours}: {after}");
    }
}

#[tokio::test]
async fn a_note_that_comes_days_late_is_in_the_chart_at_once() {
    let app = TestApp::new().await;
    fleet(&app, 1, 24 * 40).await;
    shortened(&app, app.now()).await;
    let at = app.now() - TimeDelta::hours(24 * 30) + TimeDelta::seconds(61);
    let mut late = thermal("late", "dev:1", at, 0.93);
    late["received"] = (app.now().timestamp()).into();
    assert!(highest(line(&series(&app, 24 * 39, "").await, "anomaly")) < 0.2);
    app.take(&late).await;
    app.settle().await;
    let answer = series(&app, 24 * 39, "").await;
    assert_eq!(highest(line(&answer, "anomaly")), 0.93);
    assert_eq!(
        app.count("measurement_days_due WHERE day < '2026-03-01'")
            .await,
        1
    );
    // It rests for a while, so that more of that day can come; then it is in short, and all is as before.
    assert_eq!(shortened(&app, app.now()).await, 0);
    app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(shortened(&app, app.now()).await, 1);
    let range = format!("&to={}", ago(&app, 2));
    assert_eq!(
        highest(line(&series(&app, 24 * 39, &range).await, "anomaly")),
        0.93
    );
    assert_eq!(
        app.count("measurement_days_due WHERE day < '2026-03-01'")
            .await,
        0
    );
    // Whoever processes that station meanwhile keeps its shard to himself.
    let mut other = app.pool.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM process_shards FOR UPDATE")
        .execute(&mut *other)
        .await
        .expect("locked");
    app.clock.advance(TimeDelta::days(1));
    assert_eq!(shortened(&app, app.now()).await, 0);
    other.rollback().await.expect("rolled back");
    assert_eq!(shortened(&app, app.now()).await, 1);
}

#[tokio::test]
async fn an_answer_is_exact_and_tells_limits_and_incidents() {
    let app = TestApp::with(
        "[[rule]]\nname = \"hot\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.anomaly\"\nfire_above = 0.7\nclear_below = 0.5\n\
         [[rule]]\nname = \"elsewhere\"\nvalue = \"body.anomaly\"\nfire_above = 0.7\ndevices = [\"dev:2\"]\n\
         [[rule]]\nname = \"sum\"\nvalue = \"body.cold + body.hot\"\nfire_above = 9",
    )
    .await;
    for (minutes, anomaly) in [(30, 0.1), (25, 0.9), (5, 0.2)] {
        let at = app.now() - TimeDelta::minutes(minutes);
        app.take(&thermal(&format!("e{minutes}"), "dev:1", at, anomaly))
            .await;
    }
    app.settle().await;
    let answer = series(&app, 1, "&series=anomaly,nothing").await;
    let at = |minutes: i64| (app.now() - TimeDelta::minutes(minutes)).timestamp();
    assert_eq!(
        answer,
        json!({
            "device": "dev:1", "from": "2026-03-01T11:00:00Z", "to": "2026-03-01T12:00:00Z", "step_seconds": 10,
            "series": [
                { "name": "anomaly", "at": [at(30), at(25), at(25) + 375, at(5)], "mean": [0.1, 0.9, null, 0.2] },
                { "name": "nothing", "at": [], "mean": [] },
            ],
            "limits": [{ "rule": "hot", "severity": "critical", "series": "anomaly", "side": "above", "fire": 0.7, "clear": 0.5 }],
            "incidents": [{
                "id": 1, "rule": "hot", "severity": "critical", "opened_at": "2026-03-01T11:35:00Z",
                "resolved_at": "2026-03-01T11:55:00Z", "peak_value": 0.9, "acknowledged_by": null,
            }],
        })
    );
    for (bad, status) in [
        ("?from=soon", 422),
        ("?from=2026-03-02&to=2026-03-01", 422),
        ("?points=9", 422),
        ("?points=2001", 422),
        ("?points=x", 400),
        ("?series=,", 422),
        ("?from=0001-01-01", 422),
    ] {
        let (found, answer) = app.get(&format!("{SERIES}{bad}")).await;
        assert_eq!(found, status, "{bad}: {answer}");
    }
    assert_eq!(app.get("/api/v1/devices/dev%3A9/series").await.0, 404);
    app.finish().await;
}

#[tokio::test]
async fn charts_of_a_year_ship_little() {
    let app = year(5).await;
    shortened(&app, app.now()).await;
    for hours in [6, 24, 24 * 7, 24 * 30, 24 * 365] {
        for points in [500, 1_000] {
            let path = format!("{SERIES}?from={}&points={points}", ago(&app, hours));
            let (plain, packed) = (
                fetch(&app, &path, false).await,
                fetch(&app, &path, true).await,
            );
            assert!(
                plain.body.len() < 200_000,
                "{hours} h: {}",
                plain.body.len()
            );
            assert!(
                packed.body.len() < 60_000,
                "{hours} h: {} packed",
                packed.body.len()
            );
        }
    }
}
