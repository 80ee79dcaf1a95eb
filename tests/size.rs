//! What pages of a large fleet weigh, in bytes over the wire: of that a phone far out has to wait for each.
//!
//! How long they take is measured by `cargo bench -p tests --bench pages`, which fills the same fleet.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::TimeDelta;

use crate::support::app::{PEOPLE, TestApp};
use crate::support::big_fleet::{self, VETERAN};
use crate::support::pages::{DATA, PAGES};

/// The first page somebody sees, with its style, script and picture.
const FIRST_PAGE: usize = 100_000;
/// Any other page, and anything that it fetches, such as a year for a chart.
const ANYTHING: usize = 200_000;

/// The bytes of an answer as a browser asks for it, and its text where it came without compression.
async fn fetched(app: &TestApp, path: &str, encoding: &str) -> (usize, String) {
    use tower::ServiceExt;
    let request = Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {PEOPLE}"))
        .header(header::ACCEPT_ENCODING, encoding)
        .body(Body::empty())
        .expect("a request");
    let response = app.router.clone().oneshot(request).await;
    let response = response.expect("the router answers");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let body = body.expect("a body");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, StatusCode::OK, "{path}: {text:.300}");
    (body.len(), text)
}

/// The addresses of style, script and pictures in a page's head and text.
fn assets(html: &str) -> Vec<String> {
    let mut found: Vec<String> = html
        .split(['"', '\''])
        .filter(|part| part.starts_with("/static/"))
        .map(|part| part.replace("&amp;", "&"))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn pages_of_a_thousand_stations_and_a_year_are_small() {
    let app = TestApp::new().await;
    big_fleet::fill(&app.pool, app.now())
        .await
        .expect("the fleet is made");
    let incident = "SELECT id FROM incidents WHERE device = $1 ORDER BY id LIMIT 1";
    let incident: i64 = sqlx::query_scalar(incident)
        .bind(VETERAN)
        .fetch_one(&app.pool)
        .await
        .expect("the veteran had incidents");
    let mut heavy = Vec::new();
    for page in PAGES {
        let path = page.path_for(VETERAN, incident);
        let (mut bytes, _) = fetched(&app, &path, "gzip").await;
        let (_, html) = fetched(&app, &path, "identity").await;
        let assets = assets(&html);
        assert!(!assets.is_empty(), "{path} has a style");
        for asset in assets {
            bytes += fetched(&app, &asset, "gzip").await.0;
        }
        let limit = if path == "/" { FIRST_PAGE } else { ANYTHING };
        if bytes > limit {
            heavy.push(format!("{path}: {bytes} bytes, not {limit}"));
        }
    }
    let year_ago = (app.now() - TimeDelta::days(365))
        .format("%Y-%m-%d")
        .to_string();
    for path in DATA {
        let path = path
            .replace("{device}", VETERAN)
            .replace("{year_ago}", &year_ago);
        let (bytes, _) = fetched(&app, &path, "gzip").await;
        if bytes > ANYTHING {
            heavy.push(format!("{path}: {bytes} bytes, not {ANYTHING}"));
        }
    }
    assert!(heavy.is_empty(), "{heavy:#?}");
}
