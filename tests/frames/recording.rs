//! Folders and files as one recording: order, labels, what is left out, what is written.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use edge::capture::replay::{self, Adopted, OnBad, Recorded, Replay, Source};
use edge::frame::Frame;
use tempfile::TempDir;

use super::{at, fail, floats, line, npy, put, ramp, read, succeed, table};

/// Where the frames of a folder come from, in their order.
fn sources(folder: &Path) -> Vec<String> {
    let frames = read(&[folder]);
    let shown = frames.iter().map(|one| {
        let path = one.source.path.strip_prefix(folder).expect("within");
        match one.source.index {
            Some(index) => format!("{}[{index}]", path.display()),
            None => path.display().to_string(),
        }
    });
    shown.collect()
}

#[test]
fn folders_are_labels_but_adopted_is_none() {
    let folder = TempDir::new().expect("a folder");
    let text = table(",", "\n");
    for name in [
        "a.csv",
        "cold/b.TXT",
        "cold/deep/c.csv",
        "adopted/d.csv",
        "hot/adopted/e.csv",
        "adopted/hot/f.csv",
    ] {
        put(folder.path(), name, &text);
    }
    put(
        folder.path(),
        "warm/g.npy",
        npy("<f4", false, "(24, 32)", &floats(&*ramp())),
    );
    put(
        folder.path(),
        "warm/h.csv",
        format!("# label: cold\n{text}"),
    );
    put(folder.path(), "i.csv", format!("# label: cold\n{text}"));
    for ignored in [
        ".a.csv",
        ".git/a.csv",
        "a.png",
        "a.json",
        "a.md",
        "m.onnx",
        "r.html",
        "s.jsonl",
        "csv",
    ] {
        put(folder.path(), ignored, "nothing to read");
    }
    let frames = read(&[folder.path()]);
    let labels: Vec<_> = frames
        .iter()
        .map(|one| one.label.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(
        labels,
        [
            "-", "cold", "deep", "-", "hot", "hot", "warm", "warm", "cold"
        ]
    );
    // What is named must be one of frames.
    let error = replay::read(&[folder.path().join("a.md")], OnBad::Refuse).expect_err("no frame");
    assert!(
        error.to_string().contains("a.md:1: holds 3 values"),
        "{error}"
    );
    let error = replay::read(&[folder.path().join("gone")], OnBad::Skip).expect_err("not there");
    assert!(error.to_string().contains("gone"), "{error}");
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let error =
        replay::read(&[folder.path().join("empty")], OnBad::Skip).expect_err("nothing in it");
    assert!(error.to_string().contains("no frame files"), "{error}");
}

#[test]
fn frames_come_by_time_if_all_have_one_else_by_name() {
    let folder = TempDir::new().expect("a folder");
    let text = table(",", "\n");
    let timed = |second: u32| format!("# captured_at: 2026-02-22T00:00:{second:02}Z\n{text}");
    put(folder.path(), "cold/c.csv", timed(1));
    put(folder.path(), "warm/b.csv", timed(3));
    put(
        folder.path(),
        "hot/a.csv",
        format!("{}{}", timed(4), timed(2)),
    );
    put(folder.path(), "cold/b.csv", timed(3));
    assert_eq!(
        sources(folder.path()),
        [
            "cold/c.csv",
            "hot/a.csv[1]",
            "cold/b.csv",
            "warm/b.csv",
            "hot/a.csv[0]"
        ]
    );
    let replay =
        Replay::new(replay::read(&[folder.path().to_owned()], OnBad::Refuse).expect("good"));
    let times: Vec<_> = replay
        .map(|one| one.frame.captured_at.expect("a time"))
        .collect();
    assert!(times.len() == 5 && times.is_sorted());

    // A time in a name is none.
    put(folder.path(), "a/20260222T000000Z.csv", &text);
    assert_eq!(
        sources(folder.path()),
        [
            "a/20260222T000000Z.csv",
            "hot/a.csv[0]",
            "hot/a.csv[1]",
            "cold/b.csv",
            "warm/b.csv",
            "cold/c.csv"
        ]
    );
}

#[test]
fn links_lead_in_circles_and_files_are_taken_once() {
    let folder = TempDir::new().expect("a folder");
    let text = table(",", "\n");
    let path = put(folder.path(), "hot/a.csv", &text);
    for link in ["hot/up", "hot/self.csv", "again"] {
        std::os::unix::fs::symlink(folder.path(), folder.path().join(link)).expect("a link");
    }
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.csv")).expect("a link");
    let frames = read(&[&path, folder.path(), folder.path()]);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].label.as_deref(), Some("hot"));
}

#[test]
fn bad_files_are_all_named_and_left_out_only_when_asked() {
    let folder = TempDir::new().expect("a folder");
    for index in 0..25 {
        put(folder.path(), &format!("bad{index:02}.csv"), "1,2,3\n");
    }
    put(folder.path(), "good.csv", table(",", "\n"));
    put(
        folder.path(),
        "rows.csv",
        format!("{0}\nx\n{0}\n", line(",")),
    );
    let paths = [folder.path().to_owned()];
    let error = replay::read(&paths, OnBad::Refuse)
        .expect_err("bad files")
        .to_string();
    for part in [
        "26 files or lines",
        "bad00.csv:1: holds 3 values",
        "bad19.csv:1",
        "and 6 more",
        "--skip-bad",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("bad20"), "{error}");
    let recording = replay::read(&paths, OnBad::Skip).expect("skipped");
    assert_eq!((recording.frames.len(), recording.skipped.len()), (3, 26));
    assert_eq!(recording.frames[2].source.index, Some(2));
    assert_eq!(recording.skipped[25].line, Some(2));

    let told = fail(
        folder.path(),
        &["capture", "--from", ".", "--out", "../elsewhere-never-made"],
    );
    assert!(
        told.contains("lie in each other") || told.contains("bad00.csv:1"),
        "{told}"
    );
    let out = TempDir::new().expect("a folder");
    let to = out.path().to_str().expect("text");
    let told = fail(folder.path(), &["capture", "--from", ".", "--out", to]);
    assert!(
        told.contains("bad00.csv:1: holds 3 values") && told.contains("--skip-bad"),
        "{told}"
    );
    assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 0);
    let said = succeed(
        folder.path(),
        &["capture", "--from", ".", "--out", to, "--skip-bad"],
    );
    assert!(
        said.contains("3 frames in")
            && said.contains("skipped ./bad19.csv:1: holds 3 values")
            && said.contains("skipped 6 more"),
        "{said}"
    );
}

fn recorded(label: Option<&str>, captured_at: Option<DateTime<Utc>>) -> Recorded {
    let mut frame = Frame::new(ramp());
    frame.captured_at = captured_at;
    Recorded {
        frame,
        label: label.map(str::to_owned),
        source: Source {
            path: PathBuf::from("made"),
            index: None,
        },
        adopted: None,
    }
}

#[test]
fn a_written_frame_is_never_written_over() {
    let folder = TempDir::new().expect("a folder");
    let mut written = recorded(Some("hot"), Some(at("2026-02-22T00:45:00.125Z")));
    written.frame.ambient = Some(21.37);
    written.frame.camera = Some("left".to_owned());
    let because = Some("a new\nlamp".to_owned());
    written.adopted = Some(Adopted {
        at: at("2026-03-01T00:00:00Z"),
        because,
    });
    let path = folder.path().join("adopted/x.csv");
    replay::write(&path, &written).expect("the file is new");
    let found = read(&[folder.path()]).remove(0);
    assert_eq!(
        (&found.frame, &found.label),
        (&written.frame, &written.label)
    );
    assert_eq!(
        found.adopted.expect("adopted").because.as_deref(),
        Some("a new lamp")
    );

    let before = fs::read(&path).expect("the file");
    let error = replay::write(&path, &recorded(None, None)).expect_err("it exists");
    assert!(format!("{error:#}").contains("exists already"), "{error:#}");
    assert_eq!(fs::read(&path).expect("the file"), before);
    let names = fs::read_dir(folder.path().join("adopted")).expect("the folder");
    assert_eq!(names.count(), 1, "nothing else is left behind");
}
