//! States that last too long: a pump that failed looks like a boiler at rest, only for ever.
//!
//! An odd reading does not interrupt a state if the readings before it were in it for an hour; a second one does. A gap
//! in the readings interrupts what has not lasted long enough yet, because nobody knows what happened in it; a rule that
//! has fired goes on until the state is seen to be another.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Alert, Dwell};

/// So many readings in the state stand between two odd ones that are forgiven: an hour's.
const ODD_ONE_IN: u16 = 12;

/// By rule's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Dwelling(BTreeMap<String, Stay>);

/// An uninterrupted time in a rule's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stay {
    since: Duration,
    /// Readings in the state since the last one that was not.
    steady: u16,
    /// It lasts too long, and that was told.
    fired: bool,
}

impl Dwelling {
    /// A reading in this state. None is a reading that does not tell.
    pub fn step(
        &mut self,
        rules: &[Dwell],
        state: Option<&str>,
        lived: Duration,
        unbroken: bool,
    ) -> Vec<Alert> {
        self.0
            .retain(|name, _| rules.iter().any(|rule| rule.name == *name));
        let mut alerts = Vec::new();
        for rule in rules {
            if !unbroken && self.0.get(&rule.name).is_some_and(|stay| !stay.fired) {
                self.0.remove(&rule.name);
            }
            if let Some(state) = state {
                let alert = self.follow(rule, state == rule.label, lived);
                alerts.extend(alert);
            }
        }
        alerts
    }

    /// Hours of the longest stay that is too long; 0 if none is.
    pub fn hours(&self, lived: Duration) -> f64 {
        let fired = self.0.values().filter(|stay| stay.fired);
        let longest = fired.map(|stay| lived.saturating_sub(stay.since)).max();
        longest.map_or(0.0, |stay| stay.as_secs_f64() / 3600.0)
    }

    fn follow(&mut self, rule: &Dwell, is_there: bool, lived: Duration) -> Option<Alert> {
        if is_there {
            let stay = self.0.entry(rule.name.clone()).or_insert(Stay {
                since: lived,
                steady: 0,
                fired: false,
            });
            stay.steady = stay.steady.saturating_add(1);
            if !stay.fired && lived.saturating_sub(stay.since) > rule.longer_than {
                stay.fired = true;
                return Some(Alert::Dwell {
                    name: rule.name.clone(),
                });
            }
            return None;
        }
        let stay = self.0.get_mut(&rule.name)?;
        if stay.steady >= ODD_ONE_IN {
            stay.steady = 0;
            return None;
        }
        let fired = stay.fired;
        self.0.remove(&rule.name);
        fired.then(|| Alert::DwellOver {
            name: rule.name.clone(),
        })
    }
}
