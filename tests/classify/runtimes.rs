//! What may go wrong with a runtime: no library, the wrong one, and models that crash, hang or eat the memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge::classify::trial::Limits;
use edge::classify::{self, Classifier, Options, Runtime, Verdict, probe};
use edge::frame::Frame;
use tempfile::TempDir;

use super::{close, models, scores};
use crate::support::edge::program;

/// A program that stands in for ours and comes to the end that a hostile model would bring it to.
fn doomed(folder: &TempDir, end: &str) -> PathBuf {
    let path = folder.path().join(format!("doomed-{}", end.len()));
    fs::write(&path, format!("#!/bin/sh\ncat >/dev/null\n{end}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn strangers_model() -> Vec<u8> {
    models::of_temperatures(true, &[("labels", "a,b,c")])
}

fn tried(program: PathBuf, limits: Limits) -> anyhow::Result<Classifier> {
    let options = Options {
        program: Some(program),
        limits,
        ..Options::default()
    };
    classify::load_bytes(&strangers_model(), &Runtime::Embedded, &options)
}

#[test]
fn a_strangers_model_is_tried_in_a_process_of_its_own() {
    assert!(tried(program(), Limits::default()).is_ok());
    let folder = TempDir::new().unwrap();
    let brief = Limits {
        time: Duration::from_millis(300),
        ..Limits::default()
    };
    for (end, limits, reason) in [
        ("kill -SEGV $$", Limits::default(), "SIGSEGV"),
        (
            "kill -FPE $$",
            Limits::default(),
            "SIGFPE: a division by zero",
        ),
        ("kill -ILL $$", Limits::default(), "SIGILL"),
        (
            "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
            Limits::default(),
            "allocation of 9 bytes",
        ),
        (
            "echo 'error: it has no taste' >&2; exit 1",
            Limits::default(),
            "it has no taste",
        ),
        ("while :; do :; done", brief, "was not done after 0.3 s"),
    ] {
        let error = tried(doomed(&folder, end), limits).expect_err(end);
        assert!(format!("{error:#}").contains(reason), "{end}: {error:#}");
    }
    let error = tried(folder.path().join("none"), Limits::default()).unwrap_err();
    assert!(format!("{error:#}").contains("starting"), "{error:#}");
}

#[test]
fn the_real_trial_keeps_its_limits() {
    let little = Limits {
        memory: 16 << 20,
        ..Limits::default()
    };
    let error = tried(program(), little).unwrap_err();
    assert!(
        format!("{error:#}").contains("16 MB of memory"),
        "{error:#}"
    );
}

#[test]
fn our_own_model_needs_no_trial() {
    let options = Options {
        program: Some("/nowhere".into()),
        ..Options::default()
    };
    assert!(classify::load_bytes(&models::scene_file(), &Runtime::Embedded, &options).is_ok());
}

#[test]
fn a_library_that_is_none_is_an_error_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "no library ".repeat(100)).unwrap();
    let refused = |library: &Path, program: &Path, reason: &str| {
        let error = format!("{:#}", probe::probe(program, library).unwrap_err());
        assert!(error.contains(reason), "{error}");
    };
    refused(&folder.path().join("none.so"), &program(), "No such file");
    refused(folder.path(), &program(), "not a file");
    refused(&text, &program(), "invalid ELF header");
    if let Some(other) = some_library() {
        refused(&other, &program(), "OrtGetApiBase");
    }
    refused(
        &text,
        &doomed(&folder, "kill -ILL $$"),
        "an instruction that this processor lacks). Use ONNX Runtime 1.24.4",
    );
}

/// The C library that this very process uses: a library, but not the right one.
fn some_library() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .split_whitespace()
        .find(|word| word.contains("/libc.so"))?;
    Some(PathBuf::from(path))
}

#[test]
fn onnx_runtime_says_the_same() {
    let Some(library) = std::env::var_os("THERMAL_WATCH_ONNXRUNTIME") else {
        println!("skipped: THERMAL_WATCH_ONNXRUNTIME names no library of ONNX Runtime");
        return;
    };
    let library = PathBuf::from(library);
    probe::probe(&program(), &library).expect("the library that was named works");
    let runtime = Runtime::Library(library);
    let labels = ("labels", "a,b,c");
    let files = [
        models::scene_file(),
        models::of_temperatures(true, &[labels]),
        models::of_pictures(true, 48, 64, &[labels]),
        models::of_pictures(false, 48, 64, &[labels]),
    ];
    let model = models::scene();
    for file in files {
        let mut ours = Classifier::load(&file, &Runtime::Embedded).unwrap();
        let mut theirs = Classifier::load(&file, &runtime).unwrap();
        assert!(
            theirs.runtime().starts_with("ONNX Runtime 1."),
            "{}",
            theirs.runtime()
        );
        assert!(ours.runtime().starts_with("rten"));
        for seed in 0..20 {
            let mut frame = Frame::new(models::normal_frame(&model, seed));
            for at in [400, 401, 402, 432, 433, 434] {
                frame.pixels[at] += seed as f32 / 2.0;
            }
            let verdicts =
                [&mut ours, &mut theirs].map(|classifier| match classifier.classify(&frame, &[]) {
                    Ok(Verdict::Classified(found)) => found,
                    other => panic!("{other:?}"),
                });
            let [a, b] = &verdicts;
            assert!(close(&scores(a), &scores(b), 1e-5), "{verdicts:?}");
            assert_eq!(a.place, b.place);
        }
    }
}
