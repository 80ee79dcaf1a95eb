//! `GET /media/…`: the picture of an incident, for Twilio, by a signed link that ends.

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::App;
use crate::deliver::media::{self, Picture};
use crate::error::Error;
use crate::web::frames;

/// 640 by 480 dots, at most 300 kB: carriers take pictures up to 600 kB.
const SCALE: u32 = 20;

#[derive(Debug, Deserialize)]
pub struct Permission {
    expires: Option<i64>,
    signature: Option<String>,
}

pub async fn picture(
    State(app): State<App>,
    Path((device, event)): Path<(String, String)>,
    Query(permission): Query<Permission>,
) -> Response {
    let phones = app.config.phones().map(|(_, twilio)| twilio);
    let picture = Picture { device, event };
    let given = permission.expires.zip(permission.signature.as_deref());
    let good = given.is_some_and(|given| media::accepts(phones, &picture, given, app.clock.now()));
    // Whether there is such a picture is nobody's business without a link.
    if !good {
        metrics::counter!("cloud_texts_refused_total", "path" => "/media", "reason" => "unsigned")
            .increment(1);
        return (
            StatusCode::FORBIDDEN,
            "this link is not valid, or not any more\n",
        )
            .into_response();
    }
    match frames::drawn(&app.pool, &picture.device, &picture.event, SCALE).await {
        Ok(Some(png)) => {
            let headers = [
                (header::CONTENT_TYPE, "image/png"),
                (header::CACHE_CONTROL, "private, max-age=3600"),
            ];
            (headers, png).into_response()
        }
        Ok(None) => Error::NotFound("picture").into_response(),
        Err(error) => error.into_response(),
    }
}
