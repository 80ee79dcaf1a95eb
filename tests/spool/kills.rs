//! `kill -9` of a process that fills and empties a spool.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};

use super::{LIMITS, note};
use edge::send::spool::{Limits, Spool};

/// Enough for each kind of moment; `THERMAL_WATCH_KILLS` asks for more, or for fewer where starting a process is slow.
const KILLS: usize = 200;

/// What a writer told before it was killed.
#[derive(Debug, Default)]
struct Told {
    pushed: BTreeSet<u32>,
    sending: BTreeSet<u32>,
    done: BTreeSet<u32>,
}

#[test]
fn a_writer_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    let kills = std::env::var("THERMAL_WATCH_KILLS");
    let kills = kills.map_or(KILLS, |kills| {
        kills.parse().expect("THERMAL_WATCH_KILLS is a number")
    });
    // On a disk that syncs, if the tests' folder is on one.
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        bytes: 1024 * 1024,
        ..LIMITS
    };
    let mut chance = ChaCha8Rng::seed_from_u64(11);
    let mut told = Told::default();
    for round in 0..kills {
        let first = 10_000 * round as u32;
        let lines = chance.random_range(0..120);
        run(folder.path(), first, lines, &mut told);
        let mut spool = Spool::open(folder.path(), limits).expect("the spool opens");
        assert_eq!((spool.damaged(), spool.dropped()), (0, 0));
        let depth = spool.depth();
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        // Read through to the end in a copy, so that the next writer finds them again.
        let copy = tempfile::tempdir().expect("a folder");
        for file in std::fs::read_dir(folder.path()).expect("a folder") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
        }
        drop(spool);
        spool = Spool::open(copy.path(), limits).expect("the copy opens");
        while let Some((id, next)) = spool.next() {
            assert_eq!(next, note(next.class, next.seq), "kill {round}");
            assert!(seen.insert(next.seq), "kill {round}: {} twice", next.seq);
            order.push((next.class != edge::note::Class::Alarm, next.seq));
            spool.done(id).expect("it is done");
        }
        assert_eq!(seen.len(), depth);
        assert!(order.is_sorted(), "kill {round}: {order:?}");
        for seq in told.pushed.difference(&told.sending) {
            assert!(seen.contains(seq), "kill {round}: note {seq} is lost");
        }
        for seq in &told.done {
            assert!(
                !seen.contains(seq),
                "kill {round}: note {seq} is there again"
            );
        }
        // Only what was being pushed may be there without having been told.
        let more: Vec<_> = seen.difference(&told.pushed).collect();
        assert!(more.len() <= 1, "kill {round}: {more:?}");
        // What nobody was told of is known from now on.
        told.pushed
            .extend(more.into_iter().copied().collect::<Vec<_>>());
    }
    assert!(told.done.len() > 5 * kills && told.pushed.len() > 10 * kills);
}

/// Lets a writer work until it told so many lines, and kills it in the middle of what follows.
fn run(folder: &std::path::Path, first: u32, lines: usize, told: &mut Told) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spool-writer"))
        .arg(folder)
        .arg(first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    let mut count = 0;
    while output.read_line(&mut line).expect("its output is read") > 0 {
        // A line that the kill cut off was never said.
        if let Some((word, seq)) = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once(' '))
        {
            let seq = seq.parse().expect("a number");
            match word {
                "pushed" => told.pushed.insert(seq),
                "sending" => told.sending.insert(seq),
                "done" => told.done.insert(seq),
                _ => panic!("{line}"),
            };
        }
        line.clear();
        count += 1;
        if count == lines.max(1) {
            kill_process(pid.expect("it runs"), Signal::KILL).expect("it is killed");
        }
    }
    let status = child.wait().expect("it ends");
    assert!(!status.success(), "it does not end by itself");
}
