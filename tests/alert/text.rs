//! Properties of the texts: whatever the names and numbers, one segment that says which incident it is about.

use chrono::DateTime;
use cloud::config::{Severity, Threshold, Wording};
use cloud::process::notice::{Facts, HotSpot, Kind, custom_text, default_text, gsm7, segments};
use proptest::prelude::*;

use super::model::cases;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn default_texts_fit_one_segment(
        (kind, severity) in (0..3_usize, 0..3_usize),
        names in (names(), names(), prop::option::of(names())),
        incident_id in any::<i64>(),
        (value, limit, above) in (any::<f64>(), any::<f64>(), any::<bool>()),
        peak in prop::option::of(any::<f64>()),
        (opened_at, lasted) in (0..4_000_000_000_i64, 0..10_000_000_i64),
        timezone in prop::sample::select(vec![None, Some("America/Chicago"), Some("America/Argentina/ComodRivadavia"), Some("Pacific/Marquesas"), Some("?")]),
        (wording, why) in (0..3_usize, prop::option::of(prop_oneof![names(), names().prop_map(|name| format!("dwell {name}"))])),
        spot in prop::option::of((any::<f64>(), -999.9..999.9, -999.9..999.9)),
    ) {
        let facts = Facts {
            kind: [Kind::Opened, Kind::Reminder, Kind::Resolved][kind],
            severity: [Severity::Critical, Severity::Warning, Severity::Info][severity],
            incident_id,
            device_name: &names.0,
            rule: &names.1,
            value,
            threshold: if above { Threshold::Above(limit) } else { Threshold::Below(limit) },
            peak,
            opened_at: DateTime::from_timestamp(opened_at, 0).expect("a time"),
            at: DateTime::from_timestamp(opened_at + lasted, 0).expect("a time"),
            place: names.2.as_deref(),
            timezone,
            hot_spot: spot.map(|(x, y, delta_t)| HotSpot { x, y, delta_t }),
            wording: [Wording::Limit, Wording::Hours, Wording::Reason][wording],
            why: why.as_deref(),
        };
        let text = default_text(&facts);
        prop_assert_eq!(segments(&text), 1, "{}", &text);
        prop_assert_eq!(&gsm7(&text), &text);
        let id = format!(" #{incident_id}");
        prop_assert!(text.ends_with(&id), "{}", &text);
        let name = gsm7(&names.0).split_whitespace().collect::<Vec<_>>().join(" ");
        let head: String = name.chars().take(5).collect();
        prop_assert!(text.contains(head.trim_end()), "{} lost its device", &text);
    }

    #[test]
    fn own_texts_can_be_sent_and_acknowledged(message in "\\PC{0,2000}|(?i:stop|cancel|end|quit|yes)[ !a-z]{0,5}", incident_id in any::<i64>()) {
        let text = custom_text(&message, incident_id);
        prop_assert!(text.chars().count() <= 1600);
        prop_assert_eq!(&gsm7(&text), &text);
        let id = format!("#{incident_id}");
        prop_assert!(text.contains(&id));
        let first = text.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default().to_uppercase();
        prop_assert!(!["STOP", "CANCEL", "END", "QUIT", "YES"].contains(&first.as_str()));
    }
}

/// Anything, and often what costs double or more.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,120}",
        "[a-z {}€~]{0,120}",
        "dev:[0-9]{15}",
        "[½™…ﬁé°C]{0,90}"
    ]
}
