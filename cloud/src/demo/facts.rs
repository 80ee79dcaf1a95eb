//! What came of the day's events: read from the database and from the stand-ins, never from the service's own word.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgPool;

use super::day::{Day, TUTORIAL_LABEL, TUTORIAL_POST};
use super::report::{Answered, Leg, State, Totals, Trace, same_json};
use super::twilio::TwilioStandIn;
use super::ubidots::{Received, UbidotsStandIn};

/// How far one event got.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) trace: Trace,
    /// It is processed, and so is every delivery that came of it.
    pub(super) ended: bool,
}

/// How far these events got, by uid.
pub(super) async fn progress(
    pool: &PgPool,
    uids: &[String],
) -> sqlx::Result<HashMap<String, Progress>> {
    let events = sqlx::query!(
        r#"SELECT uid AS "uid!", error, processed_at IS NOT NULL AS "processed!",
                  (SELECT count(*) FROM measurements AS m WHERE m.event_uid = e.uid) AS "measurements!"
             FROM events AS e WHERE uid = ANY ($1)"#,
        uids
    )
    .fetch_all(pool)
    .await?;
    let deliveries = sqlx::query!(
        r#"SELECT event_uid AS "event_uid!", destination AS "destination!", state AS "state!", attempts AS "attempts!"
             FROM deliveries WHERE event_uid = ANY ($1) ORDER BY notice NULLS FIRST, destination"#,
        uids
    )
    .fetch_all(pool)
    .await?;
    let mut progress: HashMap<String, Progress> = events
        .into_iter()
        .map(|event| {
            let trace = Trace {
                measurements: count(event.measurements),
                deliveries: Vec::new(),
                error: event.error,
            };
            let ended = event.processed;
            (event.uid, Progress { trace, ended })
        })
        .collect();
    for delivery in deliveries {
        let Some(event) = progress.get_mut(&delivery.event_uid) else {
            continue;
        };
        let state = match delivery.state.as_str() {
            "delivered" => State::Delivered,
            "dead" => State::Dead,
            _ => State::Underway,
        };
        event.ended &= state != State::Underway;
        event.trace.deliveries.push(Leg {
            destination: delivery.destination,
            state,
            attempts: u32::try_from(delivery.attempts).unwrap_or_default(),
        });
    }
    Ok(progress)
}

/// Everything that can be counted when the day is over.
pub(super) async fn totals(
    pool: &PgPool,
    day: &Day,
    answers: &[Answered],
    ubidots: &UbidotsStandIn,
    twilio: &TwilioStandIn,
) -> sqlx::Result<Totals> {
    let counted = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM events) AS "stored!",
                  (SELECT count(*) FROM events WHERE processed_at IS NULL) AS "unprocessed!",
                  (SELECT count(*) FROM measurements) AS "measurements!",
                  (SELECT count(*) FROM deliveries WHERE route IS NOT NULL AND state = 'delivered') AS "forwarded!",
                  (SELECT count(*) FROM deliveries WHERE state <> 'delivered') AS "undelivered!",
                  (SELECT count(*) FROM incidents) AS "incidents!",
                  (SELECT count(*) FROM incidents WHERE resolved_at IS NULL) AS "open!",
                  (SELECT count(*) FROM rejected) AS "rejected!""#,
    )
    .fetch_one(pool)
    .await?;
    let errors =
        sqlx::query!("SELECT event_uid, part, code, message FROM event_errors ORDER BY at")
            .fetch_all(pool)
            .await?;
    let mut left_behind = Vec::new();
    let mut left = |number: i64, what: &str| {
        if number > 0 {
            left_behind.push(format!("{number} {what}"));
        }
    };
    left(counted.unprocessed, "events are not processed");
    left(counted.undelivered, "deliveries are not made");
    left(counted.open, "incidents are still open");
    left(counted.rejected, "events were rejected");
    left_behind.extend(errors.iter().map(|error| {
        let (uid, part, code) = (&error.event_uid, &error.part, &error.code);
        format!("event {uid}, {part}: {code} {}", error.message)
    }));
    let messages = twilio.messages();
    for message in messages.iter().filter(|message| message.segments.count > 1) {
        left_behind.push(format!(
            "a text took {}: {}",
            message.segments, message.body
        ));
    }
    if !tutorial_arrived(ubidots) {
        left_behind.push(format!("Ubidots did not get exactly {TUTORIAL_POST}"));
    }
    let answered = |wanted: &Answered| answers.iter().filter(|given| *given == wanted).count();
    Ok(Totals {
        posted: day.events.len(),
        stored: count(counted.stored),
        duplicates: answered(&Answered::Duplicate),
        measurements: count(counted.measurements),
        forwarded: count(counted.forwarded),
        dots: usize::try_from(ubidots.dots()).unwrap_or(usize::MAX),
        incidents: count(counted.incidents),
        texts: messages.len(),
        left_behind,
        complaints: [ubidots.complaints(), twilio.complaints()].concat(),
    })
}

/// What Ubidots got for the tutorial's device.
pub(super) fn of_tutorial(ubidots: &UbidotsStandIn) -> Vec<Received> {
    let mut received = ubidots.received();
    received.retain(|post| post.device_label == TUTORIAL_LABEL);
    received
}

fn tutorial_arrived(ubidots: &UbidotsStandIn) -> bool {
    let expected: Value = serde_json::from_str(TUTORIAL_POST).unwrap_or_default();
    match of_tutorial(ubidots).as_slice() {
        [post] => same_json(&post.body, &expected),
        _ => false,
    }
}

fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or_default()
}
