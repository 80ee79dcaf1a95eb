//! Old events with what `process` noted of them, and old bodies that were none.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Batch;
use crate::process::identity::Identity;

/// How many devices, and how many of their events, one batch looks at.
const DEVICES: i64 = 200;
const ROWS: usize = 500;

/// Up to where events were looked at, in the order of the key of `processed_events`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    device: String,
    /// In the middle of the device; it is through if there is none.
    after: Option<(DateTime<Utc>, String)>,
}

/// A key of `processed_events`.
struct Found {
    device: String,
    captured_at: DateTime<Utc>,
    uid: String,
}

/// Events are found through what was processed, which has them by device and time; what was not is not to be deleted.
pub(super) async fn batch(
    connection: &mut PgConnection,
    cursor: &Cursor,
    before: DateTime<Utc>,
) -> anyhow::Result<Batch<Cursor>> {
    let mut found: Vec<Found> = Vec::new();
    let mut next = None;
    for (device, oldest) in devices(connection, cursor).await? {
        if oldest < before {
            let after = cursor.after.as_ref().filter(|_| device == cursor.device);
            let room = ROWS - found.len();
            found.extend(oldest_of(connection, &device, after, before, room).await?);
        }
        let last = found.last().filter(|_| found.len() == ROWS);
        next = Some(Cursor {
            after: last.map(|last| (last.captured_at, last.uid.clone())),
            device,
        });
        if last.is_some() {
            break;
        }
    }
    Ok(Batch {
        deleted: delete(connection, &found, before).await?,
        next,
    })
}

/// The devices from the cursor on with their oldest events, by jumping from one to the next in the index.
async fn devices(
    connection: &mut PgConnection,
    cursor: &Cursor,
) -> sqlx::Result<Vec<(String, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE devices AS (
               (SELECT device, captured_at FROM processed_events WHERE device >= $1 AND ($2 OR device > $1) ORDER BY device, captured_at LIMIT 1)
               UNION ALL
               SELECT n.device, n.captured_at FROM devices AS d
                CROSS JOIN LATERAL (SELECT p.device, p.captured_at FROM processed_events AS p
                                     WHERE p.device > d.device ORDER BY p.device, p.captured_at LIMIT 1) AS n
           )
           SELECT device AS "device!", captured_at AS "oldest!" FROM devices LIMIT $3"#,
        cursor.device,
        cursor.after.is_some(),
        DEVICES
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.device, row.oldest))
        .collect())
}

async fn oldest_of(
    connection: &mut PgConnection,
    device: &str,
    after: Option<&(DateTime<Utc>, String)>,
    before: DateTime<Utc>,
    most: usize,
) -> sqlx::Result<Vec<Found>> {
    // No event is from before there was a Unix time.
    let (at, uid) = after.map_or((DateTime::UNIX_EPOCH, ""), |(at, uid)| (*at, uid));
    sqlx::query_as!(
        Found,
        "SELECT device, captured_at, uid FROM processed_events
          WHERE device = $1 AND captured_at < $2 AND (captured_at, uid) > ($3, $4) ORDER BY captured_at, uid LIMIT $5",
        device,
        before,
        at,
        uid,
        i64::try_from(most).unwrap_or(i64::MAX)
    )
    .fetch_all(connection)
    .await
}

/// Deletes those events that were stored long ago too, and do not wait to be processed again.
async fn delete(
    connection: &mut PgConnection,
    found: &[Found],
    before: DateTime<Utc>,
) -> anyhow::Result<super::Deleted> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let uids: Vec<_> = found.iter().map(|one| one.uid.as_str()).collect();
    let stored: HashMap<_, _> = sqlx::query!(
        r#"SELECT r.uid, r.file, r.raw -> 'body' AS body,
                  r.stored_at >= $2 OR EXISTS (SELECT FROM pending_events AS p
                       WHERE (p.shard, p.captured_at, p.uid) = (shard_of(r.device), r.captured_at, r.uid)) AS "stays!"
             FROM received_events AS r WHERE r.uid = ANY ($1)"#,
        &uids as _,
        before
    )
    .fetch_all(&mut *connection)
    .await?
    .into_iter()
    .map(|row| (row.uid.clone(), row))
    .collect();
    // What is no longer stored at all left this row behind, and it may go.
    let old: Vec<_> = found
        .iter()
        .filter(|one| stored.get(&one.uid).is_none_or(|row| !row.stays))
        .collect();
    let notes = notes(
        connection,
        old.iter().filter_map(|one| {
            let row = stored.get(&one.uid)?;
            Some((*one, row.file.as_str(), Identity::of(row.body.as_ref()?)?))
        }),
    )
    .await?;
    let uids: Vec<_> = old.iter().map(|one| one.uid.as_str()).collect();
    let errors = sqlx::query!(
        "DELETE FROM event_errors WHERE event_uid = ANY ($1)",
        &uids as _
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    sqlx::query!(
        r#"DELETE FROM processed_events AS p USING unnest($1::text[], $2::timestamptz[], $3::text[]) AS o (device, captured_at, uid)
            WHERE (p.device, p.captured_at, p.uid) = (o.device, o.captured_at, o.uid)"#,
        &old.iter().map(|one| one.device.as_str()).collect::<Vec<_>>() as _,
        &old.iter().map(|one| one.captured_at).collect::<Vec<_>>(),
        &uids as _
    )
    .execute(&mut *connection)
    .await?;
    let events = sqlx::query!(
        "DELETE FROM received_events WHERE uid = ANY ($1)",
        &uids as _
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    Ok(vec![
        ("events", events),
        ("event_errors", errors),
        ("notes", notes),
    ])
}

/// Who brought which note of the agent is of use as long as the event is there.
async fn notes<'a>(
    connection: &mut PgConnection,
    brought: impl Iterator<Item = (&'a Found, &'a str, Identity)>,
) -> sqlx::Result<u64> {
    let (mut devices, mut boots, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut files, mut parts, mut uids) = (Vec::new(), Vec::new(), Vec::new());
    for (event, file, Identity { boot, seq, part }) in brought {
        devices.push(event.device.as_str());
        boots.push(i64::from(boot));
        seqs.push(i64::from(seq));
        files.push(file);
        parts.push(i64::from(part));
        uids.push(event.uid.as_str());
    }
    if uids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        r#"DELETE FROM notes AS n USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
                AS o (device, boot, seq, file, part, event_uid)
            WHERE (n.device, n.boot, n.seq, n.file, n.part) = (o.device, o.boot, o.seq, o.file, o.part) AND n.event_uid = o.event_uid"#,
        &devices as _,
        &boots,
        &seqs,
        &files as _,
        &parts,
        &uids as _
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Bodies that were no events.
pub(super) async fn rejected(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        "DELETE FROM rejected WHERE id = ANY (ARRAY (SELECT id FROM rejected WHERE at < $1 ORDER BY at LIMIT $2))",
        before,
        i64::try_from(ROWS).unwrap_or(i64::MAX)
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("rejected", rows, ROWS))
}

impl Batch<()> {
    /// The same again while batches are full.
    pub(super) fn of(table: &'static str, rows: u64, most: usize) -> Self {
        Self {
            deleted: vec![(table, rows)],
            next: (rows >= most as u64).then_some(()),
        }
    }
}
