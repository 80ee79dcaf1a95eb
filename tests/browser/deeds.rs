//! What a person does on the pages, one deed after another.

use serde_json::json;
use thirtyfour::Key;

use super::Visit;
use crate::support::browser::Role;
use crate::support::receiver::Answer;

/// A chart of any size has more ink than this, in pixels of its canvas.
const DRAWN: u64 = 400;

/// From the overview to the boiler room: its chart is drawn, and its pictures can be gone through.
pub(super) async fn a_station_is_looked_at(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/").await;
    browser.pictures("#stations img").await;
    browser.click(Role::Link, "boiler-room").await;
    browser.find(Role::Heading, "boiler-room").await;
    for chart in ["#scores canvas", "#temperatures canvas"] {
        let drawn = browser.drawn(chart).await;
        assert!(drawn > DRAWN, "{chart}: only {drawn} pixels are drawn");
    }
    browser.pictures("#picture").await;
    let shown = "return document.querySelector('#picture').src";
    let first = browser.ask(shown, vec![]).await;
    browser.click(Role::Button, "\"Before\"").await;
    let other = "return document.querySelector('#picture').src !== arguments[0]";
    browser.until("another picture", other, vec![first]).await;
    browser.pictures("#picture").await;
    visit.is_sound("the station").await;
    browser.click(Role::Link, "\"6 hours\"").await;
    let chosen = "return document.querySelector('#range').dataset.name === '6h'";
    browser.until("the last six hours", chosen, vec![]).await;
    assert!(browser.drawn("#scores canvas").await > DRAWN);
    visit.is_sound("six hours of the station").await;
}

/// Without a mouse: to the incident, and taken.
pub(super) async fn an_incident_is_acknowledged_by_keyboard(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/").await;
    browser.tab_to(Role::Link, "Incidents").await;
    browser.press(Key::Enter).await;
    browser.find(Role::Heading, "\"Incidents\"").await;
    visit.is_sound("the incidents").await;
    browser.tab_to(Role::Link, "boiler-room: anomaly").await;
    assert!(
        browser.focus_is_visible().await,
        "where the focus is can be seen"
    );
    browser.press(Key::Enter).await;
    browser.find(Role::Heading, "Timeline").await;
    visit.is_sound("the incident").await;
    browser.tab_to(Role::Button, "Acknowledge").await;
    assert!(
        browser.focus_is_visible().await,
        "where the focus is can be seen"
    );
    browser.press(Key::Enter).await;
    let gone = "return ![...document.querySelectorAll('button')].some(one => one.innerText === 'Acknowledge')";
    browser
        .until("nothing left to acknowledge", gone, vec![])
        .await;
    browser.find(Role::Status, "").await;
    let taken = "SELECT acknowledged_by FROM incidents WHERE device = $1 AND resolved_at IS NULL";
    let by: Option<String> = sqlx::query_scalar(taken)
        .bind(crate::support::fleet::BOILER)
        .fetch_one(&visit.fleet.app.pool)
        .await
        .expect("the incident");
    assert_eq!(by.as_deref(), Some("people"));
    visit.is_sound("the incident that is taken").await;
}

/// On the page of the incident: a note, and a silence with its reason.
pub(super) async fn a_note_and_a_silence_are_left(visit: &Visit) {
    let browser = &visit.browser;
    browser.open_menu("Note").await;
    let note = "Loose cable at phase two";
    browser
        .write(Role::Textbox, "What should others know", note)
        .await;
    browser.click(Role::Button, "Add the note").await;
    browser.see(note).await;
    browser.open_menu("Silence").await;
    let reason = "The electrician is there";
    browser.write(Role::Textbox, "Reason", reason).await;
    browser.click(Role::Button, "\"Silence\"").await;
    browser.find(Role::Button, "End the silence").await;
    browser.see(reason).await;
    visit.is_sound("the incident that is silenced").await;
}

/// A transform that is wrong says where; one that is right says what would be sent.
pub(super) async fn a_transform_is_tried(visit: &Visit) {
    let browser = &visit.browser;
    visit.open("/rules").await;
    browser.find(Role::Heading, "Rules").await;
    visit.is_sound("routes and rules").await;
    browser.click(Role::Link, "Try it (route ubidots)").await;
    browser
        .write(
            Role::Textbox,
            "Transform",
            r#"{ "score": body.anomaly +* 2 }"#,
        )
        .await;
    browser.click(Role::Button, "Try it").await;
    browser.see("line 1, column").await;
    visit.is_sound("a transform that is wrong").await;
    browser
        .write(
            Role::Textbox,
            "Transform",
            r#"{ "twice": body.anomaly * 2 }"#,
        )
        .await;
    browser.click(Role::Button, "Try it").await;
    browser.see("What the expression yields").await;
    let text = browser.text().await;
    assert!(text.contains("\"twice\""), "{text}");
    visit.is_sound("a transform that is right").await;
}

/// The destination is mended, and what was given up is sent again.
pub(super) async fn a_dead_delivery_is_replayed(visit: &Visit) {
    let browser = &visit.browser;
    let archive = &visit.fleet.archive;
    visit.open("/deliveries").await;
    browser.find(Role::Heading, "\"Deliveries\"").await;
    visit.is_sound("the deliveries").await;
    browser.click(Role::Link, "dead for archive").await;
    browser.click(Role::Link, "route health").await;
    browser.see("unknown field").await;
    visit.is_sound("a dead delivery").await;
    archive.take();
    archive.always(Answer::json(200, &json!({ "saved": true })));
    browser.click(Role::Button, "Send again").await;
    // The page hears of it by itself.
    let state = "return document.querySelector('#delivery-now .state')?.innerText.toLowerCase() === 'delivered'";
    browser.until("that it is delivered", state, vec![]).await;
    assert_eq!(archive.take().len(), 1, "it was sent once");
    visit.is_sound("a delivery that was sent again").await;
}
