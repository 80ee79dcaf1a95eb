//! Deliveries as people and scripts see them: found by what became of them, and one with every attempt.
//!
//! There are few that wait or died and many that arrived, so each way of looking goes by an index of its own and reads
//! a bounded number of rows: a filter that fits little is answered in parts, and the cursor says where to go on.

/// How each destination does.
pub mod health;

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::App;
use crate::deliver::outbox;
use crate::error::Error;
use crate::web::given::{Moment, optional};

const MOST_ROWS: i64 = 1_000;
/// Rows that a filter is tried on before the answer goes out; the queries have the number.
const LOOKED_AT: i64 = 5_000;

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Not sent yet: due, or being sent.
    Waiting,
    /// Tried without success, to be tried again.
    Failing,
    Due,
    Leased,
    Dead,
    Delivered,
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "waiting" => Self::Waiting,
            "failing" => Self::Failing,
            "due" => Self::Due,
            "leased" => Self::Leased,
            "dead" => Self::Dead,
            "delivered" => Self::Delivered,
            _ => {
                return Err("`state` is one of waiting, failing, due, leased, dead, delivered");
            }
        })
    }
}

impl Condition {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Due => "due",
            Self::Leased => "leased",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
        }
    }
}

/// Where a page ended: the time by which its rows are ordered, and an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub DateTime<Utc>, pub Uuid);

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "`after` is what the page before said in `next`";
        let (micros, id) = text.split_once('.').ok_or(BAD)?;
        let at = micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros);
        // Beyond these years Postgres knows no time.
        let at = at.filter(|at| (0..7_258_118_400).contains(&at.timestamp()));
        let id = id.parse().map_err(|_| BAD)?;
        Ok(Self(at.ok_or(BAD)?, id))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.timestamp_micros(), self.1.simple())
    }
}

/// Which deliveries; what is absent stands for any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    pub state: Option<Condition>,
    #[serde(default, deserialize_with = "optional")]
    pub destination: Option<String>,
    /// The uid of a station.
    #[serde(default, deserialize_with = "optional")]
    pub device: Option<String>,
    /// From this moment on: a time in RFC 3339, or a day in UTC. It is the time by which the state is ordered: when the next
    /// try is due of those that wait, when they ended of the dead, and when they were made of all others.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Option<String>)]
    pub from: Option<Moment>,
    /// Before this moment, or before the end of this day.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Option<String>)]
    pub to: Option<Moment>,
    /// What the page before said in `next`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
    /// At most so many, 1 to 1000.
    #[serde(default, deserialize_with = "optional")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    pub id: Uuid,
    pub event_uid: Option<String>,
    pub incident_id: Option<i64>,
    pub route: Option<String>,
    pub destination: String,
    pub device: String,
    /// The station's serial number, or its uid.
    pub name: String,
    /// Which notice of an incident it is.
    pub notice: Option<String>,
    pub created_at: DateTime<Utc>,
    /// `due`, `leased`, `delivered` or `dead`.
    pub state: String,
    pub due_at: DateTime<Utc>,
    pub attempts: i32,
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// What orders it among those of its state.
    #[serde(skip)]
    pub at: DateTime<Utc>,
}

impl Delivery {
    /// It did not fail: it was taken back before it was sent.
    pub fn is_withdrawn(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        self.state == "dead" && reason.starts_with(outbox::WITHDRAWN)
    }
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deliveries {
    /// Those that wait in the order in which they are due, all others newest first.
    pub deliveries: Vec<Delivery>,
    /// What to send as `after` for the next page; absent on the last. A page may be short and still have a next one.
    pub next: Option<String>,
}

/// One page, by whichever index suits what is asked for.
pub async fn find(pool: &PgPool, which: &Which, most: i64) -> sqlx::Result<Deliveries> {
    let (deliveries, beyond) = match which.state {
        Some(Condition::Waiting | Condition::Failing | Condition::Due | Condition::Leased) => {
            waiting(pool, which, most).await?
        }
        Some(Condition::Dead) => dead(pool, which, most).await?,
        Some(Condition::Delivered) | None => by_time(pool, which, most).await?,
    };
    let full = i64::try_from(deliveries.len()).is_ok_and(|count| count == most);
    let last = deliveries.last().filter(|_| full);
    let next = last.map(|last| Cursor(last.at, last.id)).or(beyond);
    Ok(Deliveries {
        deliveries,
        next: next.map(|cursor| cursor.to_string()),
    })
}

type Found = (Vec<Delivery>, Option<Cursor>);

fn window(which: &Which) -> (DateTime<Utc>, DateTime<Utc>) {
    let begin = which.from.map_or(DateTime::UNIX_EPOCH, Moment::begin);
    // The year 2300, after which nothing is due.
    let never = DateTime::from_timestamp_secs(10_413_792_000).unwrap_or_default();
    (begin, which.to.map_or(never, Moment::end))
}

/// Newest first by when they were made. Goes through `LOOKED_AT` at most, and says where that ended.
async fn by_time(pool: &PgPool, which: &Which, most: i64) -> sqlx::Result<Found> {
    let (from, to) = window(which);
    let cursor = which.after.unwrap_or(Cursor(to, Uuid::max()));
    let found = sqlx::query_as!(
        Delivery,
        r#"SELECT c.id AS "id!", c.event_uid, c.incident_id, c.route, s.destination AS "destination!", c.device AS "device!",
                  coalesce(d.serial_number, c.device) AS "name!", c.notice, c.created_at AS "created_at!", s.state AS "state!", s.due_at AS "due_at!",
                  s.attempts AS "attempts!", s.ended_at, s.reason, c.created_at AS "at!"
             FROM (SELECT id, event_uid, incident_id, route, device, notice, created_at FROM delivery_contents
                    WHERE created_at >= $1 AND created_at < $2 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT 5000) AS c
             JOIN delivery_states AS s ON s.id = c.id
             LEFT JOIN devices AS d ON d.uid = c.device
            WHERE ($5::text IS NULL OR s.state = $5) AND ($6::text IS NULL OR s.destination = $6) AND ($7::text IS NULL OR c.device = $7)
            ORDER BY c.created_at DESC, c.id DESC LIMIT $8"#,
        from,
        to,
        cursor.0,
        cursor.1,
        which.state.map(Condition::word),
        which.destination,
        which.device,
        most
    )
    .fetch_all(pool)
    .await?;
    let beyond = sqlx::query!(
        r#"SELECT created_at AS at, id FROM delivery_contents
            WHERE created_at >= $1 AND created_at < $2 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC OFFSET $5 LIMIT 1"#,
        from,
        to,
        cursor.0,
        cursor.1,
        LOOKED_AT - 1
    )
    .fetch_optional(pool)
    .await?;
    Ok((found, beyond.map(|row| Cursor(row.at, row.id))))
}

/// The dead, the latest first.
async fn dead(pool: &PgPool, which: &Which, most: i64) -> sqlx::Result<Found> {
    let (from, to) = window(which);
    let cursor = which.after.unwrap_or(Cursor(to, Uuid::max()));
    let destinations = health::names(pool, which.destination.as_deref()).await?;
    let rows = sqlx::query_as!(
        Delivery,
        r#"SELECT c.id AS "id!", c.event_uid, c.incident_id, c.route, s.destination AS "destination!", c.device AS "device!",
                  coalesce(d.serial_number, c.device) AS "name!", c.notice, c.created_at AS "created_at!", s.state AS "state!", s.due_at AS "due_at!",
                  s.attempts AS "attempts!", s.ended_at, s.reason, s.ended_at AS "at!"
             FROM (SELECT s.* FROM unnest($1::text[]) AS n (name) CROSS JOIN LATERAL (
                          SELECT * FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name
                             AND s.ended_at >= $2 AND s.ended_at < $3 AND s.ended_at <= $4 AND (s.ended_at, s.id) < ($4, $5)
                           ORDER BY s.ended_at DESC, s.id DESC LIMIT 5000) AS s
                    ORDER BY s.ended_at DESC, s.id DESC LIMIT 5000) AS s
             JOIN delivery_contents AS c ON c.id = s.id
             LEFT JOIN devices AS d ON d.uid = c.device
            WHERE ($6::text IS NULL OR c.device = $6)
            ORDER BY s.ended_at DESC, s.id DESC LIMIT $7"#,
        &destinations,
        from,
        to,
        cursor.0,
        cursor.1,
        which.device,
        most
    )
    .fetch_all(pool)
    .await?;
    // Only the station is looked for by trying.
    let beyond = if which.device.is_some() {
        sqlx::query!(
            r#"SELECT s.ended_at AS "at!", s.id AS "id!" FROM unnest($1::text[]) AS n (name) CROSS JOIN LATERAL (
                      SELECT ended_at, id FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name
                         AND s.ended_at >= $2 AND s.ended_at < $3 AND s.ended_at <= $4 AND (s.ended_at, s.id) < ($4, $5)
                       ORDER BY s.ended_at DESC, s.id DESC LIMIT 5000) AS s
                ORDER BY s.ended_at DESC, s.id DESC OFFSET $6 LIMIT 1"#,
            &destinations,
            from,
            to,
            cursor.0,
            cursor.1,
            LOOKED_AT - 1
        )
        .fetch_optional(pool)
        .await?
        .map(|row| Cursor(row.at, row.id))
    } else {
        None
    };
    Ok((rows, beyond))
}

/// What waits, the longest due first, and before that what is being sent.
async fn waiting(pool: &PgPool, which: &Which, most: i64) -> sqlx::Result<Found> {
    let (from, to) = window(which);
    let cursor = which.after.unwrap_or(Cursor(from, Uuid::nil()));
    let destinations = health::names(pool, which.destination.as_deref()).await?;
    let (due, leased) = match which.state {
        Some(Condition::Due | Condition::Failing) => (true, false),
        Some(Condition::Leased) => (false, true),
        _ => (true, true),
    };
    let failing = which.state == Some(Condition::Failing);
    let rows = sqlx::query_as!(
        Delivery,
        r#"SELECT c.id AS "id!", c.event_uid, c.incident_id, c.route, s.destination AS "destination!", c.device AS "device!",
                  coalesce(d.serial_number, c.device) AS "name!", c.notice, c.created_at AS "created_at!", s.state AS "state!", s.due_at AS "due_at!",
                  s.attempts AS "attempts!", s.ended_at, s.reason, s.due_at AS "at!"
             FROM (SELECT s.* FROM unnest($1::text[]) AS n (name) CROSS JOIN LATERAL (
                          SELECT * FROM delivery_states AS s WHERE $6 AND s.state = 'due' AND s.destination = n.name
                             AND s.due_at >= $2 AND s.due_at < $3 AND s.due_at >= $4 AND (s.due_at, s.id) > ($4, $5)
                             AND (NOT $8 OR s.attempts > s.attempts_before)
                           ORDER BY s.due_at, s.id LIMIT 5000) AS s
                    UNION ALL
                   (SELECT * FROM delivery_states AS s WHERE $7 AND s.state = 'leased' AND s.destination = ANY ($1)
                       AND s.due_at >= $2 AND s.due_at < $3 AND (s.due_at, s.id) > ($4, $5) ORDER BY s.due_at, s.id LIMIT 5000)
                    ORDER BY due_at, id LIMIT 5000) AS s
             JOIN delivery_contents AS c ON c.id = s.id
             LEFT JOIN devices AS d ON d.uid = c.device
            WHERE ($9::text IS NULL OR c.device = $9)
            ORDER BY s.due_at, s.id LIMIT $10"#,
        &destinations,
        from,
        to,
        cursor.0,
        cursor.1,
        due,
        leased,
        failing,
        which.device,
        most
    )
    .fetch_all(pool)
    .await?;
    // Of one station only those among the first thousands in line are shown.
    Ok((rows, None))
}

fn limit(which: &Which) -> Result<i64, Error> {
    let most = which.limit.unwrap_or(MOST_ROWS);
    if (1..=MOST_ROWS).contains(&most) {
        return Ok(most);
    }
    let message = format!("`limit` is a number from 1 to {MOST_ROWS}");
    Err(Error::Unprocessable(message))
}

/// List deliveries
///
/// The newest first, page by page. What is to be sent, and every attempt, is with each one.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "Deliveries", operation_id = "listDeliveries", params(Which),
    responses((status = 200, description = "Deliveries, and where the next page begins", body = Deliveries), (status = 400, description = "A parameter cannot be read"), (status = 422, description = "A parameter has no such value")))]
pub async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Deliveries>, Error> {
    let most = limit(&which)?;
    Ok(Json(find(&app.pool, &which, most).await?))
}

/// A try at a delivery, and what came back.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// `delivered`, `retry` or `refused`.
    pub outcome: String,
    pub status: Option<i32>,
    /// The start of the answer.
    pub answer: String,
    /// What the attempt showed and what follows from it.
    pub reason: Option<String>,
}

/// A delivery with what is to be sent and every attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeDelivery)]
pub struct Whole {
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The text that is sent, which is JSON.
    pub body: String,
    pub replayed_at: Option<DateTime<Utc>>,
    /// When an attempt started of which it is not known whether it arrived.
    pub ambiguous_at: Option<DateTime<Utc>>,
    pub leased_until: Option<DateTime<Utc>>,
    pub tries: Vec<Attempt>,
}

pub async fn one(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Whole>> {
    let row = sqlx::query!(
        r#"SELECT c.event_uid, c.incident_id, c.route, s.destination, c.device, coalesce(d.serial_number, c.device) AS "name!", c.notice, c.created_at,
                  s.state, s.due_at, s.attempts, s.ended_at, s.reason, c.body::text AS "body!", s.replayed_at, s.ambiguous_at, s.leased_until
             FROM delivery_contents AS c JOIN delivery_states AS s ON s.id = c.id LEFT JOIN devices AS d ON d.uid = c.device
            WHERE c.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tries = sqlx::query_as!(
        Attempt,
        "SELECT number, started_at, ended_at, outcome, status, answer, reason FROM attempts WHERE delivery_id = $1 ORDER BY number",
        id
    )
    .fetch_all(pool)
    .await?;
    let delivery = Delivery {
        id,
        event_uid: row.event_uid,
        incident_id: row.incident_id,
        route: row.route,
        destination: row.destination,
        device: row.device,
        name: row.name,
        notice: row.notice,
        created_at: row.created_at,
        state: row.state,
        due_at: row.due_at,
        attempts: row.attempts,
        ended_at: row.ended_at,
        reason: row.reason,
        at: row.created_at,
    };
    Ok(Some(Whole {
        delivery,
        body: row.body,
        replayed_at: row.replayed_at,
        ambiguous_at: row.ambiguous_at,
        leased_until: row.leased_until,
        tries,
    }))
}

/// Get a delivery
///
/// With what is to be sent and every attempt with what came back.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "Deliveries", operation_id = "getDelivery", params(("id" = Uuid, Path, description = "The id of the delivery")),
    responses((status = 200, description = "With all that belongs to it", body = Whole), (status = 404, description = "No such delivery")))]
pub async fn whole(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Whole>, Error> {
    let found = one(&app.pool, id).await?;
    found.map(Json).ok_or(Error::NotFound("delivery"))
}

/// Dead deliveries of a window that a replay of it would make due again, up to 10,000, by destination. What was withdrawn
/// and notices of incidents that are over are left out, as the replay does.
pub async fn replayable(
    pool: &PgPool,
    destination: Option<&str>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<(String, i64)>> {
    let destinations = health::names(pool, destination).await?;
    let rows = sqlx::query!(
        r#"SELECT n.name AS "name!", d.count AS "count!" FROM unnest($1::text[]) AS n (name) CROSS JOIN LATERAL (
               SELECT count(*) AS count FROM (
                   SELECT FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name AND s.ended_at >= $2 AND s.ended_at < $3
                      AND NOT starts_with(coalesce(s.reason, ''), $4)
                      AND NOT EXISTS (SELECT FROM delivery_contents AS c JOIN incidents AS i ON i.id = c.incident_id
                                       WHERE c.id = s.id AND i.resolved_at IS NOT NULL)
                    LIMIT 10000) AS x) AS d
            WHERE d.count > 0 ORDER BY n.name"#,
        &destinations,
        from,
        to,
        outbox::WITHDRAWN
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.count)).collect())
}
