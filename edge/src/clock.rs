//! The one place that reads the time; everything else is handed `now`, or a `Clock` to ask.
//!
//! A clock is the machine's, or that of a simulated world (`emulate::time`), in which an hour lasts as long as there is
//! work in it. Whoever waits, waits through the clock, and whoever starts a thread, starts it through the clock: that is
//! how a simulated world knows that everybody waits, and that time may go on. Two rules follow for all code that is handed
//! a clock: it never holds a lock while it sleeps, and it never waits for another thread by any other means.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

use crate::emulate::time;

/// The system's time, to the second: finer is never shown and never needed here.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else is told to ask"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}

/// A wall clock that may be wrong, an uptime that never is, and a way to wait.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System { started: Instant },
    Simulated(time::Local),
}

/// Wakes one waiting thread; a wake-up that finds nobody waiting is kept for the next wait.
#[derive(Debug, Clone)]
pub struct Signal(Wake);

#[derive(Debug, Clone)]
enum Wake {
    System(Arc<(Mutex<bool>, Condvar)>),
    Simulated(time::Wake),
}

/// A thread that was started through the clock.
#[derive(Debug)]
pub struct Task<T> {
    handle: JoinHandle<T>,
    /// In a simulated world: told when it leaves.
    ended: Option<time::Wake>,
}

impl Clock {
    /// The machine's.
    pub fn system() -> Self {
        Self(Kind::System {
            started: Instant::now(),
        })
    }

    /// That of somebody in a simulated world.
    pub fn simulated(local: time::Local) -> Self {
        Self(Kind::Simulated(local))
    }

    /// What the wall clock says, right or wrong.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else is told to ask"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Kind::System { .. } => Utc::now(),
            Kind::Simulated(local) => local.now(),
        }
    }

    /// Since this clock was made; it neither jumps nor runs backwards.
    pub fn uptime(&self) -> Duration {
        match &self.0 {
            Kind::System { started } => started.elapsed(),
            Kind::Simulated(local) => local.uptime(),
        }
    }

    pub fn sleep(&self, time: Duration) {
        match &self.0 {
            Kind::System { .. } => std::thread::sleep(time),
            Kind::Simulated(local) => local.sleep(time),
        }
    }

    /// Until this uptime; not at all if it is past.
    pub fn sleep_until(&self, uptime: Duration) {
        self.sleep(uptime.saturating_sub(self.uptime()));
    }

    pub fn signal(&self) -> Signal {
        Signal(match &self.0 {
            Kind::System { .. } => Wake::System(Arc::default()),
            Kind::Simulated(local) => Wake::Simulated(local.wake()),
        })
    }

    /// Starts a thread that waits only through this clock.
    ///
    /// # Panics
    /// When the system has no thread to give.
    pub fn spawn<T, F>(&self, name: &str, work: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let builder = std::thread::Builder::new().name(name.to_owned());
        let (handle, ended) = match &self.0 {
            Kind::System { .. } => (builder.spawn(work), None),
            Kind::Simulated(local) => {
                let place = local.expect_another();
                let ended = place.ended();
                (builder.spawn(move || place.occupied_by(work)), Some(ended))
            }
        };
        Task {
            handle: handle.expect("the system gives a thread"),
            ended,
        }
    }
}

impl Signal {
    /// Wakes whoever waits, or the next who will.
    pub fn notify(&self) {
        match &self.0 {
            Wake::System(shared) => {
                let (pending, condition) = &**shared;
                *pending.lock().unwrap_or_else(PoisonError::into_inner) = true;
                condition.notify_one();
            }
            Wake::Simulated(wake) => wake.notify(),
        }
    }

    /// Until somebody notifies, but no longer than this; says whether somebody did.
    pub fn wait(&self, time: Duration) -> bool {
        match &self.0 {
            Wake::System(shared) => {
                let (pending, condition) = &**shared;
                let guard = pending.lock().unwrap_or_else(PoisonError::into_inner);
                let (mut guard, _) = condition
                    .wait_timeout_while(guard, time, |pending| !*pending)
                    .unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *guard)
            }
            Wake::Simulated(wake) => wake.wait(time),
        }
    }
}

impl<T> Task<T> {
    /// What it came to; an error is what it panicked with.
    pub fn join(self) -> std::thread::Result<T> {
        if let Some(ended) = self.ended {
            ended.wait(Duration::MAX);
        }
        self.handle.join()
    }
}

impl embedded_hal::delay::DelayNs for Clock {
    fn delay_ns(&mut self, nanoseconds: u32) {
        self.sleep(Duration::from_nanos(u64::from(nanoseconds)));
    }
}
