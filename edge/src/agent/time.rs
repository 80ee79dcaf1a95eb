//! What time it is at the station, and who says so.
//!
//! A Raspberry Pi has no clock that runs without power: until it has found the network, its time may be hours or years
//! off. The Notecard knows the time from its first sync on. So the Notecard is believed before the machine, and the
//! machine only if its clock is synchronised; while neither is to be believed, moments are kept as uptimes, and get their
//! time when it is known.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::note::{ClockSource, Moment};

/// The time as the station knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StationTime {
    /// What the Notecard said, at which uptime.
    notecard: Option<(DateTime<Utc>, Duration)>,
    /// Whether the machine's clock is synchronised.
    system: bool,
}

impl StationTime {
    pub fn set_notecard(&mut self, time: DateTime<Utc>, uptime: Duration) {
        self.notecard = Some((time, uptime));
    }

    pub fn set_system(&mut self, synchronised: bool) {
        self.system = synchronised;
    }

    /// Who says what time it is.
    pub fn source(&self) -> ClockSource {
        match (self.notecard, self.system) {
            (Some(_), _) => ClockSource::Notecard,
            (None, true) => ClockSource::System,
            (None, false) => ClockSource::None,
        }
    }

    /// The time at this uptime, at which the machine's clock says `system`.
    pub fn at(&self, uptime: Duration, system: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.notecard {
            // The machine's oscillator is off by some parts in 100,000, and the Notecard is asked every hour.
            Some((time, then)) => Some(time + signed(uptime) - signed(then)),
            None => self.system.then_some(system),
        }
    }

    pub fn moment(&self, uptime: Duration, system: DateTime<Utc>) -> Moment {
        Moment {
            uptime,
            at: self.at(uptime, system),
        }
    }
}

fn signed(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notecard_goes_before_the_machine_and_nobody_is_believed_without_reason() {
        let wrong: DateTime<Utc> = "2019-01-01T00:00:00Z".parse().expect("a time");
        let right: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
        let seconds = Duration::from_secs;
        let mut time = StationTime::default();
        assert_eq!(time.moment(seconds(5), wrong).at, None);
        assert_eq!(time.source(), ClockSource::None);
        time.set_system(true);
        assert_eq!(time.at(seconds(5), right), Some(right));
        assert_eq!(time.source(), ClockSource::System);
        time.set_notecard(right, seconds(100));
        assert_eq!(
            time.at(seconds(160), wrong),
            Some(right + TimeDelta::seconds(60))
        );
        // A moment before the Notecard was asked has its time all the same.
        assert_eq!(
            time.at(seconds(40), wrong),
            Some(right - TimeDelta::seconds(60))
        );
        assert_eq!(time.source(), ClockSource::Notecard);
    }
}
