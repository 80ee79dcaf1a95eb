//! `edge capture`, the program itself.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chrono::TimeDelta;
use edge::frame::Pixels;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{at, fail, floats, line, npy, numbered, put, ramp, read, succeed, table};

/// A table of 100 frames, one every 10 minutes from midnight.
fn log() -> String {
    let mut text = format!("captured_at,label,{}\n", numbered("p"));
    for index in 0..100 {
        let time = at("2026-02-22T00:00:00Z") + TimeDelta::minutes(10 * index);
        let label = if index % 2 == 0 { "cold" } else { "" };
        writeln!(text, "{},{label},{}", time.to_rfc3339(), line(","))
            .expect("memory can be written");
    }
    text
}

fn report(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [&["capture", "--json"], arguments].concat();
    serde_json::from_str(&succeed(folder, &arguments)).expect("JSON")
}

#[test]
fn capture_makes_a_training_set_of_a_recording() {
    let folder = TempDir::new().expect("a folder");
    put(folder.path(), "log.csv", log());
    let from = ["--from", "log.csv"];
    let said = report(folder.path(), &[&from[..], &["--out", "set"]].concat());
    assert_eq!(said["frames"], 100);
    assert_eq!(said["written"], 100);
    assert_eq!(said["labels"], json!({"cold": 50}));
    assert_eq!(said["unlabelled"], 50);
    assert_eq!(said["span_hours"], 16.5);
    assert_eq!(said["warnings"].as_array().map(Vec::len), Some(1), "{said}");
    assert!(
        folder
            .path()
            .join("set/cold/20260222T000000Z.csv")
            .is_file()
    );
    assert!(folder.path().join("set/20260222T001000Z.csv").is_file());
    let all = read(&[&folder.path().join("log.csv")]);
    let made = read(&[&folder.path().join("set")]);
    assert!(
        all.iter()
            .zip(&made)
            .all(|(a, b)| a.frame == b.frame && a.label == b.label)
    );
    assert_eq!(made.len(), 100);

    // Again, and by name after the fact: nothing changes.
    let said = report(folder.path(), &[&from[..], &["--out", "set"]].concat());
    assert_eq!(
        (&said["written"], &said["already_there"]),
        (&json!(0), &json!(100))
    );
    fs::write(folder.path().join("set/20260222T001000Z.csv"), "other").expect("written");
    fs::remove_file(folder.path().join("set/cold/20260222T000000Z.csv")).expect("removed");
    let told = fail(
        folder.path(),
        &["capture", "--from", "log.csv", "--out", "set"],
    );
    assert!(
        told.contains("20260222T001000Z.csv") && told.contains("nothing was written"),
        "{told}"
    );
    assert!(!folder.path().join("set/cold/20260222T000000Z.csv").exists());

    let said = report(
        folder.path(),
        &[
            &from[..],
            &["--every", "1h", "--out", "hourly", "--label", "hot"],
        ]
        .concat(),
    );
    assert_eq!(
        (&said["frames"], &said["labels"]),
        (&json!(17), &json!({"hot": 17}))
    );
    assert!(
        said["warnings"].to_string().contains("at least 30"),
        "{said}"
    );
    let said = report(
        folder.path(),
        &[&from[..], &["--limit", "10", "--out", "ten"]].concat(),
    );
    assert_eq!(
        (&said["frames"], &said["span_hours"]),
        (&json!(10), &json!(16.5))
    );
    let shown = succeed(
        folder.path(),
        &[
            "capture", "--from", "log.csv", "--limit", "40", "--out", "shown",
        ],
    );
    for part in [
        "40 frames in shown: 40 written, 0 there already",
        "cold",
        "shown/cold",
        "16.5 hours",
        "less than 72 hours",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn capture_writes_arrays_that_lose_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut pixels = ramp();
    pixels[5] = 1.0 / 3.0;
    pixels[6] = f32::NAN;
    put(
        folder.path(),
        "in/deep/night.npy",
        npy("<f4", false, "(2, 24, 32)", &floats(&pixels.repeat(2))),
    );
    let said = report(
        folder.path(),
        &["--from", "in", "--out", "plain", "--format", "npy"],
    );
    assert_eq!(said["labels"], json!({"deep": 2}));
    let made = read(&[&folder.path().join("plain")]);
    let names: Vec<_> = made
        .iter()
        .map(|one| one.source.path.file_name().and_then(|name| name.to_str()))
        .collect();
    assert_eq!(names, [Some("night-000001.npy"), Some("night-000002.npy")]);
    let bits = |pixels: &Pixels| pixels.map(f32::to_bits);
    assert!(
        made.iter()
            .all(|one| bits(&one.frame.pixels) == bits(&pixels))
    );

    let said = json!({"captured_at": [1_771_721_100, 1_771_721_100], "camera": "left", "ambient_c": 20.25});
    put(folder.path(), "in/deep/night.json", said.to_string());
    report(
        folder.path(),
        &[
            "--from", "in", "--out", "timed", "--format", "npy", "--label", "x",
        ],
    );
    let made = read(&[&folder.path().join("timed")]);
    let names: Vec<_> = made
        .iter()
        .map(|one| one.source.path.strip_prefix(folder.path()).expect("within"))
        .collect();
    assert_eq!(
        names,
        [
            "timed/x/20260222T004500Z.npy",
            "timed/x/20260222T004500Z_002.npy"
        ]
        .map(Path::new)
    );
    assert!(
        made.iter()
            .all(|one| one.frame.camera.as_deref() == Some("left")
                && one.frame.ambient == Some(20.25))
    );
    let again = report(
        folder.path(),
        &[
            "--from", "in", "--out", "timed", "--format", "npy", "--label", "x",
        ],
    );
    assert_eq!(again["already_there"], 2);
}

#[test]
fn capture_refuses_what_would_spoil_the_set() {
    let folder = TempDir::new().expect("a folder");
    put(folder.path(), "in/a.csv", table(",", "\n"));
    put(
        folder.path(),
        "evil.csv",
        format!("# label: ../../x\n{}", table(",", "\n")),
    );
    for (arguments, part) in [
        (
            &["--from", "in", "--out", "in/set"][..],
            "lie in each other",
        ),
        (&["--from", "in/a.csv", "--out", "in"], "lie in each other"),
        (&["--from", "in", "--out", "."], "lie in each other"),
        (&["--from", "evil.csv", "--out", "set"], "is no label"),
        (
            &["--from", "in", "--out", "set", "--label", "a/b"],
            "is no label",
        ),
        (
            &["--from", "in", "--out", "set", "--every", "10m"],
            "a.csv does not say it",
        ),
        (
            &["--from", "in", "--out", "set", "--every", "10"],
            "30s, 10m, 2h or 1d",
        ),
        (
            &["--from", "in", "--out", "set", "--days", "3"],
            "cannot be used with",
        ),
        (
            &["--from", "in", "--simulate", "boiler", "--out", "set"],
            "cannot be used with",
        ),
        // From the camera, but not without the configuration that was named.
        (&["--out", "set", "--config", "no.toml"], "no.toml"),
        (
            &["--simulate", "boiler", "--days", "nan", "--out", "set"],
            "3650",
        ),
    ] {
        let told = fail(folder.path(), &[&["capture"], arguments].concat());
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert!(!folder.path().join("set").exists());
    }
    let help = succeed(folder.path(), &["capture", "--help"]);
    assert!(
        help.contains("Examples:") && help.contains("from the camera"),
        "{help}"
    );
}

#[test]
fn capture_simulates_the_same_scene_for_the_same_seed() {
    let folder = TempDir::new().expect("a folder");
    let arguments = [
        "--simulate",
        "boiler",
        "--seed",
        "7",
        "--days",
        "4",
        "--frames",
        "36",
        "--out",
    ];
    let said = report(folder.path(), &[&arguments[..], &["one"]].concat());
    assert_eq!(
        (&said["written"], &said["unlabelled"]),
        (&json!(36), &json!(0))
    );
    assert_eq!(said["warnings"], json!([]), "{said}");
    report(folder.path(), &[&arguments[..], &["two"]].concat());
    let (one, two) = (
        read(&[&folder.path().join("one")]),
        read(&[&folder.path().join("two")]),
    );
    assert!(
        one.iter()
            .zip(&two)
            .all(|(a, b)| a.frame == b.frame && a.label == b.label)
    );
    assert!(
        one.iter()
            .all(|one| one.frame.camera.is_some() && one.label.is_some())
    );
    let again = report(folder.path(), &[&arguments[..], &["one"]].concat());
    assert_eq!(again["already_there"], 36);
    let other = [
        "--simulate",
        "boiler",
        "--seed",
        "8",
        "--days",
        "4",
        "--frames",
        "36",
        "--out",
        "one",
    ];
    let told = fail(folder.path(), &[&["capture"], &other[..]].concat());
    assert!(told.contains("differ"), "{told}");
}
