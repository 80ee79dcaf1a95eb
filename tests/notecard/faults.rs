//! What goes wrong, one by one and all at once: no note is lost, none is there twice, and no deadline is missed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edge::emulate::notecard::{Damage, Fault, Moment, Options};
use edge::send::notecard::{NotecardError, Reason, Settings};
use edge::send::request::Request as _;
use edge::send::request::card::CardVersion;
use edge::send::request::hub::HubSyncStatus;

use super::{Bench, PATIENT, WAYS, Way, hub_set, note, seconds};

/// One fault, at the first try of one note.
fn survives(way: Way, fault: Fault) {
    let mut bench = Bench::new(way);
    // Now both sides know that there are checks.
    bench.ask(&hub_set());
    bench.card.script([Some(fault)]);
    let added = bench.add(1);
    let tally = bench.card.tally();
    let unavoidable = tally.forgotten + tally.unguarded;
    let waiting = bench.waiting();
    if unavoidable == 0 {
        assert_eq!(waiting, [1], "{way:?} {fault:?}");
        assert_eq!(added.total, Some(1), "{way:?} {fault:?}");
    } else {
        assert!(waiting.len() as u64 <= 1 + unavoidable, "{way:?} {fault:?}");
        assert!(waiting.contains(&1), "{way:?} {fault:?}");
    }
    let began = bench.clock.uptime();
    bench.ask(&CardVersion::default());
    let took = bench.since(began);
    assert!(took < seconds(40), "{way:?} {fault:?}: {took:?} to recover");
    let began = bench.clock.uptime();
    bench.ask(&CardVersion::default());
    let took = bench.since(began);
    assert!(took < seconds(1), "{way:?} {fault:?}: {took:?} afterwards");
    assert_eq!(bench.card.violations(), [], "{way:?} {fault:?}");
}

#[test]
fn a_damaged_byte_anywhere_is_made_good() {
    for way in WAYS {
        // A UART is looked at so often that every place would take long.
        let step = if way == Way::I2c { 1 } else { 7 };
        for place in (0..95).step_by(step) {
            for damage in [
                Damage::Lost,
                Damage::Doubled,
                Damage::Flipped(1 << (place % 8)),
            ] {
                survives(way, Fault::Request(damage, place));
                if place < 40 {
                    survives(way, Fault::Reply(damage, place));
                }
            }
        }
    }
}

/// The sequence number itself is under no check. One that was never given out can only be ours.
#[test]
fn a_damaged_sequence_number_does_not_make_a_second_note() {
    let request = note(1).text().len() - "}".len() + ",\"crc\":\"".len();
    let reply = r#"{"total":1,"crc":""#.len();
    for way in WAYS {
        for fault in [
            Fault::Request(Damage::Flipped(4), request),
            Fault::Reply(Damage::Flipped(4), reply),
        ] {
            let mut bench = Bench::new(way);
            bench.ask(&hub_set());
            bench.card.script([Some(fault)]);
            let (added, took) = bench.timed(&note(1), PATIENT);
            assert_eq!(added.expect("a reply").total, Some(1));
            assert!(took < seconds(1), "{way:?} {fault:?}: {took:?}");
            assert_eq!(bench.waiting(), [1], "{way:?} {fault:?}");
        }
    }
}

#[test]
fn a_card_that_is_slow_silent_or_restarts_loses_nothing() {
    let moments = [
        Moment::InRequest(0),
        Moment::InRequest(40),
        Moment::BeforeReply,
        Moment::InReply(0),
        Moment::InReply(5),
    ];
    for way in WAYS {
        for fault in [
            Fault::Slow(seconds(20)),
            Fault::Slow(seconds(45)),
            Fault::Silent,
            Fault::Deaf,
            Fault::Heartbeats(20),
            Fault::Io,
        ] {
            survives(way, fault);
        }
        for moment in moments {
            survives(way, Fault::Reset(moment));
            survives(way, Fault::BrownOut(moment));
        }
    }
}

#[test]
fn a_repetition_is_done_twice_only_if_a_restart_came_between_doing_and_replying() {
    for way in WAYS {
        for (fault, times) in [
            (Fault::Silent, 1),
            (Fault::Reset(Moment::InRequest(60)), 1),
            (Fault::Reset(Moment::BeforeReply), 2),
            (Fault::Reset(Moment::InReply(3)), 2),
        ] {
            let mut bench = Bench::new(way);
            bench.ask(&hub_set());
            bench.card.script([Some(fault)]);
            bench.add(1);
            assert_eq!(bench.waiting().len(), times, "{way:?} {fault:?}");
            assert_eq!(
                bench.card.tally().forgotten,
                times as u64 - 1,
                "{way:?} {fault:?}"
            );
        }
    }
}

#[test]
fn what_failed_and_is_asked_again_is_still_the_same_request() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        bench.ask(&hub_set());
        bench.card.script([Some(Fault::Silent); 2]);
        let (failed, _) = bench.timed(&note(1), seconds(20));
        assert!(matches!(failed, Err(NotecardError::NoAnswer { .. })));
        assert_eq!(bench.waiting(), [1], "it was done all the same");
        bench.add(1);
        assert_eq!(bench.waiting(), [1]);
        assert!(bench.card.tally().replayed > 0);
        // The same again later is another note.
        bench.add(1);
        assert_eq!(bench.waiting(), [1, 1]);
        bench.assert_kept_the_rules();
    }
}

#[test]
fn io_errors_are_tried_again_and_others_are_not() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        bench.ask(&hub_set());
        bench.card.script([Some(Fault::Io); 5]);
        bench.add(1);
        assert_eq!(bench.waiting(), [1]);
        bench.card.script([Some(Fault::Io); 6]);
        let (refused, took) = bench.timed(&note(2), PATIENT);
        assert_eq!(refused.expect_err("never").reason(), Some(Reason::Io));
        assert!(took >= seconds(2), "five pauses: {took:?}");
        bench.add(2);
        assert_eq!(bench.waiting(), [1, 2]);
        bench.assert_kept_the_rules();
    }
}

#[test]
fn no_deadline_is_missed_however_the_card_behaves() {
    for way in WAYS {
        for deadline in [0, 1, 3, 10, 31, 90].map(seconds) {
            let mut bench = Bench::new(way);
            bench.card.set_deaf(seconds(10_000));
            let (dead, _) = bench.timed(&note(1), deadline);
            assert!(matches!(dead, Err(NotecardError::NoAnswer { .. })));
            for fault in [
                Fault::Silent,
                Fault::Slow(seconds(600)),
                Fault::Heartbeats(1000),
                Fault::BrownOut(Moment::InRequest(3)),
            ] {
                let mut bench = Bench::new(way);
                bench.ask(&hub_set());
                bench.card.script([Some(fault); 100]);
                let (failed, _) = bench.timed(&note(1), deadline);
                assert!(matches!(failed, Err(NotecardError::NoAnswer { .. })));
            }
        }
    }
}

/// How long a transaction lasts that nobody ends; what is asserted here is what the documentation promises.
#[test]
fn the_longest_transaction_is_known() {
    for way in WAYS {
        let unbounded = seconds(100_000);
        let mut bench = Bench::new(way);
        bench.card.set_deaf(seconds(100_000));
        let (_, deaf) = bench.timed(&note(1), unbounded);
        let mut bench = Bench::new(way);
        bench.ask(&hub_set());
        bench.card.script([Some(Fault::Silent); 100]);
        let (_, silent) = bench.timed(&note(1), unbounded);
        let mut bench = Bench::new(way);
        bench.ask(&hub_set());
        let (_, good) = bench.timed(&note(1), unbounded);
        assert!(deaf < seconds(85), "{way:?} {deaf:?}");
        assert!(
            (seconds(180)..seconds(200)).contains(&silent),
            "{way:?} {silent:?}"
        );
        assert!(good < Duration::from_millis(250), "{way:?} {good:?}");
    }
}

#[test]
fn a_card_that_was_away_is_found_again() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        bench.add(1);
        bench.card.set_deaf(seconds(120));
        let (dead, _) = bench.timed(&note(2), seconds(60));
        assert!(dead.is_err());
        bench.clock.sleep(seconds(60));
        bench.add(2);
        bench.card.cut_power(seconds(20));
        bench.add(3);
        assert_eq!(bench.waiting(), [1, 2, 3], "flash keeps them");
        bench.assert_kept_the_rules();
    }
}

#[test]
fn somebody_who_wants_to_stop_need_not_wait() {
    for way in WAYS {
        let cancel = Arc::new(AtomicBool::new(false));
        let settings = Settings {
            cancel: cancel.clone(),
            ..Settings::default()
        };
        let mut bench = Bench::with(way, Options::default(), settings);
        bench.ask(&hub_set());
        bench.card.script([Some(Fault::Silent); 100]);
        let clock = bench.clock.clone();
        let task = clock.clone().spawn("stops", move || {
            clock.sleep(seconds(10));
            cancel.store(true, Ordering::Relaxed);
        });
        let (stopped, took) = bench.timed(&note(1), PATIENT);
        assert!(matches!(stopped, Err(NotecardError::Cancelled { .. })));
        assert!((seconds(10)..seconds(11)).contains(&took), "{took:?}");
        task.join().expect("it ends");
    }
}

#[test]
fn in_a_storm_of_faults_every_note_arrives_once() {
    for way in WAYS {
        for seed in 0..4 {
            let mut bench = Bench::new(way);
            bench.ask(&hub_set());
            bench.card.storm(seed, 0.35);
            let count = 60;
            for seq in 0..count {
                // The deadline is short, so that it ends many.
                while bench.timed(&note(seq), seconds(45)).0.is_err() {}
                if seq % 7 == 0 {
                    let _ = bench.timed(&HubSyncStatus::default(), seconds(45));
                }
            }
            bench.card.storm(seed, 0.0);
            let mut times = BTreeMap::new();
            for seq in bench.waiting() {
                *times.entry(seq).or_insert(0_u64) += 1;
            }
            let all: Vec<_> = times.keys().copied().collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>(), "{way:?} {seed}");
            let tally = bench.card.tally();
            let twice: u64 = times.values().map(|times| times - 1).sum();
            assert!(
                twice <= tally.forgotten + tally.unguarded,
                "{way:?} {seed} {tally:?}"
            );
            assert!(tally.replayed > 0 && tally.restarts > 0 && tally.damaged > 0);
            bench.ask(&CardVersion::default());
            let (_, took) = bench.timed(&CardVersion::default(), PATIENT);
            assert!(took < seconds(1), "it has recovered: {took:?}");
            bench.assert_kept_the_rules();
        }
    }
}
