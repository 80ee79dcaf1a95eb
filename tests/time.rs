//! The time of a simulated world.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use edge::clock::Clock;
use edge::emulate::time::{PowerCut, World};

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn hours_pass_while_everybody_waits_and_in_the_same_order_every_time() {
    let course = || {
        let world = World::new(start(), None);
        let clock = Clock::simulated(world.local());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [("slow", 3600), ("fast", 1200)]
            .into_iter()
            .map(|(name, period)| {
                let (clock, seen) = (clock.clone(), seen.clone());
                clock.clone().spawn(name, move || {
                    for _ in 0..3 {
                        clock.sleep(seconds(period));
                        let at = clock.uptime().as_secs();
                        seen.lock().expect("a lock").push((name, at));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.join().expect("it ends");
        }
        assert_eq!(clock.now(), start() + TimeDelta::hours(3));
        seen.lock().expect("a lock").clone()
    };
    let first = course();
    // Who began to wait earlier for the same moment is first.
    let expected = [
        ("fast", 1200),
        ("fast", 2400),
        ("slow", 3600),
        ("fast", 3600),
        ("slow", 7200),
        ("slow", 10800),
    ];
    assert_eq!(first, expected);
    for _ in 0..20 {
        assert_eq!(course(), first);
    }
}

#[test]
fn a_signal_wakes_who_waits_and_is_kept_for_who_does_not_wait_yet() {
    let world = World::new(start(), None);
    for clock in [Clock::simulated(world.local()), Clock::system()] {
        let (signal, done) = (clock.signal(), clock.signal());
        assert!(!signal.wait(Duration::from_millis(1)), "nobody notified");
        signal.notify();
        assert!(signal.wait(seconds(3600)), "it was kept");
        let (waiting, told) = (signal.clone(), done.clone());
        let task = clock.spawn("waits", move || {
            let notified = waiting.wait(seconds(3600));
            told.notify();
            notified
        });
        signal.notify();
        assert!(done.wait(seconds(3600)));
        assert!(task.join().expect("it ends"));
    }
    assert!(world.elapsed() < seconds(1), "nobody had to wait");
}

#[test]
fn a_power_cut_ends_a_station_where_it_waits_and_nobody_else() {
    let world = World::new(start(), None);
    let clock = Clock::simulated(world.local());
    let station = world.station(7);
    let skewed = station.clone();
    skewed.set_skew(TimeDelta::days(-400));
    let inside = Clock::simulated(station);
    let task = inside.clone().spawn("station", move || {
        inside.sleep(seconds(60));
        assert_eq!(
            inside.now(),
            start() + TimeDelta::seconds(60) - TimeDelta::days(400)
        );
        inside.sleep(seconds(1_000_000));
        unreachable!("it has no power");
    });
    clock.sleep(seconds(100));
    world.cut(7);
    let end = task.join().expect_err("it was cut off");
    assert!(end.downcast_ref::<PowerCut>().is_some());
    assert_eq!(world.elapsed(), seconds(100));
    let again = Clock::simulated(world.station(7));
    assert_eq!(again.uptime(), Duration::ZERO, "it begins anew");
    again.sleep(seconds(5));
    assert_eq!(world.elapsed(), seconds(105));
}
