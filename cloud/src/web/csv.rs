//! Downloads as CSV (RFC 4180): the series of a station, and its raw events.
//!
//! Written while it is read, a day or a few hundred events at a time, so that a year costs no memory. Times are UTC in
//! ISO 8601. A text that a spreadsheet would run as a formula gets an apostrophe before it. A download that cannot go on
//! is broken off, so that nobody takes a part for the whole.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::stream;
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::IntoParams;

use super::series::read::{self, Station};
use super::series::{named, range};
use crate::App;
use crate::error::Error;

/// Of measurements at a time.
const WINDOW: TimeDelta = TimeDelta::days(1);
/// Of events at a time.
const ROWS: i64 = 200;

/// What to download.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// From when on: RFC 3339, or a date or `2026-03-01T12:00` in UTC. By default 24 hours before `to`.
    from: Option<String>,
    /// Until when, exclusive. By default now.
    to: Option<String>,
    /// Names separated by commas. By default all.
    series: Option<String>,
}

/// The measurements of a station: a row for each moment, a column for each series.
#[utoipa::path(get, path = "/api/v1/devices/{uid}/series.csv", tag = "Stations", operation_id = "downloadSeries",
    params(("uid" = String, Path, description = "The device's uid"), Wanted),
    responses((status = 200, description = "A table, RFC 4180", body = String, content_type = "text/csv"), (status = 404, description = "No such device"), (status = 422, description = "A range that cannot be")))]
pub async fn series(
    State(app): State<App>,
    Path(device): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    let (station, span) = station_and_span(&app, &device, &wanted).await?;
    let names = if let Some(names) = &wanted.series {
        named(names)?
    } else {
        let latest = read::latest(&app.pool, &device).await?;
        latest.into_iter().map(|one| one.series).collect()
    };
    let mut header = String::from("time");
    for name in &names {
        let _ = write!(header, ",{}", text(name));
    }
    header.push_str("\r\n");
    let download = Series {
        pool: app.pool.clone(),
        device,
        names,
        next: span.0,
        to: span.1,
        header: Some(header),
    };
    let rows = stream::try_unfold(download, Series::more);
    Ok(attachment(
        &station,
        "series",
        span,
        Body::from_stream(rows),
    ))
}

/// The raw events of a station, as they were stored.
#[utoipa::path(get, path = "/api/v1/devices/{uid}/events.csv", tag = "Stations", operation_id = "downloadEvents",
    params(("uid" = String, Path, description = "The device's uid"), Wanted),
    responses((status = 200, description = "A table, RFC 4180", body = String, content_type = "text/csv"), (status = 404, description = "No such device"), (status = 422, description = "A range that cannot be")))]
pub async fn events(
    State(app): State<App>,
    Path(device): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    let (station, span) = station_and_span(&app, &device, &wanted).await?;
    let download = Events {
        pool: app.pool.clone(),
        device,
        after: (span.0, String::new()),
        to: span.1,
        header: Some(
            "event,file,captured_at,captured_from,received_at,stored_at,repeat_of,error,raw\r\n",
        ),
    };
    let rows = stream::try_unfold(download, Events::more);
    Ok(attachment(
        &station,
        "events",
        span,
        Body::from_stream(rows),
    ))
}

async fn station_and_span(
    app: &App,
    device: &str,
    wanted: &Wanted,
) -> Result<(Station, (DateTime<Utc>, DateTime<Utc>)), Error> {
    let station = Station::find(&app.pool, device)
        .await?
        .ok_or(Error::NotFound("device"))?;
    let span = range(
        wanted.from.as_deref(),
        wanted.to.as_deref(),
        app.clock.now(),
    )?;
    Ok((station, span))
}

fn attachment(
    station: &Station,
    what: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    body: Body,
) -> Response {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    let name: String = station.name().chars().take(60).map(plain).collect();
    let day = |at: DateTime<Utc>| at.format("%Y%m%dT%H%MZ");
    let disposition = format!(
        "attachment; filename=\"{name}_{what}_{}_{}.csv\"",
        day(from),
        day(to)
    );
    let headers = [
        (
            header::CONTENT_TYPE,
            "text/csv; charset=utf-8; header=present".to_owned(),
        ),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, body).into_response()
}

#[derive(Debug)]
struct Series {
    pool: PgPool,
    device: String,
    names: Vec<String>,
    next: DateTime<Utc>,
    to: DateTime<Utc>,
    header: Option<String>,
}

impl Series {
    async fn more(mut self) -> sqlx::Result<Option<(String, Self)>> {
        let mut text = self.header.take().unwrap_or_default();
        let first = sqlx::query_scalar!(
            "SELECT min(m.at) FROM unnest($2::text[]) AS s (series) CROSS JOIN LATERAL (
                    SELECT at FROM measurements AS m WHERE m.device = $1 AND m.series = s.series AND m.at >= $3 AND m.at < $4 ORDER BY at LIMIT 1) AS m",
            self.device,
            &self.names as _,
            self.next,
            self.to
        )
        .fetch_one(&self.pool)
        .await?;
        let Some(first) = first else {
            self.next = self.to;
            return Ok((!text.is_empty()).then_some((text, self)));
        };
        let end = self.to.min(first + WINDOW);
        let rows = sqlx::query!(
            r#"SELECT m.at, s.place AS "place!", m.value FROM unnest($2::text[]) WITH ORDINALITY AS s (series, place)
                CROSS JOIN LATERAL (SELECT at, value FROM measurements AS m
                     WHERE m.device = $1 AND m.series = s.series AND m.at >= $3 AND m.at < $4 ORDER BY m.at OFFSET 0) AS m
                ORDER BY m.at, s.place"#,
            self.device,
            &self.names as _,
            first,
            end
        )
        .fetch_all(&self.pool)
        .await?;
        for moment in rows.chunk_by(|a, b| a.at == b.at) {
            text.push_str(&time(moment[0].at));
            let mut cells = moment.iter().peekable();
            for place in 1..=self.names.len() {
                text.push(',');
                let here = |place_here: i64| usize::try_from(place_here) == Ok(place);
                if let Some(cell) = cells.next_if(|cell| here(cell.place)) {
                    let _ = write!(text, "{}", cell.value);
                }
            }
            text.push_str("\r\n");
        }
        self.next = end;
        Ok(Some((text, self)))
    }
}

#[derive(Debug)]
struct Events {
    pool: PgPool,
    device: String,
    /// The last that was told.
    after: (DateTime<Utc>, String),
    to: DateTime<Utc>,
    header: Option<&'static str>,
}

impl Events {
    async fn more(mut self) -> sqlx::Result<Option<(String, Self)>> {
        let mut csv = self.header.take().unwrap_or_default().to_owned();
        let rows = sqlx::query!(
            r#"SELECT p.uid, p.captured_at, p.repeat_of, r.file, r.captured_from, r.received_at, r.stored_at, r.raw::text AS "raw!",
                      (SELECT string_agg(e.part || ': ' || e.code || ' ' || e.message, E'\n' ORDER BY e.part) FROM event_errors AS e WHERE e.event_uid = p.uid) AS error
                 FROM (SELECT uid, captured_at, repeat_of FROM processed_events
                        WHERE device = $1 AND (captured_at, uid) > ($2, $3) AND captured_at < $4
                        ORDER BY captured_at, uid LIMIT $5) AS p
                 JOIN received_events AS r ON r.uid = p.uid
                ORDER BY p.captured_at, p.uid"#,
            self.device,
            self.after.0,
            self.after.1,
            self.to,
            ROWS
        )
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let _ = write!(
                csv,
                "{},{},{},{},{},{},{},{},{}\r\n",
                text(&row.uid),
                text(&row.file),
                time(row.captured_at),
                row.captured_from,
                time(row.received_at),
                time(row.stored_at),
                text(row.repeat_of.as_deref().unwrap_or_default()),
                text(row.error.as_deref().unwrap_or_default()),
                text(&row.raw),
            );
        }
        if let Some(last) = rows.last() {
            self.after = (last.captured_at, last.uid.clone());
        }
        Ok((!csv.is_empty()).then_some((csv, self)))
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A cell of text: quoted where it has to be, and no formula.
fn text(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn cells_are_quoted_where_they_have_to_be_and_are_no_formulas() {
        for (plain, cell) in [
            ("anomaly", "anomaly"),
            ("a,b", "\"a,b\""),
            ("say \"hot\"", "\"say \"\"hot\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("@a", "'@a"),
            ("-1", "'-1"),
            ("+1", "'+1"),
            ("\tx", "'\tx"),
            ("", ""),
        ] {
            assert_eq!(text(plain), cell, "{plain:?}");
        }
    }
}
