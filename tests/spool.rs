//! Notes on disk, through power cuts.

mod boot;
mod hostile;
mod kills;
mod model;
mod note;
mod power;

use std::fs::File;
use std::path::Path;

use edge::note::Class;
use edge::send::spool::{Limits, Spool};
use tempfile::TempDir;

use note::note;

const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    notes: 10_000,
};

/// A folder on a disk that takes no time, where there is one.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, LIMITS).expect("the spool opens")
}

/// Everything that waits, in the order in which it would be sent, each as it was pushed.
fn drained(spool: &mut Spool) -> Vec<u32> {
    let mut seen = Vec::new();
    while let Some((id, waiting)) = spool.next() {
        assert_eq!(waiting, note(waiting.class, waiting.seq));
        seen.push(waiting.seq);
        spool.done(id).expect("it is done");
    }
    assert_eq!((spool.depth(), spool.is_empty()), (0, true));
    seen
}

fn push(spool: &mut Spool, class: Class, seq: u32) -> usize {
    spool.push(note(class, seq)).expect("it is kept").dropped
}

/// What the files of a folder take, bytes.
fn taken(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|file| file.expect("a file").metadata().expect("its size").len())
        .sum()
}

#[test]
fn alarms_go_first_and_the_rest_in_the_order_in_which_it_came() {
    let folder = folder();
    let mut spool = open(folder.path());
    let classes = [
        Class::Reading,
        Class::Picture,
        Class::Alarm,
        Class::Health,
        Class::Reading,
        Class::Alarm,
    ];
    for (seq, class) in classes.into_iter().enumerate() {
        assert_eq!(push(&mut spool, class, seq as u32), 0);
    }
    assert_eq!(spool.depth(), 6);
    assert_eq!(spool.depth_of(Class::Alarm), 2);
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!(spool.depth_of(Class::Reading), 2);
    let (id, first) = spool.next().expect("something waits");
    assert_eq!(first.seq, 2);
    assert_eq!(spool.next().expect("it is still there").1.seq, 2);
    spool.done(id).expect("it is done");
    spool.done(id).expect("twice is once");
    assert_eq!(drained(&mut spool), [5, 0, 1, 3, 4]);
    drop(spool);
    assert!(open(folder.path()).is_empty());
}

#[test]
fn what_is_least_dear_is_dropped_first_and_the_oldest_of_it() {
    let folder = folder();
    let limits = Limits { notes: 5, ..LIMITS };
    let open = || Spool::open(folder.path(), limits).expect("the spool opens");
    let mut spool = open();
    for (seq, class) in [
        Class::Alarm,
        Class::Reading,
        Class::Health,
        Class::Picture,
        Class::Reading,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(push(&mut spool, class, seq as u32), 0);
    }
    assert_eq!(push(&mut spool, Class::Reading, 5), 1, "the picture goes");
    assert_eq!(
        push(&mut spool, Class::Picture, 6),
        1,
        "this one is not taken"
    );
    assert_eq!(push(&mut spool, Class::Alarm, 7), 1, "reading 1 goes");
    assert_eq!(push(&mut spool, Class::Reading, 8), 1, "reading 4 goes");
    assert_eq!(push(&mut spool, Class::Health, 9), 1, "reading 5 goes");
    assert_eq!(push(&mut spool, Class::Alarm, 10), 1, "reading 8 goes");
    assert_eq!(push(&mut spool, Class::Alarm, 11), 1, "health 2 goes");
    assert_eq!(push(&mut spool, Class::Alarm, 12), 1, "health 9 goes");
    assert_eq!(push(&mut spool, Class::Alarm, 13), 1, "alarm 0 goes");
    assert_eq!(
        push(&mut spool, Class::Health, 14),
        1,
        "this one is not taken"
    );
    assert_eq!(spool.dropped(), 10);
    drop(spool);
    let mut spool = open();
    assert_eq!(spool.dropped(), 10, "it is remembered");
    assert_eq!(drained(&mut spool), [7, 10, 11, 12, 13]);
}

#[test]
fn files_never_take_more_than_the_limit_and_alarms_outlast_all_readings() {
    let folder = folder();
    let mut spool = open(folder.path());
    for seq in 0..20 {
        push(&mut spool, Class::Alarm, seq);
    }
    for seq in 20..3000 {
        let class = [Class::Reading, Class::Health, Class::Picture][seq as usize % 3];
        push(&mut spool, class, seq);
        // Beside the segments there is only the lock, with a process id in it.
        assert!(taken(folder.path()) <= LIMITS.bytes + 16, "at note {seq}");
        assert_eq!(
            spool.size(),
            taken(folder.path()) - taken_by_lock(folder.path())
        );
    }
    assert_eq!(spool.depth_of(Class::Alarm), 20);
    assert_eq!(spool.depth() as u64 + spool.dropped(), 3000);
    // About two thirds of the limit hold notes that wait.
    assert!(spool.depth() > 90, "{}", spool.depth());
    let (dropped, left) = (spool.dropped(), spool.depth());
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!((spool.dropped(), spool.depth()), (dropped, left));
    assert_eq!(spool.damaged(), 0);
    let seen = drained(&mut spool);
    assert_eq!(seen[..20], (0..20).collect::<Vec<_>>());
    assert!(seen[20..].is_sorted());
    // What is cleared away is given back, but for the file that is written next.
    assert!(spool.size() <= 2 * 4096, "{}", spool.size());
}

fn taken_by_lock(folder: &Path) -> u64 {
    folder.join("lock").metadata().expect("a lock").len()
}

#[test]
fn a_note_costs_one_small_write_and_one_sync() {
    let folder = folder();
    let limits = Limits {
        bytes: 16 * 1024 * 1024,
        ..LIMITS
    };
    let mut spool = Spool::open(folder.path(), limits).expect("the spool opens");
    let notes = 2000;
    for seq in 0..notes {
        push(&mut spool, Class::Reading, seq);
        let (id, _) = spool.next().expect("it waits");
        spool.done(id).expect("it is done");
    }
    let written = spool.written();
    let per_note = |count: u64| count as f64 / f64::from(notes);
    let [bytes, writes, syncs] = [written.bytes, written.writes, written.syncs].map(per_note);
    eprintln!("a note costs {bytes:.0} bytes in {writes:.2} writes and {syncs:.2} syncs");
    // Twice its size, because a file is filled with zeros first; and a mark of 18 bytes.
    assert!(bytes < 800.0, "{bytes}");
    assert!(writes < 2.05, "{writes}");
    assert!(syncs < 1.03, "{syncs}");
    assert!(spool.size() <= 2 * 65536, "what was sent is cleared away");
}

#[test]
fn many_marks_are_synced_together() {
    let folder = folder();
    let mut spool = open(folder.path());
    for seq in 0..48 {
        push(&mut spool, Class::Reading, seq);
    }
    let before = spool.written().syncs;
    assert_eq!(drained(&mut spool).len(), 48);
    assert!(spool.written().syncs - before <= 6);
}

#[test]
fn a_full_disk_loses_nothing_and_is_tried_again() {
    let folder = folder();
    let mut spool = open(folder.path());
    push(&mut spool, Class::Reading, 0);
    // The next file that is made will be on a disk that is full.
    let full = folder.path().join("0000000002.spool");
    std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
    let mut errors = 0;
    for seq in 1..60 {
        if let Err(error) = spool.push(note(Class::Reading, seq)) {
            let error = format!("{error:#}");
            assert!(error.contains("is not on disk yet"), "{error}");
            assert!(error.contains("No space left on device"), "{error}");
            errors += 1;
        }
    }
    assert!(errors > 30, "{errors}");
    assert_eq!((spool.depth(), spool.unsaved()), (60, errors));
    // It goes on sending, from disk and from memory.
    for expected in 0..40 {
        let (id, next) = spool.next().expect("it is offered");
        assert_eq!(next, note(Class::Reading, expected));
        // That it was sent is known, though not on disk.
        spool.done(id).expect_err("the disk is full");
    }
    std::fs::remove_file(&full).expect("there is room again");
    push(&mut spool, Class::Reading, 60);
    assert_eq!(spool.unsaved(), 0);
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!(drained(&mut spool), (40..=60).collect::<Vec<_>>());
    assert_eq!((spool.dropped(), spool.damaged()), (0, 0));
}

#[test]
fn memory_is_bounded_while_the_disk_is_full() {
    let folder = folder();
    let limits = Limits {
        bytes: 64 * 1024 * 1024,
        notes: 1_000_000,
    };
    let full = folder.path().join("0000000001.spool");
    std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
    let mut spool = Spool::open(folder.path(), limits).expect("the spool opens");
    let long = |class, seq| {
        let mut note = note(class, seq);
        note.body
            .insert("text".to_owned(), "long ".repeat(12_000).into());
        note
    };
    spool
        .push(long(Class::Alarm, 0))
        .expect_err("the disk is full");
    for seq in 1..60 {
        spool
            .push(long(Class::Reading, seq))
            .expect_err("the disk is full");
    }
    // Two mebibytes of notes of 60 kilobytes, the alarm among them.
    assert!((30..36).contains(&spool.depth()), "{}", spool.depth());
    assert_eq!(spool.depth_of(Class::Alarm), 1);
    assert_eq!(spool.depth() as u64 + spool.dropped(), 60);
}

#[test]
fn only_one_process_has_it_open() {
    let folder = folder();
    let spool = open(folder.path());
    let error = Spool::open(folder.path(), LIMITS).expect_err("it is in use");
    let error = error.to_string();
    let me = format!("in use by process {} (", std::process::id());
    assert!(error.contains(&me), "{error}");
    drop(spool);
    open(folder.path());
}

#[test]
fn a_limit_that_holds_nothing_and_a_note_that_nobody_takes_are_refused() {
    let folder = folder();
    for limits in [
        Limits { notes: 0, ..LIMITS },
        Limits {
            bytes: 65_535,
            ..LIMITS
        },
    ] {
        let error = Spool::open(folder.path(), limits).expect_err("too small");
        assert!(error.to_string().contains("room for at least"), "{error}");
    }
    let mut spool = open(folder.path());
    let mut huge = note(Class::Reading, 1);
    huge.payload = Some(vec![0; 70_000]);
    let error = spool.push(huge).expect_err("too large");
    assert!(error.to_string().contains("65536 is the most"), "{error}");
    let mut large = note(Class::Alarm, 2);
    large.payload = Some(vec![0; 60_000]);
    push(&mut spool, Class::Picture, 3);
    assert_eq!(
        spool.push(large).expect("no error").dropped,
        1,
        "it has no room here"
    );
    assert_eq!(
        spool.depth(),
        1,
        "nothing had to go for what has no room anyway"
    );
    push(&mut spool, Class::Reading, 4);
    assert_eq!(drained(&mut spool), [3, 4]);
}

#[test]
fn what_somebody_else_keeps_in_the_folder_is_left_alone() {
    let folder = folder();
    for name in ["0000000001.spool.old", "1.spool", "notes.txt"] {
        File::create(folder.path().join(name)).expect("a file");
    }
    let mut spool = open(folder.path());
    push(&mut spool, Class::Reading, 1);
    assert_eq!(drained(&mut spool), [1]);
    assert!(folder.path().join("1.spool").exists());
}
