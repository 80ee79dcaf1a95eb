//! What is too old goes, in small batches, and nothing else does.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::Service;
use cloud::retention::{Retention, Worked};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;

use crate::support::app::{TestApp, program, start};
use crate::support::chaos::Chaos;
use crate::support::database::database;
use crate::support::event::thermal;

/// The largest batches, by what the modules say of themselves.
const MOST: u64 = 1_000;

/// A whole sweep, batch by batch; how many batches deleted something, and how many rows in all.
async fn sweep(app: &TestApp) -> (usize, u64) {
    let (mut batches, mut rows) = (0, 0);
    loop {
        let worked = tick(app).await;
        let (Worked::Batch(count) | Worked::Ended(count)) = worked else {
            panic!("no sweep is due");
        };
        assert!(count <= 3 * MOST, "{count}");
        batches += usize::from(count > 0);
        rows += count;
        if matches!(worked, Worked::Ended(_)) {
            assert_eq!(tick(app).await, Worked::Nothing, "not twice in an hour");
            return (batches, rows);
        }
    }
}

async fn tick(app: &TestApp) -> Worked {
    let worked = app.service.retention.tick(app.now()).await;
    worked.expect("a batch is deleted")
}

async fn execute(app: &TestApp, sql: &str, now: DateTime<Utc>) {
    let query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).bind(now);
    query.execute(&app.pool).await.expect("it is done");
}

/// How many rows there are of each kind.
async fn counts(app: &TestApp) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for table in [
        "received_events",
        "processed_events",
        "event_errors",
        "notes",
        "rejected",
        "measurements",
        "frames",
        "frame_parts",
        "deliveries",
        "attempts",
        "incidents",
        "audit",
        "sessions",
        "silences",
    ] {
        counts.insert(table, app.count(table).await);
    }
    counts
}

const PICTURE: &str = "INSERT INTO frames (device, at, event_uid, width, height, min_c, max_c, pixels, file, boot, seq)
    SELECT 'dev:' || n, $1, 'frame-' || n, 1, 1, 20, 30, '\\x00', 'frame.qo', 1, n FROM generate_series(1, 300) AS n";
const PARTS: &str = "INSERT INTO frame_parts (device, boot, seq, file, part, at, kept_at, event_uid, min_c, max_c, pixels)
    SELECT 'dev:' || n, 1, n, 'frame.qo', 1, $1, $1, 'part-' || n, 20, 30, decode(repeat('00', 256), 'hex') FROM generate_series(1, 1200) AS n";

#[tokio::test]
async fn each_kind_of_rows_goes_when_its_time_has_come() {
    let app = TestApp::with("").await;
    // Numbers are counted from the first time that somebody asks for them, or from when the program starts.
    app.get("/metrics").await;
    let now = app.now();
    // Three stations, of which one glows for a while and one still does.
    for minute in 0..6 {
        let at = now - TimeDelta::minutes(30 - 5 * minute);
        for (station, anomaly) in [
            ("dev:1", 0.1),
            ("dev:2", if minute == 2 { 0.9 } else { 0.1 }),
            ("dev:3", 0.9),
        ] {
            let mut event = thermal(&format!("{station}-{minute}"), station, at, anomaly);
            event["body"]["v"] = 1.into();
            event["body"]["boot"] = 7.into();
            event["body"]["seq"] = minute.into();
            event["body"]["t"] = at.timestamp().into();
            app.take(&event).await;
            app.settle().await;
        }
    }
    app.post("no event").await;
    execute(&app, "INSERT INTO event_errors (event_uid, part, code, message, at) VALUES ('dev:1-3', 'series', 'T', 'm', $1)", now).await;
    execute(&app, PICTURE, now).await;
    execute(&app, PARTS, now).await;
    execute(&app, "INSERT INTO sessions (token_digest, person, credential_digest, created_at, expires_at) VALUES ('\\x01', 'p', '\\x02', $1, $1 + interval '1 day')", now).await;
    execute(&app, "INSERT INTO silences (starts_at, ends_at, author, reason) VALUES ($1, $1 + interval '1 hour', 'a', 'r')", now).await;
    execute(&app, "INSERT INTO audit (at, person, via, action, subject) VALUES ($1, 'p', 'page', 'signed in', 's')", now).await;
    for id in [1, 2] {
        let path = format!("/api/v1/incidents/{id}/acknowledge");
        app.post_as_person(&path, &json!({ "by": "Ada" })).await;
    }
    app.settle().await;
    let at_first = counts(&app).await;
    assert_eq!(
        (at_first["received_events"], at_first["incidents"]),
        (18, 2),
        "{at_first:?}"
    );
    assert_eq!(
        (
            at_first["notes"],
            at_first["event_errors"],
            at_first["rejected"]
        ),
        (18, 1, 1)
    );
    assert!(
        at_first["deliveries"] > 18 && at_first["audit"] >= 2,
        "{at_first:?}"
    );

    let changed = |before: &BTreeMap<&'static str, i64>, after: &BTreeMap<&'static str, i64>| {
        let of = before
            .keys()
            .filter(|table| before[*table] != after[*table]);
        of.map(|table| (*table, after[table])).collect::<Vec<_>>()
    };
    // Nothing is old.
    assert_eq!(sweep(&app).await, (0, 0));
    assert_eq!(changed(&at_first, &counts(&app).await), []);
    app.clock.advance(TimeDelta::days(2));
    sweep(&app).await;
    let after = counts(&app).await;
    assert_eq!(changed(&at_first, &after), [("sessions", 0)]);
    // The bodies that went to Ubidots, with their attempts; what people were told stays with the incidents.
    app.clock.advance(TimeDelta::days(89));
    sweep(&app).await;
    let later = counts(&app).await;
    let notices = app.count("deliveries WHERE incident_id IS NOT NULL").await;
    assert!(notices >= 2, "{notices}");
    assert_eq!(
        changed(&after, &later),
        [("attempts", notices), ("deliveries", notices)]
    );

    app.clock.advance(TimeDelta::days(308));
    sweep(&app).await;
    assert_eq!(changed(&later, &counts(&app).await), [], "a day before");
    app.clock.advance(TimeDelta::days(2));
    sweep(&app).await;
    let last = counts(&app).await;
    let told = app.count("deliveries").await;
    assert!(
        told >= 1 && told < notices,
        "those of the open incident are needed for its all-clear"
    );
    let gone = [
        "event_errors",
        "frame_parts",
        "frames",
        "notes",
        "processed_events",
        "received_events",
        "rejected",
        "silences",
    ];
    let mut expected: Vec<_> = gone.map(|table| (table, 0)).to_vec();
    expected.extend([
        ("attempts", told),
        ("deliveries", told),
        ("incidents", 1),
        ("audit", 1),
    ]);
    expected.sort_unstable();
    assert_eq!(changed(&later, &last), expected);
    assert_eq!(
        app.count("incidents WHERE device = 'dev:3' AND resolved_at IS NULL")
            .await,
        1
    );
    assert_eq!(last["measurements"], at_first["measurements"]);
    app.clock.advance(TimeDelta::days(5 * 366));
    sweep(&app).await;
    assert_eq!(app.count("measurements").await, 0);
    let deleted: serde_json::Value = sqlx::query_scalar("SELECT deleted FROM retention_progress")
        .fetch_one(&app.pool)
        .await
        .expect("a row");
    assert_eq!(deleted["events"], 18, "{deleted}");
    assert_eq!(
        deleted["measurements"], at_first["measurements"],
        "{deleted}"
    );
    let (_, metrics) = app.get("/metrics").await;
    assert!(
        metrics
            .as_str()
            .is_some_and(|text| text.contains("cloud_retention_deleted_total{table=\"events\"}"))
    );
}

#[tokio::test]
async fn an_absurd_time_is_no_reason_to_forget_what_came_today() {
    let app = TestApp::with("").await;
    // The tutorial's own event is of 2022, and some stations have no idea of the time.
    app.take(&serde_json::from_str(crate::support::event::tutorial()).expect("JSON"))
        .await;
    for (uid, at) in [
        ("1990", "1990-01-01T00:00:00Z"),
        ("2090", "2090-01-01T00:00:00Z"),
    ] {
        app.take(&thermal(uid, "dev:lost", at.parse().expect("a time"), 0.1))
            .await;
    }
    app.settle().await;
    execute(&app, "INSERT INTO frames (device, at, event_uid, width, height, min_c, max_c, pixels, file, boot, seq)
        SELECT 'dev:lost', captured_at, uid, 1, 1, 20, 30, '\\x00', 'frame.qo', 1, 1 FROM received_events WHERE uid = '1990' AND $1 > captured_at", app.now()).await;
    let before = counts(&app).await;
    sweep(&app).await;
    assert_eq!(counts(&app).await, before);
    app.clock.advance(TimeDelta::days(399));
    let now = app.now();
    app.take(&thermal("now", "dev:lost", now, 0.1)).await;
    app.settle().await;
    sweep(&app).await;
    assert_eq!(app.count("events").await, 4);
    app.clock.advance(TimeDelta::days(2));
    sweep(&app).await;
    let left: Vec<String> = sqlx::query_scalar("SELECT uid FROM events ORDER BY uid")
        .fetch_all(&app.pool)
        .await
        .expect("uids");
    assert_eq!(left, ["2090", "now"]);
    // What a lost clock measured lives as long as its event, and no longer, for it is older than five years.
    assert_eq!(app.count("measurements WHERE event_uid = '1990'").await, 0);
    assert_eq!(app.count("frames").await, 0);
    assert_eq!(
        app.count("measurements WHERE device <> 'dev:lost'").await,
        0
    );
    assert_eq!(app.count("measurements WHERE event_uid = '2090'").await, 4);
}

/// Fills the tables with events that are too old: `count` of each of `devices`.
async fn old_events(app: &TestApp, devices: i32, count: i32) {
    let at = app.now() - TimeDelta::days(3_000);
    for sql in [
        "INSERT INTO received_events (uid, device, file, captured_at, captured_from, received_at, stored_at, raw)
         SELECT d || '-' || n, 'dev:' || d, 'thermal.qo', $1 + n * interval '5 minutes', 'when', $1, $1, '{\"body\":{\"x\":1}}'
           FROM generate_series(1, DEVICES) AS d, generate_series(1, COUNT) AS n",
        "INSERT INTO processed_events (device, captured_at, uid, processed_at)
         SELECT device, captured_at, uid, $1 FROM received_events WHERE captured_at < $1 + interval '100 days'",
        "INSERT INTO measurements (device, series, at, value, event_uid)
         SELECT device, s, captured_at, 1, uid FROM received_events, unnest('{a,b,c}'::text[]) AS s WHERE captured_at < $1 + interval '100 days'",
    ] {
        let sql = sql.replace("DEVICES", &devices.to_string()).replace("COUNT", &count.to_string());
        execute(app, &sql, at).await;
    }
}

#[tokio::test]
async fn batches_are_small_and_what_is_in_use_stays() {
    let app = TestApp::with("").await;
    // One station with much, and many with little.
    old_events(&app, 1, 2_300).await;
    let young = app.now() - TimeDelta::days(1);
    app.take(&thermal("young", "dev:1", young, 0.1)).await;
    // One of the old is to be processed again, and one never reached its destination.
    execute(&app, "INSERT INTO pending_events (shard, captured_at, uid, queued_at, again)
        SELECT shard_of(device), captured_at, uid, $1, true FROM received_events WHERE uid = '1-1700'", app.now()).await;
    execute(&app, "WITH made AS (INSERT INTO delivery_contents (id, event_uid, route, device, created_at, body)
            SELECT gen_random_uuid(), '1-' || n, 'r', 'dev:1', $1 - interval '3000 days', '{}' FROM generate_series(1, 1200) AS n RETURNING id, event_uid)
        INSERT INTO delivery_states (id, destination, state, due_at, ended_at)
        SELECT id, 'ubidots', CASE event_uid WHEN '1-7' THEN 'due' WHEN '1-9' THEN 'dead' ELSE 'delivered' END, $1 - interval '3000 days',
               CASE event_uid WHEN '1-7' THEN NULL WHEN '1-9' THEN $1 - interval '1 day' ELSE $1 - interval '3000 days' END FROM made", app.now()).await;
    let (batches, rows) = sweep(&app).await;
    assert_eq!(rows, 2_299 + 3 * 2_300 + 1_198);
    assert!(batches >= 5 + 7 + 3, "{batches}");
    let left: Vec<String> = sqlx::query_scalar("SELECT uid FROM received_events ORDER BY uid")
        .fetch_all(&app.pool)
        .await
        .expect("uids");
    assert_eq!(left, ["1-1700", "young"]);
    assert_eq!(app.count("processed_events").await, 1);
    assert_eq!(
        app.count("deliveries WHERE event_uid IN ('1-7', '1-9')")
            .await,
        2
    );
    assert_eq!(app.count("deliveries").await, 2);
    app.process().await;
    app.clock.advance(TimeDelta::hours(2));
    sweep(&app).await;
    assert_eq!(app.count("received_events").await, 1);

    app.clock.advance(TimeDelta::hours(2));
    old_events(&app, 700, 3).await;
    let (_, rows) = sweep(&app).await;
    // Processing it anew measured something once more, and that is as old as it says.
    assert!(rows >= 2_100 + 6_300, "{rows}");
    assert_eq!(app.count("processed_events").await, 1);
    assert_eq!(
        app.count("measurements WHERE series IN ('a', 'b', 'c')")
            .await,
        0
    );
}

#[tokio::test]
async fn one_replica_at_a_time_sweeps_and_another_takes_over() {
    let app = TestApp::with("").await;
    old_events(&app, 1, 1_400).await;
    let config = app.service.app.config.clone();
    let second =
        Service::new(config, app.pool.clone(), app.clock.clone(), program()).expect("a service");
    assert_eq!(tick(&app).await, Worked::Batch(500));
    let other = async || second.retention.tick(app.now()).await.expect("it looks");
    assert_eq!(other().await, Worked::Nothing);
    assert_eq!(tick(&app).await, Worked::Batch(500));
    // The first is never heard of again.
    app.clock.advance(TimeDelta::minutes(3));
    assert_eq!(other().await, Worked::Batch(400));
    assert_eq!(tick(&app).await, Worked::Nothing, "it has lost its lease");
    while !matches!(other().await, Worked::Ended(_)) {}
    assert_eq!(app.count("received_events").await, 0);
    assert_eq!(
        tick(&app).await,
        Worked::Nothing,
        "it was swept a moment ago"
    );
    // A clock that was in the future is no reason never to sweep again.
    app.clock.advance(TimeDelta::days(-2));
    assert!(matches!(tick(&app).await, Worked::Batch(_)));
}

#[tokio::test]
async fn a_database_that_is_cut_off_in_the_middle_loses_nothing_young() {
    let database = database().await;
    let chaos = Chaos::before(&database.options).await;
    let clock = cloud::clock::Clock::manual(start());
    let app = TestApp::on(database, "", clock).await;
    old_events(&app, 3, 900).await;
    for number in 0..20 {
        let at = app.now() - TimeDelta::days(number * 15);
        app.take(&thermal(&format!("young-{number}"), "dev:2", at, 0.1))
            .await;
    }
    app.process().await;
    let behind = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(std::time::Duration::from_millis(500))
        .connect(&chaos.url())
        .await
        .expect("it connects");
    let retention = Retention::new(behind, app.service.app.config.retention.clone());
    let (mut failures, mut batches) = (0, 0);
    loop {
        if batches % 3 == 2 {
            chaos.cut();
            assert!(retention.tick(app.now()).await.is_err());
            failures += 1;
            chaos.restore();
        }
        match retention.tick(app.now()).await {
            Ok(Worked::Ended(_)) => break,
            Ok(Worked::Batch(_)) => batches += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(failures > 3, "{failures}");
    assert_eq!(app.count("received_events").await, 20);
    assert_eq!(app.count("processed_events").await, 20);
    assert_eq!(
        app.count("measurements WHERE series IN ('a', 'b', 'c')")
            .await,
        0
    );
    app.settle().await;
    app.finish().await;
}

/// Not a test but a look: `cargo test -p tests --test it -- --ignored --nocapture a_sweep_beside`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, and takes minutes"]
async fn a_sweep_beside_ingest() {
    const POSTERS: usize = 32;
    let app = std::sync::Arc::new(TestApp::with("").await);
    old_events(&app, 20, 50_000).await;
    sqlx::query("ANALYZE")
        .execute(&app.pool)
        .await
        .expect("statistics");
    let intake = app.service.app.intake.clone();
    for round in 0..6 {
        let sweeps = round % 2 == 1;
        let stop = tokio_util::sync::CancellationToken::new();
        let sweeping = sweeps.then(|| {
            let config = app.service.app.config.retention.clone();
            let retention = Retention::new(app.pool.clone(), config);
            tokio::spawn(cloud::retention::run(
                retention,
                intake.clone(),
                app.clock.clone(),
                stop.clone(),
            ))
        });
        let before = app.count("received_events").await;
        let began = std::time::Instant::now();
        let posting = (0..POSTERS).map(|poster| {
            let app = app.clone();
            tokio::spawn(async move {
                let mut count = 0_u32;
                while began.elapsed() < std::time::Duration::from_secs(10) {
                    let uid = format!("{round}-{poster}-{count}");
                    app.take(&thermal(&uid, &format!("dev:{poster}"), app.now(), 0.1))
                        .await;
                    count += 1;
                }
                count
            })
        });
        let posted: u32 = futures_util::future::join_all(posting)
            .await
            .into_iter()
            .map(|count| count.expect("it ends"))
            .sum();
        stop.cancel();
        if let Some(sweeping) = sweeping {
            sweeping.await.expect("it ends");
        }
        let deleted = before + i64::from(posted) - app.count("received_events").await;
        eprintln!("sweeps: {sweeps}, posted {posted} in 10 s, deleted {deleted} events");
        app.clock.advance(TimeDelta::hours(2));
    }
    let mut times = Vec::new();
    for _ in 0..400 {
        let began = std::time::Instant::now();
        tick(&app).await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    eprintln!(
        "batches alone: median {:?}, p99 {:?}, longest {:?}",
        times[200], times[396], times[399]
    );
}

#[tokio::test]
async fn a_kind_that_cannot_be_deleted_holds_up_no_other() {
    let app = TestApp::with("").await;
    let now = app.now();
    old_events(&app, 1, 3).await;
    let kept = app.count("received_events").await;
    let silence = "INSERT INTO silences (starts_at, ends_at, author, reason)
        VALUES ($1 - interval '9 years', $1 - interval '8 years', 'ann', 'roof')";
    execute(&app, silence, now).await;
    // Somebody's own table, which nobody here knows of.
    sqlx::raw_sql("CREATE TABLE of_others AS SELECT uid FROM received_events; ALTER TABLE of_others ADD FOREIGN KEY (uid) REFERENCES received_events")
        .execute(&app.pool)
        .await
        .expect("a table");
    let retention = &app.service.retention;
    for _ in 0..2 {
        let error = retention.tick(app.now()).await.expect_err("it is in use");
        assert!(format!("{error:#}").contains("of_others"), "{error:#}");
    }
    assert_eq!(tick(&app).await, Worked::Batch(0), "it goes on");
    sweep(&app).await;
    assert_eq!(app.count("silences").await, 0);
    assert_eq!(app.count("received_events").await, kept);
    sqlx::query("DROP TABLE of_others")
        .execute(&app.pool)
        .await
        .expect("dropped");
    app.clock.advance(TimeDelta::hours(1));
    sweep(&app).await;
    assert!(
        app.count("received_events").await < kept,
        "the next sweep tries again"
    );
}
