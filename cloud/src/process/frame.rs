//! Thermal pictures, put together from notes.
//!
//! A picture of 24 rows of 32 pixels is larger than what one note can carry, so the agent sends it in three `frame.qo`
//! notes, each with 256 bytes and all with one `seq`. They may come in any order, days apart, or not all. A part waits in
//! `frame_parts` until the others are there; then they become one row of `frames`, which never changes again.
//! Only parts that agree on what 0 and 255 stand for become a picture; those that do not are left apart, with an error.
//!
//! A device may have 32 pictures of which something is missing; those that heard nothing for longest make
//! room. That loses nothing: the events are kept, and replaying them collects the parts again.
//!
//! This module owns `frames` and `frame_parts`. Reading a note is pure.

use anyhow::Context;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::identity::Identity;
use super::transform::TransformError;
use super::{Taken, record};
use crate::receive::event::number;

pub const FILE: &str = "frame.qo";
pub const WIDTH: usize = 32;
pub const HEIGHT: usize = 24;
const PARTS: u32 = 3;
const BYTES: usize = WIDTH * HEIGHT / PARTS as usize;

/// A picture a day is usual: these are a month of them, and 24 KB.
const MOST_INCOMPLETE: i64 = 32;

/// As the errors of frame notes are called in `event_errors`.
pub const PART: &str = "frame";

/// Padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What one note holds of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub boot: u32,
    pub seq: u32,
    /// From 1.
    pub number: i16,
    /// Deg C of the bytes 0 and 255.
    pub min: f32,
    pub max: f32,
    pub pixels: Vec<u8>,
}

/// Whether an event is a part of a picture: by its notefile, behind a gateway too, and by what it says of itself.
pub fn is_part(event: &Taken) -> bool {
    let file = event.file.rsplit('#').next().unwrap_or_default();
    let body = event.body();
    file == FILE && body.get("part").is_some() && body.get("of").is_some()
}

/// Reads the note of a part, strictly: a pixel in the wrong place is worse than none.
pub fn part(event: &Taken) -> Result<Part, TransformError> {
    let bad = |message: String| TransformError {
        code: "BAD_PART".into(),
        message,
        position: None,
    };
    let body = event.body();
    let number = |key: &str| body.get(key).and_then(number);
    let Identity { boot, seq, part } = Identity::of(body)
        .ok_or_else(|| bad("the note does not say `v`, `seq` and `boot`".into()))?;
    if number("of") != Some(f64::from(PARTS)) || !(1..=PARTS).contains(&part) {
        return Err(bad(format!(
            "a picture has the parts 1 to {PARTS} `of` {PARTS}"
        )));
    }
    let celsius = |key: &str| number(key).filter(|celsius| (-273.15..=5000.0).contains(celsius));
    let range = celsius("min").zip(celsius("max"));
    let (min, max) = range.filter(|(min, max)| min <= max).ok_or_else(|| {
        bad("`min` and `max` are no temperatures in deg C, the lower one first".into())
    })?;
    let payload = event.value.get("payload").and_then(Value::as_str);
    // Whatever is longer than this in base64 is too long without looking.
    let pixels = payload
        .filter(|text| text.len() <= 2 * BYTES)
        .and_then(|text| BASE64.decode(text).ok())
        .filter(|pixels| pixels.len() == BYTES)
        .ok_or_else(|| bad(format!("the payload is not {BYTES} bytes in base64")))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the agent's own numbers have 32 bits; a part is 1, 2 or 3"
    )]
    Ok(Part {
        boot,
        seq,
        number: part as i16,
        min: min as f32,
        max: max as f32,
        pixels,
    })
}

/// Keeps the parts, makes frames of what is complete, and leaves an error with the parts that do not fit together.
pub async fn collect(
    connection: &mut PgConnection,
    events: &[Taken],
    parts: &[(usize, Part)],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    keep(connection, events, parts, now)
        .await
        .context("keeping parts of frames")?;
    let mut pictures: Vec<_> = parts
        .iter()
        .map(|(event, part)| {
            let event = &events[*event];
            (
                event.device.as_str(),
                i64::from(part.boot),
                i64::from(part.seq),
                event.file.as_str(),
            )
        })
        .collect();
    pictures.sort_unstable();
    pictures.dedup();
    complete(connection, &pictures)
        .await
        .context("putting frames together")?;
    for uid in disagreeing(connection, &pictures)
        .await
        .context("comparing parts of frames")?
    {
        let error = TransformError {
            code: "DISAGREES".into(),
            message: "the parts of this picture do not agree on `min` and `max`".into(),
            position: None,
        };
        record::keep_error(connection, &uid, PART, &error, now).await?;
    }
    make_room(connection, &pictures)
        .await
        .context("making room for parts of frames")
}

/// Device, boot, seq and notefile.
type Picture<'a> = (&'a str, i64, i64, &'a str);

async fn keep(
    connection: &mut PgConnection,
    events: &[Taken],
    parts: &[(usize, Part)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let event = |read: fn(&Taken) -> &str| -> Vec<&str> {
        parts
            .iter()
            .map(|(event, _)| read(&events[*event]))
            .collect()
    };
    let captured_at: Vec<_> = parts
        .iter()
        .map(|(event, _)| events[*event].captured_at)
        .collect();
    let number =
        |read: fn(&Part) -> i64| -> Vec<i64> { parts.iter().map(|(_, part)| read(part)).collect() };
    let celsius =
        |read: fn(&Part) -> f32| -> Vec<f32> { parts.iter().map(|(_, part)| read(part)).collect() };
    let pixels: Vec<&[u8]> = parts
        .iter()
        .map(|(_, part)| part.pixels.as_slice())
        .collect();
    // A picture that is complete needs its parts no more, when they are processed again.
    sqlx::query!(
        r#"INSERT INTO frame_parts (device, boot, seq, file, part, at, kept_at, event_uid, min_c, max_c, pixels)
           SELECT device, boot, seq, file, part, at, $7, event_uid, min_c, max_c, pixels
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[],
                         $8::text[], $9::real[], $10::real[], $11::bytea[])
                  AS t (device, boot, seq, file, part, at, event_uid, min_c, max_c, pixels)
            WHERE NOT EXISTS (SELECT FROM frames AS f WHERE (f.device, f.boot, f.seq, f.file) = (t.device, t.boot, t.seq, t.file))
           ON CONFLICT DO NOTHING"#,
        &event(|event| &event.device) as _,
        &number(|part| part.boot.into()),
        &number(|part| part.seq.into()),
        &event(|event| &event.file) as _,
        &number(|part| part.number.into()),
        &captured_at,
        now,
        &event(|event| &event.uid) as _,
        &celsius(|part| part.min),
        &celsius(|part| part.max),
        &pixels as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Of these pictures, those whose parts are all there and agree become frames, and their parts go.
async fn complete(connection: &mut PgConnection, pictures: &[Picture<'_>]) -> sqlx::Result<()> {
    let columns = Columns::of(pictures);
    sqlx::query!(
        r#"WITH complete AS (
               SELECT p.device, p.boot, p.seq, p.file, (array_agg(p.at ORDER BY p.part))[1] AS at,
                      (array_agg(p.event_uid ORDER BY p.part))[1] AS event_uid, min(p.min_c) AS min_c, max(p.max_c) AS max_c,
                      string_agg(p.pixels, ''::bytea ORDER BY p.part) AS pixels
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) AS t (device, boot, seq, file)
                 JOIN frame_parts AS p USING (device, boot, seq, file)
                GROUP BY p.device, p.boot, p.seq, p.file
               HAVING count(*) = $5 AND min(p.min_c) = max(p.min_c) AND min(p.max_c) = max(p.max_c)
           ), made AS (
               INSERT INTO frames (device, at, event_uid, width, height, min_c, max_c, pixels, file, boot, seq)
               SELECT device, at, event_uid, $6, $7, min_c, max_c, pixels, file, boot, seq FROM complete
               ON CONFLICT DO NOTHING
           )
           DELETE FROM frame_parts AS p USING complete AS c
            WHERE (p.device, p.boot, p.seq, p.file) = (c.device, c.boot, c.seq, c.file)"#,
        &columns.devices as _,
        &columns.boots,
        &columns.seqs,
        &columns.files as _,
        i64::from(PARTS),
        i32::try_from(WIDTH).unwrap_or_default(),
        i32::try_from(HEIGHT).unwrap_or_default(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The events that hold parts of these pictures which do not fit together.
async fn disagreeing(
    connection: &mut PgConnection,
    pictures: &[Picture<'_>],
) -> sqlx::Result<Vec<String>> {
    let columns = Columns::of(pictures);
    sqlx::query_scalar!(
        r#"SELECT unnest(array_agg(p.event_uid)) AS "uid!"
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) AS t (device, boot, seq, file)
             JOIN frame_parts AS p USING (device, boot, seq, file)
            GROUP BY p.device, p.boot, p.seq, p.file
           HAVING min(p.min_c) < max(p.min_c) OR min(p.max_c) < max(p.max_c)"#,
        &columns.devices as _,
        &columns.boots,
        &columns.seqs,
        &columns.files as _,
    )
    .fetch_all(connection)
    .await
}

/// Forgets the parts of pictures beyond the bound, those first that heard nothing for longest.
async fn make_room(connection: &mut PgConnection, pictures: &[Picture<'_>]) -> sqlx::Result<()> {
    let mut devices: Vec<_> = pictures.iter().map(|picture| picture.0).collect();
    devices.dedup();
    let forgotten = sqlx::query!(
        r#"DELETE FROM frame_parts AS p USING (
               SELECT device, boot, seq, file, row_number() OVER (PARTITION BY device ORDER BY max(kept_at) DESC, max(at) DESC, boot, seq, file) AS place
                 FROM frame_parts WHERE device = ANY ($1) GROUP BY device, boot, seq, file) AS n
            WHERE n.place > $2 AND (p.device, p.boot, p.seq, p.file) = (n.device, n.boot, n.seq, n.file)"#,
        &devices as _,
        MOST_INCOMPLETE
    )
    .execute(connection)
    .await?
    .rows_affected();
    if forgotten > 0 {
        tracing::warn!(
            parts = forgotten,
            "parts of incomplete pictures made room for newer ones"
        );
        metrics::counter!("cloud_process_frame_parts_forgotten_total").increment(forgotten);
    }
    Ok(())
}

/// Pictures as arrays for a query.
#[derive(Default)]
struct Columns<'a> {
    devices: Vec<&'a str>,
    boots: Vec<i64>,
    seqs: Vec<i64>,
    files: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(pictures: &[Picture<'a>]) -> Self {
        let mut columns = Self::default();
        for (device, boot, seq, file) in pictures {
            columns.devices.push(device);
            columns.boots.push(*boot);
            columns.seqs.push(*seq);
            columns.files.push(file);
        }
        columns
    }
}
