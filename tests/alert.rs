//! The alert machine: named cases as timelines. `alert/model.rs` has its properties, `alert/text.rs` those of the texts.

use chrono::{DateTime, TimeDelta, Utc};
use cloud::config::Threshold;
use cloud::process::alert::{
    Alert, Condition, Ignored, NoReminder, Notify, Reminder, Sample, Step, moment, opening_notice,
    reminder, step,
};

mod model;
mod text;

/// The tutorial's rule.
fn anomaly() -> Condition {
    Condition {
        fire: Threshold::Above(0.7),
        clear: 0.5,
        hold: TimeDelta::zero(),
        clear_hold: TimeDelta::zero(),
        times: 1,
        of: 1,
        max_age: TimeDelta::hours(6),
        reads: "body.anomaly".to_owned(),
    }
}

fn minute(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(27_400_000 + minute)
}

fn word(step: &Step) -> &'static str {
    match step {
        Step::Ignored(Ignored::SameMoment) => "same",
        Step::Ignored(Ignored::Late { .. }) => "late",
        Step::Ignored(Ignored::TooOld { .. }) => "old",
        Step::Ignored(Ignored::NotANumber) => "nan",
        Step::Held { state, .. } => state.as_str(),
        Step::Pending { .. } => "Pending",
        Step::Lapsed { .. } => "Lapsed",
        Step::Opened { .. } => "Opened",
        Step::Worse { .. } => "Worse",
        Step::Recovering { .. } => "Recovering",
        Step::Relapsed { .. } => "Relapsed",
        Step::Resolved { .. } => "Resolved",
    }
}

/// Plays a timeline of `minute value expected` lines, where `minute@now` says when the sample is judged if not at once.
/// Transitions are capitalised; a sample that only keeps a state says which. The alert is stored between samples.
fn check_from(alert: Alert, condition: &Condition, timeline: &str) -> Alert {
    let mut alert = alert;
    for line in timeline
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let [when, value, expected] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("`{line}` should read: minute value expected");
        };
        let (at, now) = when.split_once('@').unwrap_or((when, when));
        let sample = Sample {
            at: minute(at.parse().expect("a minute")),
            value: value.parse().expect("a number"),
        };
        let (next, step) = stored_step(
            condition,
            &alert,
            sample,
            minute(now.parse().expect("a minute")),
        );
        assert_eq!(word(&step), expected, "at `{line}`: {step}\n{next:#?}");
        alert = next;
    }
    alert
}

fn check(condition: &Condition, timeline: &str) {
    check_from(Alert::default(), condition, timeline);
}

/// A step as `process` makes it: what it returns is stored as JSON and read again.
fn stored_step(
    condition: &Condition,
    alert: &Alert,
    sample: Sample,
    now: DateTime<Utc>,
) -> (Alert, Step) {
    let (next, step) = step(condition, alert, sample, now);
    if matches!(step, Step::Ignored(_)) {
        assert_eq!(&next, alert, "an ignored sample changes nothing");
    }
    let stored = serde_json::to_string(&next).expect("an alert can be stored");
    let read: Alert = serde_json::from_str(&stored).expect("an alert can be read");
    assert_eq!(read, next);
    (read, step)
}

#[test]
fn simple_opens_and_resolves() {
    check(
        &anomaly(),
        "0  0.1   normal
         5  0.88  Opened
         10 0.8   firing
         15 0.9   Worse
         20 0.2   Resolved
         25 0.2   normal
         30 0.71  Opened",
    );
}

#[test]
fn limits_are_strict_after_rounding_to_four_places() {
    check(
        &anomaly(),
        "0 0.7         normal
         1 0.69999999  normal
         2 0.70004     normal
         3 0.7001      Opened
         4 0.7         Recovering
         5 0.5         recovering
         6 0.49999     recovering
         7 0.4999      Resolved",
    );
    let float32 = f64::from(0.7_f32);
    assert_ne!(float32.to_bits(), 0.7_f64.to_bits());
    check(&anomaly(), &format!("0 {float32} normal"));
    check(&anomaly(), &format!("0 {} Opened", f64::from(0.7001_f32)));
}

#[test]
fn below_a_limit() {
    let cold = Condition {
        fire: Threshold::Below(2.0),
        clear: 4.0,
        ..anomaly()
    };
    let alert = check_from(
        Alert::default(),
        &cold,
        "0 2    normal
         1 1.5  Opened
         2 -3   Worse
         3 1    firing
         4 3    Recovering
         5 4    recovering
         6 1.9  Relapsed
         7 3.5  Recovering",
    );
    assert_eq!(alert.peak, Some(-3.0));
    check_from(alert, &cold, "8 4.1 Resolved");
}

#[test]
fn between_the_limits_nothing_flaps() {
    check(
        &anomaly(),
        "0 0.6 normal
         1 0.8 Opened
         2 0.6 Recovering
         3 0.8 Relapsed
         4 0.6 Recovering
         5 0.9 Relapsed
         6 0.6 Recovering
         7 0.4 Resolved
         8 0.6 normal",
    );
}

#[test]
fn repeating_two_of_three() {
    let rule = Condition {
        times: 2,
        of: 3,
        ..anomaly()
    };
    check(
        &rule,
        "0 0.9 Pending
         1 0.1 pending
         2 0.1 pending
         3 0.1 Lapsed
         4 0.9 Pending
         5 0.1 pending
         6 0.9 Opened
         7 0.1 Resolved
         8 0.9 Pending
         9 0.9 Opened",
    );
    // Moments are counted, however far apart they are.
    check(&rule, "0 0.9 Pending\n 1440 0.9 Opened");
}

#[test]
fn duration_restarts_after_a_lapse() {
    let rule = Condition {
        hold: TimeDelta::minutes(10),
        ..anomaly()
    };
    check(
        &rule,
        "0  0.9 Pending
         5  0.9 pending
         9  0.6 Lapsed
         10 0.9 Pending
         19 0.9 pending
         20 0.9 Opened
         21 0.1 Resolved
         22 0.9 Pending",
    );
    let counted = Condition {
        times: 2,
        of: 3,
        ..rule
    };
    check(
        &counted,
        "0  0.9 Pending
         5  0.9 pending
         10 0.1 pending
         15 0.9 Opened",
    );
    // The count stands at the tenth minute, but a mild moment opens nothing.
    check(
        &counted,
        "0  0.9 Pending
         5  0.9 pending
         14 0.9 pending
         15 0.1 pending
         16 0.9 Opened",
    );
}

#[test]
fn clear_hold_restarts_between_the_limits() {
    let rule = Condition {
        clear_hold: TimeDelta::minutes(10),
        ..anomaly()
    };
    check(
        &rule,
        "0  0.9 Opened
         5  0.1 Recovering
         14 0.1 recovering
         15 0.6 recovering
         16 0.1 recovering
         25 0.1 recovering
         26 0.1 Resolved
         27 0.9 Opened
         28 0.1 Recovering
         37 0.9 Relapsed
         38 0.1 Recovering
         47 0.1 recovering
         48 0.1 Resolved",
    );
}

#[test]
fn rule_edited_while_pending() {
    let rule = Condition {
        hold: TimeDelta::minutes(10),
        times: 2,
        of: 2,
        ..anomaly()
    };
    let pending = check_from(Alert::default(), &rule, "0 0.9 Pending\n 1 0.9 pending");
    let edited = Condition {
        hold: TimeDelta::minutes(5),
        ..rule.clone()
    };
    check_from(
        pending.clone(),
        &edited,
        "1  0.9 same
         8  0.9 pending
         9  0.9 pending
         13 0.9 pending
         14 0.9 Opened",
    );
    let higher = Condition {
        fire: Threshold::Above(0.95),
        ..rule.clone()
    };
    check_from(pending.clone(), &higher, "8 0.9 Lapsed\n 20 0.9 normal");
    // Another expression is another rule, even with the same limits.
    let other = Condition {
        reads: "body.hot".to_owned(),
        ..rule.clone()
    };
    check_from(
        pending.clone(),
        &other,
        "11 0.9 pending\n 12 0.9 pending\n 22 0.9 Opened",
    );
    check_from(pending, &rule, "11 0.9 Opened");
}

#[test]
fn rule_edited_while_open() {
    let rule = Condition {
        clear_hold: TimeDelta::minutes(10),
        ..anomaly()
    };
    let open = check_from(Alert::default(), &rule, "0 0.9 Opened\n 5 0.4 Recovering");
    let lower = Condition {
        fire: Threshold::Above(0.3),
        clear: 0.2,
        ..rule.clone()
    };
    check_from(
        open.clone(),
        &lower,
        "10 0.4 Relapsed\n 11 0.25 Recovering\n 12 0.1 recovering\n 22 0.1 Resolved",
    );
    // The wait for clear starts anew, because clear means something else.
    let patient = Condition { clear: 0.6, ..rule };
    check_from(
        open,
        &patient,
        "16 0.4 recovering\n 25 0.4 recovering\n 26 0.4 Resolved",
    );
}

#[test]
fn duplicate_late_and_out_of_order() {
    check(
        &anomaly(),
        "10 0.9 Opened
         10 0.9 same
         5  0.1 late
         15 0.1 Resolved
         12 0.9 late
         15 0.1 same
         10 0.9 late
         20 0.1 normal",
    );
}

#[test]
fn twins_of_one_moment_are_one_sample() {
    let rule = Condition {
        times: 2,
        of: 3,
        ..anomaly()
    };
    check(
        &rule,
        "0 0.9 Pending\n 0 0.9 same\n 1 0.9 Opened\n 1 0.9 same",
    );
    // Whichever note comes first, the more alarming one counts, and what it interrupted goes on.
    check(&anomaly(), "0 0.1 normal\n 0 0.9 Opened\n 0 0.1 same");
    check(&anomaly(), "0 0.9 Opened\n 0 0.95 Worse\n 0 0.1 same");
    check(
        &anomaly(),
        "0 0.9 Opened\n 1 0.6 Recovering\n 1 0.8 Relapsed",
    );
    let held = Condition {
        hold: TimeDelta::minutes(10),
        ..anomaly()
    };
    check(
        &held,
        "0 0.9 Pending\n 9 0.1 Lapsed\n 9 0.8 Pending\n 10 0.9 Opened",
    );
    check(&held, "0 0.9 Pending\n 10 0.1 Lapsed\n 10 0.8 Opened");
    // An all-clear was sent and cannot be unsent: what contradicts it begins a new incident.
    check(
        &anomaly(),
        "0 0.9 Opened\n 1 0.1 Resolved\n 1 0.9 Opened\n 1 0.9 same",
    );
    check(
        &rule,
        "0 0.9 Pending\n 1 0.9 Opened\n 2 0.1 Resolved\n 2 0.9 Pending\n 3 0.9 Opened",
    );
}

#[test]
fn old_notes_after_silence_decide_nothing() {
    check(
        &anomaly(),
        "0       0.1 normal
         10@2000 0.9 old
         20@2000 0.9 old
         1990@2000 0.1 normal",
    );
    check(
        &anomaly(),
        "0        0.9 Opened
         10@2000  0.1 old
         1641@2001 0.9 firing
         1700@2001 0.1 Resolved",
    );
    check(&anomaly(), "0@360 0.9 Opened");
    check(&anomaly(), "0@361 0.9 old");
}

#[test]
fn clock_stepping_back() {
    check(
        &anomaly(),
        "100     0.1 normal
         105@5   0.9 Opened
         110@0   0.1 Resolved
         107@200 0.9 late",
    );
}

#[test]
fn what_is_no_number() {
    check(
        &anomaly(),
        "0 NaN nan\n 1 inf nan\n 2 -inf nan\n 2 0.9 Opened\n 3 NaN nan\n 4 1e308 Worse",
    );
}

#[test]
fn moments_are_bounded_by_arrival() {
    let stored = minute(100);
    assert_eq!(moment(minute(-9000), minute(99), stored), minute(-9000));
    // A second ahead keeps twins together; a day ahead would silence the rule for a day.
    assert_eq!(moment(minute(101), minute(99), stored), minute(101));
    assert_eq!(moment(minute(1540), minute(99), stored), minute(99));
    assert_eq!(moment(minute(1540), minute(1540), stored), stored);
}

#[test]
fn cooldown_and_reminders() {
    let wait = TimeDelta::minutes(30);
    assert_eq!(opening_notice(None, wait, minute(0)), Notify::Now);
    assert_eq!(
        opening_notice(Some(minute(0)), wait, minute(29)),
        Notify::After(minute(30))
    );
    assert_eq!(
        opening_notice(Some(minute(0)), wait, minute(30)),
        Notify::Now
    );
    assert_eq!(
        opening_notice(Some(minute(0)), TimeDelta::MAX, minute(30)),
        Notify::After(DateTime::<Utc>::MAX_UTC)
    );
    // The clock stepped back: a little is waited out, a lot is not.
    assert_eq!(
        opening_notice(Some(minute(10)), wait, minute(0)),
        Notify::After(minute(40))
    );
    assert_eq!(
        opening_notice(Some(minute(1000)), wait, minute(0)),
        Notify::Now
    );

    let no = Reminder::No;
    let hour = Some(TimeDelta::hours(1));
    assert_eq!(
        reminder(None, false, Some(minute(0)), minute(90)),
        no(NoReminder::Unwanted)
    );
    assert_eq!(
        reminder(hour, true, Some(minute(0)), minute(90)),
        no(NoReminder::Acknowledged)
    );
    assert_eq!(
        reminder(hour, false, None, minute(90)),
        no(NoReminder::NeverTold)
    );
    assert_eq!(
        reminder(hour, false, Some(minute(0)), minute(59)),
        no(NoReminder::NotBefore(minute(60)))
    );
    assert_eq!(
        reminder(hour, false, Some(minute(0)), minute(60)),
        Reminder::Due
    );
}
