//! What is said of a frame.

use super::*;
use edge::frame::{PIXELS, Pixels};
use edge::note::{
    Class, ClockSource, Encoded, Health as Station, Labels, Note, Origin, Template, Usage,
    templates,
};
use serde_json::{Value, json};

const AT: i64 = 1_767_225_600;

fn labels() -> Labels {
    Labels::new(&["anomaly", "cold", "warm", "hot"].map(String::from)).expect("they are fine")
}

fn origin(at: Option<i64>) -> Origin {
    Origin {
        boot: 7,
        seq: 41_207,
        moment: moment(1000, at),
    }
}

fn moment(uptime: u64, at: Option<i64>) -> Moment {
    Moment {
        uptime: Duration::from_secs(uptime),
        at: at.and_then(|at| DateTime::from_timestamp(at, 0)),
    }
}

fn a_reading(sight: Sight) -> Reading {
    Reading {
        anomaly: sight.score("anomaly"),
        sight,
        frame: 0,
        frames: 1,
        in_episode: false,
        dwell: 0.0,
        moved: None,
        drifting: false,
    }
}

fn body(note: &Note) -> Value {
    Value::Object(note.body_at(note.boot, moment(2000, None)))
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

#[test]
fn the_bodies_are_exactly_these() {
    let mut found = a_reading(Sight {
        scores: [
            ("anomaly", 0.784_46),
            ("cold", 0.1),
            ("warm", 0.0),
            ("hot", 0.115_54),
        ]
        .map(|(name, score)| (name.to_owned(), score))
        .to_vec(),
        ..sight(0.8, "hot")
    });
    let thermal = Note::thermal(&labels(), &found, origin(Some(AT)));
    assert_eq!((thermal.class, thermal.urgent), (Class::Reading, false));
    // As text, so that the order counts too.
    let expected = r#"{"anomaly":0.7845,"cold":0.1,"warm":0.0,"hot":0.1155,"v":1,"t":1767225600,"seq":41207,"boot":7,"max":61.5,"mean":24.25,"x":21,"y":9,"dt":10.0,"dwell":0.0}"#;
    assert_eq!(body(&thermal).to_string(), expected);

    found.dwell = 3.256;
    found.sight.place = None;
    found.sight.delta_t = None;
    let alert = Note::alert(&labels(), &found, "dwell warm", origin(None));
    assert_eq!((alert.class, alert.urgent), (Class::Alarm, true));
    let expected = r#"{"anomaly":0.7845,"cold":0.1,"warm":0.0,"hot":0.1155,"v":1,"t":0,"seq":41207,"boot":7,"max":61.5,"mean":24.25,"x":-1,"y":-1,"dt":0.0,"dwell":3.26,"why":"dwell warm"}"#;
    assert_eq!(body(&alert).to_string(), expected);

    let health = Note::health(
        &Station {
            uptime: Duration::from_secs(612_345),
            spool: 3,
            dropped: 1,
            rejected: 2,
            sensor_voltage: Some(3.291),
            sensor_temperature: Some(38.44),
            card_voltage: Some(5.05),
            card_temperature: None,
            model: "0a1b2c3d".to_owned(),
            moved: Some(0.0812),
            fault: true,
            why: "sensor fault:\n9 bad pixels".to_owned(),
            clock: ClockSource::Notecard,
            interval: 5 * MINUTE,
            threshold: 0.7,
            frames: "alerts, daily".to_owned(),
        },
        origin(Some(AT)),
    );
    assert_eq!((health.class, health.urgent), (Class::Health, false));
    let expected = r#"{"v":1,"t":1767225600,"seq":41207,"boot":7,"up":612345,"spool":3,"dropped":1,"rejected":2,"vdd":3.29,"ta":38.44,"volt":5.05,"temp":0.0,"model":"0a1b2c3d","moved":0.08,"fault":1,"why":"sensor fault: 9 bad pixels","clk":"notecard","every":300,"threshold":0.7,"frames":"alerts, daily"}"#;
    assert_eq!(body(&health).to_string(), expected);
}

#[test]
fn the_time_is_settled_when_a_note_is_handed_over() {
    let t = |note: &Note, boot: u32, now: Moment| note.body_at(boot, now)["t"].clone();
    let reading = a_reading(sight(0.1, "cold"));
    let known = Note::thermal(&labels(), &reading, origin(Some(AT)));
    assert_eq!(t(&known, 9, moment(0, None)), AT);
    let unknown = Note::thermal(&labels(), &reading, origin(None));
    assert_eq!(t(&unknown, 7, moment(4600, Some(AT))), AT - 3600);
    // In another start nobody knows how long ago it was, and before it was made it cannot be handed over.
    assert_eq!(t(&unknown, 8, moment(4600, Some(AT))), 0);
    assert_eq!(t(&unknown, 7, moment(4600, None)), 0);
    assert_eq!(t(&unknown, 7, moment(999, Some(AT))), 0);
    // A clock that is nonsense is no number of ours.
    assert_eq!(t(&unknown, 7, moment(4600, Some(100))), 0);
    assert_eq!(t(&unknown, 7, moment(4600, Some(5_000_000_000))), 0);
    let again: Note = serde_json::from_value(json!(unknown)).expect("a note is read as written");
    assert_eq!(again, unknown);
}

#[test]
fn a_picture_is_three_notes() {
    let pixels: Pixels =
        std::array::from_fn(|at| 20.0 + f32::from(u16::try_from(at).expect("few")) / 25.5);
    let encoded = Encoded::of(&pixels);
    let notes = Note::picture(&encoded, true, origin(Some(AT)));
    let mut bytes = Vec::new();
    for (note, part) in notes.iter().zip(1..) {
        assert_eq!(
            (note.class, note.urgent, note.seq),
            (Class::Picture, true, 41_207)
        );
        let expected = json!({
            "v": 1, "t": AT, "seq": 41_207, "boot": 7, "part": part, "of": 3, "min": 20.0, "max": pixels[PIXELS - 1],
        });
        assert_eq!(body(note), expected);
        let payload = note.payload.as_ref().expect("it carries a part");
        assert_eq!(payload.len(), 256);
        bytes.extend(payload);
    }
    assert_eq!(bytes, *encoded.bytes);
    assert_eq!((bytes[0], bytes[PIXELS - 1]), (0, 255));
    let same = Encoded::of(&[23.5; PIXELS]);
    assert_eq!(*same.bytes, [0; PIXELS]);
    assert!(
        same.pixels()
            .iter()
            .all(|pixel| (pixel - 23.5).abs() < 1e-6)
    );
}

#[test]
fn names_of_scores_do_not_collide() {
    let keys_of = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Labels::new(&names).map(|labels| labels.keys().map(String::from).collect::<Vec<_>>())
    };
    let found = keys_of(&[
        "max",
        "T",
        "hot water",
        "hot_water",
        "Hot-Water",
        "_time",
        "3d",
        "",
        "\u{df}",
    ]);
    let expected = [
        "max_2",
        "T_2",
        "hot_water",
        "hot_water_2",
        "Hot_Water_3",
        "time",
        "label_3d",
        "label",
        "label_2",
    ];
    assert_eq!(found.expect("they are sent"), expected);
    assert!(keys_of(&["a", "a"]).is_err() && keys_of(&[]).is_err());
    let many: Vec<String> = (0..33).map(|at| format!("class{at}")).collect();
    let told = Labels::new(&many).expect_err("too many").to_string();
    assert!(told.contains("room for 32"), "{told}");
    assert!(Labels::new(&many[..32]).is_ok());
}

#[test]
fn templates_have_the_keys_of_the_bodies() {
    let [thermal, alert, frame, health] = templates(&labels());
    let reading = a_reading(sight(0.1, "cold"));
    let pairs = [
        (&thermal, Note::thermal(&labels(), &reading, origin(None))),
        (
            &alert,
            Note::alert(&labels(), &reading, "anomaly", origin(None)),
        ),
        (
            &frame,
            Note::picture(&Encoded::of(&[1.0; PIXELS]), false, origin(None))[0].clone(),
        ),
        (&health, Note::health(&Station::default(), origin(None))),
    ];
    for (template, note) in pairs {
        assert_eq!(template.file, note.file);
        assert_eq!(keys(&template.body), keys(&body(&note)));
        fits(template, &body(&note)).expect("it fits");
    }
    let expected = r#"{"anomaly":14.1,"cold":14.1,"warm":14.1,"hot":14.1,"v":21,"t":24,"seq":24,"boot":24,"max":12.1,"mean":12.1,"x":11,"y":11,"dt":12.1,"dwell":12.1}"#;
    assert_eq!(thermal.body.to_string(), expected);
    assert_eq!((thermal.length, frame.length), (None, Some(256)));
    // 19 of every record; 16 of scores, 13 of who and when, 10 of the picture; of an alert its text too.
    assert_eq!(thermal.bytes(0, 0), 19 + 16 + 13 + 10);
    assert_eq!(alert.bytes("anomaly".len(), 0), 58 + 2 + 7);
    assert_eq!(frame.bytes(0, 256), 19 + 13 + 10 + 256);
    assert_eq!(health.bytes(0, 0), 19 + 13 + 5 * 4 + 5 * 2 + 1 + 4 + 4 * 2);
    // What Blues' own encoder makes of two scores.
    let two = Template {
        file: "x.qo",
        body: json!({"a": 14.1, "b": 14.1}),
        length: None,
    };
    assert_eq!(two.bytes(0, 0), 27);
    let mixed = json!({"a": true, "b": false, "c": 1, "d": 1.1, "e": 23, "f": "20", "g": 18});
    assert_eq!(
        Template { body: mixed, ..two }.bytes(5, 0),
        19 + 1 + 4 + 8 + 3 + 2 + 5 + 8
    );
}

#[test]
fn a_year_of_the_usual_fits_the_data_plan() {
    let usual = Usage::default();
    let found = usual.estimate(&labels());
    let told = found.to_string();
    // 105,192 readings of 58 bytes; 17,532 scheduled syncs and 100 for alerts.
    assert!((found.thermal - 105_192.0 * 58.0).abs() < 1.0, "{told}");
    assert!((found.sessions - 17_632_000.0).abs() < 1.0, "{told}");
    assert!((found.frame - 415.25 * 3.0 * 298.0).abs() < 1.0, "{told}");
    assert!(found.fits() && found.years() > 15.0, "{told}");
    assert!(
        told.contains("assuming 1000 bytes for each session"),
        "{told}"
    );
    let eager = Usage {
        interval: MINUTE,
        outbound: MINUTE,
        ..usual
    };
    assert!(!eager.estimate(&labels()).fits());
    // Nothing to send, nothing to sync.
    let rare = Usage {
        interval: HOUR,
        ..usual
    };
    assert!(rare.estimate(&labels()).sessions < found.sessions / 1.9);
}

/// Whether the Notecard can store it: integers in their range, floats finite after rounding.
fn fits(template: &Template, body: &Value) -> Result<(), String> {
    for (key, kind) in template.body.as_object().expect("an object") {
        let value = &body[key];
        let whole = |low: i64, high: i64| value.as_i64().is_some_and(|v| (low..=high).contains(&v));
        let sound = match kind.to_string().as_str() {
            "11" => whole(-128, 127),
            "21" => whole(0, 255),
            "24" => whole(0, i64::from(u32::MAX)),
            "12.1" => value.as_f64().is_some_and(|v| half(v).is_finite()),
            "14.1" => value.as_f64().is_some_and(|v| narrow(v).is_finite()),
            _ => kind.is_string() && value.as_str().is_some_and(|text| text.len() <= 80),
        };
        if !sound {
            return Err(format!("{key}: {value} is no {kind}"));
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Through a float of 16 bits: 11 bits of precision, 2^-24 the smallest step, infinity from 65520 on.
fn half(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let step = 2_f64.powf((value.abs().log2().floor() - 10.0).max(-24.0));
    let rounded = (value / step).round_ties_even() * step;
    if rounded.abs() > 65504.0 {
        return f64::INFINITY.copysign(value);
    }
    rounded
}

/// As `cloud` decides: to four places again.
#[test]
fn no_score_crosses_a_threshold_on_its_way() {
    for ten_thousandths in 0..=10_000_u16 {
        let score = f32::from(ten_thousandths) / 1e4;
        let sent = edge::decide::rounded(score);
        let received = (f64::from(narrow(sent)) * 1e4).round() / 1e4;
        assert!((sent - f64::from(ten_thousandths) / 1e4).abs() < 1e-12);
        for threshold in [0.7, 0.5] {
            assert_eq!(sent > threshold, received > threshold, "{score}");
            assert_eq!(sent < threshold, received < threshold, "{score}");
        }
    }
    assert!(edge::decide::rounded(0.700_04) <= 0.7 && edge::decide::rounded(0.700_06) > 0.7);
    assert!((half(0.7) - 0.7002).abs() < 1e-4, "{}", half(0.7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_body_fits_its_template(
        names in prop::collection::hash_set(".{0,30}", 1..12),
        score in prop::num::f32::ANY, max in prop::num::f32::ANY, dwell in prop::num::f64::ANY,
        (seq, boot, at) in (any::<u32>(), any::<u32>(), any::<i64>()),
        (why, place) in (".{0,200}", 0..PIXELS),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let labels = Labels::new(&names).expect("they are few");
        let sound = if score.is_finite() { score.fract() } else { 0.5 };
        let mut reading = a_reading(Sight {
            scores: names.iter().map(|name| (name.clone(), sound)).collect(),
            place: Some(Place::of(place)),
            delta_t: Some(score),
            max, mean: max,
            ..sight(0.0, "cold")
        });
        reading.dwell = dwell;
        let origin = Origin { boot, seq, moment: moment(5, Some(at)) };
        let [thermal, alert, _, health] = templates(&labels);
        let note = Note::alert(&labels, &reading, &why, origin);
        let sent = body(&note);
        prop_assert_eq!(fits(&alert, &sent), Ok(()));
        prop_assert_eq!(keys(&alert.body), keys(&sent));
        let note = Note::thermal(&labels, &reading, origin);
        prop_assert_eq!(fits(&thermal, &body(&note)), Ok(()));
        prop_assert_eq!(thermal.body.as_object().map(serde_json::Map::len), Some(names.len() + 10));
        let station = Station {
            uptime: Duration::from_secs(at.unsigned_abs()), card_voltage: Some(max), moved: Some(dwell),
            why: why.clone(), model: why.clone(), frames: why, rejected: seq, ..Station::default()
        };
        prop_assert_eq!(fits(&health, &body(&Note::health(&station, origin))), Ok(()));
        for key in labels.keys() {
            prop_assert!(key.starts_with(|c: char| c.is_ascii_alphabetic()));
            prop_assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", key);
        }
    }

    #[test]
    fn a_picture_is_as_exact_as_it_says(
        (low, range) in (-40.0_f32..300.0, prop::sample::select(vec![0.0_f32, 1e-5, 0.3, 20.0, 340.0])),
        shares in prop::collection::vec(0.0_f32..=1.0, PIXELS),
    ) {
        let pixels: Pixels = std::array::from_fn(|at| low + shares[at] * range);
        let encoded = Encoded::of(&pixels);
        let bound = (encoded.max - encoded.min) / 510.0 + 4e-5;
        for (sent, seen) in encoded.pixels().iter().zip(&pixels) {
            prop_assert!((sent - seen).abs() <= bound, "{} for {}", sent, seen);
        }
    }
}
