//! Which events are one note.
//!
//! Notehub gives an event its uid, and a note that is uploaded twice has one. But after a power cut the agent may hand the
//! same note to the Notecard once more, which stamps it anew, and then there are two events. The agent numbers its notes,
//! so they can be told: a note is known by its device and notefile, by the start of the agent (`boot`), by its place among
//! the notes of that start (`seq`), and, if it is a piece of a picture, by which one (`part`).
//!
//! The first event that brings a note keeps it for good, however often either is processed again; nothing follows from
//! the others. The shards of `process` see to it that nobody else works on the same device meanwhile.
//!
//! This module owns `notes`.

use std::collections::HashMap;

use anyhow::Context;
use serde_json::Value;
use sqlx::PgConnection;

use super::Taken;
use crate::receive::event::number;

/// What makes a note of the agent the one it is, beside device and notefile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub boot: u32,
    pub seq: u32,
    /// 0 for a note that is no part of anything.
    pub part: u32,
}

impl Identity {
    /// None for the notes of others. (`t` is not asked for: it is 0 while no clock is set, and zeros may be left out.)
    pub fn of(body: &Value) -> Option<Self> {
        let whole = |key: &str| {
            body.get(key)
                .filter(|value| value.is_number())
                .and_then(whole)
        };
        body.get("v").filter(|version| version.is_number())?;
        Some(Self {
            boot: whole("boot")?,
            seq: whole("seq")?,
            part: whole("part").unwrap_or(0),
        })
    }
}

/// A whole number of 32 bits, also when it is written as 7.0.
fn whole(value: &Value) -> Option<u32> {
    let number = number(value).filter(|number| number.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within the range"
    )]
    (0.0..=f64::from(u32::MAX))
        .contains(&number)
        .then_some(number as u32)
}

/// Settles which of the events are repeats of a note that another one brought, and marks them.
pub async fn tell_repeats(
    connection: &mut PgConnection,
    events: &mut [Taken],
) -> anyhow::Result<()> {
    let mut notes: Vec<(usize, Identity)> = events
        .iter()
        .enumerate()
        .filter_map(|(index, event)| Some((index, Identity::of(event.body())?)))
        .collect();
    if notes.is_empty() {
        return Ok(());
    }
    // Of two that wait together the one that came first is first.
    notes.sort_by(|a, b| {
        let arrival = |index: usize| {
            (
                events[index].received_at,
                events[index].stored_at,
                &events[index].uid,
            )
        };
        arrival(a.0).cmp(&arrival(b.0))
    });
    let mut columns = (
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    );
    for (index, Identity { boot, seq, part }) in &notes {
        columns.0.push(events[*index].device.as_str());
        columns.1.push(i64::from(*boot));
        columns.2.push(i64::from(*seq));
        columns.3.push(events[*index].file.as_str());
        columns.4.push(i64::from(*part));
        columns.5.push(events[*index].uid.as_str());
    }
    let first = sqlx::query_scalar!(
        r#"INSERT INTO notes (device, boot, seq, file, part, event_uid)
           SELECT device, boot, seq, file, part, event_uid
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
                  WITH ORDINALITY AS t (device, boot, seq, file, part, event_uid, place)
            ORDER BY place
           ON CONFLICT DO NOTHING RETURNING event_uid"#,
        &columns.0 as _,
        &columns.1,
        &columns.2,
        &columns.3 as _,
        &columns.4,
        &columns.5 as _,
    )
    .fetch_all(&mut *connection)
    .await
    .context("telling notes apart")?;
    if first.len() == notes.len() {
        return Ok(());
    }
    // The others are processed again, or their note was there before: whose is it?
    let owners = sqlx::query!(
        r#"SELECT t.event_uid AS "uid!", n.event_uid AS owner
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
                  AS t (device, boot, seq, file, part, event_uid)
             JOIN notes AS n ON (n.device, n.boot, n.seq, n.file, n.part) = (t.device, t.boot, t.seq, t.file, t.part)
            WHERE n.event_uid <> t.event_uid"#,
        &columns.0 as _,
        &columns.1,
        &columns.2,
        &columns.3 as _,
        &columns.4,
        &columns.5 as _,
    )
    .fetch_all(connection)
    .await
    .context("telling whose notes they are")?;
    let owners: HashMap<_, _> = owners.into_iter().map(|row| (row.uid, row.owner)).collect();
    for (index, _) in notes {
        let event = &mut events[index];
        event.repeat_of = owners.get(&event.uid).cloned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_an_identity() {
        let note = |boot, seq, part| Some(Identity { boot, seq, part });
        for (body, identity) in [
            (
                json!({ "v": 1, "t": 0, "seq": 7, "boot": 9 }),
                note(9, 7, 0),
            ),
            (
                json!({ "v": 1, "seq": 7.0, "boot": 4_294_967_295_u32, "part": 3 }),
                note(u32::MAX, 7, 3),
            ),
            (
                json!({ "v": 1, "seq": 0, "boot": 0, "part": -1 }),
                note(0, 0, 0),
            ),
            (json!({ "seq": 7, "boot": 9 }), None),
            (json!({ "v": 1, "seq": 7 }), None),
            (json!({ "v": 1, "seq": "7", "boot": 9 }), None),
            (json!({ "v": 1, "seq": 7.5, "boot": 9 }), None),
            (json!({ "v": 1, "seq": -7, "boot": 9 }), None),
            (json!({ "v": 1, "seq": 7, "boot": 4_294_967_296_u64 }), None),
            (json!([1, 2]), None),
            (json!(null), None),
        ] {
            assert_eq!(Identity::of(&body), identity, "{body}");
        }
    }
}
