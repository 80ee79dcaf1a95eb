//! Templates and the queue.

use edge::emulate::notecard::{FromNotehub, Network, Options, record_bytes};
use edge::send::notecard::{Reason, Settings};
use edge::send::request::card::CardStatus;
use edge::send::request::note::{Format, NoteAdd, NoteTemplate};
use serde_json::{Value, json};

use super::{Bench, PATIENT, Way, hub_set, object, seconds};

fn templated(bench: &mut Bench, format: Option<Format>, body: Value) -> Option<i64> {
    bench
        .ask(&NoteTemplate {
            file: "thermal.qo".to_owned(),
            body: object(body),
            format,
            ..NoteTemplate::default()
        })
        .bytes
}

fn reading(body: Value) -> NoteAdd {
    NoteAdd {
        file: "thermal.qo".to_owned(),
        body: Some(object(body)),
        ..NoteAdd::default()
    }
}

#[test]
fn a_templated_note_comes_out_as_its_record() {
    let mut bench = Bench::new(Way::Usb);
    let template = json!({ "anomaly": 14.1, "cold": 14.1, "seq": 24, "ok": true, "text": "x" });
    let bytes = templated(&mut bench, Some(Format::Compact), template.clone());
    assert_eq!(bytes, Some(3 + 4 + 4 + 4 + 1 + 1));
    let body = json!({ "anomaly": 0.7, "cold": 0.0, "seq": 9, "ok": false, "text": "warm" });
    bench.ask(&reading(body.clone()));
    bench.ask(&NoteAdd {
        full: true,
        payload: Some(vec![7; 256]),
        ..reading(body.clone())
    });
    let queued = bench.card.queued();
    let short = json!({ "anomaly": 0.699_999_988_079_071, "seq": 9, "text": "warm" });
    assert_eq!(Value::Object(queued[0].body.clone()), short);
    assert_eq!(queued[1].body["cold"], json!(0.0));
    assert_eq!(queued[1].body["ok"], json!(false));
    assert_eq!(queued[0].bytes, 3 + 12 + 5 + 1);
    assert_eq!(queued[1].bytes, 3 + 12 + 5 + 1 + 2 + 256);
    let template = object(template);
    let bytes = record_bytes(&template, true, body.as_object(), 256).expect("a template");
    assert_eq!(bytes, queued[1].bytes);
    for wrong in [
        json!({ "seq": -1 }),
        json!({ "seq": "9" }),
        json!({ "other": 1 }),
    ] {
        let (refused, _) = bench.timed(&reading(wrong), PATIENT);
        assert_eq!(
            refused.expect_err("it does not fit").reason(),
            Some(Reason::Template)
        );
    }
    assert!(
        templated(&mut bench, None, json!({})).is_none(),
        "it is gone"
    );
    assert!(!bench.ask(&reading(json!({ "other": 0 }))).template);
    assert_eq!(bench.card.queued()[2].body["other"], json!(0));
    bench.assert_kept_the_rules();
}

#[test]
fn a_power_cut_takes_what_was_not_in_flash() {
    let options = Options {
        cache: seconds(60),
        ..Options::default()
    };
    let mut bench = Bench::with(Way::I2c, options, Settings::default());
    templated(&mut bench, None, json!({ "seq": 24 }));
    bench.ask(&reading(json!({ "seq": 1 })));
    bench.clock.sleep(seconds(60));
    bench.ask(&NoteAdd {
        verify: true,
        ..reading(json!({ "seq": 2 }))
    });
    bench.ask(&reading(json!({ "seq": 3 })));
    bench.card.cut_power(seconds(1));
    assert_eq!(bench.waiting(), [1, 2]);
    assert_eq!(bench.card.tally().lost_in_ram, 1);
    assert!(
        bench.ask(&reading(json!({ "seq": 4 }))).template,
        "the template was kept"
    );
    bench.assert_kept_the_rules();
}

#[test]
fn a_full_card_refuses_until_it_has_synced() {
    let options = Options {
        storage: 20_000,
        ..Options::default()
    };
    let mut bench = Bench::with(Way::Usb, options, Settings::default());
    bench.ask(&hub_set());
    let mut seq = 0;
    let full = loop {
        seq += 1;
        let (added, _) = bench.timed(
            &reading(json!({ "seq": seq, "text": "x".repeat(400) })),
            PATIENT,
        );
        if let Err(full) = added {
            break full;
        }
    };
    assert_eq!(full.reason(), Some(Reason::StorageFull));
    let used = bench.ask(&CardStatus::default()).storage.expect("a share");
    assert!((75..=80).contains(&used), "{used} %");
    bench.card.set_network(Network::Down);
    assert!(bench.card.begin_sync().is_none());
    assert!(
        bench.timed(&super::note(1), PATIENT).0.is_ok(),
        "a small one still fits"
    );
    bench.card.set_network(Network::Up);
    let out = bench.card.begin_sync().expect("a network");
    let outcome = edge::emulate::notecard::Outcome::Completed;
    bench
        .card
        .finish_sync(out.session, outcome, FromNotehub::default());
    assert!(bench.card.queued().is_empty());
    assert!(
        bench
            .timed(&reading(json!({ "seq": seq })), PATIENT)
            .0
            .is_ok()
    );
    let tally = bench.card.tally();
    assert_eq!(tally.notes_sent, out.notes.len() as u64);
    let bytes: usize = out.notes.iter().map(|note| note.bytes).sum();
    assert_eq!(tally.bytes_sent, bytes as u64);
}
