//! A recorded day of two stations, as Notehub would have routed it.
//!
//! Made by code from `now` and a fixed seed, so every run shows the same day, and fresh enough that a late note's
//! age limit does not hide it. One station watches a boiler room every five minutes. In the last hours a hot spot
//! grows; within the last forty minutes its score passes the alarm threshold once and falls back. The other watches a
//! switchboard every quarter of an hour, and nothing happens. Both send a picture every three hours and one with each
//! alert, and their health once.
//! Around that sits what real life does to events: the same event sent again, events overtaken by later ones, a
//! note without a time, numbers as text, a note that arrives twice under two notefiles, and Notehub's own events.
//! What all of it must come to is computed here as well, so that the demo can check itself.

/// What happens to events on their way.
mod disturb;
/// Why an event is in the day.
mod kind;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::note::{self, BOILER, Note, SWITCHBOARD, Station};
use disturb::disturb;
pub use kind::Kind;

/// The event of the tutorial this service grew from, byte for byte.
pub const TUTORIAL_EVENT: &str = r#"{"event":"5ffa7e24-c559-40a0-8228-46ff8426b387","session":"9afdece2-9fd2-48ff-8e7d-5e66ce118b3c","best_id":"dev:864475","device":"dev:864475","product":"product:com.blues.xxx:xxx","received":1644340365.888508,"routed":1644340370,"req":"note.add","when":1644340339,"file":"thermal.qo","body":{"anomaly":0.0,"cold":0.99850000000000019,"hot":0.0,"warm":0.0015},"best_location_type":"tower","best_lat":43.073787499999995,"best_lon":-89.44367187499999,"best_location":"Shorewood Hills WI","best_country":"US","best_timezone":"America/Chicago","tower_when":1644340365,"tower_lat":43.073787499999995,"tower_lon":-89.44367187499999,"tower_country":"US","tower_location":"Shorewood Hills WI","tower_timezone":"America/Chicago","tower_id":"310,410,17169,77315601"}"#;

/// The body Ubidots must get for it.
pub const TUTORIAL_POST: &str = r#"{"cold":{"value":0.9985000000000002,"timestamp":1644340339000},"warm":{"value":0.0015,"timestamp":1644340339000},"hot":{"value":0,"timestamp":1644340339000},"anomaly":{"value":0,"timestamp":1644340339000}}"#;

/// Ubidots' label for the tutorial's device.
pub const TUTORIAL_LABEL: &str = "dev-864475";

/// Notes of 24 hours at one every five minutes, both ends included.
const NOTES: usize = 289;

/// Anomaly scores (in ten-thousandths) of the last notes, oldest first. Exactly 0.7 does not fire, 0.7845 does;
/// 0.6021 is below the threshold but not clear; 0.4387 clears.
const EXCURSION: [u32; 11] = [
    5588, 6312, 7000, 7845, 6638, 9034, 8127, 7216, 6021, 4387, 2134,
];

/// Notes of the calm station: one for every third of the other's.
const CALM: usize = NOTES.div_ceil(3);

/// A picture is sent with every so many notes of five minutes, which is every three hours, and first after so many.
const PICTURES: usize = 36;
const FIRST_PICTURE: usize = 12;

/// Before the excursion the hot spot grows for this many notes.
const GROWTH: usize = 30;

/// One event as posted, with what a reader should know about it.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub uid: String,
    pub device: String,
    pub file: String,
    /// When it was captured: by the note's own word, else by the Notecard's, else when it was received.
    pub at: DateTime<Utc>,
    pub anomaly: Option<f64>,
    pub kind: Kind,
    /// The request body, as Notehub writes it.
    pub text: String,
}

/// The day in the order in which it arrives.
#[derive(Debug, Clone)]
pub struct Day {
    pub events: Vec<Recorded>,
}

/// What the whole day must come to under the default routes and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub posted: usize,
    pub stored: usize,
    pub duplicates: usize,
    pub measurements: usize,
    /// Deliveries to Ubidots.
    pub forwarded: usize,
    /// Values in those deliveries.
    pub dots: usize,
    pub incidents: usize,
    /// The alarm and the all-clear.
    pub texts: usize,
}

impl Day {
    /// The 24 hours that end at `now`, which is cut to whole seconds as capture times are.
    pub fn recorded(now: DateTime<Utc>) -> Self {
        let mut chance = StdRng::seed_from_u64(864_475);
        let end = now.timestamp();
        let mut events = vec![tutorial()];
        for station in [&BOILER, &SWITCHBOARD] {
            events.push(session(station, end - 86_400 - 20));
        }
        // Its notes have chances of their own, so that the boiler's day does not depend on them.
        let mut calm_chance = StdRng::seed_from_u64(864_476);
        for index in 0..NOTES {
            let back = NOTES - 1 - index;
            let when = end - 300 * i64::try_from(back).expect("a day has few notes");
            if index.is_multiple_of(3) {
                events.extend(calm(index / 3, when - 50, &mut calm_chance));
            }
            events.extend(moment(index, when, &mut chance));
            if index == NOTES / 2 {
                events.push(health(&BOILER, when + 60));
                events.push(health(&SWITCHBOARD, when + 70));
            }
        }
        disturb(&mut events);
        Self { events }
    }

    /// The boiler room's anomaly scores over time, each moment once.
    pub fn curve(&self) -> Vec<(DateTime<Utc>, f64)> {
        let mut curve: Vec<_> = self
            .events
            .iter()
            .filter(|event| event.device == BOILER.device && event.file == note::THERMAL)
            .filter(|event| !event.kind.is_repeat())
            .filter_map(|event| Some((event.at, event.anomaly?)))
            .collect();
        curve.sort_by_key(|(at, _)| *at);
        curve
    }

    pub fn expected(&self) -> Expected {
        let first_time: Vec<&Recorded> = {
            let mut seen = BTreeSet::new();
            let new = |event: &&Recorded| seen.insert(event.uid.clone());
            self.events.iter().filter(new).collect()
        };
        let routed = |event: &&&Recorded| event.file == note::THERMAL;
        let forwarded = first_time.iter().filter(routed).count();
        // A twin's values are those of the same moment, so a set counts them once, as the table does.
        let mut measurements = BTreeSet::new();
        // A picture makes none.
        for event in first_time.iter().filter(|event| event.file != note::FRAME) {
            for series in series(&event.text) {
                measurements.insert((&event.device, series, event.at));
            }
        }
        Expected {
            posted: self.events.len(),
            stored: first_time.len(),
            duplicates: self.events.len() - first_time.len(),
            measurements: measurements.len(),
            forwarded,
            dots: forwarded * note::LABELS.len(),
            incidents: 1,
            texts: 2,
        }
    }
}

/// Everything that arrives about one capture of the boiler room, in order of arrival.
fn moment(index: usize, when: i64, chance: &mut StdRng) -> Vec<Recorded> {
    let anomaly = anomaly(index, chance);
    let delay_us = chance.random_range(1_200_000..6_000_000);
    let from_end = NOTES - 1 - index;
    let mut note = Note {
        station: &BOILER,
        file: note::THERMAL,
        when: Some(when),
        body: note::scores_body(&BOILER, (index, NOTES), when, anomaly, chance),
        payload: None,
        delay_us,
    };
    let with_picture = index % PICTURES == FIRST_PICTURE || from_end == 7 || from_end == 5;
    let pictures = with_picture.then(|| pictures(&note, when));
    let kind = match (index, from_end) {
        (150, _) => Kind::TextNumbers,
        (200, _) => Kind::NoTime,
        (_, 8) => Kind::NotAbove,
        (_, 7) => Kind::Fires,
        (_, 6) => Kind::Overtaken,
        (_, 2) => Kind::Between,
        (_, 1) => Kind::Clears,
        _ => Kind::Reading,
    };
    match kind {
        Kind::TextNumbers => note.scores_as_text(),
        Kind::NoTime => note.when = None,
        _ => {}
    }
    let mut alert = Note {
        file: note::ALERT,
        delay_us: delay_us / 2,
        ..note.clone()
    };
    let why = if from_end == 7 {
        "anomaly"
    } else {
        "anomaly worse"
    };
    alert.body.insert("why".to_owned(), json!(why));
    let thermal = recorded(&note, when, kind, anomaly, chance);
    let mut events = match from_end {
        7 => vec![
            recorded(&alert, when, Kind::AlertFirst, anomaly, chance),
            thermal,
        ],
        5 => vec![
            thermal,
            recorded(&alert, when, Kind::AlertAfter, anomaly, chance),
        ],
        _ => vec![thermal],
    };
    events.extend(pictures.into_iter().flatten());
    events
}

/// A capture of the switchboard.
fn calm(index: usize, when: i64, chance: &mut StdRng) -> Vec<Recorded> {
    let anomaly = chance.random_range(10..260);
    let note = Note {
        station: &SWITCHBOARD,
        file: note::THERMAL,
        when: Some(when),
        body: note::scores_body(&SWITCHBOARD, (index, CALM), when, anomaly, chance),
        payload: None,
        delay_us: chance.random_range(1_200_000..6_000_000),
    };
    let mut events = vec![recorded(&note, when, Kind::Calm, anomaly, chance)];
    if 3 * index % PICTURES == FIRST_PICTURE {
        events.extend(pictures(&note, when));
    }
    events
}

/// The picture of a reading, part by part.
fn pictures(reading: &Note, when: i64) -> Vec<Recorded> {
    // Its notes know their time, so there is nothing left to chance.
    let mut chance = StdRng::seed_from_u64(0);
    let parts = note::picture(reading).into_iter();
    parts
        .map(|part| Recorded {
            kind: Kind::Picture,
            ..from_event(&part.event(when, &mut chance))
        })
        .collect()
}

/// The hot spot's score in ten-thousandths: noise, then growth, then the excursion.
fn anomaly(index: usize, chance: &mut StdRng) -> u32 {
    let excursion = NOTES - EXCURSION.len();
    if let Some(at) = index.checked_sub(excursion) {
        return EXCURSION[at];
    }
    let noise = chance.random_range(20..420);
    let grown = (index + GROWTH).saturating_sub(excursion);
    noise + u32::try_from(4800 * grown * grown / (GROWTH * GROWTH)).expect("below ten thousand")
}

fn recorded(note: &Note, captured: i64, kind: Kind, anomaly: u32, chance: &mut StdRng) -> Recorded {
    let event = note.event(captured, chance);
    Recorded {
        anomaly: Some(f64::from(anomaly) / 1e4),
        kind,
        ..from_event(&event)
    }
}

fn tutorial() -> Recorded {
    let event: Map<String, Value> =
        serde_json::from_str(TUTORIAL_EVENT).expect("the tutorial's event is an object");
    Recorded {
        kind: Kind::Tutorial,
        anomaly: Some(0.0),
        text: TUTORIAL_EVENT.to_owned(),
        ..from_event(&event)
    }
}

fn session(station: &Station, when: i64) -> Recorded {
    Recorded {
        kind: Kind::Session,
        ..from_event(&note::session_event(station, when))
    }
}

fn health(station: &Station, when: i64) -> Recorded {
    Recorded {
        kind: Kind::Health,
        ..from_event(&note::health_event(station, when))
    }
}

fn from_event(event: &Map<String, Value>) -> Recorded {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    Recorded {
        uid: text("event"),
        device: text("device"),
        file: text("file"),
        at: captured_at(event),
        anomaly: None,
        kind: Kind::Reading,
        text: Value::Object(event.clone()).to_string(),
    }
}

fn captured_at(event: &Map<String, Value>) -> DateTime<Utc> {
    // The day's notes are numbered and their clock is right, so where there is a `t` it is believed.
    let note = event["body"].get("seq").and(event["body"].get("t"));
    if let Some(when) = note.or(event.get("when")).and_then(Value::as_i64) {
        return Utc.timestamp_opt(when, 0).single().unwrap_or_default();
    }
    let received = event["received"].as_f64().unwrap_or_default();
    let offset = std::time::Duration::from_secs_f64(received);
    DateTime::UNIX_EPOCH + TimeDelta::from_std(offset).unwrap_or_default()
}

/// The dotted paths of every number in an event's body, numbers written as text included.
fn series(text: &str) -> Vec<String> {
    fn collect(path: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Number(_) => into.push(path.to_owned()),
            Value::String(text) if text.parse::<f64>().is_ok() => into.push(path.to_owned()),
            Value::Object(fields) => {
                for (key, field) in fields {
                    let separator = if path.is_empty() { "" } else { "." };
                    collect(&format!("{path}{separator}{key}"), field, into);
                }
            }
            _ => {}
        }
    }
    let event: Value = serde_json::from_str(text).expect("the day's events are JSON");
    let mut series = Vec::new();
    collect("", &event["body"], &mut series);
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T15:20:07.25Z".parse().expect("a time")
    }

    #[test]
    fn the_day_depends_on_now_alone() {
        let texts = |day: Day| -> Vec<String> {
            let events = day.events.into_iter();
            events.map(|event| event.text).collect()
        };
        assert_eq!(texts(Day::recorded(now())), texts(Day::recorded(now())));
        let later = Day::recorded(now() + TimeDelta::seconds(1));
        assert_ne!(texts(Day::recorded(now())), texts(later));
    }

    #[test]
    fn uids_repeat_only_where_an_event_is_sent_again() {
        let mut seen = BTreeSet::new();
        for event in Day::recorded(now()).events {
            let new = seen.insert(event.uid.clone());
            assert_eq!(new, !event.kind.is_repeat(), "{event:?}");
        }
    }

    #[test]
    fn the_day_is_complete_and_its_scores_are_shares() {
        let day = Day::recorded(now());
        let curve = day.curve();
        assert_eq!(curve.len(), NOTES);
        let end = now().timestamp();
        assert_eq!(curve[0].0.timestamp(), end - 86_400);
        assert_eq!(curve[NOTES - 1].0.timestamp(), end);
        for event in day
            .events
            .iter()
            .filter(|event| event.device == BOILER.device)
        {
            let Some(anomaly) = event.anomaly else {
                continue;
            };
            let value: Value = serde_json::from_str(&event.text).expect("JSON");
            let share = |label: &str| match &value["body"][label] {
                Value::String(text) => text.parse().expect("a number"),
                number => number.as_f64().expect("a number"),
            };
            let shares: Vec<f64> = note::LABELS.iter().map(|label| share(label)).collect();
            assert!(
                (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9,
                "{}",
                event.text
            );
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            assert!((share("anomaly") - anomaly).abs() < 1e-9);
            let received = value["received"].as_f64().expect("a float");
            let delay = received - value["body"]["t"].as_f64().expect("a number");
            assert!((0.5..40.0).contains(&delay), "{}", event.text);
        }
    }

    #[test]
    fn the_score_passes_the_threshold_in_one_excursion() {
        let curve = Day::recorded(now()).curve();
        let mut firing = false;
        let mut opened = Vec::new();
        for (at, anomaly) in &curve {
            if !firing && *anomaly > 0.7 {
                firing = true;
                opened.push(*at);
            } else if firing && *anomaly < 0.5 {
                firing = false;
            }
        }
        assert!(!firing, "the day ends quietly");
        assert_eq!(opened.len(), 1);
        assert!(now() - opened[0] < TimeDelta::minutes(40));
        assert!(
            curve
                .iter()
                .any(|(_, anomaly)| (*anomaly - 0.7).abs() < 1e-9)
        );
    }

    #[test]
    fn the_day_holds_what_real_life_does_to_events() {
        let day = Day::recorded(now());
        let of = |kind: Kind| -> Vec<&Recorded> {
            day.events
                .iter()
                .filter(|event| event.kind == kind)
                .collect()
        };
        assert_eq!(of(Kind::Tutorial)[0].text, TUTORIAL_EVENT);
        assert!(of(Kind::TextNumbers)[0].text.contains(r#""anomaly":"0."#));
        assert!(!of(Kind::NoTime)[0].text.contains(r#""when":"#));
        assert_eq!(of(Kind::Session)[0].file, "_session.qo");
        assert_eq!(of(Kind::Health)[0].file, "health.qo");
        assert_eq!(of(Kind::Calm).len(), CALM);
        let pictures = 2 * (NOTES / PICTURES) + 2;
        assert_eq!(of(Kind::Picture).len(), 3 * pictures);
        assert_eq!(of(Kind::Retried).len(), 3);
        assert_eq!(of(Kind::UploadedTwice).len(), 3);
        let place = |kind: Kind| {
            let found = day.events.iter().position(|event| event.kind == kind);
            found.expect("in the day")
        };
        assert!(place(Kind::AlertFirst) < place(Kind::Fires));
        let at = |place: usize| day.events[place].at;
        assert!(at(place(Kind::Late)) < at(place(Kind::Late) - 3));
        assert!(at(place(Kind::Overtaken)) < at(place(Kind::Overtaken) - 1));
        let expected = day.expected();
        // The tutorial's event, sessions, health, alerts, and what comes again.
        let others = 1 + 2 + 2 + 2 + 6;
        assert_eq!(expected.posted, NOTES + CALM + 3 * pictures + others);
        assert_eq!(expected.duplicates, 6);
        assert_eq!(expected.forwarded, NOTES + CALM + 1);
    }
}
