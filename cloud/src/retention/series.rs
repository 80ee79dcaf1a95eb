//! Old measurements, frames, and parts of frames that never became one.
//!
//! Each is kept at least as long as the event that it came from, if that one was stored later than its own moment.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Batch;

/// How many series, or devices, and how many rows of them one batch looks at.
const GROUPS: i64 = 200;
const ROWS: usize = 1_000;
/// A picture is as large as some dozens of measurements.
const FRAMES: usize = 200;

/// Up to where measurements were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    device: String,
    series: String,
    /// In the middle of the series; it is through if there is none.
    after: Option<DateTime<Utc>>,
}

struct Point {
    device: String,
    series: String,
    at: DateTime<Utc>,
    event_uid: String,
}

pub(super) async fn measurements(
    connection: &mut PgConnection,
    cursor: &Cursor,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<Cursor>> {
    let mut found: Vec<Point> = Vec::new();
    let mut next = None;
    let groups = sqlx::query!(
        r#"WITH RECURSIVE groups AS (
               (SELECT device, series, at FROM measurements WHERE (device, series) >= ($1, $2) AND ($3 OR (device, series) > ($1, $2))
                 ORDER BY device, series, at LIMIT 1)
               UNION ALL
               SELECT n.device, n.series, n.at FROM groups AS g
                CROSS JOIN LATERAL (SELECT m.device, m.series, m.at FROM measurements AS m
                                     WHERE (m.device, m.series) > (g.device, g.series) ORDER BY m.device, m.series, m.at LIMIT 1) AS n
           )
           SELECT device AS "device!", series AS "series!", at AS "oldest!" FROM groups LIMIT $4"#,
        cursor.device,
        cursor.series,
        cursor.after.is_some(),
        GROUPS
    )
    .fetch_all(&mut *connection)
    .await?;
    for group in groups {
        let is_begun = group.device == cursor.device && group.series == cursor.series;
        if group.oldest < before {
            let rows = sqlx::query_as!(
                Point,
                "SELECT device, series, at, event_uid FROM measurements
                  WHERE device = $1 AND series = $2 AND at < $3 AND at > $4 ORDER BY at LIMIT $5",
                group.device,
                group.series,
                before,
                cursor.after.filter(|_| is_begun).unwrap_or_default(),
                limit(ROWS - found.len())
            );
            found.extend(rows.fetch_all(&mut *connection).await?);
        }
        let last = found.last().filter(|_| found.len() == ROWS);
        next = Some(Cursor {
            device: group.device,
            series: group.series,
            after: last.map(|last| last.at),
        });
        if last.is_some() {
            break;
        }
    }
    let uids: Vec<_> = found.iter().map(|one| one.event_uid.as_str()).collect();
    let young = young(connection, uids, before).await?;
    found.retain(|one| !young.contains(&one.event_uid));
    let rows = sqlx::query!(
        "DELETE FROM measurements AS m USING unnest($1::text[], $2::text[], $3::timestamptz[]) AS o (device, series, at)
          WHERE (m.device, m.series, m.at) = (o.device, o.series, o.at)",
        &found.iter().map(|one| one.device.as_str()).collect::<Vec<_>>() as _,
        &found.iter().map(|one| one.series.as_str()).collect::<Vec<_>>() as _,
        &found.iter().map(|one| one.at).collect::<Vec<_>>()
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch {
        deleted: vec![("measurements", rows)],
        next,
    })
}

/// Days in short that are older than any measurement is kept. One of which a measurement is left stays with it.
pub(super) async fn days(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        r#"DELETE FROM measurement_days AS d USING (
               SELECT device, series, day FROM measurement_days AS o
                WHERE day < $1 AND NOT EXISTS (SELECT FROM measurements AS m WHERE m.device = o.device AND m.series = o.series
                                                  AND m.at >= (o.day::timestamp AT TIME ZONE 'UTC') AND m.at < ((o.day + 1)::timestamp AT TIME ZONE 'UTC'))
                LIMIT $2) AS old
            WHERE (d.device, d.series, d.day) = (old.device, old.series, old.day)"#,
        before.date_naive(),
        limit(ROWS)
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("measurement_days", rows, ROWS))
}

/// Up to where frames were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FrameCursor {
    device: String,
    after: Option<(DateTime<Utc>, String)>,
}

struct Frame {
    device: String,
    at: DateTime<Utc>,
    event_uid: String,
}

pub(super) async fn frames(
    connection: &mut PgConnection,
    cursor: &FrameCursor,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<FrameCursor>> {
    let mut found: Vec<Frame> = Vec::new();
    let mut next = None;
    let devices = sqlx::query!(
        r#"WITH RECURSIVE devices AS (
               (SELECT device, at FROM frames WHERE device >= $1 AND ($2 OR device > $1) ORDER BY device, at LIMIT 1)
               UNION ALL
               SELECT n.device, n.at FROM devices AS d
                CROSS JOIN LATERAL (SELECT f.device, f.at FROM frames AS f WHERE f.device > d.device ORDER BY f.device, f.at LIMIT 1) AS n
           )
           SELECT device AS "device!", at AS "oldest!" FROM devices LIMIT $3"#,
        cursor.device,
        cursor.after.is_some(),
        GROUPS
    )
    .fetch_all(&mut *connection)
    .await?;
    for group in devices {
        if group.oldest < before {
            let after = cursor
                .after
                .as_ref()
                .filter(|_| group.device == cursor.device);
            let (at, uid) = after.map_or((DateTime::UNIX_EPOCH, ""), |(at, uid)| (*at, uid));
            let rows = sqlx::query_as!(
                Frame,
                "SELECT device, at, event_uid FROM frames
                  WHERE device = $1 AND at < $2 AND (at, event_uid) > ($3, $4) ORDER BY at, event_uid LIMIT $5",
                group.device,
                before,
                at,
                uid,
                limit(FRAMES - found.len())
            );
            found.extend(rows.fetch_all(&mut *connection).await?);
        }
        let last = found.last().filter(|_| found.len() == FRAMES);
        next = Some(FrameCursor {
            device: group.device,
            after: last.map(|last| (last.at, last.event_uid.clone())),
        });
        if last.is_some() {
            break;
        }
    }
    let uids: Vec<_> = found.iter().map(|one| one.event_uid.as_str()).collect();
    let young = young(connection, uids, before).await?;
    found.retain(|one| !young.contains(&one.event_uid));
    let rows = sqlx::query!(
        "DELETE FROM frames AS f USING unnest($1::text[], $2::timestamptz[], $3::text[]) AS o (device, at, event_uid)
          WHERE (f.device, f.at, f.event_uid) = (o.device, o.at, o.event_uid)",
        &found.iter().map(|one| one.device.as_str()).collect::<Vec<_>>() as _,
        &found.iter().map(|one| one.at).collect::<Vec<_>>(),
        &found.iter().map(|one| one.event_uid.as_str()).collect::<Vec<_>>() as _
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch {
        deleted: vec![("frames", rows)],
        next,
    })
}

/// The last part that was looked at, by the table's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PartCursor {
    device: String,
    boot: i64,
    seq: i64,
    file: String,
    part: i16,
}

/// A device has a hundred parts at most, so all of them are looked at; they are as old as their keeping.
pub(super) async fn frame_parts(
    connection: &mut PgConnection,
    cursor: &PartCursor,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<PartCursor>> {
    let rows = sqlx::query!(
        "SELECT device, boot, seq, file, part, kept_at < $6 AS \"is_old!\" FROM frame_parts
          WHERE (device, boot, seq, file, part) > ($1, $2, $3, $4, $5) ORDER BY device, boot, seq, file, part LIMIT $7",
        cursor.device,
        cursor.boot,
        cursor.seq,
        cursor.file,
        cursor.part,
        before,
        limit(ROWS)
    )
    .fetch_all(&mut *connection)
    .await?;
    let next = rows
        .last()
        .filter(|_| rows.len() == ROWS)
        .map(|last| PartCursor {
            device: last.device.clone(),
            boot: last.boot,
            seq: last.seq,
            file: last.file.clone(),
            part: last.part,
        });
    let old: Vec<_> = rows.iter().filter(|row| row.is_old).collect();
    let deleted = sqlx::query!(
        "DELETE FROM frame_parts AS p USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::smallint[]) AS o (device, boot, seq, file, part)
          WHERE (p.device, p.boot, p.seq, p.file, p.part) = (o.device, o.boot, o.seq, o.file, o.part)",
        &old.iter().map(|row| row.device.as_str()).collect::<Vec<_>>() as _,
        &old.iter().map(|row| row.boot).collect::<Vec<_>>(),
        &old.iter().map(|row| row.seq).collect::<Vec<_>>(),
        &old.iter().map(|row| row.file.as_str()).collect::<Vec<_>>() as _,
        &old.iter().map(|row| row.part).collect::<Vec<_>>()
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch {
        deleted: vec![("frame_parts", deleted)],
        next,
    })
}

/// Which of these events were stored since.
async fn young(
    connection: &mut PgConnection,
    uids: Vec<&str>,
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<String>> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "SELECT uid FROM received_events WHERE uid = ANY ($1) AND stored_at >= $2",
        &uids as _,
        before
    )
    .fetch_all(connection)
    .await
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
