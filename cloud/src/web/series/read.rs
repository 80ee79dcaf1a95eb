//! Reads series of one device, in steps.
//!
//! Steps below an hour are made of the measurements themselves. Wider ones are made of `measurement_days`, whose hours
//! and days they are whole numbers of, and of the measurements of those days that are not in there yet.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::shape::{DAY, HOUR};

/// What is asked of a station again and again.
#[derive(Debug, Clone)]
pub struct Station {
    pub uid: String,
    pub serial_number: Option<String>,
    pub product: Option<String>,
    pub fleets: Vec<String>,
}

impl Station {
    pub async fn find(pool: &PgPool, uid: &str) -> sqlx::Result<Option<Self>> {
        sqlx::query_as!(
            Self,
            "SELECT uid, serial_number, product, fleets FROM devices WHERE uid = $1",
            uid
        )
        .fetch_optional(pool)
        .await
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.serial_number.as_deref().unwrap_or(&self.uid)
    }
}

/// The newest of a series.
#[derive(Debug, Clone)]
pub struct Latest {
    pub series: String,
    pub at: DateTime<Utc>,
    pub value: f64,
}

/// Of every series of a device. The names are found from one to the next, as the index has them in order.
pub async fn latest(pool: &PgPool, device: &str) -> sqlx::Result<Vec<Latest>> {
    sqlx::query_as!(
        Latest,
        r#"WITH RECURSIVE names (series) AS (
               (SELECT series FROM measurements WHERE device = $1 ORDER BY series LIMIT 1)
               UNION ALL
               SELECT (SELECT m.series FROM measurements AS m WHERE m.device = $1 AND m.series > n.series ORDER BY m.series LIMIT 1)
                 FROM names AS n WHERE n.series IS NOT NULL)
           SELECT n.series AS "series!", l.at, l.value FROM names AS n
            CROSS JOIN LATERAL (SELECT at, value FROM measurements AS m WHERE m.device = $1 AND m.series = n.series ORDER BY at DESC LIMIT 1) AS l"#,
        device
    )
    .fetch_all(pool)
    .await
}

/// When the first of these series begins.
pub async fn earliest(
    pool: &PgPool,
    device: &str,
    names: &[String],
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT min(m.at) FROM unnest($2::text[]) AS s (series) CROSS JOIN LATERAL (
                SELECT at FROM measurements AS m WHERE m.device = $1 AND m.series = s.series ORDER BY at LIMIT 1) AS m",
        device,
        names as _
    )
    .fetch_one(pool)
    .await
}

/// What was measured within a step.
#[derive(Debug)]
pub struct Bucket {
    pub series: String,
    /// The first moment of it where that is known, else its beginning.
    pub at: DateTime<Utc>,
    pub count: i64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// In order of time within each series.
pub async fn buckets(
    pool: &PgPool,
    device: &str,
    names: &[String],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    step: TimeDelta,
) -> sqlx::Result<Vec<Bucket>> {
    let whole = whole_steps(from, to, step);
    if step < HOUR {
        of_measurements(pool, device, names, whole, step).await
    } else if step < DAY {
        of_hours(pool, device, names, whole, step).await
    } else {
        of_days(pool, device, names, whole, step).await
    }
}

/// Steps are counted from this moment on, so that whoever asks again gets the same ones.
fn origin() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn whole_steps(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step: TimeDelta,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let width = step.num_seconds().max(1);
    let since = |at: DateTime<Utc>| at.timestamp() - origin().timestamp();
    let first = since(from).div_euclid(width) * width;
    let end = (since(to) + width - 1).div_euclid(width) * width;
    (
        origin() + TimeDelta::seconds(first),
        origin() + TimeDelta::seconds(end),
    )
}

type Span = (DateTime<Utc>, DateTime<Utc>);

async fn of_measurements(
    pool: &PgPool,
    device: &str,
    names: &[String],
    (from, to): Span,
    step: TimeDelta,
) -> sqlx::Result<Vec<Bucket>> {
    // Grouped within the join, so that it stays one short walk through the index for each series.
    sqlx::query_as!(
        Bucket,
        r#"SELECT s.series AS "series!", b.at AS "at!", b.count AS "count!", b.mean AS "mean!", b.low AS "low!", b.high AS "high!"
             FROM unnest($2::text[]) AS s (series)
            CROSS JOIN LATERAL (
                  SELECT min(m.at) AS at, count(*) AS count, avg(m.value) AS mean, min(m.value) AS low, max(m.value) AS high
                    FROM measurements AS m WHERE m.device = $1 AND m.series = s.series AND m.at >= $3 AND m.at < $4
                   GROUP BY date_bin($5, m.at, $6)) AS b
            ORDER BY s.series, b.at"#,
        device,
        names as _,
        from,
        to,
        step as _,
        origin()
    )
    .fetch_all(pool)
    .await
}

/// A day is a whole number of such steps, so each is made of one day.
async fn of_hours(
    pool: &PgPool,
    device: &str,
    names: &[String],
    (from, to): Span,
    step: TimeDelta,
) -> sqlx::Result<Vec<Bucket>> {
    sqlx::query_as!(
        Bucket,
        r#"WITH due AS MATERIALIZED (
               SELECT day FROM measurement_days_due
                WHERE device = $1 AND day >= ($3::timestamptz AT TIME ZONE 'UTC')::date AND day <= ($4::timestamptz AT TIME ZONE 'UTC')::date)
           SELECT p.series AS "series!", p.at AS "at!", p.count AS "count!", p.total / p.count AS "mean!", p.low AS "low!", p.high AS "high!"
             FROM (SELECT d.series, h.at, h.count, h.total, h.low, h.high
                     FROM unnest($2::text[]) AS s (series)
                     JOIN measurement_days AS d ON d.device = $1 AND d.series = s.series
                          AND d.day >= ($3 AT TIME ZONE 'UTC')::date AND d.day <= ($4 AT TIME ZONE 'UTC')::date
                    CROSS JOIN LATERAL (
                          SELECT date_bin($5, (d.day + u.hour * interval '1 hour') AT TIME ZONE 'UTC', $6) AS at, sum(u.count)::bigint AS count,
                                 sum(u.total) AS total, min(u.low) AS low, max(u.high) AS high
                            FROM unnest(d.hours, d.counts, d.totals, d.lows, d.highs) AS u (hour, count, total, low, high)
                           GROUP BY 1) AS h
                    WHERE d.day NOT IN (SELECT day FROM due)
                   UNION ALL
                   SELECT s.series, m.at, m.count, m.total, m.low, m.high
                     FROM due CROSS JOIN unnest($2) AS s (series)
                    CROSS JOIN LATERAL (
                          SELECT date_bin($5, m.at, $6) AS at, count(*) AS count, sum(m.value) AS total, min(m.value) AS low, max(m.value) AS high
                            FROM measurements AS m
                           WHERE m.device = $1 AND m.series = s.series
                             AND m.at >= due.day::timestamp AT TIME ZONE 'UTC' AND m.at < (due.day + 1)::timestamp AT TIME ZONE 'UTC'
                           GROUP BY 1) AS m) AS p
            WHERE p.at >= $3 AND p.at < $4
            ORDER BY 1, 2"#,
        device,
        names as _,
        from,
        to,
        step as _,
        origin()
    )
    .fetch_all(pool)
    .await
}

async fn of_days(
    pool: &PgPool,
    device: &str,
    names: &[String],
    (from, to): Span,
    step: TimeDelta,
) -> sqlx::Result<Vec<Bucket>> {
    sqlx::query_as!(
        Bucket,
        r#"WITH due AS MATERIALIZED (
               SELECT day FROM measurement_days_due
                WHERE device = $1 AND day >= ($3::timestamptz AT TIME ZONE 'UTC')::date AND day < ($4::timestamptz AT TIME ZONE 'UTC')::date)
           SELECT p.series AS "series!", date_bin($5, p.day AT TIME ZONE 'UTC', $6) AS "at!", sum(p.count)::bigint AS "count!",
                  sum(p.total) / sum(p.count) AS "mean!", min(p.low) AS "low!", max(p.high) AS "high!"
             FROM (SELECT d.series, d.day::timestamp AS day, d.count, d.total, d.low, d.high
                     FROM unnest($2::text[]) AS s (series)
                     JOIN measurement_days AS d ON d.device = $1 AND d.series = s.series
                          AND d.day >= ($3 AT TIME ZONE 'UTC')::date AND d.day < ($4 AT TIME ZONE 'UTC')::date
                    WHERE d.day NOT IN (SELECT day FROM due)
                   UNION ALL
                   SELECT s.series, due.day::timestamp, m.count, m.total, m.low, m.high
                     FROM due CROSS JOIN unnest($2) AS s (series)
                    CROSS JOIN LATERAL (
                          SELECT count(*)::integer AS count, sum(m.value) AS total, min(m.value) AS low, max(m.value) AS high
                            FROM measurements AS m
                           WHERE m.device = $1 AND m.series = s.series
                             AND m.at >= due.day::timestamp AT TIME ZONE 'UTC' AND m.at < (due.day + 1)::timestamp AT TIME ZONE 'UTC'
                          HAVING count(*) > 0) AS m) AS p
            GROUP BY 1, 2 ORDER BY 1, 2"#,
        device,
        names as _,
        from,
        to,
        step as _,
        origin()
    )
    .fetch_all(pool)
    .await
}
