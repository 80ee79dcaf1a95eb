//! A simulated week with everything that goes wrong, through the real service: every reading once, one incident, its
//! picture.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cloud::demo::twilio::TwilioStandIn;
use tower::ServiceExt as _;

use edge::emulate::station::{Ledger, Plan, simulate};

use super::station::{Simulated, hours, minutes};
use crate::support::app::{PEOPLE, TOKEN, TestApp};
use crate::support::database::database;
use crate::support::edge::{printed, refused};
use crate::support::program::Home;

/// As the defaults are, but for what is old news a week later.
const RULES: &str = r#"
    [[rule]]
    name = "anomaly"
    files = ["thermal.qo", "alert.qo"]
    value = "body.anomaly"
    fire_above = 0.7
    clear_below = 0.5
    missing = 0
    notify = ["sms"]
    max_age = "30d"
    [[rule]]
    name = "dwell"
    files = ["thermal.qo", "alert.qo"]
    value = "body.dwell"
    fire_above = 0
    notify = ["sms"]
    max_age = "30d"
    [[rule]]
    name = "fault"
    files = ["health.qo"]
    value = "body.fault"
    fire_above = 0.5
    notify = ["sms"]
    max_age = "30d"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_troubles_loses_no_reading_and_makes_one_incident_with_its_picture() {
    let app = Arc::new(TestApp::with(RULES).await);
    let url = serve(&app).await;
    // At a time at which the station has power.
    let spot = hours(86);
    let plan = Plan::troubled(7, 7.0).with_hot_spot(spot, hours(2), 18.0);
    let start = {
        let simulated = Simulated::new(7.0, plan, [&url, TOKEN], app.now());
        let start = simulated.options.start;
        let ledger = play(simulated).await;
        eprintln!("{ledger}");
        assert!(ledger.is_good(), "{ledger}");
        assert!(
            ledger.power_cuts >= 4 && ledger.starts > ledger.power_cuts,
            "{ledger}"
        );
        assert!(ledger.notecard.failed_syncs > 0, "the network was away");
        app.settle().await;
        let told = |what: &str| ledger.alerts.iter().filter(|why| *why == what).count();
        assert_eq!([told("anomaly"), told("anomaly over")], [1, 1], "{ledger}");
        // Every reading is there once, by what it is and by its moment.
        let readings: i64 = sqlx::query_scalar(
            "SELECT count(DISTINCT (body ->> 'boot', body ->> 'seq')) FROM events WHERE file = 'thermal.qo'",
        )
        .fetch_one(&app.pool)
        .await
        .expect("a count");
        assert_eq!(readings, i64::try_from(ledger.readings).expect("a count"));
        let measured = app.count("measurements WHERE series = 'mean'").await;
        // The alarms are of the moments of two of the readings.
        assert_eq!(
            measured, readings,
            "a reading is missing, or was counted twice"
        );
        // Power cuts and the warming up after each cost some cycles, and nothing else does.
        let cycles = 7 * 24 * 12;
        let dark = i64::try_from(ledger.starts).expect("a count") * 12;
        assert!(
            readings > cycles - dark,
            "{readings} readings of {cycles} cycles"
        );
        start
    };
    let incidents: Vec<(String, chrono::DateTime<chrono::Utc>, bool)> =
        sqlx::query_as("SELECT rule, opened_at, resolved_at IS NOT NULL FROM incidents")
            .fetch_all(&app.pool)
            .await
            .expect("incidents");
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let (rule, opened, resolved) = &incidents[0];
    assert_eq!(rule, "anomaly");
    assert!(resolved);
    let begun = start + spot;
    assert!(
        (begun..begun + minutes(20)).contains(opened),
        "opened at {opened}, hot from {begun}"
    );
    // One text for it, and one that it is over.
    assert_eq!(app.texts().len(), 2, "{:?}", app.texts());
    // The picture of the alarm is there, and hotter than any other.
    let frames: Vec<(chrono::DateTime<chrono::Utc>, f64)> =
        sqlx::query_as("SELECT at, max_c::float8 FROM frames ORDER BY at")
            .fetch_all(&app.pool)
            .await
            .expect("frames");
    let of_alarm: BTreeSet<_> = frames
        .iter()
        .filter(|(at, _)| (begun..begun + hours(2)).contains(at))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(at, _)| *at)
        .collect();
    assert!(
        !of_alarm.is_empty(),
        "no picture of the alarm among {frames:?}"
    );
    app.finish().await;
}

/// Plays it on a thread of its own, beside the service.
async fn play(simulated: Simulated) -> Ledger {
    tokio::task::spawn_blocking(move || {
        simulate(simulated.options.clone(), &mut |_| {}).expect("the days pass")
    })
    .await
    .expect("it ends")
}

/// The service on a port of its own. An alert takes its effects before it is answered, so that a person is texted when
/// it happens and not when the week is over; all else waits for the end.
async fn serve(app: &Arc<TestApp>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = app.clone();
    let router = Router::new().fallback(move |request: Request| take(app.clone(), request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/notehub")
}

async fn take(app: Arc<TestApp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .expect("a body");
    let is_alert = String::from_utf8_lossy(&body).contains("\"alert.qo\"");
    let request = Request::from_parts(parts, Body::from(body));
    let Ok(response) = app.router.clone().oneshot(request).await;
    if is_alert {
        app.settle().await;
    }
    response
}

/// Both programs, as the README has them run: what is posted now is of the last twelve hours, so the defaults apply.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_simulates_half_a_day_against_the_running_service() {
    let twilio = TwilioStandIn::start("AC00000000000000000000000000000001", "twilio-secret-token")
        .await
        .expect("the Twilio stand-in starts");
    let database = database().await;
    let home = Home::new(&format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [database]
        url = "{}"
        [access]
        notehub_tokens = ["{TOKEN}"]
        people_token = "{PEOPLE}"
        [[destination]]
        name = "phone"
        kind = "twilio"
        base_url = "{}"
        account_sid = "AC00000000000000000000000000000001"
        auth_token = "twilio-secret-token"
        from = "+15005550006"
        to = ["+15005550010"]
        rate_limit = "none"
        "#,
        database.url,
        twilio.url()
    ));
    let service = home.serve().await;
    let url = service.url.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let printed = tokio::task::spawn_blocking(move || {
        let wrong = [
            "simulate",
            "--notehub",
            &url,
            "--token",
            "wrong",
            "--speed",
            "max",
        ];
        let complaint = refused(folder.path(), &wrong);
        assert!(complaint.contains("does not take the token"), "{complaint}");
        printed(
            folder.path(),
            &[
                "simulate",
                "--notehub",
                &url,
                "--token",
                TOKEN,
                "--days",
                "0.5",
                "--speed",
                "max",
                "--json",
            ],
        )
    })
    .await
    .expect("it ends");
    let ledger: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(ledger["missing"], serde_json::json!([]), "{ledger}");
    let incidents = until_resolved(&service.url).await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0]["rule"], "anomaly");
    assert!(
        !incidents[0]["frame"].is_null(),
        "its picture is there: {incidents:?}"
    );
    assert!(service.stop().await);
    // The end may have come before the beginning was sent, for two hours pass in the blink of an eye.
    let texts = twilio.messages();
    assert!((1..=2).contains(&texts.len()), "{}", texts.len());
    assert!(
        texts
            .last()
            .is_some_and(|text| text.body.starts_with("RESOLVED"))
    );
}

/// The incidents, once there is one and it is over and told.
async fn until_resolved(url: &str) -> Vec<serde_json::Value> {
    let client = reqwest::Client::new();
    let began = std::time::Instant::now();
    loop {
        let mut asked = Vec::new();
        for path in [
            "incidents",
            "deliveries?state=due",
            "deliveries?state=leased",
        ] {
            let answer = client
                .get(format!("{url}/api/v1/{path}"))
                .bearer_auth(PEOPLE)
                .send();
            let text = answer
                .await
                .expect("it answers")
                .text()
                .await
                .expect("text");
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let list = value
                .as_object()
                .and_then(|object| object.values().next().cloned());
            asked.push(
                list.and_then(|list| list.as_array().cloned())
                    .unwrap_or_default(),
            );
        }
        let over = |incident: &serde_json::Value| !incident["resolved_at"].is_null();
        if !asked[0].is_empty()
            && asked[0].iter().all(over)
            && asked[1].is_empty()
            && asked[2].is_empty()
        {
            return asked.swap_remove(0);
        }
        assert!(
            began.elapsed() < std::time::Duration::from_mins(2),
            "{asked:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
