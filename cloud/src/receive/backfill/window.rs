//! Which stretch of time is asked for next, and what follows from an answer (pure).
//!
//! A pass goes from where all is known to be stored up to the present in windows of whole seconds, by the time at which
//! Notehub took the events. A window is done when one answer held all of it; if it did not, or took Notehub too long, the
//! window is made smaller. So nothing depends on the order in which events are listed, nor on what is added to the list
//! while it is read. Only a window that cannot be made smaller is read page by page.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::RateLimit;

/// Events become visible at Notehub a little after the moment that they carry, and what the route delivers in this minute
/// is not missed yet.
pub const SETTLE: TimeDelta = TimeDelta::seconds(60);
/// Each pass looks once more at what was done last, in case something became visible late.
pub const OVERLAP: TimeDelta = TimeDelta::minutes(10);
/// What lies so near to the end of its keeping is not fetched any more.
const NEARLY_FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// The most events in an answer, and the fewest that are asked for when Notehub is slow.
const LARGEST_PAGE: u32 = 5_000;
const SMALLEST_PAGE: u32 = 50;
/// Seconds. Windows share their edges, whichever of them Notehub includes: below two there would be no way forward.
const NARROWEST: i64 = 2;
const FIRST_WIDTH: i64 = 24 * 3600;
const WIDEST: i64 = 30 * 24 * 3600;

/// One request for events: Unix seconds by Notehub's clock, a page from 1, and how many events a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub start: i64,
    pub end: i64,
    pub page: u32,
    pub size: u32,
}

/// What an answer showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showed {
    /// Events, whether there are more of the window, and whether this page held any that the pages before it did not.
    Events { count: u32, more: bool, fresh: bool },
    /// It took too long, or was too much.
    Slow,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The window is whole; more are to come unless `last`.
    Whole { last: bool },
    /// The same stretch again, in smaller pieces or by its next page.
    Again,
    /// It can be asked for in no smaller piece.
    Stuck,
}

/// The way of a pass through time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Unix seconds: the start of the present window, and the end of the last.
    start: i64,
    end: i64,
    width: i64,
    /// Wider ones took Notehub too long.
    ceiling: i64,
    page: u32,
    size: u32,
    /// Events of the present window so far.
    count: u32,
}

impl Windows {
    pub fn new(from: i64, end: i64) -> Self {
        Self {
            start: from.min(end - NARROWEST),
            end,
            width: FIRST_WIDTH,
            ceiling: WIDEST,
            page: 1,
            size: LARGEST_PAGE,
            count: 0,
        }
    }

    pub fn asked(&self) -> Asked {
        Asked {
            start: self.start,
            end: self.start.saturating_add(self.width).min(self.end),
            page: self.page,
            size: self.size,
        }
    }

    pub fn answered(&mut self, showed: Showed) -> Follows {
        let asked = self.asked();
        let length = asked.end - asked.start;
        match showed {
            Showed::Events { count, more, fresh } => {
                self.count = self.count.saturating_add(count);
                match (more, length > NARROWEST) {
                    (false, _) => self.advance(asked.end, length),
                    (true, true) => self.narrow(length / 4),
                    (true, false) if fresh => {
                        self.page += 1;
                        Follows::Again
                    }
                    (true, false) => Follows::Stuck,
                }
            }
            Showed::Slow if length > NARROWEST => {
                self.ceiling = (length / 2).max(NARROWEST);
                self.narrow(length / 2)
            }
            Showed::Slow if self.size > SMALLEST_PAGE => {
                // Then it was not the width that took so long.
                self.ceiling = WIDEST;
                self.size = (self.size / 2).max(SMALLEST_PAGE);
                self.narrow(length)
            }
            Showed::Slow => Follows::Stuck,
        }
    }

    fn narrow(&mut self, width: i64) -> Follows {
        self.width = width.max(NARROWEST);
        self.page = 1;
        self.count = 0;
        Follows::Again
    }

    fn advance(&mut self, done_until: i64, length: i64) -> Follows {
        // The next answer shall be a little more than half full, as dense as this one was.
        let wanted = i64::from(self.size) * 6 / 10;
        let width = length.saturating_mul(wanted) / i64::from(self.count.max(1));
        self.width = width
            .clamp(length / 4, length.saturating_mul(4))
            .min(self.ceiling)
            .clamp(NARROWEST, WIDEST);
        self.start = done_until - 1;
        self.page = 1;
        self.count = 0;
        Follows::Whole {
            last: done_until >= self.end,
        }
    }
}

/// From where to where a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Unix seconds.
    pub from: i64,
    pub end: i64,
    /// The position is of no use, and counts from `from` on: it lies in the future, or before all that is kept.
    pub reset: bool,
}

/// `position` is until when all is stored, `wish` a moment that somebody wants to go back to, `present` Notehub's time.
pub fn stretch(
    position: DateTime<Utc>,
    wish: Option<DateTime<Utc>>,
    present: DateTime<Utc>,
    first: Duration,
    kept: Duration,
) -> Stretch {
    let back = |time: Duration| {
        let time = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        present
            .checked_sub_signed(time)
            .unwrap_or(DateTime::UNIX_EPOCH)
    };
    let oldest = back(kept) + NEARLY_FORGOTTEN;
    let ahead = position > present + OVERLAP;
    let usual = if ahead {
        back(first)
    } else {
        position - OVERLAP
    };
    let from = wish.unwrap_or(usual).max(oldest);
    Stretch {
        from: from.timestamp(),
        end: (present - SETTLE).timestamp(),
        reset: wish.is_none() && (ahead || from > position),
    }
}

/// How far apart requests are, so that no more than the limit fall into any of its periods. A little more than the even
/// share, for they may reach Notehub closer together than they were sent.
pub fn spacing(limit: Option<RateLimit>) -> TimeDelta {
    let even = limit.map_or(Duration::ZERO, |limit| limit.per / limit.count.get());
    TimeDelta::from_std(even.mul_f64(1.05)).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn events(count: u32, more: bool) -> Showed {
        Showed::Events {
            count,
            more,
            fresh: true,
        }
    }

    /// Reads a list of events (seconds) through windows, and says which were seen and how often it was asked.
    fn read(
        mut windows: Windows,
        times: &[i64],
        slow: impl Fn(Asked, usize) -> bool,
    ) -> (Vec<i64>, usize) {
        let (mut seen, mut requests) = (std::collections::BTreeSet::new(), 0);
        loop {
            requests += 1;
            assert!(requests < 2_000, "it comes to no end: {windows:?}");
            let asked = windows.asked();
            assert!(asked.start < asked.end, "{asked:?}");
            // The edges as unkindly as they may be: neither belongs to the window.
            let inside = |time: &&i64| asked.start < **time && **time < asked.end;
            let all: Vec<_> = times
                .iter()
                .enumerate()
                .filter(|(_, time)| inside(time))
                .collect();
            let from = (asked.page as usize - 1) * asked.size as usize;
            let page: Vec<_> = all.iter().skip(from).take(asked.size as usize).collect();
            let more = all.len() > from + page.len();
            let showed = if slow(asked, page.len()) {
                Showed::Slow
            } else {
                seen.extend(page.iter().map(|(index, _)| *index));
                events(u32::try_from(page.len()).expect("a page"), more)
            };
            match windows.answered(showed) {
                Follows::Whole { last: true } => break,
                Follows::Whole { last: false } | Follows::Again => {}
                Follows::Stuck => panic!("stuck at {asked:?}"),
            }
        }
        (
            seen.into_iter().map(|index| times[index]).collect(),
            requests,
        )
    }

    #[test]
    fn everything_is_seen_whatever_its_density() {
        let never = |_, _| false;
        assert_eq!(read(Windows::new(0, 600), &[], never).1, 1);
        // A day of a thousand stations.
        let dense: Vec<i64> = (1..288_000).map(|n| n * 3 / 10).collect();
        let (seen, requests) = read(Windows::new(0, DAY), &dense, never);
        assert_eq!(seen.len(), dense.iter().filter(|time| **time > 0).count());
        assert!(requests < 150, "{requests}");
        // Quiet for weeks, then a second in which a whole fleet reports.
        let mut burst: Vec<i64> = (1..20).map(|n| n * DAY).collect();
        burst.extend(std::iter::repeat_n(20 * DAY + 7, 12_345));
        let (seen, requests) = read(Windows::new(0, 21 * DAY), &burst, never);
        assert_eq!(seen.len(), burst.len());
        assert!(requests < 100, "{requests}");
    }

    #[test]
    fn what_takes_too_long_is_asked_for_in_smaller_pieces() {
        let times: Vec<i64> = (1..40_000).collect();
        let wide = |asked: Asked, _| asked.end - asked.start > 700;
        let (seen, requests) = read(Windows::new(0, 40_000), &times, wide);
        assert_eq!(seen.len(), times.len());
        assert!(
            requests < 100,
            "{requests}: it does not try the same again and again"
        );
        // Even the narrowest is too much at once, but for small pages.
        let burst = vec![100; 3_000];
        let full = |_, count| count > 400;
        assert_eq!(read(Windows::new(0, 200), &burst, full).0.len(), 3_000);
        let mut windows = Windows::new(0, 200);
        let stuck = (0..40).find(|_| windows.answered(Showed::Slow) == Follows::Stuck);
        assert!(stuck.is_some_and(|tries| tries < 20), "{stuck:?}");
    }

    #[test]
    fn pages_that_repeat_themselves_are_no_way_forward() {
        let mut windows = Windows::new(0, 2);
        assert_eq!(windows.answered(events(5_000, true)), Follows::Again);
        assert_eq!(windows.asked().page, 2);
        let repeated = Showed::Events {
            count: 5_000,
            more: true,
            fresh: false,
        };
        assert_eq!(windows.answered(repeated), Follows::Stuck);
    }

    #[test]
    fn where_a_pass_begins() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let present = at("2026-03-01T12:00:00Z");
        let (week, kept) = (Duration::from_hours(168), Duration::from_hours(400 * 24));
        let check = |position: &str, wish: Option<&str>, kept, from: &str, reset| {
            let stretch = stretch(at(position), wish.map(at), present, week, kept);
            let expected = Stretch {
                from: at(from).timestamp(),
                end: at("2026-03-01T11:59:00Z").timestamp(),
                reset,
            };
            assert_eq!(stretch, expected, "{position} {wish:?}");
        };
        check(
            "2026-03-01T11:00:00Z",
            None,
            kept,
            "2026-03-01T10:50:00Z",
            false,
        );
        // A clock was wrong once: as at the first time.
        check(
            "2031-01-01T00:00:00Z",
            None,
            kept,
            "2026-02-22T12:00:00Z",
            true,
        );
        // Somebody goes back, and no further than what is kept; the position stays what it is.
        let wish = Some("2026-02-01T00:00:00Z");
        check(
            "2026-03-01T11:00:00Z",
            wish,
            kept,
            "2026-02-01T00:00:00Z",
            false,
        );
        let month = Duration::from_hours(14 * 24);
        check(
            "2026-03-01T11:00:00Z",
            wish,
            month,
            "2026-02-15T13:00:00Z",
            false,
        );
        // Switched off for longer than anything is kept.
        check(
            "2020-01-01T00:00:00Z",
            None,
            month,
            "2026-02-15T13:00:00Z",
            true,
        );
    }

    #[test]
    fn seven_a_minute_stay_seven_in_any_minute() {
        let limit = |count, per| {
            let count = std::num::NonZeroU32::new(count).expect("not zero");
            let per = Duration::from_secs(per);
            spacing(Some(RateLimit { count, per })).num_milliseconds()
        };
        assert_eq!(limit(7, 60), 9_000);
        assert_eq!(limit(1, 3600), 3_780_000);
        assert_eq!(spacing(None), TimeDelta::zero());
    }
}
