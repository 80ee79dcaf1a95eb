//! Days of measurements in short, so that a chart of a year reads hundreds of rows.
//!
//! Owns `measurement_days` and `measurement_days_due`. `record` marks the days of what it writes (`mark`), in the same
//! transaction; `tick` brings marked days that are over up to date and takes their marks away. Whoever reads believes
//! `measurement_days` except for days that are marked, and reads the measurements themselves for those: so what is read is
//! always right, also when notes come days late or this falls behind.
//!
//! No measurement slips between the two because `tick` holds the shard of the device, as `process` does while it writes.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::App;

/// How many days one transaction brings up to date: it holds a shard for as long.
const AT_ONCE: i64 = 8;
/// How long a mark rests, so that notes of one day that come late one by one are one piece of work.
const REST: TimeDelta = TimeDelta::minutes(10);
const LOOK: Duration = Duration::from_mins(1);
/// Between two transactions while there is more to do.
const BREATH: Duration = Duration::from_millis(50);

/// Tells that these days of devices hold measurements that are not in short yet.
pub async fn mark(
    connection: &mut PgConnection,
    days: &BTreeSet<(&str, NaiveDate)>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (devices, days): (Vec<_>, Vec<_>) = days.iter().copied().unzip();
    sqlx::query!(
        "INSERT INTO measurement_days_due (shard, device, day, due_at)
         SELECT shard_of(device), device, day, $3 FROM unnest($1::text[], $2::date[]) AS m (device, day)
         ON CONFLICT DO NOTHING",
        &devices as _,
        &days,
        now + REST
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings some days that are over up to date, all of one shard; 0 if there is nothing to do, or others hold what there is.
pub async fn tick(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let today = now.date_naive();
    let mut transaction = pool.begin().await?;
    let shard = sqlx::query_scalar!(
        "SELECT shard FROM process_shards AS s
          WHERE EXISTS (SELECT FROM measurement_days_due AS d WHERE d.shard = s.shard AND d.day < $1 AND d.due_at <= $2)
          LIMIT 1 FOR UPDATE SKIP LOCKED",
        today,
        now
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(shard) = shard else {
        return Ok(0);
    };
    let days = sqlx::query!(
        "DELETE FROM measurement_days_due WHERE (device, day) IN (
               SELECT device, day FROM measurement_days_due WHERE shard = $1 AND day < $2 AND due_at <= $3 ORDER BY day LIMIT $4)
         RETURNING device, day",
        shard,
        today,
        now,
        AT_ONCE
    )
    .fetch_all(&mut *transaction)
    .await?;
    for day in &days {
        shorten(&mut transaction, &day.device, day.day).await?;
    }
    transaction.commit().await?;
    Ok(days.len())
}

/// The names of the series are found from one to the next: the index has them in order, and a device has few.
async fn shorten(connection: &mut PgConnection, device: &str, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!(
        r#"WITH RECURSIVE names (series) AS (
               (SELECT series FROM measurements WHERE device = $1 ORDER BY series LIMIT 1)
               UNION ALL
               SELECT (SELECT m.series FROM measurements AS m WHERE m.device = $1 AND m.series > n.series ORDER BY m.series LIMIT 1)
                 FROM names AS n WHERE n.series IS NOT NULL)
           INSERT INTO measurement_days (device, series, day, count, total, low, high, hours, counts, totals, lows, highs)
           SELECT $1, n.series, $2, sum(h.count), sum(h.total), min(h.low), max(h.high),
                  array_agg(h.hour ORDER BY h.hour), array_agg(h.count ORDER BY h.hour), array_agg(h.total ORDER BY h.hour),
                  array_agg(h.low ORDER BY h.hour), array_agg(h.high ORDER BY h.hour)
             FROM names AS n
            CROSS JOIN LATERAL (
                  SELECT date_part('hour', m.at AT TIME ZONE 'UTC')::smallint AS hour, count(*)::integer AS count,
                         sum(m.value) AS total, min(m.value) AS low, max(m.value) AS high
                    FROM measurements AS m
                   WHERE m.device = $1 AND m.series = n.series
                     AND m.at >= $2::date::timestamp AT TIME ZONE 'UTC' AND m.at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
                   GROUP BY 1) AS h
            GROUP BY n.series
           ON CONFLICT (device, series, day) DO UPDATE SET count = excluded.count, total = excluded.total, low = excluded.low,
                  high = excluded.high, hours = excluded.hours, counts = excluded.counts, totals = excluded.totals,
                  lows = excluded.lows, highs = excluded.highs"#,
        device,
        day
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Looks every minute until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match tick(&app.pool, app.clock.now()).await {
            Ok(0) => LOOK,
            Ok(_) => BREATH,
            Err(error) => {
                tracing::error!(error = %error, "days of measurements not brought up to date; charts read more until they are");
                LOOK
            }
        };
        tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => return }
    }
}
