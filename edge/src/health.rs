//! Whether the agent gets on: what systemd is told.
//!
//! The watchdog is fed by progress and by nothing else. The two threads of the agent report each step that they finish; as
//! long as each of them has done so within its time, systemd hears of it whenever one of them does. A thread that hangs,
//! in a driver or in a lock, is silence, and systemd starts the agent anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

/// Who must get on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// Takes pictures.
    Watcher,
    /// Hands notes over.
    Courier,
}

/// Tells systemd, or somebody in its place, how the agent gets on.
#[derive(Debug, Clone)]
pub struct Supervisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: Told,
    state: Mutex<Progress>,
}

/// Who is told.
#[derive(Debug)]
pub enum Told {
    Systemd,
    Nobody,
    /// Uptimes of the watchdog's meals, for tests.
    Kept(Mutex<Vec<Duration>>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Progress {
    watcher: Step,
    courier: Step,
}

/// The last sign of life of a worker, and when the next one is due at the latest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    due: Duration,
}

impl Default for Step {
    /// Whoever has not begun is not late.
    fn default() -> Self {
        Self { due: Duration::MAX }
    }
}

impl Supervisor {
    pub fn new(told: Told) -> Self {
        Self(Arc::new(Shared {
            told,
            state: Mutex::default(),
        }))
    }

    /// A worker has done a step, and the next one will not take longer than this.
    pub fn progress(&self, worker: Worker, uptime: Duration, next_within: Duration) {
        let due = uptime.saturating_add(next_within);
        let well = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            match worker {
                Worker::Watcher => state.watcher.due = due,
                Worker::Courier => state.courier.due = due,
            }
            uptime <= state.watcher.due.min(state.courier.due)
        };
        if well {
            match &self.0.told {
                Told::Systemd => send(&[NotifyState::Watchdog]),
                Told::Nobody => {}
                Told::Kept(meals) => meals
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(uptime),
            }
        }
    }

    /// The agent is at work.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The agent finishes what it is at.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    /// When the watchdog was fed, where that is kept.
    pub fn meals(&self) -> Vec<Duration> {
        match &self.0.told {
            Told::Systemd | Told::Nobody => Vec::new(),
            Told::Kept(meals) => meals.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if matches!(self.0.told, Told::Systemd) {
            send(state);
        }
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told how the agent gets on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_starves_when_either_worker_hangs() {
        let seconds = Duration::from_secs;
        let supervisor = Supervisor::new(Told::Kept(Mutex::default()));
        supervisor.progress(Worker::Watcher, seconds(1), seconds(60));
        supervisor.progress(Worker::Courier, seconds(2), seconds(10));
        supervisor.progress(Worker::Watcher, seconds(12), seconds(60));
        assert_eq!(supervisor.meals(), [1, 2, 12].map(seconds));
        // The courier should have come back by now.
        supervisor.progress(Worker::Watcher, seconds(13), seconds(60));
        supervisor.progress(Worker::Watcher, seconds(50), seconds(60));
        assert_eq!(supervisor.meals().len(), 3);
        supervisor.progress(Worker::Courier, seconds(51), seconds(10));
        assert_eq!(
            supervisor.meals().last(),
            Some(&seconds(51)),
            "it came back"
        );
    }
}
