//! When a station is silent: overdue by its own rhythm (pure).
//!
//! The rule, in one place. A station's *period* is the longer of two: how often it reports by its own word (`every` of
//! `health.qo`), and the gap between arrivals that it usually keeps to. The second counts because a Notecard brings several
//! reports at once: what reports every 5 minutes and syncs every 30 is heard every 30. *Usually* is the longest of the last
//! 32 gaps, but for the longest one of at least 8, or the two longest of at least 16: an outage teaches no patience, a
//! station that is often away does. A station of which nothing is known has no period.
//!
//! It may be late by `grace`, and also by one whole period, because one sync may fail; but for that by no more than 6 hours.
//! Nobody is told before `silent_after`. So it is overdue at
//!
//! ```text
//! last arrival + max(silent_after, period + max(grace, min(period, 6 h)))
//! ```
//!
//! While no service was awake nothing could arrive. If a report was to be expected by the end of such an absence, it may
//! have been lost, and the station gets the same time once more, from that end on. One that was overdue before stays so.

use chrono::{DateTime, TimeDelta, Utc};

/// Arrivals that follow each other more closely are one: several notes of one sync.
pub const ONE_ARRIVAL: TimeDelta = TimeDelta::seconds(60);
/// How many gaps are remembered.
const REMEMBERED: usize = 32;
/// Beyond this nobody can be said to report.
const LONGEST_PERIOD: TimeDelta = TimeDelta::days(31);
/// How long the lateness of one period is suffered at most.
const LONGEST_LATENESS: TimeDelta = TimeDelta::hours(6);

/// What is known of a station's habit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// By its own word.
    pub every: Option<TimeDelta>,
    /// The last gaps between arrivals, the newest last.
    pub gaps: Vec<TimeDelta>,
}

/// How long to wait, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub silent_after: TimeDelta,
    pub grace: TimeDelta,
}

/// A time in which no service was awake to receive anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    pub began_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
}

impl Rhythm {
    /// Learns from an arrival, and says whether it was one of its own: not an old one, and not of the same sync as the last.
    pub fn hear(&mut self, last: DateTime<Utc>, at: DateTime<Utc>) -> bool {
        let gap = at.signed_duration_since(last);
        if gap < ONE_ARRIVAL {
            return false;
        }
        self.gaps.push(gap.min(LONGEST_PERIOD));
        let excess = self.gaps.len().saturating_sub(REMEMBERED);
        self.gaps.drain(..excess);
        true
    }

    /// Takes the station's own word, if it makes sense, and says whether that is news.
    pub fn told(&mut self, every: TimeDelta) -> bool {
        let sensible = every > TimeDelta::zero() && every <= LONGEST_PERIOD;
        let news = sensible && self.every != Some(every);
        if news {
            self.every = Some(every);
        }
        news
    }

    /// Zero if nothing is known.
    pub fn period(&self) -> TimeDelta {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        let outages = match gaps.len() {
            0..8 => 0,
            8..16 => 1,
            _ => 2,
        };
        let usual = gaps.iter().rev().nth(outages).copied();
        usual.max(self.every).unwrap_or_default()
    }

    /// How long nothing may arrive.
    pub fn allowed(&self, patience: Patience) -> TimeDelta {
        let period = self.period();
        let lateness = patience.grace.max(period.min(LONGEST_LATENESS));
        let overdue = period.checked_add(&lateness).unwrap_or(TimeDelta::MAX);
        patience.silent_after.max(overdue)
    }

    /// From when on the station counts as silent, if it was last heard at `heard_at`. Absences in order of time.
    pub fn overdue_at(
        &self,
        heard_at: DateTime<Utc>,
        patience: Patience,
        absences: &[Absence],
    ) -> DateTime<Utc> {
        let allowed = self.allowed(patience);
        // A report may well come a little before its time.
        let expected = self.period() / 10 * 9;
        let mut since = heard_at;
        for absence in absences {
            let concerns = absence.ended_at > since;
            let overdue_before = after(since, allowed) <= absence.began_at;
            if concerns && !overdue_before && after(since, expected) < absence.ended_at {
                since = absence.ended_at;
            }
        }
        after(since, allowed)
    }
}

fn after(at: DateTime<Utc>, time: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(time)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Patience = Patience {
        silent_after: TimeDelta::minutes(90),
        grace: TimeDelta::minutes(30),
    };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).expect("a time")
    }

    /// A station that arrives at these gaps, in minutes.
    fn heard(gaps: impl IntoIterator<Item = i64>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        let mut now = at(0);
        for gap in gaps {
            let next = now + TimeDelta::minutes(gap);
            rhythm.hear(now, next);
            now = next;
        }
        rhythm
    }

    #[track_caller]
    fn check(rhythm: &Rhythm, allowed_minutes: i64) {
        assert_eq!(rhythm.allowed(DEFAULT).num_minutes(), allowed_minutes);
    }

    #[test]
    fn by_habit() {
        check(&Rhythm::default(), 90);
        // Every five minutes, directly or six at once.
        check(&heard([5; 40]), 90);
        check(&heard([0, 0, 0, 0, 0, 30].into_iter().cycle().take(60)), 90);
        // Hourly: one report may fail. Daily: six hours late.
        check(&heard([60; 10]), 120);
        check(&heard([24 * 60; 10]), 30 * 60);
        check(&heard([24 * 60]), 30 * 60);
        check(&heard([i64::from(u16::MAX); 10]), (31 * 24 + 6) * 60);
    }

    #[test]
    fn an_outage_teaches_no_patience_and_many_do() {
        let with_outages = |outages: usize| {
            let gaps = (0..32).map(|index| if index < outages { 600 } else { 60 });
            heard(gaps)
        };
        check(&with_outages(2), 120);
        check(&with_outages(3), 10 * 60 + 6 * 60);
        // Alarms in between do not shorten it.
        check(
            &heard((0..32).map(|index| if index % 8 == 0 { 1440 } else { 2 })),
            30 * 60,
        );
    }

    #[test]
    fn by_its_own_word() {
        let mut rhythm = Rhythm::default();
        assert!(rhythm.told(TimeDelta::hours(1)) && !rhythm.told(TimeDelta::hours(1)));
        check(&rhythm, 120);
        // Its word is how often it measures; it may be heard less often.
        assert!(rhythm.told(TimeDelta::minutes(5)));
        check(&rhythm, 90);
        rhythm.gaps = vec![TimeDelta::hours(12); 3];
        check(&rhythm, 18 * 60);
        for nonsense in [
            TimeDelta::zero(),
            TimeDelta::seconds(-5),
            TimeDelta::days(400),
        ] {
            assert!(!rhythm.told(nonsense));
        }
    }

    #[test]
    fn what_teaches_nothing() {
        let mut rhythm = heard([5; 3]);
        let before = rhythm.clone();
        assert!(!rhythm.hear(at(10), at(10)), "a repeat");
        assert!(!rhythm.hear(at(10), at(3)), "an old one");
        assert!(
            !rhythm.hear(at(10), at(10) + TimeDelta::seconds(59)),
            "the same sync"
        );
        assert_eq!(rhythm, before);
    }

    #[test]
    fn absences_are_nobodys_silence() {
        let absence = |began: i64, ended: i64| Absence {
            began_at: at(began),
            ended_at: at(ended),
        };
        let overdue = |rhythm: &Rhythm, absences: &[Absence]| {
            (rhythm.overdue_at(at(0), DEFAULT, absences) - at(0)).num_minutes()
        };
        let often = heard([5; 20]);
        assert_eq!(overdue(&often, &[]), 90);
        assert_eq!(overdue(&often, &[absence(10, 600)]), 690);
        assert_eq!(overdue(&often, &[absence(-600, -10)]), 90);
        assert_eq!(
            overdue(&often, &[absence(-600, 3)]),
            90,
            "nothing was to be expected yet"
        );
        assert_eq!(
            overdue(&often, &[absence(91, 600)]),
            90,
            "it was overdue before"
        );
        assert_eq!(overdue(&often, &[absence(10, 80), absence(100, 300)]), 390);
        assert_eq!(overdue(&Rhythm::default(), &[absence(10, 11)]), 101);
        let daily = heard([1440; 20]);
        assert_eq!(
            overdue(&daily, &[absence(60, 600)]),
            1800,
            "its report was not due"
        );
        assert_eq!(
            overdue(&daily, &[absence(1400, 1500)]),
            1500 + 1800,
            "it may be lost"
        );
        let endless = Patience {
            silent_after: TimeDelta::MAX,
            grace: TimeDelta::MAX,
        };
        assert_eq!(
            daily.overdue_at(at(0), endless, &[]),
            DateTime::<Utc>::MAX_UTC
        );
    }
}
