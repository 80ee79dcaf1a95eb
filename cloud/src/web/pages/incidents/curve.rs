//! The value around an incident as a small drawing, made here so that it is there without a script.
//!
//! `load` reads, `draw` is pure. Time runs from two hours before the opening; where the incident lasted long, neighbouring
//! values become one with the highest or lowest of them, whichever is the alarming direction.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::config::Threshold;
use crate::process::plan::Rule;
use crate::web::api::incidents::Incident;
use crate::web::pages::{lasting, number};

const BEFORE: TimeDelta = TimeDelta::hours(2);
const AFTER: TimeDelta = TimeDelta::hours(1);
/// Of an incident that lasts longer the latest part is drawn.
const LONGEST: TimeDelta = TimeDelta::days(60);
const POINTS: i32 = 180;

/// The drawing's size, and the room for what is written at its edges.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 352.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 126.0;

/// Places in the drawing, ready to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub series: String,
    pub path: String,
    /// Where the incident begins and how wide it is.
    pub open: (String, String),
    /// The height of the limit, and the limit.
    pub limit: Option<(String, String)>,
    /// Heights with what is written beside them.
    pub heights: Vec<(String, String)>,
    /// Moments with what is written below them, and how it is aligned.
    pub moments: Vec<(String, String, &'static str)>,
    /// For those who cannot see it.
    pub words: String,
}

/// None if no series holds what the rule judges, or it has no values around the incident.
pub async fn load(
    pool: &PgPool,
    incident: &Incident,
    rule: Option<&Rule>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Curve>> {
    let series = series(incident, rule);
    let fire = rule.map(|rule| rule.config.fire);
    let end = incident.resolved_at.map_or(now, |at| (at + AFTER).min(now));
    let end = end.max(incident.opened_at + TimeDelta::minutes(1));
    let begin = (incident.opened_at - BEFORE).max(end - LONGEST);
    let seconds = f64::from(POINTS) / seconds_of(end - begin);
    let below = matches!(fire, Some(Threshold::Below(_)));
    let points = sqlx::query!(
        r#"SELECT min(at) AS "at!", CASE WHEN $6 THEN min(value) ELSE max(value) END AS "value!"
             FROM measurements WHERE device = $1 AND series = $2 AND at >= $3 AND at <= $4
            GROUP BY floor(extract(epoch FROM at - $3)::float8 * $5) ORDER BY 1"#,
        incident.device,
        series,
        begin,
        end,
        seconds,
        below
    )
    .fetch_all(pool)
    .await?;
    let points: Vec<_> = points.into_iter().map(|row| (row.at, row.value)).collect();
    Ok(draw(series, &points, (begin, end), incident, fire))
}

/// A rule that judges one number of the note judges the series of that name.
fn series(incident: &Incident, rule: Option<&Rule>) -> String {
    let text = rule.map(|rule| rule.config.value.text.trim());
    let path = text.and_then(|text| text.strip_prefix("body."));
    let plain = path.filter(|path| {
        let letters = |letter: char| letter.is_alphanumeric() || ['.', '_'].contains(&letter);
        path.chars().all(letters)
    });
    plain.unwrap_or(&incident.rule).to_owned()
}

fn draw(
    series: String,
    points: &[(DateTime<Utc>, f64)],
    (begin, end): (DateTime<Utc>, DateTime<Utc>),
    incident: &Incident,
    fire: Option<Threshold>,
) -> Option<Curve> {
    if points.len() < 2 || points.iter().any(|(_, value)| !value.is_finite()) {
        return None;
    }
    let limit = fire.map(|fire| match fire {
        Threshold::Above(limit) | Threshold::Below(limit) => limit,
    });
    let values = points.iter().map(|(_, value)| *value).chain(limit);
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let (low, high) = if high - low < 1e-9 {
        (low - 0.5, high + 0.5)
    } else {
        (low, high)
    };
    let x = |at: DateTime<Utc>| {
        let share = seconds_of(at - begin) / seconds_of(end - begin);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    };
    let y = |value: f64| BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP);
    let mut path = String::new();
    for (at, value) in points {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{:.1} {:.1}", x(*at), y(*value));
    }
    let over = incident.resolved_at.unwrap_or(end);
    let opened = x(incident.opened_at);
    let place = |place: f64| format!("{place:.1}");
    // As many digits as tell the heights apart; there is no room for more.
    let digits = match high - low {
        range if range >= 20.0 => 0,
        range if range >= 2.0 => 1,
        range if range >= 0.02 => 2,
        _ => 4,
    };
    let height = |value: f64| (place(y(value)), format!("{value:.digits$}"));
    let mut heights = vec![height(low), height(high)];
    if let Some(limit) = limit
        && (y(limit) - y(low)).abs() > 14.0
        && (y(limit) - y(high)).abs() > 14.0
    {
        heights.push(height(limit));
    }
    Some(Curve {
        words: words(&series, points, limit, incident),
        open: (place(opened), place((x(over) - opened).max(1.0))),
        limit: limit.map(|limit| (place(y(limit)), number(&limit))),
        moments: moments(x, (begin, end), incident),
        path,
        heights,
        series,
    })
}

/// What is written below: relative to the opening, so that it is true in every zone.
fn moments(
    x: impl Fn(DateTime<Utc>) -> f64,
    (begin, end): (DateTime<Utc>, DateTime<Utc>),
    incident: &Incident,
) -> Vec<(String, String, &'static str)> {
    // So wide is a letter, and the least between two texts.
    const LETTER: f64 = 6.5;
    const GAP: f64 = 8.0;
    let wide =
        |text: &str| f64::from(u16::try_from(text.chars().count()).unwrap_or(u16::MAX)) * LETTER;
    let place = |place: f64| format!("{place:.1}");
    let opened = x(incident.opened_at);
    let last = last_words(end, incident);
    let mut free = (LEFT, RIGHT - wide(&last) - GAP);
    let mut moments = vec![(place(RIGHT), last, "end")];
    let half = wide("opened") / 2.0;
    let fits = opened - half >= free.0 && opened + half <= free.1;
    if fits {
        moments.push((place(opened), "opened".into(), "middle"));
        free.1 = opened - half - GAP;
    }
    let before = incident.opened_at - begin;
    let text = format!("{} before", lasting(before));
    if before > TimeDelta::zero() && LEFT + wide(&text) <= free.1 {
        moments.push((place(LEFT), text, "start"));
    }
    moments
}

fn last_words(end: DateTime<Utc>, incident: &Incident) -> String {
    match incident.resolved_at {
        None => "now".into(),
        Some(over) if end <= over => "over".into(),
        Some(over) => format!("{} after", lasting(end - over)),
    }
}

fn words(
    series: &str,
    points: &[(DateTime<Utc>, f64)],
    limit: Option<f64>,
    incident: &Incident,
) -> String {
    let first = points.first().map_or(f64::NAN, |(_, value)| *value);
    let last = points.last().map_or(f64::NAN, |(_, value)| *value);
    let limit = limit.map_or_else(String::new, |limit| {
        format!(", the limit is {}", number(&limit))
    });
    format!(
        "{series} around the incident: {} at first, {} when it opened, {} at its peak, {} at last{limit}",
        number(&first),
        number(&incident.opened_value),
        number(&incident.peak_value),
        number(&last)
    )
}

fn seconds_of(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}

impl Curve {
    pub fn size() -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }

    pub fn edges() -> (f64, f64, f64, f64) {
        (LEFT, RIGHT, TOP, BOTTOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    /// Opened after two hours, and over half an hour later.
    fn incident() -> Incident {
        Incident {
            id: 1,
            rule: "anomaly".into(),
            device: "dev:1".into(),
            name: "boiler".into(),
            severity: "critical".into(),
            event_uid: "e".into(),
            opened_at: at(120),
            resolved_at: Some(at(150)),
            resolution: Some("cleared".into()),
            acknowledged_at: None,
            acknowledged_by: None,
            opened_value: 0.8,
            peak_value: 0.9,
            value: None,
            value_at: None,
            notices: 1,
            last_notice_at: None,
            notice_due_at: None,
            escalation: 0,
            escalate_at: None,
            frame: None,
        }
    }

    fn drawn(points: &[(i64, f64)]) -> Option<Curve> {
        let points: Vec<_> = points
            .iter()
            .map(|(minutes, value)| (at(*minutes), *value))
            .collect();
        let window = (at(0), at(240));
        let fire = Some(Threshold::Above(0.5));
        draw("anomaly".into(), &points, window, &incident(), fire)
    }

    #[test]
    fn the_incident_lies_where_it_was() {
        let curve = drawn(&[(0, 0.0), (120, 1.0), (240, 0.0)]).expect("a curve");
        assert_eq!(curve.path, "M40.0 126.0L196.0 10.0L352.0 126.0");
        assert_eq!(curve.open, ("196.0".into(), "39.0".into()));
        assert_eq!(curve.limit, Some(("68.0".into(), "0.5".into())));
        let words: Vec<_> = curve.moments.iter().map(|(_, text, _)| text).collect();
        assert_eq!(words, ["1 h 30 min after", "opened", "2 h before"]);
        assert!(curve.words.contains("0.9 at its peak"), "{}", curve.words);
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let written = |end: i64| -> Vec<String> {
            let points = [(at(0), 0.0), (at(end), 1.0)];
            let curve = draw(
                "anomaly".into(),
                &points,
                (at(0), at(end)),
                &incident(),
                None,
            );
            let moments = curve.expect("a curve").moments;
            moments.into_iter().map(|(_, text, _)| text).collect()
        };
        assert_eq!(written(160), ["10 min after", "2 h before"]);
        // When the opening is near the left edge, it matters more than how long before that the curve begins.
        assert_eq!(written(1_000), ["14 h 10 min after", "opened"]);
        assert_eq!(written(400), ["4 h 10 min after", "opened", "2 h before"]);
    }

    #[test]
    fn what_cannot_be_drawn_is_not() {
        assert_eq!(drawn(&[]), None);
        assert_eq!(drawn(&[(0, 0.5)]), None);
        assert_eq!(drawn(&[(0, 0.5), (1, f64::INFINITY)]), None);
        // A value that never changes, at the limit, has a line in the middle.
        let flat = drawn(&[(0, 0.5), (240, 0.5)]).expect("a curve");
        assert_eq!(flat.path, "M40.0 68.0L352.0 68.0");
    }
}
