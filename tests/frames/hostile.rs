//! Files that lie, are cut off, or are something else: an error each, never a panic and never much memory.

use edge::capture::replay;
use edge::frame::csv;
use proptest::prelude::*;

use std::fs;

use super::{floats, npy, npy_with, put, ramp, table};
use tempfile::TempDir;

fn refused(bytes: &[u8], part: &str) {
    let bad = replay::read_bytes("array", bytes).expect_err(part);
    assert!(bad.reason.contains(part), "{part}: {bad}");
}

#[test]
fn an_array_that_lies_is_refused() {
    let numbers = floats(&*ramp());
    let of_shape = |shape: &str| npy("<f4", false, shape, &numbers);
    for (shape, part) in [
        ("(24, 31)", "has the shape [24, 31]"),
        ("(32, 24)", "has the shape [32, 24]"),
        ("(24, 32, 1)", "has the shape [24, 32, 1]"),
        ("()", "has the shape []"),
        ("(0, 24, 32)", "holds no frame"),
        ("(0,)", "has the shape [0]"),
        ("(2, 24, 32)", "cut off: 3072 of 6144 bytes"),
        ("(100000000, 24, 32)", "cut off"),
        ("(4294967296, 24, 32)", "cut off"),
        ("(4611686018427387904, 24, 32)", "impossible size"),
        (
            "(18446744073709551615, 18446744073709551615)",
            "impossible size",
        ),
        (
            "(99999999999999999999999999999999, 24, 32)",
            "impossible size",
        ),
        ("(0xffffffffffffffff, 24, 32)", "impossible size"),
        ("(1_0, 24, 32)", "impossible size"),
        ("(4294967296, 4294967296, 4294967296)", "impossible size"),
        ("(-24, 32)", "what NumPy never writes"),
        ("24", "the header cannot be read"),
        ("(24.0, 32)", "the header cannot be read"),
        ("((24), 32)", "the header cannot be read"),
        ("('24', 32)", "the header cannot be read"),
    ] {
        refused(&of_shape(shape), part);
    }
    for (descr, part) in [
        ("<f2", "holds '<f2'; save it as float32"),
        ("<c8", "save it as float32"),
        ("|O", "save it as float32"),
        ("|b1", "save it as float32"),
        ("<U4", "save it as float32"),
        ("<M8[s]", "save it as float32"),
        ("<f16", "save it as float32"),
        ("f4", "the header cannot be read"),
        ("", "the header cannot be read"),
        ("<f99999999999999999999", "the header cannot be read"),
    ] {
        refused(&npy(descr, false, "(24, 32)", &numbers), part);
    }
    for (header, part) in [
        ("", "the header cannot be read"),
        ("{}", "the header cannot be read"),
        ("[1, 2]", "the header cannot be read"),
        (
            "{'descr': '<f4', 'shape': (24, 32)}",
            "the header cannot be read",
        ),
        (
            "{'descr': '<f4', 'fortran_order': 3, 'shape': (24, 32)}",
            "the header cannot be read",
        ),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (24, 32)}",
            "save it as float32",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (24, 32)",
            "the header cannot be read",
        ),
    ] {
        refused(&npy_with(header, &numbers), part);
    }
    refused(&npy_with(&"(".repeat(4000), &numbers), "nested too deeply");
    refused(&npy_with(&"[".repeat(9), &numbers), "nested too deeply");
    refused(&npy_with(&" ".repeat(5000), &numbers), "claims a header of");
    let mut more = of_shape("(24, 32)");
    more.push(0);
    refused(&more, "1 bytes follow after the array");
    for version in [0, 4, 255] {
        let mut other = of_shape("(24, 32)");
        other[6] = version;
        refused(&other, "unknown version");
    }
    let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    long.extend(&numbers);
    refused(&long, "claims a header of 4294967295 bytes");
}

#[test]
fn every_cut_of_an_array_is_refused() {
    let whole = npy("<f4", false, "(24, 32)", &floats(&*ramp()));
    for length in 6..whole.len() {
        let bad = replay::read_bytes("array", &whole[..length]).expect_err("it is cut off");
        assert!(bad.reason.contains("cut off"), "{length}: {bad}");
    }
}

#[test]
fn what_is_no_text_is_told_with_its_line() {
    for (bytes, line) in [
        (&b"\x89PNG\r\n\x1a\n"[..], 1),
        (b"1,2\n# caf\xe9\n", 2),
        (b"\xff\xfe1\x00,\x00", 1),
        (b"\x93NUMP", 1),
    ] {
        let bad = replay::read_bytes("x", bytes).expect_err("no text");
        assert_eq!(bad.line, Some(line), "{bad}");
        assert!(
            bad.reason.contains("neither text in UTF-8 nor a .npy file"),
            "{bad}"
        );
    }
}

#[test]
fn files_of_unbearable_size_and_no_files_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = put(
        folder.path(),
        "huge.npy",
        npy("<f4", false, "(40000, 24, 32)", &[]),
    );
    let file = fs::File::options()
        .write(true)
        .open(&path)
        .expect("the file");
    // It takes no room: all of it is a hole.
    file.set_len(replay::LARGEST_FILE + 1).expect("a long file");
    let bad = replay::read_file(&path).expect_err("too large");
    assert!(bad.reason.contains("larger than 64 MiB"), "{bad}");
    let bad = replay::read_file(folder.path()).expect_err("a folder");
    assert!(bad.reason.contains("no regular file"), "{bad}");
    let pipe = folder.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let bad = replay::read_file(&pipe).expect_err("nobody writes into it");
    assert!(bad.reason.contains("no regular file"), "{bad}");
    let faults = csv::parse_all(&format!("{}{}", table(",", "\n"), "x\n".repeat(100_000))).faults;
    assert!(faults.len() < 1100, "{}", faults.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Most of the changed arrays are refused; those that are not have another number in them.
    #[test]
    fn changed_arrays_never_panic(changes in proptest::collection::vec((0_usize..200, any::<u8>()), 1..6)) {
        let mut bytes = npy("<f4", false, "(24, 32)", &floats(&*ramp()));
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        if let Ok(frames) = replay::read_bytes("array", &bytes) {
            prop_assert_eq!(frames.len(), 1);
        }
    }

    #[test]
    fn any_header_never_panics(header in "[{}()\\[\\]',:<|a-fA-F0-9 ]{0,80}") {
        let bytes = npy_with(&header, &floats(&*ramp()));
        prop_assert!(replay::read_bytes("array", &bytes).is_err());
    }

    /// Text that was hit anywhere: each frame is found whole or told as a fault.
    #[test]
    fn changed_text_never_panics(
        changes in proptest::collection::vec((0_usize..4000, "\\PC|[,;\t\n#=: \"]"), 1..8),
        separator in "[,; \t]",
    ) {
        let mut text = format!("# captured_at: 2026-02-22T00:00:00Z\n{}", table(&separator, "\n"));
        for (place, change) in changes {
            text.replace_range(floor(&text, place)..floor(&text, place + 1).max(floor(&text, place)), &change);
        }
        let contents = csv::parse_all(&text);
        prop_assert!(contents.frames.len() + contents.faults.len() >= 1);
    }
}

/// The last place at or before this one where a character begins.
fn floor(text: &str, place: usize) -> usize {
    let mut place = place.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}
