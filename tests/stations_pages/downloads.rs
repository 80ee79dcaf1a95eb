//! Downloads as CSV.

use chrono::TimeDelta;
use serde_json::json;

use super::{ago, fetch, fleet};
use crate::support::app::TestApp;
use crate::support::event::thermal;

#[tokio::test]
async fn series_are_a_table_with_a_row_for_each_moment() {
    let app = TestApp::new().await;
    for (minutes, mut body) in [
        (10, json!({ "anomaly": 0.5, "=1+1": 2, "a,\"b\"": -3 })),
        (5, json!({ "anomaly": 0.625, "cold": 0.0001 })),
    ] {
        let at = app.now() - TimeDelta::minutes(minutes);
        let mut event = thermal(&format!("e{minutes}"), "dev:1", at, 0.1);
        event["sn"] = "boiler \"7\"/é".into();
        std::mem::swap(&mut event["body"], &mut body);
        app.take(&event).await;
    }
    app.settle().await;
    let answer = fetch(&app, "/api/v1/devices/dev%3A1/series.csv", false).await;
    assert_eq!(
        answer.headers["content-type"],
        "text/csv; charset=utf-8; header=present"
    );
    assert_eq!(
        answer.headers["content-disposition"],
        "attachment; filename=\"boiler--7---_series_20260228T1200Z_20260301T1200Z.csv\""
    );
    assert_eq!(
        answer.text(),
        "time,'=1+1,\"a,\"\"b\"\"\",anomaly,cold\r\n\
         2026-03-01T11:50:00Z,2,-3,0.5,\r\n\
         2026-03-01T11:55:00Z,,,0.625,0.0001\r\n"
    );
    // The end is not part of it, the beginning is.
    let range = "?from=2026-03-01T11:50:00Z&to=2026-03-01T11:55:00Z&series=cold,anomaly";
    let answer = fetch(
        &app,
        &format!("/api/v1/devices/dev%3A1/series.csv{range}"),
        false,
    )
    .await;
    assert_eq!(
        answer.text(),
        "time,cold,anomaly\r\n2026-03-01T11:50:00Z,,0.5\r\n"
    );
    let empty = fetch(
        &app,
        "/api/v1/devices/dev%3A1/series.csv?to=2020-01-01&series=cold",
        false,
    )
    .await;
    assert_eq!(empty.text(), "time,cold\r\n");
}

#[tokio::test]
async fn events_are_told_whole_and_run_nothing() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(10);
    let mut event = thermal("=cmd()", "dev:1", at, 0.25);
    event["body"] = json!({ "text": "say \"hot\",\nnow" });
    app.take(&event).await;
    app.settle().await;
    let answer = fetch(&app, "/api/v1/devices/dev%3A1/events.csv", false).await;
    let text = answer.text();
    let (header, row) = text.split_once("\r\n").expect("two lines");
    assert_eq!(
        header,
        "event,file,captured_at,captured_from,received_at,stored_at,repeat_of,error,raw"
    );
    let start = "'=cmd(),thermal.qo,2026-03-01T11:50:00Z,when,2026-03-01T11:50:02.250Z,2026-03-01T12:00:00Z,,";
    assert!(row.starts_with(start), "{row}");
    assert!(
        row.contains(r#"{""text"": ""say \""hot\"",\nnow""}"#),
        "{row}"
    );
    assert!(row.ends_with("\"\r\n"), "{row}");
}

#[tokio::test]
async fn what_is_long_is_told_to_its_end_over_gaps() {
    let app = TestApp::new().await;
    fleet(&app, 1, 24 * 30).await;
    super::run(
        &app,
        &format!(
            "DELETE FROM measurements WHERE at >= '{}' AND at < '{}'",
            ago(&app, 600),
            ago(&app, 100)
        ),
    )
    .await;
    let path = format!(
        "/api/v1/devices/dev%3A1/series.csv?from={}",
        ago(&app, 24 * 30)
    );
    let text = fetch(&app, &path, false).await.text();
    assert_eq!(text.lines().count(), 1 + (24 * 30 - 500) * 12);
    let times: Vec<_> = text.lines().skip(1).map(|line| &line[..20]).collect();
    assert!(times.is_sorted_by(|a, b| a < b));
    // More events than are read at once.
    let at = ago(&app, 2);
    super::run(
        &app,
        &format!(
            "INSERT INTO received_events SELECT 'n' || n, 'dev:1', 'a.qo', '{at}'::timestamptz + (n / 3) * interval '1 s', 'when', '{at}', '{at}', '{{}}' FROM generate_series(1, 1000) AS n;
             INSERT INTO processed_events (device, captured_at, uid, processed_at) SELECT device, captured_at, uid, stored_at FROM received_events WHERE file = 'a.qo'"
        ),
    )
    .await;
    let text = fetch(&app, "/api/v1/devices/dev%3A1/events.csv", false)
        .await
        .text();
    assert_eq!(text.lines().count(), 1_001);
    let uids: std::collections::BTreeSet<_> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').next())
        .collect();
    assert_eq!(uids.len(), 1_000);
}

#[tokio::test]
async fn who_asks_for_what_is_not_there_is_told() {
    let app = TestApp::new().await;
    fleet(&app, 1, 1).await;
    for what in ["series", "events"] {
        let (status, _) = app
            .get(&format!("/api/v1/devices/dev%3A9/{what}.csv"))
            .await;
        assert_eq!(status, 404);
        let (status, answer) = app
            .get(&format!("/api/v1/devices/dev%3A1/{what}.csv?from=soon"))
            .await;
        assert_eq!(
            (status.as_u16(), answer["error"].as_str()),
            (422, Some("rejected"))
        );
        let stranger = axum::http::Request::get(format!("/api/v1/devices/dev%3A1/{what}.csv"));
        assert_eq!(
            app.send(stranger.body(axum::body::Body::empty())).await.0,
            401
        );
    }
}
