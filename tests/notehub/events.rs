//! What is said of a note.

use edge::emulate::notehub::{Station, Synced, content_uid};
use serde_json::json;

use super::{Answer, DEVICE, bench, bench_with, reading, readings, start, station};

#[test]
fn a_uid_is_made_of_what_the_note_is() {
    let note = Synced {
        when: Some(1_645_459_200),
        body: json!({ "normal": 0.12, "anomaly": 0.88 }),
        ..reading(0)
    };
    let uid = |note: &Synced| content_uid(DEVICE, note);
    // Computed with Notehub's own code.
    let known = "6c23eca7-3536-87cd-9047-139a87a6bbd1".to_owned();
    assert_eq!(uid(&note), Some(known.clone()));
    let sorted = json!({ "anomaly": 0.88, "normal": 0.12 });
    assert_eq!(
        uid(&Synced {
            body: sorted,
            ..note.clone()
        }),
        Some(known.clone())
    );
    let no_payload = Some(Vec::new());
    assert_eq!(
        uid(&Synced {
            payload: no_payload,
            ..note.clone()
        }),
        Some(known.clone())
    );
    let mut others = [
        Synced {
            when: Some(1_645_459_201),
            ..note.clone()
        },
        Synced {
            file: "alert.qo".to_owned(),
            ..note.clone()
        },
        Synced {
            note_id: "1".to_owned(),
            ..note.clone()
        },
        Synced {
            body: json!({ "normal": 0.12, "anomaly": 0.881 }),
            ..note.clone()
        },
        Synced {
            body: json!(null),
            ..note.clone()
        },
        Synced {
            body: json!({}),
            ..note.clone()
        },
        Synced {
            payload: Some(vec![0]),
            ..note.clone()
        },
    ]
    .iter()
    .map(|note| uid(note).expect("it has a time"))
    .collect::<Vec<_>>();
    others.push(content_uid("dev:864475040000001", &note).expect("it has a time"));
    others.push(known);
    for uid in &others {
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "8", "{uid}");
        assert!("89ab".contains(&uid[19..20]), "{uid}");
    }
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 9);
    for when in [None, Some(0)] {
        assert_eq!(
            uid(&Synced {
                when,
                ..note.clone()
            }),
            None,
            "nobody knows"
        );
    }
}

#[test]
fn an_event_has_what_notehub_says_and_nothing_empty() {
    let bench = bench(Answer::status(200));
    let note = Synced {
        payload: Some(vec![0, 255, 16]),
        body: json!({ "warm": 0.0, "anomaly": 0.25, "deep": { "b": 1, "a": null } }),
        ..reading(0)
    };
    bench.notehub.receive(vec![note]);
    let seen = bench.receiver.take();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", "/notehub")
    );
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("user-agent"), Some("BluesNotehub/1.0"));
    let bearer = format!("Bearer {}", super::TOKEN);
    assert_eq!(seen[0].header("authorization"), Some(&*bearer));
    // As Go writes it.
    let body = r#""body":{"anomaly":0.25,"deep":{"a":null,"b":1},"warm":0},"payload":"AP8Q""#;
    assert!(seen[0].body.contains(body), "{}", seen[0].body);
    let event = super::event(&seen[0]);
    let received = event["received"].as_f64().expect("a number");
    let now = start().timestamp() as f64;
    assert!(received > now && received < now + 0.002, "{received}");
    let uid = event["event"].as_str().expect("a uid");
    for (field, expected) in [
        ("best_id", json!("boiler-room-7")),
        ("sn", json!("boiler-room-7")),
        ("device", json!(DEVICE)),
        ("product", json!("product:com.example.plant:thermal")),
        ("app", json!("app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44")),
        (
            "fleets",
            json!(["fleet:3d1b6f0a-1c58-4a1c-8a6b-2f7de0a9b3c5"]),
        ),
        ("transport", json!("cell:emtc")),
        ("req", json!("note.add")),
        ("when", json!(start().timestamp())),
        ("session_began", json!(start().timestamp())),
        ("file", json!("thermal.qo")),
        ("best_location_type", json!("tower")),
        ("best_lat", json!(43.073_787_5)),
        ("best_location", json!("Shorewood Hills WI")),
        ("best_timezone", json!("America/Chicago")),
        ("tower_lon", json!(-89.443_671_875)),
        ("tower_id", json!("310,410,17169,77315601")),
    ] {
        assert_eq!(event[field], expected, "{field}");
    }
    assert_eq!(event["session"].as_str().map(str::len), Some(36));
    assert!(event.get("note").is_none(), "a queue's notes have no id");
    let kept = bench.notehub.events();
    // Notehub's own event of the session comes first, and is not posted.
    let files: Vec<_> = kept.iter().map(|event| &event["file"]).collect();
    assert_eq!(files, ["_session.qo", "thermal.qo"]);
    assert_eq!(kept[1]["event"], uid);
}

#[test]
fn what_is_not_known_is_left_out() {
    let bench = bench(Answer::status(200));
    let bare = edge::emulate::notehub::Notehub::new(
        bench.clock.clone(),
        2,
        edge::emulate::notehub::Route::new(&bench.receiver.url("/notehub"), "token"),
        Station {
            sn: String::new(),
            fleets: Vec::new(),
            location: None,
            ..station()
        },
    );
    let note = Synced {
        when: None,
        body: json!(null),
        ..reading(0)
    };
    bare.receive(vec![note.clone(), note]);
    let seen = bench.seen();
    assert_eq!(
        seen.len(),
        2,
        "without a time nobody knows that it is the same note"
    );
    assert_ne!(seen[0]["event"], seen[1]["event"]);
    assert_eq!(&seen[0]["event"].as_str().expect("a uid")[14..15], "4");
    assert_eq!(seen[0]["best_id"], DEVICE);
    let mut fields: Vec<_> = seen[0]
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "app",
            "best_id",
            "device",
            "event",
            "file",
            "product",
            "received",
            "req",
            "session",
            "session_began",
            "transport"
        ]
    );
}

#[test]
fn a_note_that_comes_again_is_the_same_event() {
    let bench = bench(Answer::status(200));
    bench.notehub.receive(readings(5));
    bench.notehub.receive(readings(7));
    bench.notehub.end_session();
    bench.clock.sleep(std::time::Duration::from_secs(1800));
    bench.notehub.receive(readings(8));
    let seqs: Vec<_> = bench
        .seen()
        .iter()
        .map(|event| event["body"]["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_session_is_told_at_both_ends() {
    let bench = bench_with(Answer::status(200), |route| route.system = true);
    bench.notehub.set_env("$site", "north");
    bench.notehub.set_env("interval", "300");
    bench
        .notehub
        .begin_session("continuous connection mode (TLS)");
    bench.notehub.receive(readings(3));
    bench.notehub.receive(readings(3));
    bench.clock.sleep(std::time::Duration::from_secs(40));
    bench.notehub.end_session();
    bench.notehub.end_session();
    let seen = bench.seen();
    assert_eq!(seen.len(), 5);
    let (begin, end) = (&seen[0], &seen[4]);
    assert_eq!(begin["req"], "session.begin");
    assert_eq!(
        begin["body"],
        json!({ "why": "continuous connection mode (TLS)" })
    );
    assert_eq!(begin["environment"], json!({ "$site": "north" }));
    assert_eq!(
        (&begin["tls"], &begin["platform"]),
        (&json!(true), &json!(true))
    );
    assert!(
        begin["rssi"]
            .as_i64()
            .is_some_and(|rssi| (-120..-50).contains(&rssi))
    );
    assert!(
        begin["voltage"]
            .as_f64()
            .is_some_and(|voltage| voltage > 4.5)
    );
    assert_eq!(end["req"], "session.end");
    assert_eq!(end["hub_duration_secs"], 40);
    assert_eq!(end["hub_events_routed"], 3);
    assert_eq!(end["card_sent_notes"], 6);
    assert!(end.get("environment").is_none());
    for event in &seen {
        assert_eq!(event["session"], begin["session"]);
    }
    assert_ne!(begin["event"], end["event"]);
}

#[test]
fn only_the_files_of_the_route_are_posted_and_all_are_kept() {
    let bench = bench_with(Answer::status(200), |route| {
        route.files = vec!["alert.qo".to_owned()];
    });
    let alert = Synced {
        file: "alert.qo".to_owned(),
        ..reading(1)
    };
    bench.notehub.receive(vec![reading(0), alert, reading(2)]);
    let seen = bench.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["file"], "alert.qo");
    assert_eq!(bench.notehub.events().len(), 4);
}
