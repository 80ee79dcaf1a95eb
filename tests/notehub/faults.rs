//! What goes wrong on purpose, and what comes down to the device.

use std::collections::BTreeMap;
use std::time::Duration;

use edge::emulate::notehub::{Downlink, Faults, Inbound};
use serde_json::{Value, json};

use super::{Answer, bench, reading, readings, start};

fn seqs(events: &[Value]) -> Vec<u64> {
    let seq = |event: &Value| event["body"]["seq"].as_u64().expect("a number");
    events.iter().map(seq).collect()
}

#[test]
fn while_the_route_is_down_nobody_is_asked_and_retries_end() {
    let bench = bench(Answer::status(200));
    bench.notehub.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    bench.notehub.receive(readings(3));
    assert_eq!(bench.seen().len(), 0);
    // Up again before the second try.
    bench.clock.sleep(Duration::from_secs(60));
    bench.notehub.set_faults(Faults::default());
    bench.settle();
    assert_eq!(bench.seen().len(), 3);
    bench.notehub.set_faults(Faults {
        down: true,
        ..Faults::default()
    });
    bench.notehub.receive(vec![reading(3)]);
    bench.settle();
    bench.notehub.set_faults(Faults::default());
    assert_eq!(bench.notehub.given_up().len(), 1, "that was too long");
    assert_eq!(bench.seen().len(), 0);
    assert!(
        bench
            .notehub
            .log()
            .iter()
            .any(|attempt| attempt.text == "cannot connect")
    );
}

#[test]
fn events_may_come_shuffled_late_and_again() {
    let bench = bench(Answer::status(200));
    bench.notehub.set_faults(Faults {
        shuffle: true,
        ..Faults::default()
    });
    bench.notehub.receive(readings(30));
    let shuffled = seqs(&bench.seen());
    assert!(!shuffled.is_sorted());
    let mut sorted = shuffled.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..30).collect::<Vec<_>>());

    let latest = Duration::from_secs(11 * 3600);
    bench.notehub.set_faults(Faults {
        late: 0.5,
        latest,
        ..Faults::default()
    });
    bench.notehub.receive(readings(60));
    let at_once = bench.seen().len();
    assert!((5..25).contains(&at_once), "{at_once}");
    let before = bench.clock.uptime();
    bench.settle();
    assert_eq!(bench.seen().len(), 30 - at_once);
    let took = bench.clock.uptime() - before;
    assert!(took > latest / 2 && took <= latest, "{took:?}");

    bench.notehub.set_faults(Faults {
        repeat: 0.4,
        ..Faults::default()
    });
    bench.notehub.receive(readings(100));
    bench.settle();
    let seen = bench.seen();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in &seen {
        *times.entry(event["event"].to_string()).or_default() += 1;
    }
    assert_eq!(times.len(), 40, "no event is new");
    assert!(seen.len() > 50, "{}", seen.len());
    assert!(times.values().any(|times| *times == 1));
}

#[test]
fn the_same_seed_makes_the_same_course() {
    let course = || {
        let bench = bench(Answer::status(503));
        bench.notehub.set_faults(Faults {
            shuffle: true,
            late: 0.3,
            latest: Duration::from_secs(3600),
            ..Faults::default()
        });
        bench.notehub.receive(readings(20));
        bench.settle();
        bench.notehub.log()
    };
    let first = course();
    assert_eq!(first.len(), 60);
    assert_eq!(first, course());
}

#[test]
fn what_is_for_the_device_waits_until_it_asks() {
    let bench = bench(Answer::status(200));
    let notehub = &bench.notehub;
    assert_eq!(notehub.downlink(), Downlink::default());
    notehub.set_env("interval", "600");
    bench.clock.sleep(Duration::from_secs(100));
    notehub.set_env("threshold", "0.8");
    notehub
        .send_note("cmd.qi", json!({ "do": "snapshot" }))
        .expect("it waits");
    notehub
        .send_note_with("cmd.qi", json!({}), Some(vec![7; 256]))
        .expect("it waits");
    let down = notehub.downlink();
    let snapshot = Inbound {
        file: "cmd.qi".to_owned(),
        body: json!({ "do": "snapshot" }),
        payload: None,
    };
    assert_eq!(down.notes.len(), 2);
    assert_eq!(down.notes[0], snapshot);
    let variables = [("interval", "600"), ("threshold", "0.8")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(down.environment, BTreeMap::from(variables));
    assert_eq!(down.environment_changed, Some(start().timestamp() + 100));
    notehub.set_env("interval", "");
    let down = notehub.downlink();
    assert_eq!(
        (down.notes.len(), down.environment.len()),
        (0, 1),
        "notes come once"
    );

    let refused = |file, payload| {
        let error = notehub.send_note_with(file, json!({}), payload);
        error.expect_err("it is refused").to_string()
    };
    assert!(refused("thermal.qo", None).contains("gets no notes in thermal.qo"));
    assert!(refused("cmd.qi", Some(vec![0; 257])).contains("at most 256 bytes, not 257"));
    for _ in 0..100 {
        notehub.send_note("cmd.qi", json!({})).expect("it waits");
    }
    assert!(refused("cmd.qi", None).contains("100 notes wait"));
}
