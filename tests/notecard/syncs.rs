//! When the card goes to Notehub, and what becomes of its notes.

use std::time::Duration;

use edge::emulate::notecard::{FromNotehub, Network, Outcome};
use edge::send::request::card::{CardStatus, CardTime};
use edge::send::request::hub::{HubSet, HubSync, HubSyncStatus, Mode};
use edge::send::request::note::NoteAdd;

use super::{Bench, PATIENT, Way, hub_set, note, seconds};

fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

fn ends(bench: &Bench, outcome: Outcome) -> usize {
    let out = bench.card.begin_sync().expect("a network");
    bench
        .card
        .finish_sync(out.session, outcome, FromNotehub::default());
    out.notes.len()
}

#[test]
fn notes_wait_for_their_schedule_and_urgent_ones_do_not() {
    let mut bench = Bench::new(Way::Usb);
    bench.add(1);
    assert_eq!(bench.card.next_sync(), None, "nobody has said when");
    bench.ask(&hub_set());
    let anchor = bench.clock.uptime();
    let due = bench.card.next_sync().expect("a time");
    assert!(due.abs_diff(anchor + minutes(30)) < seconds(2), "{due:?}");
    bench.clock.sleep_until(due);
    assert_eq!(ends(&bench, Outcome::Completed), 1);
    let next = bench.card.next_sync().expect("a time");
    assert_eq!(
        next,
        due + minutes(720),
        "nothing waits but for what Notehub has"
    );
    bench.clock.sleep(minutes(31));
    bench.add(2);
    assert_eq!(bench.card.next_sync(), Some(due + minutes(60)));
    let signal = bench.card.signal();
    while signal.wait(Duration::ZERO) {}
    bench.ask(&NoteAdd {
        sync: true,
        ..note(3)
    });
    assert!(signal.wait(Duration::ZERO), "the radio is told");
    assert!(
        bench
            .card
            .next_sync()
            .is_some_and(|due| due <= bench.clock.uptime())
    );
    assert_eq!(ends(&bench, Outcome::Completed), 2);
    let status = bench.ask(&HubSyncStatus::default());
    assert!(!status.sync);
    assert!(status.completed.is_some_and(|ago| ago < 2));
}

#[test]
fn without_both_times_it_never_goes_by_itself() {
    for set in [
        HubSet {
            inbound: None,
            ..hub_set()
        },
        HubSet {
            outbound: None,
            ..hub_set()
        },
        HubSet {
            outbound: Some(0),
            ..hub_set()
        },
        HubSet {
            mode: Some(Mode::Minimum),
            ..hub_set()
        },
        HubSet {
            mode: Some(Mode::Off),
            ..hub_set()
        },
    ] {
        let mut bench = Bench::new(Way::Usb);
        bench.ask(&set);
        bench.add(1);
        assert_eq!(bench.card.next_sync(), None, "{set:?}");
        bench.ask(&HubSync::default());
        let ignored = set.mode == Some(Mode::Off);
        assert_eq!(bench.card.next_sync().is_none(), ignored, "{set:?}");
    }
}

#[test]
fn a_sync_that_breaks_off_sends_its_notes_again() {
    let mut bench = Bench::new(Way::Usb);
    bench.ask(&hub_set());
    bench.add(1);
    bench.card.set_network(Network::Flaky);
    let out = bench.card.begin_sync().expect("a network");
    assert!(out.breaks);
    assert_eq!(bench.card.next_sync(), None, "one at a time");
    assert!(bench.ask(&CardStatus::default()).connected);
    bench
        .card
        .finish_sync(out.session, Outcome::Interrupted, FromNotehub::default());
    let status = bench.ask(&HubSyncStatus::default());
    assert!(status.alert && status.sync, "{status:?}");
    bench.card.set_network(Network::Up);
    let again = bench.card.next_sync().expect("it is due again");
    bench.clock.sleep_until(again);
    let out = bench.card.begin_sync().expect("a network");
    assert_eq!(out.notes.len(), 1);
    // What is added meanwhile waits for the next.
    bench.add(2);
    bench
        .card
        .finish_sync(out.session, Outcome::Completed, FromNotehub::default());
    assert_eq!(bench.waiting(), [2]);
    // One that a power cut ends leaves all as it was.
    let out = bench.card.begin_sync().expect("a network");
    bench.card.cut_power(seconds(5));
    bench
        .card
        .finish_sync(out.session, Outcome::Completed, FromNotehub::default());
    assert_eq!(bench.waiting(), [2]);
}

#[test]
fn without_a_network_the_penalty_grows_and_is_told() {
    let mut bench = Bench::new(Way::Usb);
    bench.ask(&hub_set());
    bench.add(1);
    bench.card.set_network(Network::Down);
    bench.ask(&HubSync::default());
    let mut waits = Vec::new();
    for _ in 0..4 {
        let due = bench.card.next_sync().expect("a time");
        bench.clock.sleep_until(due);
        assert!(bench.card.begin_sync().is_none());
        let next = bench.card.next_sync().expect("a time");
        waits.push(next.saturating_sub(bench.clock.uptime()).as_secs());
    }
    assert_eq!(waits, [30, 60, 120, 240]);
    let status = bench.ask(&HubSyncStatus::default());
    assert!(
        status.status.contains("{extended-network-failure}"),
        "{status:?}"
    );
    assert!(status.seconds.is_some_and(|left| left > 200));
    let limited = NoteAdd {
        limit: true,
        ..note(2)
    };
    assert!(bench.timed(&limited, PATIENT).0.is_err());
    bench.card.set_network(Network::Up);
    bench.ask(&HubSync {
        allow: true,
        ..HubSync::default()
    });
    assert!(
        bench
            .card
            .next_sync()
            .is_some_and(|due| due <= bench.clock.uptime())
    );
    assert_eq!(ends(&bench, Outcome::Completed), 1);
    let status = bench.ask(&HubSyncStatus::default());
    assert_eq!((status.alert, status.seconds), (false, None));
}

#[test]
fn notes_have_a_time_only_when_the_card_has_one() {
    let mut bench = Bench::new(Way::Usb);
    bench.ask(&hub_set());
    bench.add(1);
    ends(&bench, Outcome::Completed);
    bench.add(2);
    bench.card.cut_power(seconds(1));
    bench.clock.sleep(seconds(10));
    bench.add(3);
    let queued = bench.card.queued();
    let now = bench.clock.now().timestamp();
    assert!(queued[0].when.is_some_and(|when| now - when < 30));
    assert_eq!(queued[1].when, None, "the power took it");
    assert_eq!(bench.ask(&CardTime::default()).time, None);
}

#[test]
fn a_card_without_a_product_goes_nowhere() {
    let mut bench = Bench::new(Way::Usb);
    bench.ask(&HubSync::default());
    assert!(bench.card.begin_sync().is_none());
    let status = bench.ask(&HubSyncStatus::default());
    assert!(status.status.contains("{product-noexist}"), "{status:?}");
}
