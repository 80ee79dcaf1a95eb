//! Thermal pictures for people and scripts: which there are, their temperatures, and how they look.
//!
//! A frame never changes once it is there, so who asks by its event may keep the answer for good. The answers are for
//! people only, and `private` tells proxies so.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use utoipa::IntoParams;

use super::picture;
use crate::App;
use crate::error::Error;

/// What the answers look like.
mod shape;

const USUAL_ROWS: i64 = 100;
const MOST_ROWS: i64 = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
    /// Before this moment: where the last answer ended.
    before: Option<DateTime<Utc>>,
}

/// List pictures
///
/// Of a station, newest first, and the pictures of which parts are missing.
#[utoipa::path(get, path = "/api/v1/devices/{uid}/frames", tag = "Stations", operation_id = "listFrames",
    params(("uid" = String, Path, description = "Of the station", example = "dev:864475"), Which),
    responses((status = 200, description = "Pictures", body = shape::Frames)))]
pub async fn list(
    State(app): State<App>,
    Path(device): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    let limit = which.limit.unwrap_or(USUAL_ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(Error::Unprocessable(format!(
            "`limit` is a number from 1 to {MOST_ROWS}"
        )));
    }
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM devices WHERE uid = $1) AS "known!""#,
        device
    )
    .fetch_one(&app.pool)
    .await?;
    if !known {
        return Err(Error::NotFound("device"));
    }
    let frames = sqlx::query!(
        r#"SELECT at, event_uid, min_c, max_c FROM frames WHERE device = $1 AND ($2::timestamptz IS NULL OR at < $2)
            ORDER BY at DESC, event_uid DESC LIMIT $3"#,
        device,
        which.before,
        limit
    )
    .fetch_all(&app.pool)
    .await?;
    let frames: Vec<_> = frames
        .into_iter()
        .map(|row| {
            let link = link(&device, &row.event_uid);
            json!({ "at": row.at, "event": row.event_uid, "min": row.min_c, "max": row.max_c, "href": link, "png": format!("{link}.png") })
        })
        .collect();
    let incomplete = sqlx::query_scalar!(
        r#"SELECT coalesce(jsonb_agg(p ORDER BY p.at DESC), '[]') AS "rows!"
             FROM (SELECT min(at) AS at, boot, seq, jsonb_agg(jsonb_build_object('part', part, 'event', event_uid, 'min', min_c, 'max', max_c) ORDER BY part) AS parts
                     FROM frame_parts WHERE device = $1 GROUP BY boot, seq, file) AS p"#,
        device
    )
    .fetch_one(&app.pool)
    .await?;
    let answer = Json(json!({ "frames": frames, "incomplete": incomplete }));
    Ok(([(header::CACHE_CONTROL, "private, no-cache")], answer).into_response())
}

/// Where a frame is found.
pub fn link(device: &str, event: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    format!(
        "/api/v1/devices/{}/frames/{}",
        encoded(device),
        encoded(event)
    )
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Look {
    /// Dots along each side of a pixel.
    #[param(minimum = 1, maximum = 40)]
    scale: Option<u32>,
    /// Whether the place of the alarm is marked, or else the hottest.
    mark: Option<bool>,
}

/// Get a picture
///
/// Its temperatures, or, with `.png` behind its name, the same in false colours.
#[utoipa::path(get, path = "/api/v1/devices/{uid}/frames/{frame}", tag = "Stations", operation_id = "getFrame",
    params(("uid" = String, Path, description = "Of the station", example = "dev:864475"),
        ("frame" = String, Path, description = "The uid of its event, or its moment in RFC 3339; with `.png` behind it for the picture"), Look),
    responses(
        (status = 200, description = "The picture", content((shape::Frame = "application/json"), (Vec<u8> = "image/png"))),
        (status = 304, description = "It is what the caller has (`If-None-Match`).")))]
pub async fn frame(
    State(app): State<App>,
    Path((device, name)): Path<(String, String)>,
    Query(look): Query<Look>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (name, drawn) = match name.strip_suffix(".png") {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let frame = Frame::find(&app.pool, &device, name)
        .await?
        .ok_or(Error::NotFound("frame"))?;
    let scale = look.scale.unwrap_or(picture::USUAL_SCALE);
    if !(1..=picture::LARGEST_SCALE).contains(&scale) {
        return Err(Error::Unprocessable(format!(
            "`scale` is a number from 1 to {}",
            picture::LARGEST_SCALE
        )));
    }
    let mark = look.mark.unwrap_or(true);
    // By its event a frame is found for ever; by its moment another one might be found tomorrow.
    let caching = if name == frame.event_uid {
        "private, max-age=31536000, immutable"
    } else {
        "private, max-age=60"
    };
    let suspect = frame.suspect(&app.pool, &device).await?;
    let tag = frame.tag(drawn.then_some((scale, mark)), suspect);
    let caching = [(header::CACHE_CONTROL, caching), (header::ETAG, &tag)];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    if !drawn {
        return Ok((caching, Json(frame.told(&device, suspect))).into_response());
    }
    let marked = mark.then(|| suspect.unwrap_or_else(|| frame.hottest()));
    let png = frame.png(scale, marked)?;
    Ok((caching, [(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// A frame as a picture with its place of interest marked, by the event that brought it.
pub async fn drawn(
    pool: &PgPool,
    device: &str,
    event: &str,
    scale: u32,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(frame) = Frame::find(pool, device, event).await? else {
        return Ok(None);
    };
    let suspect = frame.suspect(pool, device).await?;
    frame
        .png(scale, Some(suspect.unwrap_or_else(|| frame.hottest())))
        .map(Some)
}

#[derive(Debug)]
struct Frame {
    at: DateTime<Utc>,
    event_uid: String,
    width: i32,
    height: i32,
    min_c: f32,
    max_c: f32,
    pixels: Vec<u8>,
}

impl Frame {
    /// By its event, or by its moment as RFC 3339.
    async fn find(pool: &PgPool, device: &str, name: &str) -> sqlx::Result<Option<Self>> {
        let at: Option<DateTime<Utc>> = name.parse().ok();
        sqlx::query_as!(
            Self,
            r#"SELECT at, event_uid, width, height, min_c, max_c, pixels FROM frames
                WHERE device = $1 AND (event_uid = $2 OR at = $3) ORDER BY event_uid = $2 DESC, event_uid LIMIT 1"#,
            device,
            name,
            at
        )
        .fetch_optional(pool)
        .await
    }

    /// Column and row of what an alert of this moment was about. What is hottest is often hot by design.
    async fn suspect(&self, pool: &PgPool, device: &str) -> sqlx::Result<Option<(usize, usize)>> {
        let bodies = sqlx::query_scalar!(
            r#"SELECT r.raw -> 'body' FROM processed_events AS p JOIN received_events AS r USING (uid)
                WHERE p.device = $1 AND p.captured_at = $2 AND r.file LIKE '%alert.qo'"#,
            device,
            self.at
        )
        .fetch_all(pool)
        .await?;
        let (width, height) = self.size();
        let side = |body: &Value, key: &str, end: usize| {
            let side = body.get(key)?.as_u64()?;
            usize::try_from(side).ok().filter(|side| *side < end)
        };
        Ok(bodies
            .iter()
            .flatten()
            .find_map(|body| Some((side(body, "x", width)?, side(body, "y", height)?))))
    }

    /// Differs when anything does that changes the answer.
    fn tag(&self, look: Option<(u32, bool)>, suspect: Option<(usize, usize)>) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.event_uid);
        hash.update(self.min_c.to_be_bytes());
        hash.update(self.max_c.to_be_bytes());
        hash.update(&self.pixels);
        hash.update(format!("{look:?} {suspect:?}"));
        let digest: [u8; 32] = hash.finalize().into();
        let half = digest[..16]
            .iter()
            .fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        format!("\"{half:032x}\"")
    }

    fn png(&self, scale: u32, marked: Option<(usize, usize)>) -> Result<Vec<u8>, Error> {
        picture::png(&self.pixels, self.size(), scale, marked).map_err(|error| {
            tracing::error!(error = %error, event.uid = self.event_uid, "frame not drawn");
            Error::Unavailable("the picture cannot be drawn".into())
        })
    }

    fn size(&self) -> (usize, usize) {
        let side = |side: i32| usize::try_from(side).unwrap_or_default();
        (side(self.width), side(self.height))
    }

    /// Column and row of the hottest pixel, the first of several.
    fn hottest(&self) -> (usize, usize) {
        let hottest = self.pixels.iter().max().copied().unwrap_or_default();
        let place = self.pixels.iter().position(|&level| level == hottest);
        let (place, width) = (place.unwrap_or_default(), self.size().0.max(1));
        (place % width, place / width)
    }

    /// Deg C to two places: a step of eight bits is seldom less.
    fn celsius(&self, level: u8) -> f64 {
        let (min, max) = (f64::from(self.min_c), f64::from(self.max_c));
        let celsius = min + f64::from(level) / 255.0 * (max - min);
        (celsius * 100.0).round() / 100.0
    }

    fn told(&self, device: &str, suspect: Option<(usize, usize)>) -> Value {
        let (width, height) = self.size();
        let rows: Vec<Vec<f64>> = self
            .pixels
            .chunks(width.max(1))
            .map(|row| row.iter().map(|&level| self.celsius(level)).collect())
            .collect();
        let (x, y) = self.hottest();
        json!({
            "device": device, "at": self.at, "event": self.event_uid, "width": width, "height": height,
            "min": self.min_c, "max": self.max_c,
            "suspect": suspect.map(|(x, y)| json!({ "x": x, "y": y, "celsius": rows.get(y).and_then(|row| row.get(x)) })),
            "hottest": { "x": x, "y": y, "celsius": rows.get(y).and_then(|row| row.get(x)) },
            "celsius": rows,
        })
    }
}
