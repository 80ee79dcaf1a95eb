//! Each page by itself: it is whole, small and without barriers, in light and in dark; and its picture for the README.
//!
//! `.ci/screenshots` runs this with `THERMAL_WATCH_SCREENSHOTS` naming the folder that the pictures go to. Without it the
//! pictures are taken all the same, and thrown away.

use std::path::PathBuf;

use super::Visit;
use crate::support::browser::{Scheme, Width, reduced};
use crate::support::fleet::{BOILER, Past};
use crate::support::pages::{PAGES, Shows};

/// What a first visitor may have to wait for, in bytes, with everything that belongs to the page.
const FIRST_PAGE: u64 = 100_000;
/// And what any page may take.
const ANY_PAGE: u64 = 200_000;
/// The README is read over slow lines, too.
const PICTURE: usize = 150_000;
/// One page is enough to show that there is a dark.
const BY_DARK: &str = "overview";

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sound_on_a_phone() {
    check(Width::Phone, Scheme::Light).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sound_at_a_desk() {
    check(Width::Desktop, Scheme::Light).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sound_in_the_dark() {
    check(Width::Desktop, Scheme::Dark).await;
}

async fn check(width: Width, scheme: Scheme) {
    let Some(visit) = Visit::begin(Past::TwoDays, width, scheme).await else {
        return;
    };
    visit.sign_in().await;
    let incident = incident(&visit).await;
    let mut faults = Vec::new();
    for page in PAGES {
        let path = page.path_for(BOILER, incident);
        visit.browser.forget_files().await;
        visit.open(&path).await;
        match page.shows {
            Shows::Text(text) => visit.browser.see(text).await,
            Shows::Chart(selector) => drop(visit.browser.drawn(selector).await),
        }
        let mut found = visit.faults().await;
        let load = visit.browser.load().await;
        let limit = if path == "/" { FIRST_PAGE } else { ANY_PAGE };
        if load.bytes > limit {
            found.push(format!(
                "{} bytes went over the wire: {:?}",
                load.bytes, load.parts
            ));
        }
        if page.in_readme && (scheme == Scheme::Light || page.name == BY_DARK) {
            visit.browser.see("Live").await;
            let picture = reduced(&visit.browser.picture(width, 1.25).await);
            if picture.len() > PICTURE {
                found.push(format!("its picture has {} bytes", picture.len()));
            }
            let name = format!("{}-{}-{}.png", page.name, width.name(), scheme.name());
            keep(&name, &picture);
        }
        faults.extend(found.into_iter().map(|fault| format!("{path}: {fault}")));
    }
    assert!(
        faults.is_empty(),
        "{} {}: {faults:#?}",
        width.name(),
        scheme.name()
    );
    visit.end().await;
}

/// The open incident of the boiler room.
async fn incident(visit: &Visit) -> i64 {
    let query = "SELECT id FROM incidents WHERE device = $1 AND resolved_at IS NULL";
    sqlx::query_scalar(query)
        .bind(BOILER)
        .fetch_one(&visit.fleet.app.pool)
        .await
        .expect("the boiler room fires")
}

fn keep(name: &str, picture: &[u8]) {
    let Some(folder) = std::env::var_os("THERMAL_WATCH_SCREENSHOTS") else {
        return;
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("the folder of the pictures");
    std::fs::write(folder.join(name), picture).expect("the picture is written");
}
