//! Silences by form: of an incident, of a station, of a rule; what is wrong stands beside its field.

use axum::http::StatusCode;
use chrono::TimeDelta;

use super::{Visitor, users};
use crate::support::app::TestApp;
use crate::support::event::thermal;

async fn alarmed() -> TestApp {
    let app = TestApp::with(&users()).await;
    app.take(&thermal(
        "hot",
        "dev:1",
        app.now() - TimeDelta::minutes(1),
        0.9,
    ))
    .await;
    app.settle().await;
    app
}

#[tokio::test]
async fn an_incident_is_silenced_for_a_time_with_a_reason() {
    let app = alarmed().await;
    let ann = Visitor::named(&app, "ann").await;
    let silenced = ann
        .does(
            "/incidents/1/silence",
            &[("time", "4h"), ("other", ""), ("reason", "roof <work>")],
        )
        .await;
    silenced.has(&[
        "Silenced. Nobody is told",
        "1 Mar 2026, 16:00 UTC",
        "roof &#60;work&#62;",
        "Silenced by ann",
        "End the silence",
    ]);
    assert_eq!(app.count("silences WHERE device = 'dev:1' AND rule = 'anomaly' AND ends_at = '2026-03-01T16:00:00Z' AND author = 'ann'").await, 1);
    app.pass(TimeDelta::hours(2)).await;
    assert_eq!(app.texts().len(), 1, "no reminders");
    let list = ann.see("/incidents").await;
    list.has(&[
        "<strong>1</strong> silence in force",
        ">silenced<",
        "dev:1, anomaly",
    ]);

    let ended = ann.does("/silences/1/end", &[("incident", "1")]).await;
    ended.has(&["The silence is ended.", "Silence ended by ann"]);
    ended.lacks(&["End the silence"]);
    ann.does("/silences/1/end", &[]).await.has(&[
        "That silence was over already.",
        "No silence is in force",
        "ended by ann",
    ]);
    assert_eq!(
        ann.post("/incidents/9/silence", &[("time", "1h"), ("reason", "x")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn wrong_times_and_missing_reasons_are_shown_with_what_was_typed() {
    let app = alarmed().await;
    let ann = Visitor::named(&app, "ann").await;
    let long = "x".repeat(301);
    for (time, other, reason, told) in [
        ("other", "soon", "roof", "90m"),
        ("other", "2", "roof", "Add a unit"),
        ("1h", "31d", "roof", "30 days at most"),
        ("other", "30s", "roof", "a minute at least"),
        ("", "", "roof", "Say for how long"),
        ("1h", "", " ", "Say why"),
        ("1h", "", long.as_str(), "At most 300 characters"),
    ] {
        let fields = [("time", time), ("other", other), ("reason", reason)];
        let refused = ann.post("/incidents/1/silence", &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        refused.has(&[
            told,
            "aria-invalid=\"true\"",
            &format!("name=\"other\" value=\"{other}\""),
            "<details id=\"silence\" class=\"action\" open>",
        ]);
        refused.has(&[&format!("value=\"{reason}\"")]);
    }
    assert_eq!(app.count("silences").await, 0);
}

#[tokio::test]
async fn a_station_or_a_rule_is_silenced_from_the_list() {
    let app = alarmed().await;
    let ann = Visitor::named(&app, "ann").await;
    for (device, rule, told) in [
        ("", "", "Name a station, a rule, or both"),
        ("dev:unknown", "", "No station has this uid"),
        ("", "unknown", "no rule with this name"),
    ] {
        let fields = [
            ("device", device),
            ("rule", rule),
            ("time", "1h"),
            ("reason", "kept <reason>"),
        ];
        let refused = ann.post("/silences", &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        refused.has(&[told, "kept &#60;reason&#62;", &format!("name=\"device\" list=\"stations\" autocomplete=\"off\" spellcheck=\"false\" value=\"{device}\"")]);
    }
    let whole = ann
        .does(
            "/silences",
            &[
                ("device", " dev:1 "),
                ("rule", ""),
                ("time", "1d"),
                ("reason", "moved"),
            ],
        )
        .await;
    whole.has(&["dev:1, all rules", "moved"]);
    let every = ann
        .does(
            "/silences",
            &[
                ("device", ""),
                ("rule", "anomaly"),
                ("time", "other"),
                ("other", "2h 30m"),
                ("reason", "tests"),
            ],
        )
        .await;
    every.has(&[
        "All stations, anomaly",
        "<strong>2</strong> silences in force",
    ]);
    ann.see("/incidents/1").await.has(&["moved", "tests"]);
    // They end by themselves.
    app.clock.advance(TimeDelta::hours(3));
    ann.see("/incidents").await.has(&[
        "<strong>1</strong> silence in force",
        "Silences that are over",
    ]);
}
