//! Style, script and chart library, compiled in, each at an address that changes with its content, so that a browser keeps
//! what it has and still never shows an old one.
//!
//! Style and script are written in parts, one beside each page, and travel as one file each: there is no build step.
//! `uplot.js` and `uplot.css` are those of uPlot 1.6.32 (MIT, its licence is in `cloud/static/uplot.LICENSE`), unchanged.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::extract::{Path, RawQuery};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::error::Error;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    version: String,
}

macro_rules! parts {
    ($($name:literal),*) => { concat!($(include_str!(concat!("../../static/", $name)), "\n"),*) };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let css = "text/css; charset=utf-8";
    let js = "text/javascript; charset=utf-8";
    let asset = |name, kind, text: &'static str| Asset {
        name,
        kind,
        text,
        version: version(text),
    };
    vec![
        asset(
            "app.css",
            css,
            parts!(
                "base.css",
                "overview.css",
                "station.css",
                "incidents.css",
                "deliveries.css",
                "rules.css"
            ),
        ),
        asset("app.js", js, parts!("base.js", "station.js", "rules.js")),
        asset("uplot.css", css, parts!("uplot.css")),
        asset("uplot.js", js, parts!("uplot.js")),
        asset(
            "icon.svg",
            "image/svg+xml",
            include_str!("../../static/icon.svg"),
        ),
    ]
});

fn version(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..6].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a page finds an asset, for templates.
pub fn url(name: &str) -> String {
    let version = ASSETS.iter().find(|asset| asset.name == name);
    let version = version.map_or("", |asset| &asset.version);
    format!("/static/{name}?v={version}")
}

pub async fn asset(Path(name): Path<String>, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or(Error::NotFound("file"))?;
    let current = query.is_some_and(|query| query == format!("v={}", asset.version));
    let caching = if current {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, caching),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, asset.text).into_response())
}
