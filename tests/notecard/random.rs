//! Whatever comes over the wire, neither side falls over.

use std::io::{Read, Write};

use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::notecard::{self as emulated, Options};
use edge::emulate::time::World;
use edge::send::i2c::ADDRESS;
use edge::send::notecard::link::{Link, LinkError, Pacing};
use edge::send::notecard::{Notecard, Settings};
use edge::send::request::hub::HubSyncStatus;
use edge::send::request::note::NoteGet;
use embedded_hal::i2c::I2c;
use proptest::prelude::*;

use super::{note, seconds, start};

/// Says the same whatever it is asked.
#[derive(Debug)]
struct Babble {
    pacing: Pacing,
    says: Vec<Vec<u8>>,
    next: usize,
}

impl Link for Babble {
    fn pacing(&self) -> Pacing {
        self.pacing
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.next += usize::from(bytes.len() > 1);
        Ok(())
    }

    fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        let count = self.says.len().max(1);
        if let Some(says) = self.says.get(self.next % count) {
            into.extend_from_slice(says);
        }
        self.next += 1;
        Ok(self.next.is_multiple_of(3))
    }
}

fn clock() -> Clock {
    Clock::simulated(World::new(start(), None).local())
}

/// Bytes that are half way to a reply or a request.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[\\r\\n]{0,3}".prop_map(String::into_bytes),
        r#"\{"(err|total|body|status|req|cmd)":("[a-z{}.]{0,12}"|[0-9.e-]{1,6}|\[\]|\{\})(,"crc":"[0-9A-F]{4}:[0-9A-F]{8}")?\}\n?"#
            .prop_map(String::into_bytes),
        r#"\{"req":"(note.add|note.template|note.get|env.get|hub.set|card.attn|hub.sync)"(,"(body|file|payload|seconds|mode|names|outbound|max|length|port)":("[a-z.=]{0,8}"|-?[0-9]{1,20}|[0-9]{2}\.1|\{"a":[0-9.]{1,4}\}|\[[0-9]?\]|null)){0,4}\}\n"#
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_client_survives_any_reply(says in proptest::collection::vec(nearly(), 0..6)) {
        let clock = clock();
        let pacing = Pacing {
            piece: 250,
            between: std::time::Duration::from_millis(6),
            after_piece: std::time::Duration::from_millis(250),
            poll: std::time::Duration::from_millis(50),
            broken: seconds(1),
            longest: std::time::Duration::ZERO,
        };
        // Quiet for the time that it takes to agree on the beginning of a line.
        let babble = Babble { pacing, says, next: 0 };
        let mut client = Notecard::new(babble, clock.clone(), Settings::default());
        for _ in 0..2 {
            let began = clock.uptime();
            let _ = client.transact(&note(1), seconds(20));
            let _ = client.transact(&HubSyncStatus::default(), seconds(20));
            let get = NoteGet { file: "cmd.qi".to_owned(), delete: true };
            let _ = client.transact(&get, seconds(20));
            prop_assert!(clock.uptime() <= began + seconds(60));
        }
    }

    #[test]
    fn the_card_survives_any_request(requests in proptest::collection::vec(nearly(), 0..12), seed in 0..20_u64) {
        let clock = clock();
        let card = emulated::Notecard::new(clock.clone(), Options::default());
        card.storm(seed, 0.2);
        let mut bus = Bus::new(clock.clone(), 100_000.0);
        bus.attach(ADDRESS, card.on_i2c());
        let mut wire = card.wire(Some(9600));
        let mut buffer = [0; 300];
        for (index, request) in requests.iter().enumerate() {
            if index % 2 == 0 {
                let _ = wire.write_all(request);
                clock.sleep(seconds(1));
                let _ = wire.read(&mut buffer);
            } else {
                // Some are proper transfers, and some are not.
                let length = u8::try_from(request.len()).unwrap_or(0);
                let _ = bus.write(ADDRESS, &[&[length][..], request].concat());
                let _ = bus.write(ADDRESS, request);
                clock.sleep(seconds(1));
                let wanted = usize::from(length);
                let _ = bus.write_read(ADDRESS, &[0, length], &mut buffer[..wanted + 2]);
                let _ = bus.write_read(ADDRESS, &[length], &mut buffer[..2]);
            }
        }
        let _ = card.begin_sync();
        let _ = card.next_sync();
    }
}
