//! Words that text and page share: times, spans, thresholds, and what the model cannot see.

use chrono::{DateTime, Utc};

use super::{HeldOutSummary, Report};
use crate::model::{Named, Threshold};

/// What no training can change; from what was measured on simulated scenes.
pub(super) const BLIND_SPOTS: [(&str, &str); 6] = [
    (
        "A pump that failed, or a part that is too hot within the range it has learned.",
        "A single frame of that looks like a state the scene is allowed to be in. Watch how long a state lasts instead.",
    ),
    (
        "A scene that is too hot everywhere alike.",
        "A rise of the whole picture is allowed, because the camera and the weather make such. Set limits to the highest temperature elsewhere.",
    ),
    (
        "A spot smaller than a pixel, or less than about 3 °C hotter than it should be.",
        "It drowns in the noise; a spot smaller than a pixel also reads colder than it is.",
    ),
    (
        "Anything behind a person or an object.",
        "The camera sees surfaces. Blank metal reads colder than it is.",
    ),
    (
        "A fault that was there during the training.",
        "It was learned as normal. Look at the mean and the hottest frame.",
    ),
    (
        "A normal state that the recording did not hold, such as another season or load.",
        "It is reported as an anomaly until somebody adopts it.",
    ),
];

pub(super) const NOT_A_SAFETY_DEVICE: &str =
    "This is not a safety device: keep the relief valve and the thermal fuse.";

/// What became of a calculated threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clamp {
    AsCalculated,
    /// Raised: the frames alone would have allowed less than is physically sensible.
    Floor,
    /// Cut: the frames alone would have asked for more.
    Cap,
}

pub(super) fn clamp(threshold: &Threshold) -> Clamp {
    if threshold.raw < threshold.clamped - 1e-9 {
        Clamp::Floor
    } else if threshold.raw > threshold.clamped + 1e-9 {
        Clamp::Cap
    } else {
        Clamp::AsCalculated
    }
}

/// What acted on a threshold and what that means, as a clause.
pub(super) fn clamp_words(threshold: &Threshold) -> String {
    let (raw, used) = (threshold.raw, threshold.clamped);
    match clamp(threshold) {
        Clamp::AsCalculated => "as the held-out frames gave it".to_owned(),
        Clamp::Floor => format!(
            "the held-out frames gave {raw:.2}; raised to the floor of {used:.0}, below which noise could alarm"
        ),
        Clamp::Cap => format!(
            "the held-out frames gave {raw:.2}; cut to the cap of {used:.0}: the training frames are dirty or too \
             varied, expect false alarms"
        ),
    }
}

/// A sentence; the condition in it is part of the figure.
pub(super) fn expected_words(held_out: &HeldOutSummary) -> String {
    let expected = held_out.expected_per_30_days;
    if !expected.is_finite() {
        return "not known: there are too few frames to say".to_owned();
    }
    let figure = if expected < 0.05 {
        "fewer than 0.1".to_owned()
    } else {
        format!("about {expected:.1}")
    };
    format!(
        "{figure} per 30 days at one frame every 5 minutes, if the coming weeks look like these"
    )
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// From when to when the frames are, and how long that is.
pub(super) fn span(report: &Report) -> String {
    match (report.first_frame, report.last_frame) {
        (Some(first), Some(last)) => {
            let hours = report
                .span_hours
                .map(|hours| format!(" ({})", hours_words(hours)));
            let last = time(last);
            format!(
                "{} to {last}{}",
                first.format("%Y-%m-%d %H:%M"),
                hours.unwrap_or_default()
            )
        }
        _ => "capture times are not known".to_owned(),
    }
}

fn hours_words(hours: f64) -> String {
    if hours < 48.0 {
        format!("{hours:.0} h")
    } else {
        format!("{:.1} days", hours / 24.0)
    }
}

/// When a frame was captured, if that is known, and the name of its file.
pub(super) fn named(frame: &Named) -> String {
    match frame.captured_at {
        Some(at) => format!("{}  {}", time(at), harmless(&frame.file)),
        None => harmless(&frame.file),
    }
}

/// File names and labels come from outside: nothing in them may steer a terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Whole sentences about what the recording held that no frame should.
pub(super) fn bad_pixels(report: &Report) -> String {
    let bad = &report.bad_pixels;
    let mended = if bad.frames == 0 {
        "none".to_owned()
    } else {
        format!("{} mended in {}", bad.pixels, counted(bad.frames, "frame"))
    };
    match bad.sensor_faults {
        0 => mended,
        faults => format!(
            "{mended}; {} with too many left out",
            counted(faults, "frame")
        ),
    }
}

pub(super) fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// deg C with one decimal; a spot that no difference makes visible has none.
pub(super) fn degrees(celsius: f32) -> String {
    if celsius.is_finite() {
        format!("{celsius:.1} °C")
    } else {
        "never".to_owned()
    }
}

pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 1.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clamp_is_named() {
        let check = |raw, clamped, expected, says: &str| {
            let threshold = Threshold { raw, clamped };
            assert_eq!(clamp(&threshold), expected);
            assert!(clamp_words(&threshold).contains(says));
        };
        check(
            5.313,
            7.0,
            Clamp::Floor,
            "gave 5.31; raised to the floor of 7",
        );
        check(8.2, 8.2, Clamp::AsCalculated, "as the held-out");
        check(23.4, 15.0, Clamp::Cap, "cap of 15");
    }

    #[test]
    fn control_characters_are_taken_away() {
        assert_eq!(harmless("a\x1b[2Jb\n°"), "a\u{fffd}[2Jb\u{fffd}°");
    }
}
