//! The way between the Notecard and Notehub, and Notehub's own work: a thread of the world's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Signal, Task};
use crate::emulate::notecard::{FromNotehub, Notecard, Outcome, Sent};
use crate::emulate::notehub::{Notehub, Synced};

/// A session: finding the network, and a round trip.
const SESSION: Duration = Duration::from_secs(12);
/// What a note takes on a slow network.
const NOTE: Duration = Duration::from_millis(300);
/// When there is nothing to wait for.
const LONG: Duration = Duration::from_hours(1);

/// The thread.
pub(super) struct Radio {
    task: Task<()>,
    stop: Arc<AtomicBool>,
    wake: Signal,
}

pub(super) fn start(clock: &Clock, notecard: &Notecard, notehub: &Notehub) -> Radio {
    let stop = Arc::new(AtomicBool::new(false));
    let wake = notecard.signal();
    let (clock_of_it, notecard, notehub) = (clock.clone(), notecard.clone(), notehub.clone());
    let (stopped, woken) = (stop.clone(), wake.clone());
    let task = clock.spawn("radio", move || {
        while !stopped.load(Ordering::Relaxed) {
            let due = [notecard.next_sync(), notehub.next_due()];
            let now = clock_of_it.uptime();
            let wait = due.into_iter().flatten().min();
            let wait = wait.map_or(LONG, |due| due.saturating_sub(now));
            if !wait.is_zero() {
                woken.wait(wait.min(LONG));
                continue;
            }
            if notecard.next_sync().is_some_and(|due| due <= now) {
                sync(&clock_of_it, &notecard, &notehub);
            }
            notehub.tick();
        }
    });
    Radio { task, stop, wake }
}

impl Radio {
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake.notify();
        // A panic in there is the end of the simulation.
        if let Err(panic) = self.task.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn sync(clock: &Clock, notecard: &Notecard, notehub: &Notehub) {
    let Some(outgoing) = notecard.begin_sync() else {
        return;
    };
    let count = u32::try_from(outgoing.notes.len()).unwrap_or(u32::MAX);
    clock.sleep(SESSION + NOTE.saturating_mul(count));
    let mut notes = outgoing.notes;
    if outgoing.breaks {
        // What was carried before it broke has arrived, and is carried again the next time.
        notes.truncate(notes.len() / 2);
    }
    let synced = notes.into_iter().map(|note| Synced {
        file: note.file,
        note_id: note.note_id,
        when: note.when,
        body: serde_json::Value::Object(note.body),
        payload: note.payload,
    });
    notehub.receive(synced.collect());
    if outgoing.breaks {
        notecard.finish_sync(
            outgoing.session,
            Outcome::Interrupted,
            FromNotehub::default(),
        );
        return;
    }
    let downlink = notehub.downlink();
    let from_notehub = FromNotehub {
        notes: downlink
            .notes
            .into_iter()
            .map(|note| Sent {
                file: note.file,
                body: note.body.as_object().cloned().unwrap_or_default(),
                payload: note.payload,
            })
            .collect(),
        environment: Some(downlink.environment),
    };
    notecard.finish_sync(outgoing.session, Outcome::Completed, from_notehub);
}
