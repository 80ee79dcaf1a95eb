//! The picture of an incident, sent after its opening text to the phones that can show it.
//!
//! The text never waits for the picture, nor is it one: a picture is complete seconds to minutes after the alarm, carriers
//! are slower with pictures and drop more of them, and one that Twilio cannot fetch takes its text along. So the alarm goes
//! out at once and plain, and the picture follows in a message of its own, once for each incident and number, if it is
//! complete within ten minutes and the incident is still open.
//!
//! Decides and enqueues; `deliver::twilio` makes the link when it sends.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::json;
use sqlx::PgPool;

use super::notice::one_segment;
use super::plan::Plan;
use super::route::delivery_id;
use crate::deliver::media::Picture;
use crate::deliver::outbox::{self, NewDelivery};

/// Later nobody waits for it any more.
const WAITED_FOR: TimeDelta = TimeDelta::minutes(10);
/// Countries whose carriers take pictures, each from senders of its own.
const COUNTRIES: [&str; 2] = ["+1", "+61"];

/// Whether a number can be sent a picture from this sender, if that is a number too.
pub fn takes_pictures(from: Option<&str>, to: &str) -> bool {
    COUNTRIES
        .iter()
        .any(|country| to.starts_with(country) && from.is_none_or(|from| from.starts_with(country)))
}

/// Enqueues the pictures that have become complete. Returns how many.
pub async fn due(pool: &PgPool, plan: &Plan, now: DateTime<Utc>) -> anyhow::Result<usize> {
    if plan.pictures.is_empty() {
        return Ok(0);
    }
    let destinations: Vec<_> = plan
        .pictures
        .iter()
        .map(|phones| phones.destination.as_str())
        .collect();
    // Locked, so that no picture follows an all-clear that is being written at this moment.
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query!(
        r#"SELECT i.id, i.device, coalesce(d.serial_number, i.device) AS "name!", d.best_timezone AS "timezone?", s.destination,
                  c.body ->> 'to' AS "number!", f.at AS "at!", f.event_uid AS "event_uid!"
             FROM incidents AS i
             JOIN delivery_contents AS c ON c.incident_id = i.id
             JOIN delivery_states AS s ON s.id = c.id
            CROSS JOIN LATERAL (
                  SELECT at, event_uid FROM frames
                   WHERE device = i.device AND at >= i.opened_at - interval '1 minute' AND at <= i.opened_at + interval '10 minutes'
                   ORDER BY at, event_uid LIMIT 1) AS f
             LEFT JOIN devices AS d ON d.uid = i.device
            WHERE i.resolved_at IS NULL AND i.last_notice_at > $2
              AND c.notice NOT IN ('picture', 'reminder', 'resolved') AND c.created_at > $2 AND c.body ->> 'to' IS NOT NULL
              AND s.destination = ANY ($1) AND s.state <> 'dead'
              AND NOT EXISTS (SELECT FROM delivery_contents AS p
                               WHERE p.incident_id = i.id AND p.notice = 'picture' AND p.body ->> 'to' = c.body ->> 'to')
            ORDER BY i.id LIMIT 100
              FOR UPDATE OF i SKIP LOCKED"#,
        &destinations as _,
        now - WAITED_FOR
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut pictures = Vec::new();
    for row in rows {
        let from = plan
            .pictures
            .iter()
            .find(|phones| phones.destination == row.destination)
            .and_then(|phones| phones.from.as_deref());
        if !takes_pictures(from, &row.number) {
            continue;
        }
        let zone = row.timezone.and_then(|name| name.parse().ok());
        let at = row.at.with_timezone(&zone.unwrap_or(Tz::UTC));
        let text = format!(
            "Picture of #{} {}, {}",
            row.id,
            row.name,
            at.format("%-d %b %H:%M %Z")
        );
        let picture = Picture {
            device: row.device.clone(),
            event: row.event_uid.clone(),
        };
        pictures.push(NewDelivery {
            id: delivery_id(&[
                "picture",
                &row.id.to_string(),
                &row.destination,
                &row.number,
            ]),
            event_uid: Some(row.event_uid),
            incident_id: Some(row.id),
            route: None,
            destination: row.destination,
            device: row.device,
            notice: Some("picture"),
            body: json!({ "to": row.number, "text": one_segment(&text), "picture": picture })
                .to_string(),
        });
    }
    outbox::enqueue(&mut transaction, &pictures, now).await?;
    transaction.commit().await?;
    Ok(pictures.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stay_within_a_country_that_has_them() {
        let check = |from, to, expected| assert_eq!(takes_pictures(from, to), expected, "{to}");
        check(Some("+15005550006"), "+14155550123", true);
        check(None, "+14155550123", true);
        check(Some("+61400000001"), "+61400000002", true);
        check(Some("+61400000001"), "+14155550123", false);
        check(Some("+15005550006"), "+4917000000000", false);
        check(None, "+4917000000000", false);
    }
}
