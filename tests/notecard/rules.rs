//! The rules of the protocol, which the emulator watches, and those of Blues' schemas, which requests keep.

use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::notecard::{self as emulated, Options, Rule};
use edge::emulate::time::World;
use edge::send::i2c::ADDRESS;
use edge::send::notecard::crc;
use edge::send::request::Request;
use edge::send::request::card::{
    CardAttn, CardStatus, CardTemp, CardTime, CardVersion, CardVoltage,
};
use edge::send::request::env::EnvGet;
use edge::send::request::hub::{HubSet, HubSync, HubSyncStatus, Mode};
use edge::send::request::note::{Format, NoteAdd, NoteGet, NoteTemplate};
use embedded_hal::i2c::{I2c, Operation};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::Duration;

use super::{object, seconds, start};

fn card() -> (Clock, emulated::Notecard, Bus) {
    let clock = Clock::simulated(World::new(start(), None).local());
    let card = emulated::Notecard::new(clock.clone(), Options::default());
    let bus = Bus::new(clock.clone(), 100_000.0);
    bus.attach(ADDRESS, card.on_i2c());
    (clock, card, bus)
}

fn broken(card: &emulated::Notecard) -> Vec<Rule> {
    let mut rules: Vec<_> = card.violations().into_iter().map(|one| one.rule).collect();
    rules.dedup();
    rules
}

fn read(bus: &mut Bus, wanted: u8) -> Vec<u8> {
    let mut buffer = vec![0; usize::from(wanted) + 2];
    bus.write_read(ADDRESS, &[0, wanted], &mut buffer)
        .expect("it answers");
    buffer
}

#[test]
fn a_conversation_by_the_book_breaks_no_rule() {
    let (clock, card, mut bus) = card();
    bus.write(ADDRESS, b"\x01\n").expect("it answers");
    clock.sleep(seconds(1));
    assert_eq!(read(&mut bus, 0), [2, 0]);
    clock.sleep(seconds(1));
    assert_eq!(read(&mut bus, 2), [0, 2, b'\r', b'\n']);
    clock.sleep(seconds(1));
    let request = br#"{"req":"echo","text":"nonce"}"#;
    let mut message = vec![u8::try_from(request.len() + 1).expect("short")];
    message.extend_from_slice(request);
    message.push(b'\n');
    bus.write(ADDRESS, &message).expect("it answers");
    clock.sleep(seconds(1));
    let waiting = read(&mut bus, 0)[0];
    clock.sleep(seconds(1));
    // A host that ends the write before it reads is served as well.
    let mut answer = vec![0; usize::from(waiting) + 2];
    bus.write(ADDRESS, &[0, waiting]).expect("it answers");
    clock.sleep(seconds(1));
    bus.read(ADDRESS, &mut answer).expect("it answers");
    assert_eq!(&answer[2..], b"{\"text\":\"nonce\"}\r\n");
    assert_eq!(broken(&card), []);
}

#[test]
fn every_broken_rule_is_seen() {
    let second = seconds(1);
    let (_, one, mut bus) = card();
    let _ = bus.write(ADDRESS, &[]);
    assert_eq!(broken(&one), [Rule::EmptyWrite]);

    let (_, one, mut bus) = card();
    let _ = bus.write(ADDRESS, &[0]);
    assert_eq!(broken(&one), [Rule::EmptyWrite]);

    let (_, one, mut bus) = card();
    assert!(bus.write(ADDRESS, &[3, b'a']).is_err());
    assert_eq!(broken(&one), [Rule::LengthByte]);

    let (_, one, mut bus) = card();
    let _ = bus.write(ADDRESS, &[&[255][..], &[b' '; 255]].concat());
    assert_eq!(broken(&one), [Rule::LongWrite]);

    let (_, one, mut bus) = card();
    let _ = bus.read(ADDRESS, &mut [0; 2]);
    assert_eq!(broken(&one), [Rule::UnaskedRead]);

    let (_, one, mut bus) = card();
    let _ = bus.transaction(
        ADDRESS,
        &mut [Operation::Write(&[0, 0]), Operation::Read(&mut [0; 3])],
    );
    assert_eq!(broken(&one), [Rule::ReadLength]);

    let (_, one, mut bus) = card();
    let _ = read(&mut bus, 5);
    assert_eq!(broken(&one), [Rule::OverRead]);

    let (clock, one, mut bus) = card();
    let _ = read(&mut bus, 0);
    clock.sleep(Duration::from_millis(5));
    let _ = read(&mut bus, 0);
    assert_eq!(broken(&one), [Rule::PollSpacing]);
    clock.sleep(second);
    let _ = bus.write(ADDRESS, b"\x01\n");
    let _ = bus.write(ADDRESS, b"\x01\n");
    assert_eq!(broken(&one), [Rule::PollSpacing, Rule::TransferSpacing]);

    let (clock, one, mut bus) = card();
    let request = b"\x17{\"req\":\"card.version\"}\n";
    bus.write(ADDRESS, request).expect("it answers");
    clock.sleep(second);
    bus.write(ADDRESS, request).expect("it answers");
    assert_eq!(broken(&one), [Rule::Overlap]);

    let (_, one, _) = card();
    let mut wire = one.wire(None);
    wire.write_all(&[b' '; 700]).expect("it takes all");
    assert_eq!(broken(&one), [Rule::Pacing]);
    wire.write_all(&[b' '; 900]).expect("it takes all");
    assert_eq!(broken(&one), [Rule::Pacing, Rule::Overflow]);
}

/// A line to a card without a clock in the way, and what comes of it.
fn says(lines: &[&str]) -> Vec<Value> {
    let (clock, card, _) = card();
    let mut wire = card.wire(None);
    let mut replies = Vec::new();
    for line in lines {
        wire.write_all(format!("{line}\n").as_bytes())
            .expect("it takes all");
        clock.sleep(seconds(1));
        let mut buffer = [0; 1024];
        let length = wire.read(&mut buffer).unwrap_or(0);
        let text = std::str::from_utf8(&buffer[..length]).expect("text");
        replies.push(match crc::take(text.trim()) {
            Some(checked) => {
                assert!(checked.intact, "{text}");
                serde_json::from_str(&checked.text).expect("JSON")
            }
            None => serde_json::from_str(text.trim()).unwrap_or(Value::Null),
        });
    }
    replies
}

#[test]
fn a_card_answers_requests_and_not_commands_and_remembers_the_last() {
    let add = crc::add(r#"{"req":"note.add","body":{"a":1}}"#, 5);
    let again = crc::add(r#"{"req":"note.add","body":{"a":1}}"#, 6);
    let damaged = crc::add(r#"{"req":"note.add","body":{"a":1}}"#, 7).replace(":1}", ":2}");
    let replies = says(&[
        &add,
        &add,
        &again,
        r#"{"cmd":"note.add","body":{"a":1}}"#,
        r#"{"req":"note.add","cmd":"note.add","body":{"a":1}}"#,
        r#"{"body":{"a":1}}"#,
        &damaged,
        r#"{"req":"no.such","id":7}"#,
        "nonsense",
        r#"{"req":"hub.sync","in":1}"#,
        r#"{"req":"note.add","body":{"a":1}}"#,
    ]);
    assert_eq!(
        replies[..3],
        [
            json!({"total": 1}),
            json!({"total": 1}),
            json!({"total": 2})
        ]
    );
    assert_eq!(replies[3], Value::Null);
    for place in [4, 5] {
        assert!(
            replies[place]["err"]
                .as_str()
                .is_some_and(|err| err.contains("{incompatible}"))
        );
    }
    assert!(
        replies[6]["err"]
            .as_str()
            .is_some_and(|err| err.contains("{io}"))
    );
    let unknown = replies[7]["err"].as_str().expect("an error");
    assert!(unknown.contains("{io}") && unknown.contains("{not-supported}"));
    assert_eq!(replies[7]["id"], 7);
    assert!(
        replies[8]["err"]
            .as_str()
            .is_some_and(|err| err.contains("{not-json}"))
    );
    assert_eq!(replies[10], json!({"total": 4}), "the command was done");
}

/// What Blues' schemas (github.com/blues/notecard-schema, API 9.1.1) allow in requests, as far as we use it: names, types,
/// and smallest numbers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer(i64),
    Flag,
    Object,
    Texts,
}

fn allowed(request: &str) -> &'static [(&'static str, Kind)] {
    use Kind::{Flag, Integer, Object, Text, Texts};
    match request {
        "hub.set" => &[
            ("align", Flag),
            ("duration", Integer(15)),
            ("host", Text),
            ("inbound", Integer(-1)),
            ("mode", Text),
            ("off", Flag),
            ("on", Flag),
            ("outbound", Integer(-1)),
            ("product", Text),
            ("seconds", Integer(i64::MIN)),
            ("sn", Text),
            ("sync", Flag),
            ("umin", Flag),
            ("uoff", Flag),
            ("uperiodic", Flag),
            ("vinbound", Text),
            ("voutbound", Text),
        ],
        "hub.sync" => &[("allow", Flag), ("in", Flag), ("out", Flag)],
        "hub.sync.status" => &[("sync", Flag)],
        "note.add" => &[
            ("binary", Flag),
            ("body", Object),
            ("file", Text),
            ("full", Flag),
            ("key", Text),
            ("limit", Flag),
            ("live", Flag),
            ("max", Integer(1)),
            ("note", Text),
            ("payload", Text),
            ("sync", Flag),
            ("verify", Flag),
        ],
        "note.template" => &[
            ("body", Object),
            ("delete", Flag),
            ("file", Text),
            ("format", Text),
            ("length", Integer(-1)),
            ("port", Integer(1)),
            ("verify", Flag),
        ],
        "note.get" => &[
            ("decrypt", Flag),
            ("delete", Flag),
            ("deleted", Flag),
            ("file", Text),
            ("note", Text),
        ],
        "env.get" => &[
            ("name", Text),
            ("names", Texts),
            ("time", Integer(i64::MIN)),
        ],
        "card.attn" => &[
            ("files", Texts),
            ("mode", Text),
            ("off", Flag),
            ("on", Flag),
            ("payload", Text),
            ("seconds", Integer(-1)),
            ("start", Flag),
            ("verify", Flag),
        ],
        "card.version" | "card.time" | "card.voltage" | "card.temp" | "card.status" => &[],
        other => panic!("{other} is not among them"),
    }
}

fn check<R: Request>(request: &R) {
    let text = request.text();
    assert!(!text.contains('\n'), "one line");
    let object = object(serde_json::from_str(&text).expect("JSON"));
    assert_eq!(object["req"], R::NAME);
    for (name, value) in object.iter().filter(|(name, _)| *name != "req") {
        let (_, kind) = allowed(R::NAME)
            .iter()
            .find(|(allowed, _)| allowed == name)
            .unwrap_or_else(|| panic!("{} has no {name}", R::NAME));
        let fits = match kind {
            Kind::Text => value.is_string(),
            Kind::Flag => value.is_boolean(),
            Kind::Object => value.is_object(),
            Kind::Integer(least) => value.as_i64().is_some_and(|value| value >= *least),
            Kind::Texts => value
                .as_array()
                .is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string)),
        };
        assert!(fits, "{name}: {value}");
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    match R::NAME {
        "hub.set" => assert!(text("mode").is_none_or(|mode| {
            ["periodic", "continuous", "minimum", "off", "dfu"].contains(&mode)
        })),
        "note.add" => {
            let end = text("file")
                .and_then(|file| file.rsplit_once('.'))
                .map(|(_, end)| end);
            assert!(["qo", "qos", "db", "dbs", "dbx"].contains(&end.expect("a name")));
            assert!(object.contains_key("body") || object.contains_key("payload"));
        }
        "note.template" => assert!(object.contains_key("file")),
        // Seconds belong to sleep, and sleep needs them.
        "card.attn" => {
            assert_eq!(
                text("mode") == Some("sleep"),
                object.contains_key("seconds")
            );
            assert!(text("mode").is_none_or(|mode| ["sleep", "disarm"].contains(&mode)));
        }
        _ => {}
    }
}

#[test]
fn requests_are_what_blues_schemas_allow() {
    check(&HubSet::default());
    for mode in [Mode::Periodic, Mode::Continuous, Mode::Minimum, Mode::Off] {
        check(&HubSet {
            product: Some("com.example.people:thermal".to_owned()),
            mode: Some(mode),
            outbound: Some(30),
            inbound: Some(720),
            sn: Some("boiler".to_owned()),
            sync: true,
            voutbound: Some("usb:30;dead:0".to_owned()),
            vinbound: Some("-".to_owned()),
        });
    }
    check(&HubSync::default());
    check(&HubSync {
        allow: true,
        out: true,
        inbound: true,
    });
    check(&HubSyncStatus { sync: true });
    check(&NoteAdd {
        file: "alert.qo".to_owned(),
        body: Some(object(json!({ "anomaly": 0.9 }))),
        payload: Some(vec![0; 256]),
        sync: true,
        full: true,
        verify: true,
        max: Some(100),
        limit: true,
    });
    check(&NoteTemplate {
        file: "thermal.qo".to_owned(),
        body: object(json!({ "anomaly": 14.1 })),
        length: Some(256),
        format: Some(Format::Compact),
        port: Some(1),
        verify: true,
    });
    check(&NoteTemplate {
        file: "thermal.qo".to_owned(),
        ..NoteTemplate::default()
    });
    check(&NoteGet {
        file: "cmd.qi".to_owned(),
        delete: true,
    });
    check(&EnvGet::default());
    check(&EnvGet {
        names: vec!["interval".to_owned()],
        time: Some(1_700_000_000),
    });
    check(&CardAttn::sleep(60, vec![1, 2, 3]));
    check(&CardAttn::start());
    check(&CardVersion::default());
    check(&CardTime::default());
    check(&CardVoltage::default());
    check(&CardTemp::default());
    check(&CardStatus::default());
}
