//! From signing in to signing out, as one person would on one day.

use chrono::TimeDelta;
use cloud::clock::Clock;

use thirtyfour::Key;

use super::{Visit, deeds};
use crate::support::app::{PEOPLE, TOKEN};
use crate::support::browser::{Role, Scheme, Width};
use crate::support::event::thermal;
use crate::support::fleet::{Past, SWITCHBOARD};

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_on_a_phone() {
    walk(Width::Phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_at_a_desk() {
    walk(Width::Desktop).await;
}

async fn walk(width: Width) {
    let Some(visit) = Visit::begin(Past::Hours, width, Scheme::Light).await else {
        return;
    };
    a_wrong_token_is_refused(&visit).await;
    the_keyboard_signs_in(&visit).await;
    the_overview_says_what_is_wrong(&visit).await;
    deeds::a_station_is_looked_at(&visit).await;
    deeds::an_incident_is_acknowledged_by_keyboard(&visit).await;
    deeds::a_note_and_a_silence_are_left(&visit).await;
    deeds::a_transform_is_tried(&visit).await;
    deeds::a_dead_delivery_is_replayed(&visit).await;
    what_happens_shows_without_reloading(&visit).await;
    signing_out_ends_it(&visit).await;
    visit.sign_in().await;
    a_lost_connection_is_admitted(visit).await;
}

async fn a_wrong_token_is_refused(visit: &Visit) {
    visit.open("/").await;
    let browser = &visit.browser;
    visit.is_sound("the way in").await;
    browser
        .write(Role::Textbox, "People token", "guessed")
        .await;
    browser.click(Role::Button, "Sign in").await;
    browser.find(Role::Alert, "").await;
    // That it was refused is an answer with an error's status, which the browser notes.
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|one| one.contains("401")),
        "{complaints:?}"
    );
    visit.is_sound("a wrong token").await;
}

async fn the_keyboard_signs_in(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/").await;
    // The field has the focus from the start.
    browser.find(Role::Textbox, "People token").await;
    browser.press(PEOPLE).await;
    browser.press(Key::Enter).await;
    browser.see("boiler-room").await;
    browser.press(Key::Tab).await;
    let first = browser
        .ask("return document.activeElement.innerText", vec![])
        .await;
    assert_eq!(first, "Skip to the content");
    browser.tab_to(Role::Link, "Incidents").await;
    assert!(
        browser.focus_is_visible().await,
        "where the focus is can be seen"
    );
    browser.tab_to(Role::Link, "Deliveries").await;
}

async fn the_overview_says_what_is_wrong(visit: &Visit) {
    let browser = &visit.browser;
    browser.see("3 open incidents").await;
    let text = browser.text().await;
    let place = |name: &str| {
        let found = text.find(name);
        found.unwrap_or_else(|| panic!("{name} is not on the overview:\n{text}"))
    };
    assert!(
        place("boiler-room") < place("switchboard"),
        "what fires comes first:\n{text}"
    );
    visit.is_sound("the overview").await;
}

async fn what_happens_shows_without_reloading(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/").await;
    browser.find(Role::Status, "").await;
    browser.see("Live").await;
    browser.ask("window.sameAsBefore = true", vec![]).await;
    let now = Clock::System.now();
    browser.find(Role::Link, "Incidents 3 open").await;
    let at = now - TimeDelta::seconds(5);
    let mut event = thermal("walk-new", SWITCHBOARD, at, 0.92);
    event["sn"] = "switchboard".into();
    post(visit, &event).await;
    browser.find(Role::Link, "Incidents 4 open").await;
    browser.see("2 firing").await;
    let same = browser
        .ask("return window.sameAsBefore === true", vec![])
        .await;
    assert_eq!(same, true, "the page was not loaded again");
    visit.is_sound("the overview after news").await;
}

async fn signing_out_ends_it(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/").await;
    // The menu is a summary, which is a button for whoever hears it.
    browser.open_menu("people").await;
    browser.click(Role::Button, "Sign out").await;
    browser.find(Role::Button, "Sign in").await;
    visit.open("/").await;
    browser.find(Role::Button, "Sign in").await;
    visit.is_sound("signed out").await;
}

/// The service goes away under an open page.
async fn a_lost_connection_is_admitted(visit: Visit) {
    visit.open("/").await;
    visit.browser.see("Live").await;
    visit.is_sound("before the service stops").await;
    assert!(visit.program.stop().await, "the service stops well");
    visit.browser.see("Connection lost").await;
    let text = visit.browser.text().await;
    assert!(
        text.contains("boiler-room"),
        "what was known stays:\n{text}"
    );
    visit.browser.quit().await;
}

/// What Notehub would post.
async fn post(visit: &Visit, event: &serde_json::Value) {
    let client = cloud::demo::local_client().expect("a client");
    let answer = client
        .post(format!("{}/notehub", visit.program.url))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(event.to_string())
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}
