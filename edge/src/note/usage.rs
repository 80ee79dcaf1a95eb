//! How much a station sends in a year, before anybody pays for it.

use std::fmt;
use std::time::Duration;

use super::template::templates;
use super::{Labels, PART_BYTES, PARTS};

/// What a Notecard's data plan holds, and for how long.
const PLAN: f64 = 500e6;
const PLAN_YEARS: f64 = 10.0;
const YEAR: f64 = 365.25 * 24.0 * 3600.0;
/// Typical bytes of the texts in an alert and in a health note.
const ALERT_TEXTS: usize = 12;
const HEALTH_TEXTS: usize = 40;

/// How a station is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Between two readings, and between two syncs of the Notecard.
    pub interval: Duration,
    pub outbound: Duration,
    pub pictures_a_day: f64,
    /// A guess; each sends an alert with a picture, and an all-clear, in two syncs of their own.
    pub alerts_a_year: f64,
    pub health_a_day: f64,
    /// What a sync costs beside its notes: an assumption, because Blues publishes no figure and it depends on the network.
    /// `card.usage.get` tells what it is in the field.
    pub session_bytes: f64,
}

/// Bytes a year, before compression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub thermal: f64,
    pub alert: f64,
    pub frame: f64,
    pub health: f64,
    pub sessions: f64,
    /// What was assumed of a session.
    pub session_bytes: f64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(5),
            outbound: Duration::from_mins(30),
            pictures_a_day: 1.0,
            alerts_a_year: 50.0,
            health_a_day: 4.0,
            session_bytes: 1000.0,
        }
    }
}

impl Usage {
    pub fn estimate(&self, labels: &Labels) -> Estimate {
        let a_year = |every: Duration| YEAR / every.as_secs_f64().max(1.0);
        let days = YEAR / (24.0 * 3600.0);
        let [thermal, alert, frame, health] = templates(labels);
        let (readings, pictures) = (
            a_year(self.interval),
            self.pictures_a_day * days + self.alerts_a_year,
        );
        let bytes = |bytes: usize| bytes as f64;
        Estimate {
            thermal: readings * bytes(thermal.bytes(0, 0)),
            alert: 2.0 * self.alerts_a_year * bytes(alert.bytes(ALERT_TEXTS, 0)),
            frame: pictures * bytes(PARTS * frame.bytes(0, PART_BYTES)),
            health: self.health_a_day * days * bytes(health.bytes(HEALTH_TEXTS, 0)),
            // There is nothing to sync more often than there are readings.
            sessions: self.session_bytes
                * (a_year(self.outbound.max(self.interval)) + 2.0 * self.alerts_a_year),
            session_bytes: self.session_bytes,
        }
    }
}

impl Estimate {
    pub fn total(&self) -> f64 {
        self.thermal + self.alert + self.frame + self.health + self.sessions
    }

    /// Years until the data plan is used up.
    pub fn years(&self) -> f64 {
        PLAN / self.total().max(1.0)
    }

    /// Whether the plan's data last as long as the plan.
    pub fn fits(&self) -> bool {
        self.years() >= PLAN_YEARS
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("readings", self.thermal),
            ("alerts", self.alert),
            ("pictures", self.frame),
            ("health", self.health),
            ("sessions", self.sessions),
            ("all", self.total()),
        ];
        for (name, bytes) in rows {
            writeln!(f, "{name:<9} {:>7.2} MB a year", bytes / 1e6)?;
        }
        let enough = if self.fits() { "enough" } else { "not enough" };
        write!(
            f,
            "{:.0} MB last {:.1} years, which is {enough} for {PLAN_YEARS} (assuming {:.0} bytes for each session)",
            PLAN / 1e6,
            self.years(),
            self.session_bytes
        )
    }
}
