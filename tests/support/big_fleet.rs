//! A thousand stations and a year of one of them, put straight into the tables: what pages have to cope with.
//!
//! The only data of the tests that does not come through the front door, because a million notes take minutes there. What
//! is written is what `process` would have left: of every station a day of readings every five minutes, its last health,
//! its alert; of the first a year; incidents, pictures, deliveries and their attempts in the amounts of a busy plant.

use chrono::{DateTime, Utc};
use cloud::process::rollup;
use sqlx::{AssertSqlSafe, PgPool};

/// Station 1 has a year behind it.
pub const VETERAN: &str = "dev:900000000000001";

pub const STATIONS: i64 = 1_000;
/// Of one reading every five minutes.
pub const YEAR: i64 = 105_120;

/// Steps of the last day, and what the veteran has before it.
const STATEMENTS: &[&str] = &[
    "INSERT INTO devices (uid, serial_number, product, fleets, first_seen, last_seen, best_lat, best_lon, best_location, best_timezone,
                          voltage, voltage_at, bars, rssi, signal_at)
     SELECT 'dev:' || (900000000000000 + n), 'station-' || lpad(n::text, 4, '0'), 'product:com.example.plant:thermal',
            ARRAY['fleet:' || n % 7], $NOW - interval '400 days',
            $NOW - CASE WHEN n % 50 = 7 THEN interval '9 hours' ELSE interval '1 second' * (n % 300) END,
            43.0 + n / 1000.0, -89.0 - n / 1000.0, 'Hall ' || n % 23 || ', Shorewood Hills WI', 'America/Chicago',
            3.5 + n % 10 / 10.0, $NOW - interval '1 hour', n % 5, -60 - n % 50, $NOW - interval '1 hour'
       FROM generate_series(1, $STATIONS) AS n",
    // A wave with a day's rhythm, and what is hot now.
    "INSERT INTO measurements (device, series, at, value, event_uid)
     SELECT 'dev:' || (900000000000000 + n), series, $NOW - interval '5 minutes' * step,
            CASE series WHEN 'anomaly' THEN CASE WHEN n % 50 = 3 AND step < 8 THEN 0.83 ELSE 0.02 + 0.0001 * (n * 7 + step * 13) % 0.09 END
                        ELSE 31.5 + 9 * sin(step / 45.8) + n % 9 END,
            'big-' || n || '-' || step
       FROM generate_series(1, $STATIONS) AS n, generate_series(0, 287) AS step, unnest(ARRAY['anomaly', 'max']) AS series",
    "INSERT INTO measurements (device, series, at, value, event_uid)
     SELECT 'dev:900000000000001', series, $NOW - interval '5 minutes' * step,
            CASE series WHEN 'anomaly' THEN CASE WHEN step % 9000 < 11 THEN 0.78 ELSE 0.03 + 0.02 * sin(step / 45.8) END
                        WHEN 'mean' THEN 22.5 + 6 * sin(step / 45.8) WHEN 'warm' THEN 0.5 + 0.4 * sin(step / 45.8)
                        ELSE 31.5 + 9 * sin(step / 45.8) END,
            'big-1-' || step
       FROM generate_series(0, $YEAR - 1) AS step, unnest(ARRAY['anomaly', 'max', 'mean', 'warm']) AS series
         ON CONFLICT DO NOTHING",
    "INSERT INTO measurement_days_due (shard, device, day, due_at)
     SELECT DISTINCT shard_of(device), device, (at AT TIME ZONE 'UTC')::date, '-infinity'::timestamptz
       FROM measurements WHERE series = 'anomaly'",
    "INSERT INTO received_events (uid, device, file, captured_at, captured_from, received_at, stored_at, raw)
     SELECT 'big-1-' || step, 'dev:900000000000001', 'thermal.qo', at, 'note', at + interval '2 seconds', at + interval '2 seconds',
            jsonb_build_object('event', 'big-1-' || step, 'device', 'dev:900000000000001', 'file', 'thermal.qo', 'sn', 'station-0001',
                               'when', extract(epoch FROM at)::bigint, 'best_location', 'Hall 1, Shorewood Hills WI',
                               'body', jsonb_build_object('anomaly', 0.03, 'cold', 0.1, 'warm', 0.8, 'hot', 0.07, 'v', 1, 'seq', step, 'boot', 1,
                                                          't', extract(epoch FROM at)::bigint, 'max', 41.5, 'mean', 22.1, 'x', -1, 'y', -1, 'dt', 0))
       FROM generate_series(0, 4319) AS step, LATERAL (SELECT $NOW - interval '5 minutes' * step AS at) AS moment",
    "INSERT INTO received_events (uid, device, file, captured_at, captured_from, received_at, stored_at, raw)
     SELECT 'big-' || file || n, 'dev:' || (900000000000000 + n), file, at, 'note', at + interval '2 seconds', at + interval '2 seconds',
            jsonb_build_object('event', 'big-' || file || n, 'device', 'dev:' || (900000000000000 + n), 'file', file, 'bars', n % 5, 'rssi', -60 - n % 50,
                               'voltage', 3.5 + n % 10 / 10.0, 'body', jsonb_build_object('v', 1, 'seq', n, 'boot', 1, 'up', 612345, 'volt', 3.5 + n % 10 / 10.0,
                               'spool', 0, 'model', '3f9a1c04b7e2', 'clk', 'notecard', 'every', 300, 'threshold', 0.7, 'frames', 'alerts, 1d'))
       FROM generate_series(1, $STATIONS) AS n, unnest(ARRAY['health.qo', '_session.qo']) AS file,
            LATERAL (SELECT $NOW - interval '1 minute' * (n % 1400) AS at) AS moment",
    "INSERT INTO processed_events (device, captured_at, uid, processed_at)
     SELECT device, captured_at, uid, stored_at FROM received_events",
    "INSERT INTO incidents (rule, device, severity, event_uid, opened_at, resolved_at, resolution, acknowledged_at, acknowledged_by,
                            opened_value, peak_value, last_notice_at, notices)
     SELECT 'anomaly', 'dev:' || (900000000000000 + 1 + n % 400), 'critical', 'big-1-' || n, at, at + interval '50 minutes', 'cleared',
            CASE WHEN n % 3 = 0 THEN at + interval '4 minutes' END, CASE WHEN n % 3 = 0 THEN 'people' END, 0.74, 0.91, at, 2
       FROM generate_series(1, 3000) AS n, LATERAL (SELECT $NOW - interval '3 hours' * n AS at) AS moment",
    "INSERT INTO incidents (rule, device, severity, event_uid, opened_at, opened_value, peak_value, last_notice_at, notices)
     SELECT 'anomaly', 'dev:' || (900000000000000 + n), 'critical', 'big-' || n || '-7', $NOW - interval '35 minutes', 0.83, 0.88,
            $NOW - interval '35 minutes', 1
       FROM generate_series(3, $STATIONS, 50) AS n",
    "INSERT INTO alerts (rule, device, state, memory, incident_id)
     SELECT 'anomaly', d.uid, CASE WHEN i.id IS NULL THEN 'normal' ELSE 'firing' END, '{}', i.id
       FROM devices AS d LEFT JOIN incidents AS i ON i.device = d.uid AND i.resolved_at IS NULL",
    "INSERT INTO frames (device, at, event_uid, width, height, min_c, max_c, pixels, file, boot, seq)
     SELECT 'dev:' || (900000000000000 + n), $NOW - interval '1 day' * step - interval '1 minute' * n, 'big-frame-' || n || '-' || step, 32, 24,
            18.5, 41.25, decode(repeat(md5((n * 400 + step)::text), 48), 'hex'), 'frame.qo', 1, step
       FROM generate_series(1, $STATIONS) AS n, generate_series(0, CASE WHEN n = 1 THEN 364 ELSE 1 END) AS step",
    "INSERT INTO delivery_contents (id, event_uid, route, device, created_at, body)
     SELECT md5('big-' || n)::uuid, 'big-1-' || n % 4320, 'scores', 'dev:900000000000001', $NOW - interval '5 minutes' * n,
            json_build_object('anomaly', json_build_object('value', 0.03, 'timestamp', 1767225600000 + n))
       FROM generate_series(1, 20000) AS n",
    "INSERT INTO delivery_contents (id, incident_id, device, notice, created_at, body)
     SELECT md5('big-notice-' || i.id || notice)::uuid, i.id, i.device, notice, i.opened_at,
            json_build_object('text', 'CRITICAL ' || i.device || ': anomaly 0.74 above 0.7 #' || i.id)
       FROM incidents AS i, unnest(ARRAY['opened', 'resolved']) AS notice WHERE notice = 'opened' OR i.resolved_at IS NOT NULL",
    "INSERT INTO delivery_states (id, destination, state, due_at, attempts, ended_at, reason)
     SELECT c.id, CASE WHEN c.incident_id IS NULL THEN 'ubidots' ELSE 'sms' END, s.state, c.created_at, 1,
            CASE WHEN s.state <> 'due' THEN c.created_at + interval '1 second' END,
            CASE s.state WHEN 'dead' THEN 'refused: answered 400' WHEN 'due' THEN 'again in 2m: answered 503' END
       FROM (SELECT *, row_number() OVER (ORDER BY created_at) AS place FROM delivery_contents) AS c,
            LATERAL (SELECT CASE WHEN c.place % 40 = 0 THEN 'dead' WHEN c.place % 300 = 1 THEN 'due' ELSE 'delivered' END AS state) AS s",
    "INSERT INTO attempts (delivery_id, number, started_at, ended_at, outcome, status, answer, reason)
     SELECT id, 1, due_at, due_at + interval '80 milliseconds', CASE state WHEN 'delivered' THEN 'delivered' WHEN 'dead' THEN 'refused' ELSE 'retry' END,
            CASE state WHEN 'delivered' THEN 200 WHEN 'dead' THEN 400 ELSE 503 END, '{\"detail\": \"as scripted\"}', reason
       FROM delivery_states",
    "INSERT INTO audit (at, person, via, action, subject)
     SELECT $NOW - interval '1 hour' * n, 'ana', 'page', 'replay', 'delivery ' || n FROM generate_series(1, 2000) AS n",
];

/// Fills a migrated, empty database so that it is as if the year ended now.
pub async fn fill(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    // The service's pool plans for single rows; this is the other kind of work.
    for setting in [
        "SET enable_seqscan = on",
        "SET synchronous_commit = off",
        "SET jit = off",
    ] {
        sqlx::query(setting).execute(&mut *connection).await?;
    }
    for statement in STATEMENTS {
        let statement = statement
            .replace("$NOW", &format!("timestamptz '{}'", now.to_rfc3339()))
            .replace("$STATIONS", &STATIONS.to_string())
            .replace("$YEAR", &YEAR.to_string());
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("VACUUM ANALYZE")
        .execute(&mut *connection)
        .await?;
    // The settings go with the connection.
    connection.close().await?;
    while rollup::tick(pool, now).await? > 0 {}
    Ok(())
}
