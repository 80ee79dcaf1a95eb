//! Why something is decided, and what is to be told, in words.

use std::fmt;
use std::time::Duration;

/// Why a cycle goes on or ends as it does.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    Normal,
    /// More frames could confirm an anomaly.
    Suspicious {
        above: usize,
        frames: usize,
    },
    /// They did not.
    NotConfirmed {
        above: usize,
        frames: usize,
    },
    Opened {
        above: usize,
        frames: usize,
    },
    /// The episode goes on.
    Lasts {
        lasted: Duration,
    },
    /// What was told, and what it is now.
    Worse {
        delta_t: [f64; 2],
        ratio: [f64; 2],
    },
    /// More frames could confirm that the episode is over.
    PerhapsOver {
        below: usize,
        frames: usize,
    },
    Ended {
        below: usize,
        frames: usize,
        lasted: Duration,
    },
    WarmingUp {
        left: Duration,
    },
    Drifting {
        kelvin_per_minute: f64,
    },
    /// The look showed nothing.
    Failed {
        why: String,
    },
    /// A suspicious frame, and no other to confirm it.
    Interrupted {
        why: String,
    },
}

/// What is to be told beside the reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// An alert note, at once.
    Alert {
        why: Alert,
        /// With the picture of the reading's frame.
        picture: bool,
        /// The camera was moved. It is told all the same: a moved camera still sees what burns, and whoever moved it
        /// should not have to know that it watches nothing until it is trained again.
        moved: bool,
    },
    /// A health note.
    Health { why: Health },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alert {
    Anomaly,
    AnomalyWorse,
    AnomalyLasts,
    AnomalyOver,
    /// A state lasts longer than this rule allows.
    Dwell {
        name: String,
    },
    DwellOver {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    Moved { pixels: f64 },
    MovedOver,
    Fault { why: String },
    FaultOver { lasted: Duration },
}

impl Alert {
    /// The end of something needs no picture.
    pub(super) fn needs_picture(&self) -> bool {
        !matches!(self, Self::AnomalyOver | Self::DwellOver { .. })
    }
}

/// To the second.
fn time(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Suspicious { above, frames } => {
                write!(f, "suspicious: {above} of {frames} frames")
            }
            Self::NotConfirmed { above, frames } => {
                write!(f, "not confirmed: {above} of {frames} frames")
            }
            Self::Opened { above, frames } => write!(f, "anomaly: {above} of {frames} frames"),
            Self::Lasts { lasted } => write!(f, "the anomaly lasts, for {} now", time(*lasted)),
            Self::Worse { delta_t, ratio } => write!(
                f,
                "the anomaly is worse: from {:.1} to {:.1} deg C, from {:.2} to {:.2} times the limit",
                delta_t[0], delta_t[1], ratio[0], ratio[1]
            ),
            Self::PerhapsOver { below, frames } => {
                write!(f, "perhaps over: {below} of {frames} frames")
            }
            Self::Ended {
                below,
                frames,
                lasted,
            } => write!(
                f,
                "over after {}: {below} of {frames} frames",
                time(*lasted)
            ),
            Self::WarmingUp { left } => {
                write!(f, "the sensor warms up for another {}", time(*left))
            }
            Self::Drifting { kelvin_per_minute } => write!(
                f,
                "the sensor's own temperature changes by {kelvin_per_minute:.2} K a minute"
            ),
            Self::Failed { why } => write!(f, "nothing seen: {why}"),
            Self::Interrupted { why } => {
                write!(f, "suspicious, but nothing to confirm it: {why}")
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert { why, moved, .. } => {
                let suffix = if *moved { " (camera moved)" } else { "" };
                write!(f, "{why}{suffix}")
            }
            Self::Health { why } => why.fmt(f),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anomaly => f.write_str("anomaly"),
            Self::AnomalyWorse => f.write_str("anomaly worse"),
            Self::AnomalyLasts => f.write_str("anomaly lasts"),
            Self::AnomalyOver => f.write_str("anomaly over"),
            Self::Dwell { name } => write!(f, "dwell {name}"),
            Self::DwellOver { name } => write!(f, "dwell {name} over"),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { pixels } => write!(f, "camera moved by {pixels:.2} px or more"),
            Self::MovedOver => f.write_str("camera back"),
            Self::Fault { why } => write!(f, "sensor fault: {why}"),
            Self::FaultOver { lasted } => write!(f, "sensor back after {}", time(*lasted)),
        }
    }
}
