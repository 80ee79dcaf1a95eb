//! Looks that show nothing. One of them is a glitch, counted and forgotten; when they go on, the sensor is broken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Action, Health, Settings};

/// Longer reasons are cut: they travel in a note.
const LONGEST_REASON: usize = 80;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Faults {
    pub rejected: u32,
    failing: Option<Failing>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Failing {
    since: Duration,
    why: String,
    told: bool,
}

impl Faults {
    pub fn told(&self) -> Option<&str> {
        let failing = self.failing.as_ref()?;
        failing.told.then_some(&failing.why)
    }

    pub fn fail(&mut self, settings: &Settings, lived: Duration, why: &str) -> Option<Action> {
        self.rejected = self.rejected.saturating_add(1);
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: lived,
            why: String::new(),
            told: false,
        });
        failing.why = why.chars().take(LONGEST_REASON).collect();
        if failing.told || lived.saturating_sub(failing.since) < settings.fault_after {
            return None;
        }
        failing.told = true;
        Some(Action::Health {
            why: Health::Fault {
                why: failing.why.clone(),
            },
        })
    }

    pub fn recover(&mut self, lived: Duration) -> Option<Action> {
        let failing = self.failing.take()?;
        failing.told.then_some(Action::Health {
            why: Health::FaultOver {
                lasted: lived.saturating_sub(failing.since),
            },
        })
    }
}
