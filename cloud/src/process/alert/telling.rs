//! What an open incident calls for when its time has come: who is told, or what holds it back.
//!
//! The order of what counts: who acknowledged is left alone; a station that is silent and a silence hold everything back,
//! and it is asked again when they end; the cooldown holds back the first notice, and with it the escalation, which counts
//! from there.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::cooldown::{NoReminder, Notify, Reminder, opening_notice, reminder};

/// When a silent station comes back, an opening older than this is part of a burst of late notes; its end may follow.
const LATE: TimeDelta = TimeDelta::minutes(15);
/// How long such an opening waits for the rest of the burst.
const SETTLE: TimeDelta = TimeDelta::minutes(1);

/// An open incident, as far as it matters for telling.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub acknowledged: bool,
    /// Its station is silent, and somebody is told of that instead.
    pub station_silent: bool,
    /// The end of the longest silence in force.
    pub silenced_until: Option<DateTime<Utc>>,
    /// Somebody who ought to know by now was never told.
    pub owed: bool,
    /// The last notice of this incident, and the last of its rule at this station.
    pub told_at: Option<DateTime<Utc>>,
    pub rule_told_at: Option<DateTime<Utc>>,
    /// When the next ones are told, if there are any left.
    pub escalate_at: Option<DateTime<Utc>>,
    pub cooldown: TimeDelta,
    pub repeat: Option<TimeDelta>,
}

/// What is to be told now, each to others: an opening to those who never heard of it, a reminder to those who did, an
/// escalation to the next ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    pub opening: bool,
    pub reminder: bool,
    pub escalation: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    Tell(Round),
    /// Something is due, and this is why it is not told.
    Held(Round, Held),
    /// Nothing is due before then; or never, unless something happens.
    Nothing(Option<DateTime<Utc>>),
}

/// Why a notice is not made although its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Silenced(DateTime<Utc>),
    /// Until the station is heard again.
    StationSilent,
    Cooldown(DateTime<Utc>),
    /// The rest of a burst is waited for.
    Late(DateTime<Utc>),
}

impl Held {
    /// When to ask again, if time alone brings that about.
    pub fn until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Silenced(until) | Self::Cooldown(until) | Self::Late(until) => Some(until),
            Self::StationSilent => None,
        }
    }
}

pub fn telling(standing: &Standing, now: DateTime<Utc>) -> Telling {
    if standing.acknowledged {
        return Telling::Nothing(None);
    }
    let mut round = Round::default();
    let mut later = Vec::new();
    let mut cooldown = None;
    let Standing {
        told_at,
        escalate_at,
        ..
    } = *standing;
    if standing.owed {
        let first = told_at.is_none();
        match opening_notice(standing.rule_told_at, standing.cooldown, now) {
            Notify::After(until) if first => cooldown = Some(until),
            Notify::After(_) | Notify::Now => round.opening = true,
        }
    }
    match reminder(standing.repeat, false, told_at, now) {
        Reminder::Due => round.reminder = true,
        Reminder::No(NoReminder::NotBefore(at)) => later.push(at),
        Reminder::No(_) => {}
    }
    // Nobody can be called instead of somebody who does not know.
    if let Some(at) = escalate_at.filter(|_| told_at.is_some()) {
        if at <= now {
            round.escalation = true;
        } else {
            later.push(at);
        }
    }
    if let Some(until) = cooldown {
        let opening = Round {
            opening: true,
            ..Round::default()
        };
        return Telling::Held(opening, Held::Cooldown(until));
    }
    if round == Round::default() {
        return Telling::Nothing(later.into_iter().min());
    }
    match standing.silenced_until.filter(|until| now < *until) {
        _ if standing.station_silent => Telling::Held(round, Held::StationSilent),
        Some(until) => Telling::Held(round, Held::Silenced(until)),
        None => Telling::Tell(round),
    }
}

/// The same for an incident that opens now, because of what was captured at `at`. `settles_at` is when a station that was
/// silent is through with what it brings.
pub fn at_opening(
    standing: &Standing,
    at: DateTime<Utc>,
    settles_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Telling {
    let late = now.signed_duration_since(at) > LATE;
    match (telling(standing, now), settles_at) {
        (Telling::Tell(round), Some(until)) if late && now < until => {
            Telling::Held(round, Held::Late(until))
        }
        (other, _) => other,
    }
}

/// When a station that is heard again has told what it has to tell.
pub fn settled(now: DateTime<Utc>) -> DateTime<Utc> {
    now + SETTLE
}

impl Round {
    /// The gravest of what is due.
    pub fn word(self) -> &'static str {
        if self.opening {
            "opened"
        } else if self.escalation {
            "escalated"
        } else {
            "reminder"
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silenced(_) => f.write_str("silenced"),
            Self::StationSilent => f.write_str("the station is silent"),
            Self::Cooldown(_) => f.write_str("the cooldown after the notice before"),
            Self::Late(_) => {
                f.write_str("the station has just come back: notes that end it may follow")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).expect("a time")
    }

    /// Opened and told at minute 0, escalated and reminded.
    fn told() -> Standing {
        Standing {
            told_at: Some(minute(0)),
            rule_told_at: Some(minute(0)),
            escalate_at: Some(minute(10)),
            cooldown: TimeDelta::minutes(30),
            repeat: Some(TimeDelta::minutes(60)),
            ..Standing::default()
        }
    }

    fn untold() -> Standing {
        Standing {
            owed: true,
            told_at: None,
            rule_told_at: None,
            ..told()
        }
    }

    const OPENING: Round = Round {
        opening: true,
        reminder: false,
        escalation: false,
    };
    const REMINDER: Round = Round {
        opening: false,
        reminder: true,
        escalation: false,
    };
    const ESCALATION: Round = Round {
        opening: false,
        reminder: false,
        escalation: true,
    };

    #[test]
    fn each_in_its_time() {
        assert_eq!(telling(&untold(), minute(0)), Telling::Tell(OPENING));
        assert_eq!(
            telling(&told(), minute(9)),
            Telling::Nothing(Some(minute(10)))
        );
        assert_eq!(telling(&told(), minute(10)), Telling::Tell(ESCALATION));
        let last = Standing {
            escalate_at: None,
            ..told()
        };
        assert_eq!(
            telling(&last, minute(59)),
            Telling::Nothing(Some(minute(60)))
        );
        assert_eq!(telling(&last, minute(60)), Telling::Tell(REMINDER));
        let once = Standing {
            repeat: None,
            ..last
        };
        assert_eq!(telling(&once, minute(600)), Telling::Nothing(None));
        let both = Round {
            reminder: true,
            ..ESCALATION
        };
        assert_eq!(telling(&told(), minute(60)), Telling::Tell(both));
    }

    #[test]
    fn a_rule_that_does_not_repeat_is_told_after_its_cooldown() {
        let later = Standing {
            rule_told_at: Some(minute(-10)),
            repeat: None,
            ..untold()
        };
        let held = Telling::Held(OPENING, Held::Cooldown(minute(20)));
        assert_eq!(telling(&later, minute(0)), held);
        assert_eq!(telling(&later, minute(20)), Telling::Tell(OPENING));
    }

    #[test]
    fn nobody_is_called_in_place_of_one_who_does_not_know() {
        let overdue = Standing {
            escalate_at: Some(minute(-5)),
            ..untold()
        };
        assert_eq!(telling(&overdue, minute(0)), Telling::Tell(OPENING));
        // Told to some, and to others not yet: those need not wait.
        let some = Standing {
            owed: true,
            ..told()
        };
        assert_eq!(telling(&some, minute(5)), Telling::Tell(OPENING));
    }

    #[test]
    fn what_holds_it_back() {
        let acknowledged = |standing: Standing| Standing {
            acknowledged: true,
            ..standing
        };
        for standing in [told(), untold()] {
            assert_eq!(
                telling(&acknowledged(standing), minute(60)),
                Telling::Nothing(None)
            );
        }
        let silenced = Standing {
            silenced_until: Some(minute(90)),
            ..told()
        };
        let held = Telling::Held(ESCALATION, Held::Silenced(minute(90)));
        assert_eq!(telling(&silenced, minute(20)), held);
        assert_eq!(
            telling(&silenced, minute(5)),
            Telling::Nothing(Some(minute(10))),
            "nothing is held back before its time"
        );
        assert!(matches!(telling(&silenced, minute(90)), Telling::Tell(_)));
        let muted = Standing {
            station_silent: true,
            ..silenced
        };
        assert_eq!(
            telling(&muted, minute(20)),
            Telling::Held(ESCALATION, Held::StationSilent)
        );
        assert_eq!(Held::StationSilent.until(), None);
    }

    #[test]
    fn late_openings_of_a_station_that_came_back_wait_for_the_rest() {
        let (standing, settles) = (untold(), Some(minute(61)));
        let check = |standing: &Standing, at, settles_at, expected| {
            assert_eq!(
                at_opening(standing, minute(at), settles_at, minute(60)),
                expected
            );
        };
        let held = Telling::Held(OPENING, Held::Late(minute(61)));
        check(&standing, 44, settles, held);
        check(&standing, 45, settles, Telling::Tell(OPENING));
        check(&standing, 0, None, Telling::Tell(OPENING));
        check(&standing, 0, Some(minute(60)), Telling::Tell(OPENING));
        let silenced = Standing {
            silenced_until: Some(minute(70)),
            ..standing
        };
        let held = Telling::Held(OPENING, Held::Silenced(minute(70)));
        check(&silenced, 0, settles, held);
    }
}
