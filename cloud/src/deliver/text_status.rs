//! How far a text got after Twilio took it: what its status callbacks told.
//!
//! Owns `text_statuses`. Reports are best effort: they may be lost, come twice and in any order. So each is kept once, none
//! replaces another, and which one counts is decided by `rank` when they are read: a final status is never overtaken by one
//! on the way to it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::twilio::codes;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub message_sid: String,
    /// Twilio's word: `queued`, `sent`, `delivered`, `undelivered`, …
    pub status: String,
    pub delivery_id: Uuid,
    pub error_code: Option<i32>,
}

/// The status of a delivery's text that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextStatus {
    pub delivery_id: Uuid,
    pub message_sid: String,
    pub status: String,
    /// When it was reported to us.
    pub at: DateTime<Utc>,
    pub error_code: Option<i32>,
}

impl TextStatus {
    /// The error in words, as far as it is known.
    pub fn explanation(&self) -> Option<&'static str> {
        codes::explain(u32::try_from(self.error_code?).ok()?)
    }

    /// Whether it is known that the text did not arrive.
    pub fn failed(&self) -> bool {
        has_failed(&self.status)
    }

    /// Whether it is known that the text arrived.
    pub fn arrived(&self) -> bool {
        matches!(self.status.as_str(), "delivered" | "read")
    }
}

pub fn has_failed(status: &str) -> bool {
    matches!(status, "undelivered" | "failed" | "canceled")
}

/// The order of statuses on the way of a text; the highest counts. A carrier that first says no and then yes is believed
/// the second time, and a word that we do not know says least.
pub fn rank(status: &str) -> u8 {
    match status {
        "accepted" | "scheduled" => 1,
        "queued" => 2,
        "sending" => 3,
        "sent" => 4,
        "failed" | "undelivered" | "canceled" => 5,
        "partially_delivered" => 6,
        "delivered" => 7,
        "read" => 8,
        _ => 0,
    }
}

/// Keeps a report, and says whether it is new.
pub async fn keep(pool: &PgPool, report: &Report, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        r#"INSERT INTO text_statuses (message_sid, status, delivery_id, at, error_code) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (message_sid, status) DO NOTHING"#,
        report.message_sid,
        report.status,
        report.delivery_id,
        now,
        report.error_code
    )
    .execute(pool)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// The status of each notice of an incident of which anything was reported.
pub async fn of_incident(pool: &PgPool, incident: i64) -> sqlx::Result<BTreeMap<Uuid, TextStatus>> {
    let rows = sqlx::query_as!(
        TextStatus,
        r#"SELECT t.delivery_id, t.message_sid, t.status, t.at, t.error_code
             FROM delivery_contents AS c JOIN text_statuses AS t ON t.delivery_id = c.id WHERE c.incident_id = $1"#,
        incident
    )
    .fetch_all(pool)
    .await?;
    Ok(latest(rows))
}

/// The status of each of these deliveries of which anything was reported.
pub async fn of_deliveries(
    pool: &PgPool,
    ids: &[Uuid],
) -> sqlx::Result<BTreeMap<Uuid, TextStatus>> {
    let rows = sqlx::query_as!(
        TextStatus,
        "SELECT delivery_id, message_sid, status, at, error_code FROM text_statuses WHERE delivery_id = ANY ($1)",
        ids
    )
    .fetch_all(pool)
    .await?;
    Ok(latest(rows))
}

/// Of each delivery the newest text, for one that was replayed has several, and of that the status that counts.
fn latest(rows: Vec<TextStatus>) -> BTreeMap<Uuid, TextStatus> {
    let mut texts: BTreeMap<(Uuid, String), (DateTime<Utc>, TextStatus)> = BTreeMap::new();
    for row in rows {
        let key = (row.delivery_id, row.message_sid.clone());
        let (first, best) = texts.entry(key).or_insert_with(|| (row.at, row.clone()));
        *first = row.at.min(*first);
        if rank(&row.status) > rank(&best.status) {
            *best = row;
        }
    }
    let mut newest: BTreeMap<Uuid, (DateTime<Utc>, TextStatus)> = BTreeMap::new();
    for ((delivery, _), (first, best)) in texts {
        let known = newest
            .entry(delivery)
            .or_insert_with(|| (first, best.clone()));
        if first > known.0 {
            *known = (first, best);
        }
    }
    newest
        .into_iter()
        .map(|(delivery, (_, status))| (delivery, status))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sid: &str, status: &str, second: i64) -> TextStatus {
        TextStatus {
            delivery_id: Uuid::nil(),
            message_sid: sid.to_owned(),
            status: status.to_owned(),
            at: DateTime::from_timestamp(second, 0).expect("a time"),
            error_code: None,
        }
    }

    #[test]
    fn the_highest_status_of_the_newest_text_counts() {
        let check = |rows: &[(&str, &str, i64)], expected: &str| {
            let rows = rows
                .iter()
                .map(|(sid, status, second)| row(sid, status, *second));
            let status = latest(rows.collect())[&Uuid::nil()].status.clone();
            assert_eq!(status, expected);
        };
        check(&[("SM1", "delivered", 1), ("SM1", "sent", 2)], "delivered");
        check(
            &[("SM1", "queued", 3), ("SM1", "undelivered", 1)],
            "undelivered",
        );
        check(
            &[("SM1", "undelivered", 1), ("SM1", "delivered", 2)],
            "delivered",
        );
        check(&[("SM1", "something_new", 1)], "something_new");
        check(
            &[("SM1", "something_new", 2), ("SM1", "accepted", 1)],
            "accepted",
        );
        // Replayed: what became of the second text matters, whatever is still said of the first.
        check(
            &[
                ("SM1", "queued", 1),
                ("SM2", "queued", 5),
                ("SM1", "delivered", 9),
                ("SM2", "failed", 7),
            ],
            "failed",
        );
        assert!(latest(Vec::new()).is_empty());
    }
}
