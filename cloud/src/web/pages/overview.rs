//! All stations at a glance, the most pressing first.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::{Nav, page};
use crate::App;
use crate::error::Error;
use crate::web::person::Person;

/// How finely a station's last 24 hours are drawn.
const BUCKETS: f64 = 48.0;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    nav: Nav,
    stations: Vec<Station>,
    open: Vec<Incident>,
    past: Vec<Incident>,
    destinations: Vec<Waiting>,
    now: String,
}

struct Station {
    name: String,
    state: String,
    value: Option<f64>,
    last_seen: String,
    place: Option<String>,
    path: Option<String>,
    highest: f64,
}

struct Incident {
    id: i64,
    station: String,
    rule: String,
    opened: String,
    ended: Option<String>,
    peak: f64,
    taken_by: Option<String>,
}

struct Waiting {
    name: String,
    delivered: i64,
    due: i64,
    dead: i64,
    trouble: Option<String>,
}

pub async fn overview(State(app): State<App>, person: Person) -> Result<Response, Error> {
    let now = app.clock.now();
    let (open, past) = incidents(&app.pool)
        .await?
        .into_iter()
        .partition(|incident| incident.ended.is_none());
    let overview = Overview {
        nav: Nav::of(&app.pool, person, "overview").await?,
        stations: stations(&app.pool, now).await?,
        open,
        past,
        destinations: destinations(&app.pool, now).await?,
        now: shown(now),
    };
    page(StatusCode::OK, &overview)
}

/// Stations with the most pressing first.
async fn stations(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Vec<Station>> {
    let rows = sqlx::query!(
        r#"SELECT d.uid, coalesce(d.serial_number, d.uid) AS "name!", d.last_seen, d.best_location,
                  coalesce(a.state, 'normal') AS "state!", m.value AS "value?"
             FROM devices AS d
             LEFT JOIN LATERAL (SELECT state FROM alerts WHERE device = d.uid
                    ORDER BY array_position('{firing,recovering,pending,normal}', state) LIMIT 1) AS a ON true
             LEFT JOIN LATERAL (SELECT value FROM measurements WHERE device = d.uid AND series = 'anomaly' ORDER BY at DESC LIMIT 1) AS m ON true
            ORDER BY array_position('{firing,recovering,pending,normal}', coalesce(a.state, 'normal')), d.last_seen DESC
            LIMIT 200"#
    )
    .fetch_all(pool)
    .await?;
    let devices: Vec<_> = rows.iter().map(|row| row.uid.as_str()).collect();
    let since = now - TimeDelta::hours(24);
    let points = sqlx::query!(
        r#"SELECT m.device, (extract(epoch FROM m.at - $2)::float8 * $4 / 86400) AS "x!", max(m.value) AS "y!"
             FROM measurements AS m
            WHERE m.device = ANY ($1) AND m.series = 'anomaly' AND m.at >= $2 AND m.at <= $3
            GROUP BY m.device, m.at ORDER BY m.device, m.at"#,
        &devices as _,
        since,
        now,
        BUCKETS
    )
    .fetch_all(pool)
    .await?;
    let stations = rows.into_iter().map(|row| {
        let mut buckets: Vec<(i64, f64)> = Vec::new();
        for point in points.iter().filter(|point| point.device == row.uid) {
            #[expect(clippy::cast_possible_truncation, reason = "from 0 to BUCKETS")]
            let bucket = point.x.floor() as i64;
            match buckets.last_mut() {
                Some((last, highest)) if *last == bucket => *highest = highest.max(point.y),
                _ => buckets.push((bucket, point.y)),
            }
        }
        Station {
            name: row.name,
            state: row.state,
            value: row.value,
            last_seen: shown(row.last_seen),
            place: row.best_location,
            highest: buckets.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            path: (buckets.len() > 1).then(|| path(&buckets)),
        }
    });
    Ok(stations.collect())
}

/// Scores from 0 at the bottom to 1 at the top, one step to the right per bucket.
fn path(buckets: &[(i64, f64)]) -> String {
    let points: Vec<_> = buckets
        .iter()
        .map(|(x, y)| format!("{x} {:.3}", 1.0 - y.clamp(0.0, 1.0)))
        .collect();
    format!("M{}", points.join("L"))
}

async fn incidents(pool: &PgPool) -> sqlx::Result<Vec<Incident>> {
    let rows = sqlx::query!(
        r#"SELECT i.id, coalesce(d.serial_number, i.device) AS "station!", i.rule, i.opened_at, i.resolved_at, i.peak_value, i.acknowledged_by
             FROM incidents AS i LEFT JOIN devices AS d ON d.uid = i.device
            ORDER BY i.resolved_at IS NOT NULL, i.id DESC LIMIT 20"#
    )
    .fetch_all(pool)
    .await?;
    let incidents = rows.into_iter().map(|row| Incident {
        id: row.id,
        station: row.station,
        rule: row.rule,
        opened: shown(row.opened_at),
        ended: row.resolved_at.map(shown),
        peak: row.peak_value,
        taken_by: row.acknowledged_by,
    });
    Ok(incidents.collect())
}

async fn destinations(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"SELECT destination AS name, count(*) FILTER (WHERE state = 'delivered' AND ended_at >= $1) AS "delivered!",
                  count(*) FILTER (WHERE state IN ('due', 'leased')) AS "due!", count(*) FILTER (WHERE state = 'dead') AS "dead!",
                  (array_agg(reason ORDER BY due_at DESC) FILTER (WHERE state <> 'delivered' AND reason IS NOT NULL))[1] AS trouble
             FROM delivery_states WHERE state <> 'delivered' OR ended_at >= $1 GROUP BY destination ORDER BY destination"#,
        now - TimeDelta::hours(24)
    )
    .fetch_all(pool)
    .await
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M").to_string()
}
