//! `edge classify` and `edge check-model`, the program itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use edge::frame::{COLUMNS, Pixels};
use serde_json::Value;
use tempfile::TempDir;

use super::models;
use crate::support::edge::program;

/// A folder with a model and frames: two normal ones, a hot spot, a broken pixel, a broken sensor.
fn world() -> TempDir {
    let folder = TempDir::new().unwrap();
    let model = models::scene();
    fs::write(folder.path().join("scene.onnx"), models::scene_file()).unwrap();
    fs::create_dir(folder.path().join("frames")).unwrap();
    let put = |name: &str, change: fn(&mut Pixels)| {
        let mut pixels = models::normal_frame(&model, 5);
        change(&mut pixels);
        fs::write(folder.path().join("frames").join(name), csv(&pixels)).unwrap();
    };
    put("1-normal.csv", |_| ());
    put("2-normal.csv", |pixels| pixels[0] += 0.1);
    put("3-spot.csv", |pixels| {
        for at in [-33, -32, -31, -1, 0, 1, 31, 32, 33_isize] {
            pixels[(9 * COLUMNS + 21).strict_add_signed(at)] += 12.0;
        }
    });
    put("4-dead.csv", |pixels| pixels[333] = 1000.0);
    put("5-fault.csv", |pixels| pixels[..96].fill(-300.0));
    folder
}

fn csv(pixels: &Pixels) -> String {
    let rows = pixels.chunks(COLUMNS).map(|row| {
        let cells: Vec<String> = row.iter().map(|pixel| format!("{pixel:.2}")).collect();
        cells.join(",") + "\n"
    });
    rows.collect()
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    fed(folder, arguments, b"")
}

fn fed(folder: &TempDir, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("EDGE_RUNTIME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses early does not read it all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn fails(output: &Output, reasons: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for reason in reasons {
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn each_frame_is_a_line_of_json() {
    let world = world();
    let output = run(
        &world,
        &["classify", "--model", "scene.onnx", "--json", "frames"],
    );
    let lines = lines(&output);
    assert_eq!(lines.len(), 5);
    for line in &lines[..4] {
        let keys: Vec<_> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "file",
                "scores",
                "x",
                "y",
                "delta_t",
                "ratio",
                "shift",
                "bad_pixels"
            ]
        );
        let scores = line["scores"].as_object().unwrap();
        let labels: Vec<_> = scores.keys().map(String::as_str).collect();
        assert_eq!(labels, ["anomaly", "cold", "warm", "hot"]);
        let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() <= 1e-6, "{line}");
    }
    let spot = &lines[2];
    assert!(spot["scores"]["anomaly"].as_f64().unwrap() > 0.7, "{spot}");
    assert!(
        (spot["x"].as_i64().unwrap() - 21).abs() <= 2
            && (spot["y"].as_i64().unwrap() - 9).abs() <= 2
    );
    assert!(
        (8.0..14.0).contains(&spot["delta_t"].as_f64().unwrap()),
        "{spot}"
    );
    assert_eq!(lines[3]["bad_pixels"], 1);
    assert_eq!(lines[4]["scores"], Value::Null);
    assert_eq!(lines[4]["bad_pixels"], 96);
    assert!(
        lines[4]["fault"]
            .as_str()
            .unwrap()
            .starts_with("sensor fault")
    );
}

#[test]
fn standard_input_and_files_of_many_frames_are_read() {
    let world = world();
    let frame = fs::read(world.path().join("frames/3-spot.csv")).unwrap();
    let file = lines(&run(
        &world,
        &[
            "classify",
            "--model",
            "scene.onnx",
            "--json",
            "frames/3-spot.csv",
        ],
    ));
    let input = lines(&fed(
        &world,
        &["classify", "--model", "scene.onnx", "--json", "-"],
        &frame,
    ));
    assert_eq!(file[0]["scores"], input[0]["scores"]);
    assert_eq!(input[0]["file"], "-");

    let row = |pixels: &Pixels| pixels.map(|pixel| pixel.to_string()).join(",");
    let model = models::scene();
    let header: Vec<String> = (0..768).map(|at| format!("p{at}")).collect();
    let table = format!(
        "captured_at,{}\n2026-02-22T10:00:00Z,{}\n2026-02-22T10:05:00Z,{}\n",
        header.join(","),
        row(&models::normal_frame(&model, 1)),
        row(&models::normal_frame(&model, 2)),
    );
    let found = lines(&fed(
        &world,
        &["classify", "--model", "scene.onnx", "--json", "-"],
        table.as_bytes(),
    ));
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0]["frame"], &found[1]["frame"]),
        (&0.into(), &1.into())
    );
    assert_eq!(found[1]["captured_at"], "2026-02-22T10:05:00Z");
}

#[test]
fn people_get_blocks_a_summary_and_pictures() {
    let world = world();
    let arguments = [
        "classify",
        "--model",
        "scene.onnx",
        "--picture",
        "--pictures",
        "png",
        "--verbose",
        "frames",
    ];
    let output = run(&world, &arguments);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.contains("frames/3-spot.csv\n  anomaly  "), "{said}");
    assert!(
        said.contains("mended pixels: 1") && said.contains("sensor fault: 96 broken"),
        "{said}"
    );
    assert!(
        said.contains("\n5 frames: ") && said.contains("1 with an anomaly above 0.7"),
        "{said}"
    );
    assert!(
        said.lines()
            .any(|line| line.len() == COLUMNS && line.contains('X')),
        "{said}"
    );
    assert!(text(&output.stderr).contains("runtime rten"));
    let pictures: Vec<_> = fs::read_dir(world.path().join("png"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(pictures.len(), 5);
    for picture in pictures {
        assert!(fs::read(picture.path()).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn scripts_can_ask_for_an_exit_code() {
    let world = world();
    let code = |file: &str, above: &str| {
        let arguments = [
            "classify",
            "--model",
            "scene.onnx",
            "--json",
            "--fail-above",
            above,
            file,
        ];
        run(&world, &arguments).status.code()
    };
    assert_eq!(code("frames/1-normal.csv", "0.7"), Some(0));
    assert_eq!(code("frames/3-spot.csv", "0.7"), Some(3));
    assert_eq!(code("frames/3-spot.csv", "1"), Some(0));
    assert_eq!(code("frames/5-fault.csv", "0.99"), Some(3));
    assert_eq!(code("frames/1-normal.csv", "1.5"), Some(2));
}

#[test]
fn bad_files_end_the_run_unless_they_are_to_be_skipped() {
    let world = world();
    fs::write(world.path().join("frames/2-bad.csv"), "1,2,3\n4,x,6\n").unwrap();
    let all = ["classify", "--model", "scene.onnx", "--json", "frames"];
    fails(&run(&world, &all), &["2-bad.csv:", "--skip-bad"]);
    let output = run(&world, &[&all[..], &["--skip-bad"]].concat());
    assert_eq!(lines(&output).len(), 5);
    assert!(text(&output.stderr).contains("skipped: frames/2-bad.csv"));
    fails(
        &run(&world, &["classify", "--model", "scene.onnx", "nowhere"]),
        &["nowhere"],
    );
    fails(
        &run(&world, &["classify", "--model", "none.onnx", "frames"]),
        &["none.onnx", "No such file"],
    );
    fails(
        &run(&world, &["classify", "--model", "frames", "frames"]),
        &["no file, but a folder"],
    );
}

#[test]
fn a_reader_may_go_away() {
    let world = world();
    let mut child = Command::new(program())
        .args(["classify", "--model", "scene.onnx", "--json"])
        .args(vec!["frames"; 40])
        .current_dir(world.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("{\"file\""), "{first}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn check_model_tells_what_a_model_is_or_why_it_is_none() {
    let world = world();
    let output = run(&world, &["check-model", "scene.onnx"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in [
        "SIMULATED",
        "anomaly, cold, warm, hot",
        "residual 7.00",
        "boiler room",
        "rten",
        "ms a frame",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let found: Value =
        serde_json::from_slice(&run(&world, &["check-model", "--json", "scene.onnx"]).stdout)
            .unwrap();
    assert_eq!(
        (&found["kind"], &found["scene"]["frames"]),
        (&"scene".into(), &120.into())
    );
    assert_eq!(found["id"].as_str().unwrap().len(), 64);

    let damaged = models::damaged(&models::scene_file(), &models::scene());
    fs::write(world.path().join("damaged.onnx"), damaged).unwrap();
    fails(
        &run(&world, &["check-model", "damaged.onnx"]),
        &["damaged.onnx", "the file is damaged"],
    );
    fails(
        &run(&world, &["check-model", "frames/1-normal.csv"]),
        &["1-normal.csv"],
    );
    fails(
        &run(
            &world,
            &[
                "check-model",
                "scene.onnx",
                "--runtime",
                "frames/1-normal.csv",
            ],
        ),
        &["the runtime frames/1-normal.csv is refused", "1.24.4"],
    );
}

#[test]
fn a_strangers_picture_model_works_from_the_command_line() {
    let world = world();
    let file = models::of_pictures(false, 96, 96, &[]);
    fs::write(world.path().join("theirs.onnx"), file).unwrap();
    let base = [
        "classify",
        "--model",
        "theirs.onnx",
        "--json",
        "frames/1-normal.csv",
    ];
    fails(&run(&world, &base), &["nothing names its 3 scores"]);
    let found = lines(&run(&world, &[&base[..], &["--labels", "r,g,b"]].concat()));
    let line = &found[0];
    assert_eq!(line["x"], Value::Null);
    assert_eq!(line["ratio"], Value::Null);
    assert_eq!(line["scores"].as_object().unwrap().len(), 3);
    let other = lines(&run(
        &world,
        &[
            &base[..],
            &[
                "--labels", "r,g,b", "--range", "-10..90", "--scale", "-1..1",
            ],
        ]
        .concat(),
    ));
    assert_ne!(other[0]["scores"], line["scores"]);
    fails(
        &run(
            &world,
            &[&base[..], &["--labels", "r,g,b", "--fail-above", "0.7"]].concat(),
        ),
        &["--fail-above", "r, g, b"],
    );
    let said = text(&run(&world, &["check-model", "theirs.onnx", "--labels", "r,g,b"]).stdout);
    assert!(
        said.contains(
            "picture of 96 x 96, channels last; colours tutorial over 20..40 deg C, each 0..1"
        ),
        "{said}"
    );
}

#[test]
fn without_a_model_the_one_here_is_used_or_a_warning_given() {
    let folder = world();
    let spot = ["classify", "--json", "frames/3-spot.csv"];
    let output = run(&folder, &spot);
    assert!(text(&output.stderr).contains("simulated boiler"));
    fs::copy(
        folder.path().join("scene.onnx"),
        folder.path().join("model.onnx"),
    )
    .unwrap();
    let output = run(&folder, &spot);
    assert_eq!(text(&output.stderr), "");
    let named = run(
        &folder,
        &[
            "classify",
            "--model",
            "scene.onnx",
            "--json",
            "frames/3-spot.csv",
        ],
    );
    assert_eq!(lines(&output), lines(&named));
}

#[test]
fn alarms_are_kept_and_drawn() {
    let folder = world();
    let classify = [
        "classify",
        "--model",
        "scene.onnx",
        "--keep",
        "alarms",
        "frames",
    ];
    assert!(run(&folder, &classify).status.success());
    let kept: Vec<_> = fs::read_dir(folder.path().join("alarms"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let again = run(
        &folder,
        &["classify", "--model", "scene.onnx", "--json", "alarms"],
    );
    assert!(lines(&again)[0]["scores"]["anomaly"].as_f64() > Some(0.7));
    let picture = [
        "picture",
        "alarms",
        "--model",
        "scene.onnx",
        "--out",
        "alarm.png",
    ];
    let output = run(&folder, &picture);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.path().join("alarm.png").is_file());
}
