//! The time of a simulated world: it stands still while anybody works, and jumps to the next who wakes when all wait.
//!
//! Only one of the threads in it runs at a time, and which one is next depends on deadlines alone: the same work gives the
//! same course of events on every run. A world may be held back to a pace, so that people can watch it, and whoever
//! belongs to a group (a station) may be stopped in the middle of whatever it waits for, as by a power cut.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// A simulated world's clockwork.
#[derive(Debug, Clone)]
pub struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: DateTime<Utc>,
    /// How many times faster than the machine's time; None is as fast as the work allows.
    pace: Option<f64>,
    began: Instant,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Since the start.
    now: Duration,
    /// How many threads neither sleep nor wait.
    running: usize,
    /// Who waits, by when it wakes and by who came first.
    waiting: BTreeMap<(Duration, u64), Waiter>,
    /// Who was woken and has not gone on yet.
    woken: BTreeSet<u64>,
    /// Signals that were given while nobody waited.
    pending: BTreeSet<u64>,
    next: u64,
    /// Groups without power.
    dark: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    group: u64,
    /// What wakes it earlier.
    signal: Option<u64>,
}

/// The world's time as one of its inhabitants sees it: its wall clock may be wrong.
#[derive(Debug, Clone)]
pub struct Local {
    world: World,
    /// Who loses power together.
    group: u64,
    /// World's time at which its uptime is 0.
    born: Duration,
    /// What its wall clock is off by, seconds.
    skew: Arc<Mutex<TimeDelta>>,
}

/// A thread's place among those whom time waits for.
#[derive(Debug)]
pub struct Place {
    local: Local,
    ticket: u64,
    ended: Wake,
}

#[derive(Debug, Clone)]
pub struct Wake {
    local: Local,
    id: u64,
}

/// What a thread unwinds with whose power was cut.
#[derive(Debug, Clone, Copy)]
pub struct PowerCut;

impl World {
    /// A world that begins at `start`, with the calling thread as its first inhabitant.
    pub fn new(start: DateTime<Utc>, pace: Option<f64>) -> Self {
        Self(Arc::new(Shared {
            start,
            pace,
            began: Instant::now(),
            state: Mutex::new(State {
                running: 1,
                ..State::default()
            }),
            turn: Condvar::new(),
        }))
    }

    /// A clock that is right, of somebody who never loses power.
    pub fn local(&self) -> Local {
        self.station(0)
    }

    /// The clock of what loses power as `group`, switched on now.
    pub fn station(&self, group: u64) -> Local {
        let mut state = self.state();
        state.dark.remove(&group);
        Local {
            world: self.clone(),
            group,
            born: state.now,
            skew: Arc::default(),
        }
    }

    /// Takes the power from a group: each of its threads unwinds with [`PowerCut`] where it waits.
    pub fn cut(&self, group: u64) {
        let mut state = self.state();
        state.dark.insert(group);
        // Whoever waits in the dark finds out at once.
        state.hurry(|waiter| waiter.group == group);
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.state().now
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.0.start + self.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody stops running; if nobody runs any more, the next one's turn has come.
    fn rest(&self, state: &mut State) {
        state.running -= 1;
        if state.running > 0 {
            return;
        }
        let Some(((until, ticket), _)) = state.waiting.pop_first() else {
            return;
        };
        assert!(
            until < Duration::MAX,
            "everybody in the simulated world waits for somebody else"
        );
        if until > state.now {
            state.now = until;
            self.keep_pace(until);
        }
        state.woken.insert(ticket);
        state.running += 1;
        self.0.turn.notify_all();
    }

    /// Everybody waits, so nobody is kept waiting by the lock that is held here.
    fn keep_pace(&self, until: Duration) {
        if let Some(pace) = self.0.pace {
            let due = self.0.began + until.div_f64(pace);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn wait_for_turn(&self, mut state: MutexGuard<'_, State>, ticket: u64, group: u64) {
        while !state.woken.remove(&ticket) {
            state = self
                .0
                .turn
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.dark.contains(&group) && !std::thread::panicking() {
            drop(state);
            // Without the panic hook: nothing went wrong in here.
            std::panic::resume_unwind(Box::new(PowerCut));
        }
    }
}

impl State {
    fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Lets these wake now, in the order in which they would have.
    fn hurry(&mut self, whom: impl Fn(&Waiter) -> bool) {
        let now = self.now;
        for ((until, ticket), waiter) in std::mem::take(&mut self.waiting) {
            let until = if whom(&waiter) { now } else { until };
            self.waiting.insert((until, ticket), waiter);
        }
    }
}

impl Local {
    pub fn now(&self) -> DateTime<Utc> {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        self.world.now() + skew
    }

    pub fn uptime(&self) -> Duration {
        self.world.elapsed().saturating_sub(self.born)
    }

    /// Sets what the wall clock is off by.
    pub fn set_skew(&self, skew: TimeDelta) {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = skew;
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn sleep(&self, time: Duration) {
        self.rest(self.world.state(), time, None);
    }

    fn rest(&self, mut state: MutexGuard<'_, State>, time: Duration, signal: Option<u64>) {
        let ticket = state.ticket();
        let until = state.now.saturating_add(time);
        let group = self.group;
        state
            .waiting
            .insert((until, ticket), Waiter { group, signal });
        self.world.rest(&mut state);
        self.world.wait_for_turn(state, ticket, group);
    }

    pub fn wake(&self) -> Wake {
        Wake {
            local: self.clone(),
            id: self.world.state().ticket(),
        }
    }

    /// A place for a thread that begins when its turn comes.
    pub fn expect_another(&self) -> Place {
        // Whoever waits for its end may have power when the thread has none.
        let ended = self.world.local().wake();
        let mut state = self.world.state();
        let ticket = state.ticket();
        let key = (state.now, ticket);
        let waiter = Waiter {
            group: self.group,
            signal: None,
        };
        state.waiting.insert(key, waiter);
        drop(state);
        Place {
            local: self.clone(),
            ticket,
            ended,
        }
    }
}

impl Place {
    /// Tells when the thread has left the world.
    pub fn ended(&self) -> Wake {
        self.ended.clone()
    }

    /// Runs the work of a thread when its turn has come.
    pub fn occupied_by<T>(self, work: impl FnOnce() -> T) -> T {
        let Self {
            local,
            ticket,
            ended,
        } = self;
        let _leave = Leave(ended);
        local
            .world
            .wait_for_turn(local.world.state(), ticket, local.group);
        work()
    }
}

/// However a thread ends, the others must not wait for it.
struct Leave(Wake);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.notify();
        let world = &self.0.local.world;
        world.rest(&mut world.state());
    }
}

impl Wake {
    pub fn notify(&self) {
        let mut state = self.local.world.state();
        state.pending.insert(self.id);
        state.hurry(|waiter| waiter.signal == Some(self.id));
    }

    pub fn wait(&self, time: Duration) -> bool {
        let mut state = self.local.world.state();
        if state.pending.remove(&self.id) {
            return true;
        }
        self.local.rest(state, time, Some(self.id));
        state = self.local.world.state();
        state.pending.remove(&self.id)
    }
}
