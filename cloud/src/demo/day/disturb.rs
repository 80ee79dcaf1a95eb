//! Arrival as it happens in the field: some events late, some more than once.

use serde_json::{Map, Value, json};

use super::{Kind, Recorded};
use crate::demo::note::{self, BOILER};

/// Changes the order of some events, and lets some come again.
pub(super) fn disturb(events: &mut Vec<Recorded>) {
    // Places shift as events are put in, so the places are asked for anew each time.
    let place = |events: &[Recorded], from_end: usize| {
        let mut notes = (0..events.len())
            .filter(|at| events[*at].file == note::THERMAL && events[*at].device == BOILER.device)
            .filter(|at| !events[*at].kind.is_repeat());
        notes.nth_back(from_end).expect("the day has this note")
    };
    let late = place(events, 225);
    events[late].kind = Kind::Late;
    let event = events.remove(late);
    let third_later = place(events, 222);
    events.insert(third_later + 1, event);
    // The dip under the threshold arrives after the peak: a retry ran beside it.
    let dip = place(events, 6);
    let event = events.remove(dip);
    events.insert(dip + 1, event);

    let retried = |event: &Recorded| Recorded {
        kind: Kind::Retried,
        ..event.clone()
    };
    let plain = place(events, 250);
    events.insert(plain + 1, retried(&events[plain]));
    let places = [190, 189, 188].map(|from_end| place(events, from_end));
    let again = places.map(|at| uploaded_again(&events[at]));
    let after = places[2] + 1;
    events.splice(after..after, again);
    let alert = events
        .iter()
        .position(|event| event.kind == Kind::AlertFirst)
        .expect("the day has an alert");
    events.insert(alert + 2, retried(&events[alert]));
    // The peak comes once more after the all-clear, and must not reopen anything.
    let peak = events
        .iter()
        .position(|event| event.anomaly.is_some_and(|score| score > 0.9))
        .expect("the day has a peak");
    events.push(retried(&events[peak]));
}

/// The same note in a later session: same uid, since that is made of its content, but another receipt.
fn uploaded_again(event: &Recorded) -> Recorded {
    let mut value: Map<String, Value> =
        serde_json::from_str(&event.text).expect("the day's events are objects");
    let received = value["received"].as_f64().unwrap_or_default();
    value.insert("received".to_owned(), json!(received + 31.25));
    value.insert("session".to_owned(), json!(note::SECOND_SESSION));
    Recorded {
        kind: Kind::UploadedTwice,
        text: Value::Object(value).to_string(),
        ..event.clone()
    }
}
