//! `edge check`: what it finds on emulated hardware, sound and broken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::mlx90640::{Camera, Faults, Kind, Make, Seen, synthetic};
use edge::emulate::notecard::{Notecard, Options};
use edge::emulate::time::World;
use edge::examine::{Finding, Mark, examine};
use edge::frame::PIXELS;
use edge::hardware::{Emulated, Station};

use super::station::config;
use crate::support::edge::run;

struct Bench {
    clock: Clock,
    camera: Faults,
    notecard: Notecard,
    station: Station,
    state: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let start = "2026-03-01T12:00:00Z".parse().expect("a time");
        let clock = Clock::simulated(World::new(start, None).local());
        let bus = Bus::new(clock.clone(), 100_000.0);
        let source = |_: Duration| Seen {
            pixels: Box::new([31.0; PIXELS]),
            die: 30.0,
        };
        let make = Make::new(synthetic(&Kind::new(4)));
        let (camera, faults) =
            Camera::new(make, Box::new(source), clock.clone()).expect("a camera");
        bus.attach(0x33, camera);
        let notecard = Notecard::new(clock.clone(), Options::default());
        bus.attach(0x17, notecard.on_i2c());
        Self {
            clock,
            camera: faults,
            notecard,
            station: Station::Emulated(Emulated {
                bus,
                serial: None,
                synchronised: Arc::default(),
                powered: Duration::from_secs(3600),
            }),
            state: tempfile::tempdir().expect("a folder"),
        }
    }

    fn examine(&self) -> Vec<Finding> {
        self.examine_in(self.state.path())
    }

    fn examine_in(&self, state: &Path) -> Vec<Finding> {
        let mut findings = Vec::new();
        examine(
            &config(""),
            state,
            &self.station,
            &self.clock,
            &mut |finding| {
                findings.push(finding);
            },
        );
        findings
    }
}

fn marks(findings: &[Finding], part: &str) -> Vec<Mark> {
    findings
        .iter()
        .filter(|finding| finding.part == part)
        .map(|finding| finding.mark)
        .collect()
}

fn text(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| format!("{finding:?}\n"))
        .collect()
}

#[test]
fn a_sound_station_has_nothing_wrong_and_is_told_what_a_year_costs() {
    let bench = Bench::new();
    let findings = bench.examine();
    let said = text(&findings);
    assert!(
        findings.iter().all(|finding| finding.mark != Mark::Wrong),
        "{said}"
    );
    for part in [
        "disk", "model", "camera", "picture", "data", "notecard", "notehub", "clock",
    ] {
        assert!(
            !marks(&findings, part).is_empty(),
            "nothing of {part}: {said}"
        );
    }
    assert!(
        said.contains("MB a year") && said.contains("enough"),
        "{said}"
    );
    assert!(said.contains("for demonstration"), "{said}");
    // Nothing was changed: no note, no settings, and no file but the copy of the EEPROM.
    assert!(bench.notecard.queued().is_empty());
    assert_eq!(bench.notecard.violations(), []);
    let files = std::fs::read_dir(bench.state.path())
        .expect("the folder")
        .count();
    assert_eq!(files, 1, "only the copy of the EEPROM");
    let again = text(&bench.examine());
    assert!(
        again.contains("what it was when it was first seen"),
        "{again}"
    );
}

#[test]
fn each_part_that_is_missing_or_broken_is_named_with_what_to_do() {
    let bench = Bench::new();
    bench.camera.silence(Duration::MAX);
    let findings = bench.examine();
    assert_eq!(
        marks(&findings, "camera"),
        [Mark::Wrong],
        "{}",
        text(&findings)
    );
    assert!(text(&findings).contains("i2cdetect"));
    assert!(
        !marks(&findings, "notecard").contains(&Mark::Wrong),
        "the rest is looked at all the same"
    );

    let bench = Bench::new();
    bench.camera.set_vdd(3.05);
    assert!(text(&bench.examine()).contains("3.3 V"));

    let bench = Bench::new();
    bench.examine();
    bench.camera.change_eeprom(|words| words[0x4c] ^= 0x0ff0);
    let findings = bench.examine();
    assert!(
        marks(&findings, "camera").contains(&Mark::Wrong),
        "{}",
        text(&findings)
    );
    assert!(text(&findings).contains("exchange the camera"));

    let bench = Bench::new();
    bench.notecard.set_deaf(Duration::from_secs(3600));
    let findings = bench.examine();
    assert_eq!(
        marks(&findings, "notecard"),
        [Mark::Wrong],
        "{}",
        text(&findings)
    );

    let bench = Bench::new();
    let file = bench.state.path().join("a file");
    std::fs::write(&file, "no folder").expect("a file");
    let findings = bench.examine_in(&file);
    assert_eq!(
        marks(&findings, "disk"),
        [Mark::Wrong],
        "{}",
        text(&findings)
    );
}

#[test]
fn on_a_machine_without_hardware_the_program_says_what_is_missing_and_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("edge.toml"),
        "[camera]\nbus = \"/dev/i2c-no-such\"\n[notecard]\nport = \"/dev/no-such-tty\"",
    )
    .expect("a file");
    let output = run(folder.path(), &["check"]);
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("✗ camera") && said.contains("/dev/i2c-no-such"),
        "{said}"
    );
    assert!(said.contains("✗ notecard"), "{said}");
    assert!(said.contains("✓ disk"), "{said}");
    let json = run(folder.path(), &["check", "--json"]);
    for line in String::from_utf8(json.stdout).expect("text").lines() {
        let finding: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(["good", "doubtful", "wrong"].contains(&finding["mark"].as_str().expect("a mark")));
    }
}
