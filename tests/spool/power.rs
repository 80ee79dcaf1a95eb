//! The power goes at every byte of what was written.
//!
//! A spool is used while every change of its files is noted down. Then the disk is made up again as it was at each moment:
//! as if everything reached it in order up to some byte, and as if what was not synced reached it in part or not at all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::channel;

use edge::note::Class;
use edge::send::spool::{Limits, Spool, Step};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{LIMITS, drained, folder, open, push};

/// What the disk may lose one by one.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Did {
    Pushed(Class, u32),
    Done(u32),
}

/// A course of events: what was asked of the spool, and which steps it took.
struct Course {
    limits: Limits,
    steps: Vec<Step>,
    did: Vec<(Did, Range<usize>)>,
}

/// Pushes notes of these classes, and sends after each with this chance, again and again.
fn course(limits: Limits, classes: impl IntoIterator<Item = Class>, send: f64) -> Course {
    let folder = folder();
    let (sender, receiver) = channel();
    let mut spool =
        Spool::open_watched(folder.path(), limits, Some(sender)).expect("the spool opens");
    let mut chance = ChaCha8Rng::seed_from_u64(5);
    let mut course = Course {
        limits,
        steps: Vec::new(),
        did: Vec::new(),
    };
    let mut record = |did: Did| {
        let begin = course.steps.len();
        course.steps.extend(receiver.try_iter());
        course.did.push((did, begin..course.steps.len()));
    };
    for (seq, class) in classes.into_iter().enumerate() {
        push(&mut spool, class, seq as u32);
        record(Did::Pushed(class, seq as u32));
        while spool.depth() > 0 && chance.random_bool(send) {
            let (id, next) = spool.next().expect("something waits");
            spool.done(id).expect("it is done");
            record(Did::Done(next.seq));
        }
    }
    assert_eq!(spool.damaged(), 0);
    let waiting = course.waiting(course.did.len());
    assert_eq!(drained(&mut spool), waiting);
    course
}

/// Any mix of classes.
fn mixed(count: usize) -> Vec<Class> {
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let classes = [
        Class::Reading,
        Class::Alarm,
        Class::Picture,
        Class::Health,
        Class::Reading,
    ];
    let mut class = || classes[chance.random_range(0..classes.len())];
    (0..count).map(|_| class()).collect()
}

impl Course {
    /// What waits, in order, after the first so many actions.
    fn waiting(&self, actions: usize) -> Vec<u32> {
        let mut waiting = Vec::new();
        for (did, _) in &self.did[..actions.min(self.did.len())] {
            match did {
                Did::Pushed(class, seq) => waiting.push((*class, *seq)),
                Did::Done(done) => waiting.retain(|(_, seq)| seq != done),
            }
            if waiting.len() > self.limits.notes {
                let least = *waiting.iter().min().expect("some wait");
                waiting.retain(|waiting| *waiting != least);
            }
        }
        in_order(waiting)
    }

    /// How many actions had returned before this step.
    fn returned(&self, step: usize) -> usize {
        self.did.partition_point(|(_, steps)| steps.end <= step)
    }
}

fn in_order(mut notes: Vec<(Class, u32)>) -> Vec<u32> {
    notes.sort_unstable_by_key(|(class, seq)| (*class != Class::Alarm, *seq));
    notes.into_iter().map(|(_, seq)| seq).collect()
}

type Files = BTreeMap<String, Vec<u8>>;

fn put(files: &mut Files, file: &str, at: u64, bytes: &[u8]) {
    let held = files.entry(file.to_owned()).or_default();
    let at = at as usize;
    if held.len() < at + bytes.len() {
        held.resize(at + bytes.len(), 0);
    }
    held[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply(files: &mut Files, step: &Step) {
    match step {
        Step::Created(file) => {
            files.insert(file.clone(), Vec::new());
        }
        Step::Wrote { file, at, bytes } => put(files, file, *at, bytes),
        Step::Removed(file) => {
            files.remove(file);
        }
        Step::Synced(_) | Step::FolderSynced => {}
    }
}

fn lay_out(folder: &Path, files: &Files) {
    for (file, bytes) in files {
        std::fs::write(folder.join(file), bytes).expect("a file is written");
    }
}

/// What a spool finds on such a disk, and how much damage; and it goes on working there.
fn found(files: &Files, go_on: bool) -> (Vec<u32>, u64) {
    let folder = folder();
    lay_out(folder.path(), files);
    if go_on {
        let mut spool = open(folder.path());
        push(&mut spool, Class::Reading, 1_000_000);
        drop(spool);
    }
    let mut spool = open(folder.path());
    let mut seen = drained(&mut spool);
    if go_on {
        assert_eq!(seen.pop(), Some(1_000_000));
    }
    (seen, spool.damaged())
}

#[test]
fn a_power_cut_at_any_byte_loses_nothing_that_was_kept() {
    let course = course(LIMITS, mixed(24), 0.4);
    let mut files = Files::new();
    let mut cuts = 0;
    for (index, step) in course.steps.iter().enumerate() {
        let returned = course.returned(index);
        let before = course.waiting(returned);
        let after = course.waiting(returned + 1);
        let pieces = match step {
            // A new file's zeros are all alike.
            Step::Wrote { bytes, .. } if bytes.len() > 2048 => vec![0, 1, bytes.len() - 1],
            Step::Wrote { bytes, .. } => (0..bytes.len()).collect(),
            _ => vec![0],
        };
        for piece in pieces {
            let mut cut = files.clone();
            if let Step::Wrote { file, at, bytes } = step {
                put(&mut cut, file, *at, &bytes[..piece]);
            }
            let (seen, damaged) = found(&cut, cuts % 10 == 0);
            assert_eq!(
                damaged, 0,
                "step {index} cut at {piece}: a note that never was is no damage"
            );
            assert!(
                seen == before || seen == after,
                "step {index} cut at {piece}: {seen:?} is neither {before:?} nor {after:?}"
            );
            cuts += 1;
        }
        apply(&mut files, step);
    }
    assert!(cuts > 5000, "{cuts}");
    assert_eq!(found(&files, true), (course.waiting(course.did.len()), 0));
}

/// The disk after a power cut before `step`: what was synced is there, anything else in part.
fn torn(steps: &[Step], chance: &mut ChaCha8Rng) -> Files {
    let mut files = Files::new();
    let mut gone = Files::new();
    let folder_synced = steps
        .iter()
        .rposition(|step| *step == Step::FolderSynced)
        .unwrap_or(0);
    for (index, step) in steps.iter().enumerate() {
        let synced = |name: &str| {
            let later = &steps[index..];
            later
                .iter()
                .any(|step| *step == Step::Synced(name.to_owned()))
        };
        match step {
            Step::Wrote { file, at, bytes } if !synced(file) => {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    let at = *at + (number * SECTOR) as u64;
                    match chance.random_range(0..4) {
                        0 => {}
                        1 => put(&mut files, file, at, &vec![0; sector.len()]),
                        // A write that crosses into another sector may be torn there, or anywhere.
                        2 => put(
                            &mut files,
                            file,
                            at,
                            &sector[..chance.random_range(0..sector.len())],
                        ),
                        _ => put(&mut files, file, at, sector),
                    }
                }
            }
            Step::Created(file) if index >= folder_synced && chance.random_bool(0.3) => {
                gone.insert(file.clone(), Vec::new());
                apply(&mut files, step);
            }
            // A removed file may be there again.
            Step::Removed(_) if index >= folder_synced && chance.random_bool(0.5) => {}
            _ => apply(&mut files, step),
        }
    }
    for file in gone.keys() {
        files.remove(file);
    }
    files
}

fn survives_torn_writes(course: &Course, seed: u64) -> usize {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut sent_again = 0;
    for cut in 0..=course.steps.len() {
        let files = torn(&course.steps[..cut], &mut chance);
        let (seen, _) = found(&files, cut % 4 == 0);
        let returned = course.returned(cut);
        let (before, after) = (course.waiting(returned), course.waiting(returned + 1));
        for seq in &before {
            let kept = seen.contains(seq) || !after.contains(seq);
            assert!(kept, "cut before step {cut}: note {seq} is lost");
        }
        let begun = &course.did[..course.did.len().min(returned + 1)];
        let pushed = begun.iter().filter_map(|(did, _)| match did {
            Did::Pushed(class, seq) if seen.contains(seq) => Some((*class, *seq)),
            _ => None,
        });
        let order = in_order(pushed.collect());
        assert_eq!(
            seen, order,
            "cut before step {cut}: invented, doubled or out of order"
        );
        let again = seen
            .iter()
            .filter(|seq| !before.contains(seq) && !after.contains(seq));
        let again = again.count();
        assert!(
            again <= 16,
            "cut before step {cut}: {again} notes are sent again"
        );
        sent_again += again;
    }
    sent_again
}

fn removals(course: &Course) -> usize {
    let removed = |step: &&Step| matches!(step, Step::Removed(_));
    course.steps.iter().filter(removed).count()
}

#[test]
fn what_was_not_synced_may_reach_the_disk_in_any_part() {
    let course = course(LIMITS, mixed(150), 0.48);
    assert!(removals(&course) > 5, "segments are cleared away");
    let sent_again: usize = (0..2).map(|seed| survives_torn_writes(&course, seed)).sum();
    assert!(sent_again > 0, "marks are not synced one by one");
}

#[test]
fn alarms_that_are_copied_out_of_the_way_are_not_lost_on_the_way() {
    let limits = Limits {
        notes: 20,
        ..LIMITS
    };
    let classes = (0..300).map(|seq| match seq {
        0..4 => Class::Alarm,
        _ if seq % 50 == 0 => Class::Health,
        _ => Class::Reading,
    });
    let course = course(limits, classes, 0.0);
    assert!(
        removals(&course) > 10,
        "segments with alarms in them are cleared away"
    );
    assert_eq!(course.waiting(usize::MAX)[..4], [0, 1, 2, 3]);
    survives_torn_writes(&course, 1);
}
