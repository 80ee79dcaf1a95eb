//! Learning a scene and taking back a false alarm, through the program: `edge train`, `edge adopt`, `edge classify`.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::edge::{printed, refused, run};
use edge::capture::replay::{self, OnBad, Recorded, Source};
use edge::frame::{COLUMNS, Frame, npy};
use edge::model::{self, gate};

/// A folder `frames` of a simulated boiler, labelled.
fn recording(frames: usize, days: usize) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let (frames, days) = (frames.to_string(), days.to_string());
    let arguments = [
        "capture",
        "--simulate",
        "boiler",
        "--seed",
        "5",
        "--days",
        &days,
        "--frames",
        &frames,
        "--out",
        "frames",
    ];
    printed(home.path(), &arguments);
    home
}

fn train(home: &Path, more: &[&str]) -> Value {
    let arguments = [&["train", "frames", "--out", "model.onnx", "--json"], more].concat();
    serde_json::from_str(&printed(home, &arguments)).expect("the report is JSON")
}

/// What `edge classify --json` says of files or folders.
fn classify(home: &Path, model: &str, what: &str) -> Vec<Value> {
    let printed = printed(home, &["classify", "--model", model, "--json", what]);
    printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

fn anomaly(line: &Value) -> f64 {
    line["scores"]["anomaly"]
        .as_f64()
        .expect("an anomaly score")
}

/// A frame of the recording with a block that is too hot, as a file.
fn with_spot(home: &Path, of: usize, delta: f32, out: &str) {
    let recording = replay::read(&[home.join("frames")], OnBad::Refuse).expect("it is read");
    let mut frame: Frame = recording.frames[of].frame.clone();
    for row in 17..21 {
        for column in 25..30 {
            frame.pixels[row * COLUMNS + column] += delta;
        }
    }
    let path = home.join(out);
    std::fs::create_dir_all(path.parent().expect("it lies in a folder"))
        .expect("the folder is made");
    let recorded = Recorded {
        frame,
        label: None,
        source: Source {
            path: path.clone(),
            index: None,
        },
        adopted: None,
    };
    replay::write(&path, &recorded).expect("it is written");
}

#[test]
fn a_folder_becomes_a_model_with_a_report_and_a_page() {
    let home = recording(64, 5);
    let report = train(home.path(), &[]);
    assert_eq!(report["frames_read"], 64);
    assert_eq!(
        report["frames"],
        64 - report["dropped"].as_array().expect("a list").len()
    );
    assert!(
        report["k"].as_u64().is_some_and(|k| (1..=8).contains(&k)),
        "{report}"
    );
    for (threshold, floor, cap) in [
        ("threshold_residual", 7.0, 15.0),
        ("threshold_envelope", 4.0, 10.0),
    ] {
        let clamped = report[threshold]["clamped"].as_f64().expect("a number");
        assert!((floor..=cap).contains(&clamped), "{report}");
        assert!(report[threshold]["raw"].is_f64(), "{report}");
    }
    assert_eq!(report["simulated"], true);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("Only 6"), "{warnings}");
    assert!(
        !warnings.contains("span"),
        "five days are enough: {warnings}"
    );

    let page = std::fs::read_to_string(home.path().join("model.html")).expect("a page");
    assert!(page.contains("demonstration"));
    let told = printed(home.path(), &["check-model", "model.onnx"]);
    assert!(
        told.contains("cold") && told.contains("simulated"),
        "{told}"
    );

    let lines = classify(home.path(), "model.onnx", "frames");
    assert_eq!(lines.len(), 64);
    for line in &lines {
        let sum: f64 = line["scores"]
            .as_object()
            .expect("scores")
            .values()
            .filter_map(Value::as_f64)
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{line}");
        assert!(anomaly(line) < 0.7, "it was trained on this: {line}");
    }
}

/// Our reference implementation's frames, through the commands: what is learned and what is said of 40 frames.
#[test]
fn the_commands_agree_with_the_reference() {
    let home = tempfile::tempdir().expect("a directory");
    let fixture = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden"));
    let expected: Value = serde_json::from_str(
        &std::fs::read_to_string(fixture.join("expected.json")).expect("a file"),
    )
    .expect("it is JSON");
    let frames = replay::read_file(&fixture.join("train.npy")).expect("an array of frames");
    for (number, recorded) in frames.iter().enumerate() {
        let label = expected["train_label"][number].as_u64().expect("a number");
        let folder = home
            .path()
            .join("frames")
            .join(["cold", "warm", "hot"][usize::try_from(label).expect("small")]);
        std::fs::create_dir_all(&folder).expect("a folder");
        let array = npy::format(&[&recorded.frame]).expect("an array");
        std::fs::write(folder.join(format!("{number:03}.npy")), array).expect("it is written");
    }
    let report = train(home.path(), &[]);
    assert_eq!(report["k"], expected["k"]);
    assert_eq!(report["dropped"], serde_json::json!([]));
    for threshold in ["threshold_residual", "threshold_envelope"] {
        for part in ["raw", "clamped"] {
            let (found, wanted) = (&report[threshold][part], &expected[threshold][part]);
            let off = (found.as_f64().expect("found") - wanted.as_f64().expect("wanted")).abs();
            assert!(
                off < 1e-3,
                "{threshold} {part}: {found} in place of {wanted}"
            );
        }
    }

    let test = fixture.join("test.npy");
    let mut runtimes = vec![vec![]];
    match std::env::var("THERMAL_WATCH_ONNXRUNTIME") {
        Ok(library) => runtimes.push(vec!["--runtime".to_owned(), library]),
        Err(_) => println!("skipped: THERMAL_WATCH_ONNXRUNTIME names no library of ONNX Runtime"),
    }
    for runtime in runtimes {
        let mut arguments = vec![
            "classify",
            "--model",
            "model.onnx",
            "--json",
            test.to_str().expect("a path"),
        ];
        arguments.extend(runtime.iter().map(String::as_str));
        let told = printed(home.path(), &arguments);
        assert_eq!(told.lines().count(), 40);
        for (frame, line) in told.lines().enumerate() {
            let line: Value = serde_json::from_str(line).expect("each line is JSON");
            for (at, label) in ["anomaly", "cold", "warm", "hot"].iter().enumerate() {
                let wanted = expected["scores"][frame][at].as_f64().expect("a score");
                let off = (line["scores"][label].as_f64().expect("a score") - wanted).abs();
                assert!(
                    off < 1e-4,
                    "frame {frame}, {label}: {line} in place of {wanted}"
                );
            }
            let index =
                line["y"].as_u64().expect("a row") * 32 + line["x"].as_u64().expect("a column");
            assert_eq!(
                expected["index"][frame].as_u64(),
                Some(index),
                "frame {frame}"
            );
            let off = line["delta_t"].as_f64().expect("deg C")
                - expected["delta_t"][frame].as_f64().expect("deg C");
            assert!(off.abs() < 1e-2, "frame {frame}: {line}");
        }
    }
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    let home = recording(40, 5);
    train(home.path(), &[]);
    let model = || std::fs::read(home.path().join("model.onnx")).expect("a model");
    let first = model();
    train(home.path(), &[]);
    assert!(first == model(), "two trainings differ");
}

#[test]
fn people_read_the_report_as_text() {
    let home = recording(40, 2);
    let text = printed(home.path(), &["train", "frames"]);
    for part in [
        "40",
        "if the coming weeks",
        "threshold",
        "model.onnx",
        "model.html",
        "span only",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[test]
fn labels_can_be_made_from_the_heat() {
    let home = recording(40, 5);
    let report = train(home.path(), &["--unlabelled"]);
    assert_eq!(report["labelled"], false);
    assert_eq!(report["label_accuracy"], Value::Null);
    let labels: Vec<&str> = report["labels"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|label| label["label"].as_str())
        .collect();
    assert_eq!(labels, ["cold", "warm", "hot"]);
}

#[test]
fn too_few_frames_are_refused_with_the_reason() {
    let home = recording(29, 5);
    let complaint = refused(home.path(), &["train", "frames"]);
    assert!(
        complaint.contains("29") && complaint.contains("30"),
        "{complaint}"
    );
    assert!(!home.path().join("model.onnx").exists());
    let complaint = refused(home.path(), &["train", "nowhere"]);
    assert!(complaint.contains("nowhere"), "{complaint}");
}

#[test]
fn a_bad_file_is_named_and_skipped_only_when_asked() {
    let home = recording(40, 5);
    std::fs::write(home.path().join("frames/torn.csv"), "21.0,22.0\n21.0,x\n")
        .expect("it is written");
    let complaint = refused(home.path(), &["train", "frames"]);
    assert!(
        complaint.contains("torn.csv") && complaint.contains("--skip-bad"),
        "{complaint}"
    );
    let output = run(home.path(), &["train", "frames", "--skip-bad"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.contains("torn.csv"),
        "{complaint}"
    );
}

#[test]
fn an_intruder_is_left_out_and_listed() {
    let home = recording(80, 10);
    with_spot(home.path(), 33, 25.0, "frames/intruder.csv");
    let report = train(home.path(), &[]);
    let dropped = report["dropped"].to_string();
    assert!(dropped.contains("intruder.csv"), "{report}");
    assert!(
        report["warnings"].to_string().contains("left out"),
        "{report}"
    );
}

#[test]
fn a_false_alarm_can_be_adopted() {
    let home = recording(80, 10);
    let home = home.path();
    train(home, &[]);
    let before = std::fs::read(home.join("model.onnx")).expect("a model");
    for at in 0..4 {
        with_spot(home, 20 + at * 12, 9.0, &format!("alarm/{at}.csv"));
    }
    with_spot(home, 26, 9.0, "alarm-later/0.csv");
    for line in classify(home, "model.onnx", "alarm") {
        assert!(anomaly(&line) > 0.7, "{line}");
        let (x, y) = (
            line["x"].as_u64().expect("a column"),
            line["y"].as_u64().expect("a row"),
        );
        assert!((24..31).contains(&x) && (16..22).contains(&y), "{line}");
    }

    let adopt = [
        "adopt",
        "alarm",
        "--recording",
        "frames",
        "--because",
        "a new heater",
    ];
    let text = printed(home, &adopt);
    assert!(
        text.contains("Adopted as normal: 4 frames") && text.contains("None of them is an alarm"),
        "{text}"
    );
    for line in classify(home, "model.onnx", "alarm-later") {
        assert!(anomaly(&line) < 0.7, "adopted: {line}");
    }
    assert!(before == std::fs::read(home.join("model.previous.onnx")).expect("the old model"));
    let told = printed(home, &["check-model", "model.onnx"]);
    assert!(told.contains("a new heater"), "{told}");

    // The recording remembers: learning from it again gives the very same model.
    let adopted = std::fs::read(home.join("model.onnx")).expect("a model");
    train(home, &[]);
    assert!(adopted == std::fs::read(home.join("model.onnx")).expect("a model"));
    let complaint = refused(home, &adopt);
    assert!(complaint.contains("adopted before"), "{complaint}");
}

#[test]
fn what_would_spoil_a_model_is_not_adopted() {
    let home = recording(60, 10);
    let home = home.path();
    train(home, &[]);
    let before = std::fs::read(home.join("model.onnx")).expect("a model");
    with_spot(home, 20, 9.0, "alarm/0.csv");
    printed(
        home,
        &[
            "capture",
            "--simulate",
            "panel",
            "--frames",
            "30",
            "--out",
            "panel",
        ],
    );
    with_spot(home, 20, f32::NAN, "broken/0.csv");
    for (frames, recording, reason) in [
        ("panel/hot", "frames", "another camera"),
        ("broken", "frames", "broken pixels"),
        ("alarm", "panel", "was not trained on panel"),
        ("alarm", "frames/hot", "too few"),
        ("alarm", "nowhere", "is no folder"),
    ] {
        let complaint = refused(home, &["adopt", frames, "--recording", recording]);
        assert!(
            complaint.contains(reason),
            "{frames} {recording}: {complaint}"
        );
        assert!(!home.join(recording).join("adopted").exists());
    }
    assert!(before == std::fs::read(home.join("model.onnx")).expect("the model"));
}

#[test]
fn files_are_written_where_files_can_be() {
    let home = recording(40, 5);
    let home = home.path();
    for (arguments, reason) in [
        (["train", "frames", "--out", "model.html"], "would both be"),
        (
            ["train", "frames", "--out", "frames"],
            "is there and is no file",
        ),
        (
            ["train", "frames", "--out", "/dev/null"],
            "is there and is no file",
        ),
    ] {
        let complaint = refused(home, &arguments);
        assert!(complaint.contains(reason), "{arguments:?}: {complaint}");
    }
    // Folders are made, and a link stays a link.
    printed(home, &["train", "frames", "--out", "new/deep/model.onnx"]);
    std::os::unix::fs::symlink("new/deep/model.onnx", home.join("linked.onnx")).expect("a link");
    std::fs::write(home.join("new/deep/model.onnx"), "old").expect("it is written");
    printed(home, &["train", "frames", "--out", "linked.onnx"]);
    assert!(home.join("linked.onnx").is_symlink());
    assert!(
        std::fs::metadata(home.join("new/deep/model.onnx"))
            .expect("the target")
            .len()
            > 1000
    );
}

#[test]
fn frames_of_anomalies_are_not_learned() {
    let home = recording(40, 5);
    with_spot(home.path(), 20, 9.0, "frames/anomaly/0.csv");
    for more in [vec![], vec!["--unlabelled"]] {
        let arguments = [vec!["train", "frames"], more].concat();
        let complaint = refused(home.path(), &arguments);
        assert!(complaint.contains("labelled `anomaly`"), "{complaint}");
    }
}

/// 40 frames of a wall of this temperature, nothing known of them.
fn wall(of: f64) -> String {
    (0..40)
        .map(|frame| {
            let row: Vec<String> = (0..768)
                .map(|pixel| {
                    format!(
                        "{:.1}",
                        of + f64::from((pixel * 7 + frame * 13) % 11) / 10.0
                    )
                })
                .collect();
            row.join(",") + "\n"
        })
        .collect::<String>()
}

#[test]
fn a_camera_that_only_the_command_names_stays_named() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    std::fs::create_dir(home.join("frames")).expect("a folder");
    std::fs::write(home.join("frames/wall.csv"), wall(21.0)).expect("it is written");
    printed(home, &["train", "frames", "--camera", "attic"]);
    with_spot(home, 3, 12.0, "alarm/0.csv");
    printed(home, &["adopt", "alarm", "--recording", "frames"]);
    let told = printed(home, &["check-model", "model.onnx"]);
    assert!(
        told.contains("attic") && told.contains("adopted     1 on"),
        "{told}"
    );
}

#[test]
fn other_units_are_told() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    std::fs::write(home.join("fahrenheit.csv"), wall(70.0)).expect("it is written");
    let text = printed(home, &["train", "fahrenheit.csv"]);
    assert!(text.contains("Fahrenheit"), "{text}");
    std::fs::write(home.join("hundredths.csv"), wall(2100.0)).expect("it is written");
    let complaint = refused(home, &["train", "hundredths.csv"]);
    assert!(
        complaint.contains("none of the 40 frames") && complaint.contains("hundredths"),
        "{complaint}"
    );
}

#[test]
fn what_was_not_trained_here_cannot_be_adopted_into() {
    let home = recording(30, 5);
    std::fs::write(home.path().join("model.onnx"), "no model").expect("it is written");
    let complaint = refused(home.path(), &["adopt", "frames", "--recording", "frames"]);
    assert!(complaint.contains("model.onnx is no model"), "{complaint}");
}

#[test]
fn the_shipped_model_is_what_its_recipe_makes() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let capture = [
        "capture",
        "--simulate",
        "boiler",
        "--seed",
        "1",
        "--days",
        "14",
        "--frames",
        "240",
        "--out",
        "frames",
    ];
    printed(home, &capture);
    train(home, &[]);
    let made = std::fs::read(home.join("model.onnx")).expect("a model");
    let metadata = |bytes: &[u8]| match gate::check(bytes).expect("a sound model").kind {
        gate::Kind::Scene(metadata) => *metadata,
        other => panic!("{other:?}"),
    };
    let (made, shipped) = (metadata(&made), metadata(model::DEMONSTRATION));
    assert!(
        shipped.simulated,
        "it must say that it is no model of anything real"
    );
    assert_eq!(
        (made.k, made.frames),
        (shipped.k, shipped.frames),
        "follow edge/models/README.md"
    );
    for (one, other) in [
        (made.threshold_residual, shipped.threshold_residual),
        (made.threshold_envelope, shipped.threshold_envelope),
    ] {
        assert!(
            (one.raw - other.raw).abs() < 1e-3,
            "{one:?} {other:?}: follow edge/models/README.md"
        );
    }

    // It is what is used when no model is named, and both judge alike.
    let only = ["classify", "--json", "frames/hot"];
    let by_default: Vec<Value> = printed(home, &only)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let by_made = classify(home, "model.onnx", "frames/hot");
    assert_eq!(by_default.len(), by_made.len());
    for (one, other) in by_default.iter().zip(&by_made) {
        assert!(
            (anomaly(one) - anomaly(other)).abs() < 1e-3,
            "{one} {other}"
        );
    }
}
