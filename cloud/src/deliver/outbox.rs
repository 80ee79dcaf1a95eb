//! The deliveries: enqueued, claimed with a lease, finished by whoever still holds it.
//!
//! Owns `delivery_contents`, `delivery_states` and `attempts`. A claim commits before anything is sent and a finish is
//! accepted only from the holder of the lease: a service that was too slow, or died, cannot overwrite what another did
//! since. The lease saves work; that nothing is lost rests on every delivery staying `due` or `leased` until an outcome is
//! written together with its attempt.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::destination::Outbound;
use crate::database;
use crate::process::Taken;
use crate::process::route::Routed;

/// A delivery to be made.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub id: Uuid,
    pub event_uid: Option<String>,
    pub incident_id: Option<i64>,
    pub route: Option<String>,
    pub destination: String,
    pub device: String,
    pub notice: Option<&'static str>,
    pub body: String,
}

impl NewDelivery {
    pub fn of_route(event: &Taken, routed: &Routed) -> Self {
        Self {
            id: routed.id,
            event_uid: Some(event.uid.clone()),
            incident_id: None,
            route: Some(routed.route.clone()),
            destination: routed.destination.clone(),
            device: event.device.clone(),
            notice: None,
            body: routed.body.clone(),
        }
    }
}

/// Adds deliveries; one whose id is there already is left as it is.
pub async fn enqueue(
    connection: &mut PgConnection,
    deliveries: &[NewDelivery],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
    let incidents: Vec<_> = deliveries
        .iter()
        .map(|delivery| delivery.incident_id)
        .collect();
    sqlx::query!(
        r#"WITH incoming AS (
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
                   AS t (id, event_uid, incident_id, route, destination, device, notice, body)
           ), content AS (
               INSERT INTO delivery_contents (id, event_uid, incident_id, route, device, notice, created_at, body)
               SELECT id, event_uid, incident_id, route, device, notice, $9, body::json FROM incoming
               ON CONFLICT (id) DO NOTHING
               RETURNING id
           )
           INSERT INTO delivery_states (id, destination, state, due_at)
           SELECT id, destination, 'due', $9 FROM incoming JOIN content USING (id)"#,
        &ids,
        &deliveries.iter().map(|delivery| delivery.event_uid.as_deref()).collect::<Vec<_>>() as _,
        &incidents as _,
        &deliveries.iter().map(|delivery| delivery.route.as_deref()).collect::<Vec<_>>() as _,
        &deliveries.iter().map(|delivery| delivery.destination.as_str()).collect::<Vec<_>>() as _,
        &deliveries.iter().map(|delivery| delivery.device.as_str()).collect::<Vec<_>>() as _,
        &deliveries.iter().map(|delivery| delivery.notice).collect::<Vec<_>>() as _,
        &deliveries.iter().map(|delivery| delivery.body.as_str()).collect::<Vec<_>>() as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Some deliveries of one destination, held until `until`.
#[derive(Debug)]
pub struct Claim {
    pub lease: Uuid,
    pub deliveries: Vec<Outbound>,
    /// How often each was tried since it was made due or last replayed, this time included: what the schedule counts.
    pub tries: HashMap<Uuid, u32>,
}

/// Claims the longest due deliveries of a destination.
pub async fn claim(
    pool: &PgPool,
    destination: &str,
    most: usize,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Claim> {
    let lease = Uuid::now_v7();
    let rows = sqlx::query!(
        r#"WITH due AS (
               SELECT id FROM delivery_states
                WHERE destination = $1 AND state = 'due' AND due_at <= $2
                ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
           ), leased AS (
               UPDATE delivery_states AS s
                  SET state = 'leased', lease = $4, leased_at = $2, leased_until = $5, attempts = s.attempts + 1
                 FROM due WHERE s.id = due.id
               RETURNING s.id, s.attempts, s.attempts_before, s.replayed_at, s.ambiguous_at, s.due_at
           )
           SELECT l.id AS "id!", l.attempts AS "attempts!", l.attempts - l.attempts_before AS "tries!", l.ambiguous_at, c.event_uid, c.incident_id,
                  c.device, coalesce(l.replayed_at, c.created_at) AS "since!", c.body::text AS "body!"
             FROM leased AS l JOIN delivery_contents AS c USING (id)
            ORDER BY l.due_at, l.id"#,
        destination,
        now,
        i64::try_from(most).unwrap_or(i64::MAX),
        lease,
        until,
    )
    .fetch_all(pool)
    .await?;
    let mut claim = Claim {
        lease,
        deliveries: Vec::with_capacity(rows.len()),
        tries: HashMap::with_capacity(rows.len()),
    };
    for row in rows {
        claim
            .tries
            .insert(row.id, u32::try_from(row.tries).unwrap_or(1));
        claim.deliveries.push(Outbound {
            id: row.id,
            event_uid: row.event_uid,
            incident_id: row.incident_id,
            device: row.device,
            created_at: row.since,
            attempt: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            ambiguous_before: row.ambiguous_at,
            body: row.body,
        });
    }
    Ok(claim)
}

/// Gives claimed deliveries back untried; the claim does not count as an attempt.
pub async fn release(pool: &PgPool, lease: Uuid, ids: &[Uuid]) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"UPDATE delivery_states SET state = 'due', lease = NULL, leased_at = NULL, leased_until = NULL, attempts = attempts - 1
            WHERE id = ANY ($1) AND lease = $2"#,
        ids,
        lease
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is to be written about one attempt.
#[derive(Debug)]
pub struct Finished {
    pub id: Uuid,
    pub number: u32,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub answer: String,
    /// `due`, `delivered` or `dead`.
    pub state: &'static str,
    pub due_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub ambiguous: bool,
}

/// Writes attempts and what follows from them in one transaction, for those deliveries whose lease is still ours; returns these.
pub async fn finish(pool: &PgPool, lease: Uuid, finished: &[Finished]) -> sqlx::Result<Vec<Uuid>> {
    let integer = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query_scalar!(
        r#"WITH outcome AS (
               SELECT * FROM unnest($2::uuid[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::int[], $8::text[], $9::text[],
                                    $10::timestamptz[], $11::text[], $12::bool[])
                   AS t (id, number, started_at, ended_at, outcome, status, answer, state, due_at, reason, ambiguous)
           ), ours AS (
               UPDATE delivery_states AS s
                  SET state = o.state, due_at = coalesce(o.due_at, s.due_at), lease = NULL, leased_at = NULL, leased_until = NULL,
                      ended_at = CASE WHEN o.state IN ('delivered', 'dead') THEN o.ended_at END, reason = o.reason,
                      ambiguous_at = CASE WHEN o.ambiguous THEN coalesce(s.ambiguous_at, o.started_at) ELSE s.ambiguous_at END
                 FROM outcome AS o
                WHERE s.id = o.id AND s.lease = $1
               RETURNING s.id
           ), written AS (
               INSERT INTO attempts (delivery_id, number, started_at, ended_at, outcome, status, answer, reason)
               SELECT o.id, o.number, o.started_at, o.ended_at, o.outcome, o.status, o.answer, o.reason FROM outcome AS o JOIN ours USING (id)
               ON CONFLICT (delivery_id, number) DO NOTHING
           )
           SELECT id FROM ours"#,
        lease,
        &finished.iter().map(|one| one.id).collect::<Vec<_>>(),
        &finished.iter().map(|one| integer(one.number)).collect::<Vec<_>>(),
        &finished.iter().map(|one| one.started_at).collect::<Vec<_>>(),
        &finished.iter().map(|one| one.ended_at).collect::<Vec<_>>(),
        &finished.iter().map(|one| one.outcome).collect::<Vec<_>>() as _,
        &finished.iter().map(|one| one.status.map(i32::from)).collect::<Vec<_>>() as _,
        &finished.iter().map(|one| one.answer.replace('\0', "\u{FFFD}")).collect::<Vec<_>>(),
        &finished.iter().map(|one| one.state).collect::<Vec<_>>() as _,
        &finished.iter().map(|one| one.due_at).collect::<Vec<_>>() as _,
        &finished.iter().map(|one| one.reason.as_deref()).collect::<Vec<_>>() as _,
        &finished.iter().map(|one| one.ambiguous).collect::<Vec<_>>(),
    )
    .fetch_all(pool)
    .await
}

/// After so many claims that nobody finished a delivery is taken for what kills its senders.
const MOST_LOST_CLAIMS: i32 = 20;

/// Makes due again what was claimed by somebody who never came back. Whether that attempt arrived is not known, and it is
/// kept as such: destinations that can be asked are asked before the delivery is repeated. A claim from the future is one
/// of a clock that has been set back since.
pub async fn reclaim(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"WITH lost AS (
               SELECT id, attempts, leased_at, attempts - attempts_before >= $2 AS hopeless FROM delivery_states
                WHERE state = 'leased' AND (leased_until < $1 OR leased_at > $1 + interval '5 minutes') FOR UPDATE SKIP LOCKED
           ), freed AS (
               UPDATE delivery_states AS s
                  SET state = CASE WHEN hopeless THEN 'dead' ELSE 'due' END, lease = NULL, leased_at = NULL, leased_until = NULL, due_at = $1,
                      ended_at = CASE WHEN hopeless THEN $1 END,
                      ambiguous_at = coalesce(s.ambiguous_at, s.leased_at),
                      reason = CASE WHEN hopeless THEN 'given up: the service stopped during an attempt once too often'
                                    ELSE 'the service stopped during the attempt' END
                 FROM lost WHERE s.id = lost.id
           )
           INSERT INTO attempts (delivery_id, number, started_at, ended_at, outcome, answer, reason)
           SELECT id, attempts, leased_at, greatest($1, leased_at), 'retry', '', 'the service stopped during the attempt; whether it arrived is not known' FROM lost
           ON CONFLICT (delivery_id, number) DO NOTHING"#,
        now,
        MOST_LOST_CLAIMS
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// What the reason of a delivery begins with that was ended before anybody tried to send it.
pub const WITHDRAWN: &str = "withdrawn: ";

/// A notice of an incident, and how far it got.
#[derive(Debug)]
pub struct Notice {
    pub id: Uuid,
    pub destination: String,
    pub recipient: Option<String>,
    /// Opened, escalated, reminder or resolved.
    pub kind: Option<String>,
    pub created_at: DateTime<Utc>,
    pub state: String,
    /// It was taken back in time: nobody got it.
    pub withdrawn: bool,
    /// An attempt may have arrived although that is not known.
    pub ambiguous: bool,
}

impl Notice {
    /// Whether it tells that something is wrong, and was not taken back: then whom it went to knows.
    pub fn tells(&self) -> bool {
        let alarm = matches!(
            self.kind.as_deref(),
            Some("opened" | "escalated" | "reminder")
        );
        alarm && !self.withdrawn
    }
}

/// The notices of an incident, locked so that none changes its state before this transaction ends.
pub async fn notices(connection: &mut PgConnection, incident: i64) -> sqlx::Result<Vec<Notice>> {
    sqlx::query_as!(
        Notice,
        r#"SELECT s.id, s.destination, c.body ->> 'to' AS recipient, c.notice AS kind, c.created_at, s.state,
                  coalesce(s.state = 'dead' AND s.ambiguous_at IS NULL AND starts_with(s.reason, $2), false) AS "withdrawn!",
                  s.ambiguous_at IS NOT NULL AS "ambiguous!"
             FROM delivery_contents AS c JOIN delivery_states AS s USING (id)
            WHERE c.incident_id = $1 ORDER BY s.id FOR UPDATE OF s"#,
        incident,
        WITHDRAWN
    )
    .fetch_all(connection)
    .await
}

/// Ends deliveries that are waiting, with the reason why they are withdrawn.
pub async fn withdraw(
    connection: &mut PgConnection,
    ids: &[Uuid],
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let reason = format!("{WITHDRAWN}{reason}");
    sqlx::query!("UPDATE delivery_states SET state = 'dead', ended_at = $2, reason = $3 WHERE id = ANY ($1) AND state = 'due'", ids, now, reason)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which ended deliveries to make due again.
#[derive(Debug, Clone)]
pub enum Replay {
    /// One, dead or delivered.
    One(Uuid),
    /// All dead ones, of one destination or of any, that died in a window of time; but no notices that
    /// were withdrawn or whose incident is over.
    Dead {
        destination: Option<String>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    },
}

/// Makes deliveries due again, with their attempts kept and a new allowance of tries. Returns how many.
pub async fn replay(pool: &PgPool, choice: &Replay, now: DateTime<Utc>) -> sqlx::Result<u64> {
    // Two statements, so that each goes by its index: there are many deliveries, and most of them arrived.
    let mut transaction = database::unhurried(pool).await?;
    let done = match choice {
        Replay::One(id) => {
            sqlx::query!(
                r#"UPDATE delivery_states SET state = 'due', due_at = $2, ended_at = NULL, reason = 'replayed on request', replayed_at = $2, attempts_before = attempts,
                       -- One that is delivered is to be sent once more, and not to be found by a look-up.
                       ambiguous_at = CASE WHEN state = 'delivered' THEN NULL ELSE ambiguous_at END
                    WHERE id = $1 AND state IN ('dead', 'delivered')"#,
                id,
                now
            )
            .execute(&mut *transaction)
            .await?
        }
        Replay::Dead {
            destination,
            from,
            to,
        } => {
            sqlx::query!(
                r#"UPDATE delivery_states AS s SET state = 'due', due_at = $4, ended_at = NULL, reason = 'replayed on request', replayed_at = $4, attempts_before = attempts
                    WHERE state = 'dead' AND ($1::text IS NULL OR destination = $1) AND ended_at >= $2 AND ended_at < $3
                      -- What was withdrawn did not fail, and nobody is to be alarmed by what is over.
                      AND NOT starts_with(coalesce(reason, ''), $5)
                      AND NOT EXISTS (SELECT FROM delivery_contents AS c JOIN incidents AS i ON i.id = c.incident_id
                                       WHERE c.id = s.id AND i.resolved_at IS NOT NULL)"#,
                destination.as_deref(),
                from,
                to,
                now,
                WITHDRAWN
            )
            .execute(&mut *transaction)
            .await?
        }
    };
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// Ends claimed deliveries without an attempt, because it is too late for one.
pub async fn expire(
    pool: &PgPool,
    lease: Uuid,
    ids: &[Uuid],
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"UPDATE delivery_states SET state = 'dead', lease = NULL, leased_at = NULL, leased_until = NULL, attempts = attempts - 1,
               ended_at = $3, reason = $4
            WHERE id = ANY ($1) AND lease = $2"#,
        ids,
        lease,
        now,
        reason
    )
    .execute(pool)
    .await?;
    Ok(())
}
