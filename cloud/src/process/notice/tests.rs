//! Texts of each moment of an incident's life, word for word.

use super::*;

fn facts(kind: Kind) -> Facts<'static> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
    Facts {
        kind,
        severity: Severity::Critical,
        incident_id: 17,
        device_name: "barn-3",
        rule: "anomaly",
        value: if kind == Kind::Opened { 0.88 } else { 0.31 },
        threshold: Threshold::Above(0.7),
        peak: Some(0.93),
        opened_at: time(1_644_340_339),
        at: time(1_644_340_339 + 5400),
        place: Some("Shorewood Hills WI"),
        timezone: Some("America/Chicago"),
        hot_spot: None,
        wording: Wording::Limit,
        why: None,
    }
}

fn check(facts: &Facts, expected: &str) {
    let text = default_text(facts);
    assert_eq!(text, expected);
    assert_eq!(segments(&text), 1);
}

#[test]
fn texts_of_an_incident() {
    let opened = facts(Kind::Opened);
    let at = opened.opened_at;
    let spot = HotSpot {
        x: 12.0,
        y: 7.0,
        delta_t: 8.42,
    };
    check(
        &Facts {
            at,
            hot_spot: Some(spot),
            ..opened.clone()
        },
        "CRITICAL barn-3: anomaly 0.88 above 0.7, hot spot 12,7 +8.4C, Shorewood Hills WI, 8 Feb 11:12 CST #17",
    );
    check(
        &facts(Kind::Reminder),
        "CRITICAL reminder barn-3: anomaly 0.31, limit 0.7, peak 0.93, Shorewood Hills WI, since 8 Feb 11:12 CST #17",
    );
    check(
        &facts(Kind::Resolved),
        "RESOLVED critical barn-3: anomaly 0.31, limit 0.7, peak 0.93, Shorewood Hills WI, 8 Feb 11:12-12:42 CST #17",
    );
    check(
        &Facts {
            timezone: Some("Asia/Tokyo"),
            at: at + chrono::TimeDelta::days(1),
            place: None,
            ..facts(Kind::Resolved)
        },
        "RESOLVED critical barn-3: anomaly 0.31, limit 0.7, peak 0.93, 9 Feb 02:12 to 10 Feb 02:12 JST #17",
    );
    check(
        &Facts {
            at,
            timezone: Some("Mars/Base"),
            threshold: Threshold::Below(1e-7),
            value: -1e300,
            place: None,
            ..opened.clone()
        },
        "CRITICAL barn-3: anomaly -1.00e300 below 1.00e-7, 8 Feb 17:12 UTC #17",
    );
    check(
        &Facts {
            at,
            device_name: "Łódź\n“stodoła”",
            rule: " ",
            place: Some(""),
            ..opened
        },
        "CRITICAL Lodz \"stodola\": value 0.88 above 0.7, 8 Feb 11:12 CST #17",
    );
}

#[test]
fn a_place_that_is_none_is_not_told() {
    for (x, y, delta_t) in [
        (-1.0, -1.0, 8.4),
        (12.0, 7.0, 0.0),
        (12.0, 7.0, -0.04),
        (12.0, 1e9, 8.4),
        (f64::NAN, 7.0, 8.4),
    ] {
        let nowhere = Facts {
            hot_spot: Some(HotSpot { x, y, delta_t }),
            ..facts(Kind::Opened)
        };
        check(
            &nowhere,
            "CRITICAL barn-3: anomaly 0.88 above 0.7, Shorewood Hills WI, 8 Feb 12:42 CST #17",
        );
    }
}

#[test]
fn hours_of_one_state() {
    let dwell = |kind, value, why| Facts {
        severity: Severity::Warning,
        rule: "dwell",
        value,
        peak: Some(5.49),
        threshold: Threshold::Above(0.0),
        wording: Wording::Hours,
        why,
        ..facts(kind)
    };
    check(
        &dwell(Kind::Opened, 3.0833, Some("dwell warm")),
        "WARNING barn-3: warm for 3.1 h, Shorewood Hills WI, 8 Feb 12:42 CST #17",
    );
    check(
        &dwell(Kind::Opened, 3.0, None),
        "WARNING barn-3: dwell for 3 h, Shorewood Hills WI, 8 Feb 12:42 CST #17",
    );
    check(
        &dwell(Kind::Reminder, 4.25, Some("dwell warm")),
        "WARNING reminder barn-3: warm for 4.3 h by now, Shorewood Hills WI, since 8 Feb 11:12 CST #17",
    );
    check(
        &dwell(Kind::Resolved, 0.0, Some("dwell warm over")),
        "RESOLVED warning barn-3: warm over, 5.5 h at most, Shorewood Hills WI, 8 Feb 11:12-12:42 CST #17",
    );
}

#[test]
fn a_fault_and_its_reason() {
    let fault = |kind, why| Facts {
        severity: Severity::Warning,
        rule: "fault",
        value: f64::from(u8::from(kind != Kind::Resolved)),
        peak: Some(1.0),
        threshold: Threshold::Above(0.0),
        wording: Wording::Reason,
        why,
        place: None,
        ..facts(kind)
    };
    check(
        &fault(Kind::Opened, Some("the camera does not answer")),
        "WARNING barn-3: fault: the camera does not answer, 8 Feb 12:42 CST #17",
    );
    check(
        &fault(Kind::Reminder, Some("")),
        "WARNING reminder barn-3: fault: reported, since 8 Feb 11:12 CST #17",
    );
    check(
        &fault(Kind::Resolved, Some("daily")),
        "RESOLVED warning barn-3: fault over, 8 Feb 11:12-12:42 CST #17",
    );
    let long = "what\na station says ".repeat(100);
    let text = default_text(&fault(Kind::Opened, Some(&long)));
    assert!(
        segments(&text) == 1 && text.len() < 120 && text.ends_with("#17"),
        "{text}"
    );
}

#[test]
fn not_acknowledged() {
    check(
        &facts(Kind::Escalated),
        "CRITICAL not acknowledged, barn-3: anomaly 0.31, limit 0.7, peak 0.93, Shorewood Hills WI, since 8 Feb 11:12 CST #17",
    );
}

#[test]
fn a_station_that_is_silent() {
    let silence = |kind, hours| Facts {
        rule: "silent",
        value: hours,
        peak: Some(hours),
        threshold: Threshold::Above(0.0),
        wording: Wording::Silence,
        why: Some("last anomaly 0.12"),
        ..facts(kind)
    };
    check(
        &silence(Kind::Opened, 1.5),
        "CRITICAL barn-3: silent since 8 Feb 11:12 CST, last anomaly 0.12, Shorewood Hills WI #17",
    );
    check(
        &silence(Kind::Escalated, 1.5),
        "CRITICAL not acknowledged, barn-3: silent since 8 Feb 11:12 CST, last anomaly 0.12, Shorewood Hills WI #17",
    );
    check(
        &silence(Kind::Reminder, 1.5),
        "CRITICAL reminder barn-3: silent since 8 Feb 11:12 CST, last anomaly 0.12, Shorewood Hills WI #17",
    );
    for (hours, told) in [
        (0.75, "45 min"),
        (1.5, "1.5 h"),
        (47.9, "47.9 h"),
        (340.5, "14.2 days"),
    ] {
        check(
            &silence(Kind::Resolved, hours),
            &format!(
                "RESOLVED critical barn-3: silent for {told}, Shorewood Hills WI, 8 Feb 11:12-12:42 CST #17"
            ),
        );
    }
}

#[test]
fn what_is_shortened_first() {
    let spot = HotSpot {
        x: 12.0,
        y: 7.0,
        delta_t: 8.42,
    };
    let opened = Facts {
        hot_spot: Some(spot),
        place: Some("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"),
        ..facts(Kind::Opened)
    };
    check(
        &Facts {
            device_name: "north barn, third bay, east wall",
            ..opened.clone()
        },
        "CRITICAL north barn, third bay, east wall: anomaly 0.88 above 0.7, hot spot 12,7 +8.4C, Llanfairpwllgwyngyllgogerychwyrn..antysiliogogogoch, 8 Feb 12:42 CST #17",
    );
    check(
        &Facts {
            device_name: "north barn, third bay, east wall, seen from the upper gallery, camera 0x33",
            ..opened.clone()
        },
        "CRITICAL north barn, third bay, east wall, seen from the upper gallery, camera 0x33: anomaly 0.88 above 0.7, Llanfairpwllgwyngy..iogogogoch, 8 Feb 12:42 CST #17",
    );
    let long = "a-rule-with-a-very-long-name-that-nobody-would-choose-but-a-generator-might-1";
    check(
        &Facts {
            device_name: "north barn, third bay, east wall, seen from the upper gallery, camera 0x33",
            rule: long,
            ..opened
        },
        "CRITICAL north barn, third bay,..camera 0x33: a-rule-with-a-very-long-name-that-nobody-would-choose-but-a-generator-might-1 0.88 above 0.7, 8 Feb 12:42 CST #17",
    );
}

#[test]
fn texts_of_the_users_own() {
    let check = |message: &str, expected: &str| assert_eq!(custom_text(message, 17), expected);
    check("Too hot: 71 °C – look!", "Too hot: 71 C - look! #17");
    check("Incident #17 is open", "Incident #17 is open");
    check("Incident #170 is open", "Incident #170 is open #17");
    check("stop the dryer", "#17 stop the dryer");
    check("Stopped dryer", "Stopped dryer #17");
    check("  \n", "#17");
    let long = custom_text(&"é".repeat(5000), 17);
    assert_eq!(long.chars().count(), LONGEST);
    assert!(long.ends_with("é #17"));
}

#[test]
fn folding() {
    let check = |text: &str, expected: &str| assert_eq!(gsm7(text), expected);
    check(
        "it’s “hot” — 71 °C, 160°F, 5° more…",
        "it's \"hot\" - 71 C, 160F, 5 deg more...",
    );
    check(
        "Ünïcødé Ærø façade naïve Dvořák e\u{301}",
        "Ünicødé Ærø facade naive Dvorak e",
    );
    check("a\r\nb\tc\u{a0}d\0", "a  b c d ");
    check("🔥 火 `x` ≥ 5 µm²", "? ? 'x' >= 5 um2");
    check("[~^{}|\\]€@£", "[~^{}|\\]€@£");
}

#[test]
fn counting_segments() {
    let check = |letter: &str, count: usize, expected: usize| {
        assert_eq!(
            segments(&letter.repeat(count)),
            expected,
            "{count} x {letter}"
        );
    };
    check("a", 0, 1);
    check("a", 160, 1);
    check("a", 161, 2);
    check("a", 306, 2);
    check("a", 307, 3);
    check("€", 80, 1);
    // A letter of two septets is not split: 76 of them fill a part of 153.
    check("€", 152, 2);
    check("€", 153, 3);
    check("ç", 70, 1);
    check("ç", 71, 2);
    check("ç", 135, 3);
    check("🔥", 35, 1);
    check("🔥", 66, 2);
    check("🔥", 67, 3);
}
