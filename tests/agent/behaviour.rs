//! What the agent does in single situations, each on a simulated station of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use edge::emulate::notecard::Network;
use edge::emulate::station::{Plan, What, simulate};
use serde_json::{Value, json};

use super::station::{Simulated, config, hours, minutes};
use crate::support::edge::sink::Sink;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

/// Plays some hours, and gives the events that were posted, by notefile.
fn play(
    hours: f64,
    happenings: Vec<(std::time::Duration, What)>,
    more: &str,
) -> (edge::emulate::station::Ledger, BTreeMap<String, Vec<Value>>) {
    let sink = Sink::start();
    let mut simulated = Simulated::new(
        hours / 24.0,
        Plan::new(happenings),
        [&sink.url(), "token"],
        now(),
    );
    simulated.options.config = config(more);
    let ledger = simulate(simulated.options.clone(), &mut |_| {}).expect("the hours pass");
    let mut by_file: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in sink.seen() {
        let file = event["file"].as_str().expect("a notefile").to_owned();
        by_file.entry(file).or_default().push(event);
    }
    assert!(ledger.is_good(), "{ledger}");
    (ledger, by_file)
}

fn number(event: &Value, key: &str) -> f64 {
    event["body"][key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} in {event}"))
}

/// None is missing, by their own time. A reading that had to be confirmed may be of the second or third look.
fn assert_every_five_minutes(readings: &[Value]) {
    let mut times: Vec<_> = readings
        .iter()
        .map(|event| event["body"]["t"].as_i64().expect("a time"))
        .collect();
    times.sort_unstable();
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let odd: Vec<_> = steps.filter(|step| !(230..=370).contains(step)).collect();
    assert!(odd.is_empty(), "{odd:?} in {times:?}");
}

#[test]
fn a_quiet_morning_is_a_reading_every_five_minutes_one_picture_and_one_sign_of_life() {
    let (ledger, events) = play(6.0, Vec::new(), "");
    let readings = &events["thermal.qo"];
    // All but what the camera warmed up for.
    assert!(readings.len() >= 70, "{ledger}");
    assert_every_five_minutes(readings);
    for event in readings {
        assert!(number(event, "anomaly") < 0.7, "{event}");
        let scores: f64 = ["anomaly", "cold", "warm", "hot"]
            .iter()
            .map(|label| number(event, label))
            .sum();
        assert!((scores - 1.0).abs() < 0.001, "{event}");
        // The machine's clock was hours off, and the Notecard's was not.
        let when = event["when"].as_i64();
        assert!(
            when.is_none_or(|when| when >= event["body"]["t"].as_i64().expect("t")),
            "{event}"
        );
    }
    assert_eq!(events["frame.qo"].len(), 3);
    assert_eq!(events["health.qo"].len(), 1);
    let health = &events["health.qo"][0]["body"];
    assert_eq!(health["why"], "start");
    assert_eq!(health["clk"], "notecard");
    assert_eq!(health["fault"], 0);
    assert!(!events.contains_key("alert.qo"));
    assert_eq!(ledger.repeated, 0);
}

#[test]
fn a_hot_spot_is_told_within_minutes_with_its_picture_and_so_is_its_end() {
    let begins = hours(3);
    let plan = vec![
        (begins, What::HotSpot { delta_t: 18.0 }),
        (begins + hours(1), What::HotSpotGone),
    ];
    let (_, events) = play(6.0, plan, "");
    let alerts = &events["alert.qo"];
    let why: Vec<_> = alerts
        .iter()
        .map(|event| event["body"]["why"].as_str())
        .collect();
    assert_eq!(why.first(), Some(&Some("anomaly")), "{why:?}");
    assert_eq!(
        why.iter().filter(|why| **why == Some("anomaly")).count(),
        1,
        "{why:?}"
    );
    assert_eq!(why.last(), Some(&Some("anomaly over")), "{why:?}");
    assert!(number(&alerts[0], "anomaly") > 0.7);
    assert!(number(&alerts[0], "dt") > 5.0);
    let begun = (now() - chrono::TimeDelta::hours(15) + begins).timestamp();
    let told = alerts[0]["received"].as_f64().expect("a time");
    // Five minutes to the next look, one for two of three, a sync.
    let after = told - begun as f64;
    assert!((0.0..420.0).contains(&after), "told after {after} s");
    // The picture of the start, and that of the alarm, which is of the alarm's moment.
    let t = alerts[0]["body"]["t"].as_i64();
    let pictures: Vec<_> = events["frame.qo"]
        .iter()
        .filter(|event| event["body"]["t"].as_i64() == t)
        .collect();
    assert_eq!(pictures.len(), 3, "{t:?}");
    let arrived = pictures[2]["received"].as_f64().expect("a time");
    assert!(
        arrived - told < 120.0,
        "the picture came {} s later",
        arrived - told
    );
}

#[test]
fn while_there_is_no_network_everything_waits_and_then_arrives_in_its_own_time() {
    let plan = vec![
        (minutes(40), What::Network(Network::Down)),
        (hours(7), What::Network(Network::Up)),
    ];
    let (ledger, events) = play(8.0, plan, "");
    let readings = &events["thermal.qo"];
    assert!(readings.len() >= 94, "{ledger}");
    assert_every_five_minutes(readings);
    let mut seqs: Vec<_> = readings
        .iter()
        .map(|event| event["body"]["seq"].as_u64())
        .collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), readings.len(), "each once");
}

#[test]
fn a_full_notecard_costs_no_note_and_alarms_go_first_when_there_is_room() {
    let plan = vec![
        (hours(1), What::NotecardFull { full: true }),
        (hours(2), What::HotSpot { delta_t: 18.0 }),
        (hours(4), What::NotecardFull { full: false }),
    ];
    let (ledger, events) = play(6.0, plan, "");
    assert_every_five_minutes(&events["thermal.qo"]);
    let alarm = &events["alert.qo"][0];
    let room = (now() - chrono::TimeDelta::hours(15) + hours(4)).timestamp() as f64;
    let told = alarm["received"].as_f64().expect("a time");
    assert!(
        (room..room + 660.0).contains(&told),
        "{} s after there was room",
        told - room
    );
    let waited: Vec<f64> = events["thermal.qo"]
        .iter()
        .filter(|event| event["body"]["t"].as_f64().expect("t") < room)
        .filter_map(|event| event["received"].as_f64())
        .filter(|received| *received > room)
        .collect();
    assert!(waited.len() > 30, "{ledger}");
    assert!(
        waited.iter().all(|received| *received >= told),
        "the alarm went first"
    );
}

#[test]
fn killed_again_and_again_while_it_hands_over_the_agent_loses_nothing() {
    // Around each cycle's end, a little later each time: in the middle of pictures, of the spool, of requests.
    let kills = (0..150_u64).map(|kill| {
        let at = minutes(5 * kill + 10) + std::time::Duration::from_millis(1500 + 41 * kill);
        (at, What::Restart)
    });
    let (ledger, events) = play(14.0, kills.collect(), "");
    assert!(ledger.starts > 150, "{ledger}");
    assert!(ledger.repeated <= 16 * ledger.starts, "{ledger}");
    let identities: std::collections::BTreeSet<_> = events["thermal.qo"]
        .iter()
        .map(|event| {
            (
                event["body"]["boot"].as_u64(),
                event["body"]["seq"].as_u64(),
            )
        })
        .collect();
    assert_eq!(identities.len(), ledger.readings);
}

#[test]
fn the_cloud_changes_settings_and_asks_for_a_picture_without_a_restart() {
    let set = |name: &str, value: &str| What::Variable {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let plan = vec![
        (minutes(61), set("interval", "10m")),
        (minutes(61), set("threshold", "0.8")),
        (minutes(61), set("frames", "sometimes")),
        (
            minutes(61),
            What::Command {
                body: json!({"cmd": "snapshot"})
                    .as_object()
                    .cloned()
                    .expect("an object"),
            },
        ),
    ];
    let (_, events) = play(6.0, plan, "");
    // An outbound sync fetches what has come, too; 30 minutes at most.
    let mut healths: Vec<_> = events["health.qo"]
        .iter()
        .map(|event| &event["body"])
        .collect();
    healths.sort_by_key(|body| body["seq"].as_u64());
    assert_eq!(healths.len(), 2, "{healths:?}");
    assert_eq!(healths[1]["every"], 600);
    assert!((healths[1]["threshold"].as_f64().expect("a number") - 0.8).abs() < 1e-6);
    let why = healths[1]["why"].as_str().expect("a text");
    assert!(why.starts_with("settings; frames: \"sometimes\""), "{why}");
    // One of the start, one that was asked for.
    assert_eq!(events["frame.qo"].len(), 6);
    let mut times: Vec<i64> = events["thermal.qo"]
        .iter()
        .map(|event| event["body"]["t"].as_i64().expect("t"))
        .collect();
    times.sort_unstable();
    let last = times.windows(2).last().expect("readings");
    assert_eq!(last[1] - last[0], 600, "the new interval is in force");
}

#[test]
fn a_camera_that_fails_for_long_is_told_as_a_fault_and_never_as_a_temperature() {
    let plan = vec![(hours(1), What::CameraSilent { time: minutes(50) })];
    let (_, events) = play(4.0, plan, "");
    let mut healths: Vec<_> = events["health.qo"]
        .iter()
        .map(|event| &event["body"])
        .collect();
    healths.sort_by_key(|body| body["seq"].as_u64());
    let faults: Vec<_> = healths.iter().map(|body| body["fault"].as_u64()).collect();
    assert_eq!(faults, [Some(0), Some(1), Some(0)], "{healths:?}");
    assert!(
        healths[1]["why"]
            .as_str()
            .expect("a text")
            .contains("fault"),
        "{healths:?}"
    );
    let silent = (now() - chrono::TimeDelta::hours(13) + hours(1)).timestamp();
    let during = |event: &&Value| {
        let t = event["body"]["t"].as_i64().expect("t");
        (silent + 60..silent + 49 * 60).contains(&t)
    };
    assert_eq!(events["thermal.qo"].iter().filter(during).count(), 0);
    for event in &events["thermal.qo"] {
        assert!((10.0..120.0).contains(&number(event, "max")), "{event}");
    }
}

#[test]
fn an_episode_goes_on_over_a_power_cut_and_its_end_is_told_once() {
    let plan = vec![
        (hours(2), What::HotSpot { delta_t: 18.0 }),
        (minutes(150), What::PowerCut { off: minutes(10) }),
        (hours(4), What::HotSpotGone),
    ];
    let (ledger, events) = play(6.0, plan, "");
    let mut alerts: Vec<_> = events["alert.qo"]
        .iter()
        .map(|event| &event["body"])
        .collect();
    alerts.sort_by_key(|body| body["t"].as_u64());
    let told = |what: &str| alerts.iter().filter(|body| body["why"] == what).count();
    assert_eq!([told("anomaly"), told("anomaly over")], [1, 1], "{ledger}");
    let last = alerts.last().expect("an alert");
    assert_eq!(last["why"], "anomaly over");
    assert_ne!(alerts[0]["boot"], last["boot"]);
}

#[test]
fn a_serial_line_serves_as_well_as_the_bus() {
    let sink = Sink::start();
    let mut simulated = Simulated::new(0.1, Plan::default(), [&sink.url(), "token"], now());
    simulated.options.serial = true;
    let ledger = simulate(simulated.options.clone(), &mut |_| {}).expect("the hours pass");
    assert!(ledger.is_good() && ledger.readings > 20, "{ledger}");
}

#[test]
fn the_same_seed_gives_the_same_days() {
    let course = || {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::start();
        let plan = Plan::troubled(3, 1.0);
        let mut simulated = Simulated::new(0.5, plan, [&sink.url(), "token"], now());
        simulated.options.seed = 3;
        let ledger = simulate(simulated.options.clone(), &mut |_| {}).expect("the hours pass");
        let bodies: Vec<_> = sink
            .seen()
            .into_iter()
            .map(|event| (event["event"].clone(), event["body"].clone()))
            .collect();
        events.lock().expect("a lock").extend(bodies);
        let events = events.lock().expect("a lock").clone();
        (ledger, events)
    };
    let (ledger, events) = course();
    let (again, events_again) = course();
    assert_eq!(ledger, again);
    assert_eq!(events, events_again);
}
