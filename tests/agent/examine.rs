//! `edge check`: what it finds on emulated hardware, sound and broken.

use std::path::Path;
use std::time::Duration;

use edge::examine::{Finding, Mark, examine};

use super::hands::Hands;
use super::station::config;
use crate::support::edge::run;

fn look_over(hands: &Hands) -> Vec<Finding> {
    look_over_in(hands, hands.state.path())
}

fn look_over_in(hands: &Hands, state: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut keep = |finding| findings.push(finding);
    examine(&config(""), state, &hands.station, &hands.clock, &mut keep);
    findings
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
    let hands = Hands::new();
    let findings = look_over(&hands);
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
    assert!(hands.notecard.queued().is_empty());
    assert_eq!(hands.notecard.violations(), []);
    let files = std::fs::read_dir(hands.state.path())
        .expect("the folder")
        .count();
    assert_eq!(files, 1, "only the copy of the EEPROM");
    let again = text(&look_over(&hands));
    assert!(
        again.contains("what it was when it was first seen"),
        "{again}"
    );
}

#[test]
fn each_part_that_is_missing_or_broken_is_named_with_what_to_do() {
    let hands = Hands::new();
    hands.camera.silence(Duration::MAX);
    let findings = look_over(&hands);
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

    let hands = Hands::new();
    hands.camera.set_vdd(3.05);
    assert!(text(&look_over(&hands)).contains("3.3 V"));

    let hands = Hands::new();
    look_over(&hands);
    hands.camera.change_eeprom(|words| words[0x4c] ^= 0x0ff0);
    let findings = look_over(&hands);
    assert!(
        marks(&findings, "camera").contains(&Mark::Wrong),
        "{}",
        text(&findings)
    );
    assert!(text(&findings).contains("exchange the camera"));

    let hands = Hands::new();
    hands.notecard.set_deaf(Duration::from_hours(1));
    let findings = look_over(&hands);
    assert_eq!(
        marks(&findings, "notecard"),
        [Mark::Wrong],
        "{}",
        text(&findings)
    );

    let hands = Hands::new();
    let file = hands.state.path().join("a file");
    std::fs::write(&file, "no folder").expect("a file");
    let findings = look_over_in(&hands, &file);
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
