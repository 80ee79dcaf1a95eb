//! Every request by every way, and what its reply says.

use edge::clock::Clock;
use edge::emulate::notecard::{self as emulated, FromNotehub, Options, Outcome, Sent};
use edge::send::notecard::{Notecard, Reason, Settings};
use edge::send::request::card::{
    CardAttn, CardStatus, CardTemp, CardTime, CardVersion, CardVoltage,
};
use edge::send::request::env::EnvGet;
use edge::send::request::hub::{HubSync, HubSyncStatus};
use edge::send::request::note::{NoteAdd, NoteGet, NoteTemplate};
use edge::send::serial::Serial;
use serde_json::json;

use super::{Bench, PATIENT, WAYS, hub_set, note, object, seconds, start};

/// A sync that goes well.
fn sync(bench: &Bench, from_notehub: FromNotehub) -> Vec<emulated::Queued> {
    let out = bench.card.begin_sync().expect("a network");
    bench
        .card
        .finish_sync(out.session, Outcome::Completed, from_notehub);
    out.notes
}

#[test]
fn each_request_is_answered_by_every_way() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        let version = bench.ask(&CardVersion::default());
        assert_eq!(version.version, "notecard-9.1.1");
        assert_eq!(version.device.as_deref(), Some("dev:864475040000000"));
        assert!(version.cell && !version.wifi);

        bench.ask(&hub_set());
        let time = bench.ask(&CardTime::default());
        assert_eq!(
            (time.time, time.zone.as_deref()),
            (None, Some("UTC,Unknown"))
        );
        let status = bench.ask(&CardStatus::default());
        assert_eq!((status.outbound, status.inbound), (Some(30), Some(720)));
        assert!(!status.sync && status.usb);

        let template = NoteTemplate {
            file: "thermal.qo".to_owned(),
            body: object(json!({ "seq": 24, "anomaly": 14.1 })),
            ..NoteTemplate::default()
        };
        assert_eq!(bench.ask(&template).bytes, Some(27));
        let added = bench.add(1);
        assert_eq!((added.total, added.template), (Some(1), true));
        bench.ask(&HubSync::default());
        let status = bench.ask(&HubSyncStatus::default());
        assert_eq!((status.sync, status.completed), (true, None));
        assert!(status.requested.is_some_and(|seconds| seconds < 5));

        let from_notehub = FromNotehub {
            notes: vec![Sent {
                file: "cmd.qi".to_owned(),
                body: object(json!({ "do": "snapshot" })),
                payload: Some(vec![0, 1, 255]),
            }],
            environment: Some([("Interval".to_owned(), "5".to_owned())].into()),
        };
        let sent = sync(&bench, from_notehub);
        assert_eq!(sent.len(), 1);
        let status = bench.ask(&HubSyncStatus::default());
        assert_eq!((status.sync, status.alert), (false, false));
        assert_eq!(status.status, "completed {sync-end}");
        let now = bench.clock.now().timestamp();
        assert!(status.time.is_some_and(|time| now - time < 5));
        let time = bench.ask(&CardTime::default()).time.expect("a time");
        assert!((bench.clock.now().timestamp() - time).abs() <= 1);

        let environment = bench.ask(&EnvGet::default());
        assert_eq!(environment.variables["interval"], "5");
        let since = EnvGet {
            names: vec!["INTERVAL".to_owned()],
            time: environment.time,
        };
        let (unchanged, _) = bench.timed(&since, PATIENT);
        let unchanged = unchanged.expect_err("nothing has changed");
        assert_eq!(unchanged.reason(), Some(Reason::NotModified));

        let get = NoteGet {
            file: "cmd.qi".to_owned(),
            delete: true,
        };
        let command = bench.ask(&get);
        assert_eq!(command.body["do"], "snapshot");
        assert_eq!(command.payload, Some(vec![0, 1, 255]));
        let (none, took) = bench.timed(&get, PATIENT);
        let none = none.expect_err("there is no other");
        assert_eq!(none.reason(), Some(Reason::NoNote));
        assert!(took < seconds(1), "it was not tried again: {took:?}");

        assert!(
            bench
                .ask(&CardVoltage::default())
                .value
                .is_some_and(|volts| volts > 4.0)
        );
        assert!(bench.ask(&CardTemp::default()).value.is_some());
        bench.assert_kept_the_rules();
    }
}

#[test]
fn the_host_sleeps_and_finds_what_it_left() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        bench.ask(&hub_set());
        let attn = bench.ask(&CardAttn::sleep(300, b"where I was".to_vec()));
        assert!(!attn.set);
        let until = bench.card.host_off_until().expect("it is off");
        bench.clock.sleep_until(until);
        assert_eq!(bench.card.host_off_until(), None);
        let attn = bench.ask(&CardAttn::start());
        assert_eq!(attn.payload.as_deref(), Some(&b"where I was"[..]));
        assert!(attn.set);
        assert_eq!(bench.ask(&CardAttn::start()).payload, None, "once");
        bench.assert_kept_the_rules();
    }
}

#[test]
fn long_requests_go_out_in_paced_pieces() {
    for way in WAYS {
        let mut bench = Bench::new(way);
        let text: String = "ä\"\\".repeat(1000);
        let long = NoteAdd {
            file: "long.qo".to_owned(),
            body: Some(object(json!({ "seq": 1, "text": text }))),
            payload: Some((0..250).collect()),
            ..NoteAdd::default()
        };
        bench.ask(&long);
        let queued = bench.card.queued();
        assert_eq!(queued[0].body["text"], text.as_str());
        assert_eq!(queued[0].payload, long.payload);
        bench.assert_kept_the_rules();
    }
}

#[test]
fn what_the_card_refuses_is_told_by_its_reason_and_not_tried_again() {
    let mut bench = Bench::new(super::Way::I2c);
    bench.ask(&hub_set());
    bench.add(1);
    let cases = [
        (note_in("thermal.qi"), Reason::Other),
        (note_in("thermal"), Reason::Other),
        (
            NoteAdd {
                max: Some(1),
                ..note(2)
            },
            Reason::NoteMax,
        ),
        (
            NoteAdd {
                payload: Some(vec![0; 251]),
                ..note(2)
            },
            Reason::Other,
        ),
    ];
    for (request, reason) in cases {
        let (refused, took) = bench.timed(&request, PATIENT);
        let refused = refused.expect_err("it is not allowed");
        assert_eq!(refused.reason(), Some(reason), "{refused}");
        assert!(took < seconds(2), "{took:?}");
    }
    bench.card.set_variable("_note_pause", "1");
    let (paused, _) = bench.timed(&note(2), PATIENT);
    assert_eq!(
        paused.expect_err("notes are paused").reason(),
        Some(Reason::NotePaused)
    );
    bench.card.set_variable("_note_pause", "");
    bench.card.set_full(true);
    let (full, _) = bench.timed(&note(2), PATIENT);
    assert_eq!(
        full.expect_err("it is full").reason(),
        Some(Reason::StorageFull)
    );
    bench.card.set_full(false);
    bench.add(2);
    assert_eq!(bench.waiting(), [1, 2]);
    bench.assert_kept_the_rules();
}

fn note_in(file: &str) -> NoteAdd {
    NoteAdd {
        file: file.to_owned(),
        ..note(2)
    }
}

#[test]
fn real_devices_are_spoken_to_over_a_pty() {
    let clock = Clock::system();
    let card = emulated::Notecard::new(clock.clone(), Options::default());
    let pty = card.on_pty().expect("a pty");
    let mut client = Notecard::new(
        Serial::device(pty.path.as_ref()),
        clock,
        Settings::default(),
    );
    client.transact(&hub_set(), seconds(30)).expect("an answer");
    client.transact(&note(1), seconds(30)).expect("an answer");
    assert_eq!(card.queued().len(), 1);
    assert_eq!(card.violations(), []);
    drop(pty);
    let gone = client.transact(&note(2), seconds(2));
    assert!(gone.is_err(), "nobody is there");
}

#[test]
fn a_port_that_is_not_there_is_told_with_what_to_do() {
    let clock = super::Clock::simulated(super::World::new(start(), None).local());
    let serial = Serial::device("/dev/no-such-notecard".as_ref());
    let mut client = Notecard::new(serial, clock, Settings::default());
    let error = client
        .transact(&note(1), seconds(5))
        .expect_err("there is none");
    let text = error.to_string();
    assert!(
        text.contains("raspi-config") && text.contains("no-such-notecard"),
        "{text}"
    );
}
