//! When an incident is told: at once or after the cooldown, and again while nobody has acknowledged it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// Whether an incident that opens now is told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    Now,
    /// The cooldown runs until then.
    After(DateTime<Utc>),
}

/// Whether an open incident is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reminder {
    Due,
    No(NoReminder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReminder {
    /// The rule has `repeat = "none"`.
    Unwanted,
    Acknowledged,
    /// The opening itself was not told yet, there is nothing to remind of.
    NeverTold,
    NotBefore(DateTime<Utc>),
}

/// The cooldown counts from the last notice truly enqueued for this rule and device, not from one that was held back.
pub fn opening_notice(
    last_notice_at: Option<DateTime<Utc>>,
    cooldown: TimeDelta,
    now: DateTime<Utc>,
) -> Notify {
    match last_notice_at.and_then(|last| wait_until(last, cooldown, now)) {
        Some(until) => Notify::After(until),
        None => Notify::Now,
    }
}

/// `acknowledged` is false again once an acknowledgement has expired.
pub fn reminder(
    repeat: Option<TimeDelta>,
    acknowledged: bool,
    last_notice_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Reminder {
    let Some(repeat) = repeat else {
        return Reminder::No(NoReminder::Unwanted);
    };
    if acknowledged {
        return Reminder::No(NoReminder::Acknowledged);
    }
    let Some(last) = last_notice_at else {
        return Reminder::No(NoReminder::NeverTold);
    };
    match wait_until(last, repeat, now) {
        Some(until) => Reminder::No(NoReminder::NotBefore(until)),
        None => Reminder::Due,
    }
}

/// When a wait since `last` is over, or `None` if it is.
/// After the clock stepped far back, `last` lies in the future: rather one notice too many than silence until then.
fn wait_until(last: DateTime<Utc>, wait: TimeDelta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let until = last
        .checked_add_signed(wait)
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    let believable = last.signed_duration_since(now) <= wait;
    (believable && now < until).then_some(until)
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notify::Now => f.write_str("now"),
            Notify::After(until) => write!(f, "after the cooldown, at {until}"),
        }
    }
}

impl fmt::Display for Reminder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reminder::Due => f.write_str("due"),
            Reminder::No(NoReminder::Unwanted) => f.write_str("none: the rule does not repeat"),
            Reminder::No(NoReminder::Acknowledged) => f.write_str("none: acknowledged"),
            Reminder::No(NoReminder::NeverTold) => {
                f.write_str("none: the opening was not told yet")
            }
            Reminder::No(NoReminder::NotBefore(until)) => write!(f, "not before {until}"),
        }
    }
}
