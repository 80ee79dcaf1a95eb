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
    let mut told: Vec<(&Taken, Identity)> = events
        .iter()
        .filter_map(|event| Some((event, Identity::of(event.body())?)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    // Of two that wait together the one that came first is first.
    told.sort_by_key(|(event, _)| (event.received_at, event.stored_at, &event.uid));
    let notes = Notes::of(&told);
    let first = notes.keep(connection).await.context("keeping notes")?;
    if first == told.len() {
        return Ok(());
    }
    // The others are processed again, or another event brought their note.
    let others = notes
        .of_others(connection)
        .await
        .context("asking who brought notes")?;
    for event in events {
        event.repeat_of = others.get(&event.uid).cloned();
    }
    Ok(())
}

/// Notes as arrays for a query.
#[derive(Default)]
struct Notes<'a> {
    devices: Vec<&'a str>,
    boots: Vec<i64>,
    seqs: Vec<i64>,
    files: Vec<&'a str>,
    parts: Vec<i64>,
    uids: Vec<&'a str>,
}

impl<'a> Notes<'a> {
    fn of(told: &[(&'a Taken, Identity)]) -> Self {
        let mut notes = Self::default();
        for (event, Identity { boot, seq, part }) in told {
            notes.devices.push(&event.device);
            notes.boots.push((*boot).into());
            notes.seqs.push((*seq).into());
            notes.files.push(&event.file);
            notes.parts.push((*part).into());
            notes.uids.push(&event.uid);
        }
        notes
    }

    /// Keeps those that nobody brought before, in their order; how many that are.
    async fn keep(&self, connection: &mut PgConnection) -> sqlx::Result<usize> {
        let kept = sqlx::query!(
            r#"INSERT INTO notes (device, boot, seq, file, part, event_uid)
               SELECT device, boot, seq, file, part, event_uid
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
                      WITH ORDINALITY AS t (device, boot, seq, file, part, event_uid, place)
                ORDER BY place
               ON CONFLICT DO NOTHING"#,
            &self.devices as _,
            &self.boots,
            &self.seqs,
            &self.files as _,
            &self.parts,
            &self.uids as _,
        )
        .execute(connection)
        .await?;
        Ok(usize::try_from(kept.rows_affected()).unwrap_or(usize::MAX))
    }

    /// Of those that another event brought, which one did.
    async fn of_others(
        &self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<HashMap<String, String>> {
        let rows = sqlx::query!(
            r#"SELECT t.event_uid AS "uid!", n.event_uid AS first
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
                      AS t (device, boot, seq, file, part, event_uid)
                 JOIN notes AS n ON (n.device, n.boot, n.seq, n.file, n.part) = (t.device, t.boot, t.seq, t.file, t.part)
                WHERE n.event_uid <> t.event_uid"#,
            &self.devices as _,
            &self.boots,
            &self.seqs,
            &self.files as _,
            &self.parts,
            &self.uids as _,
        )
        .fetch_all(connection)
        .await?;
        Ok(rows.into_iter().map(|row| (row.uid, row.first)).collect())
    }
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
