//! Array files, and the JSON files beside them.

use edge::capture::replay::{self, Adopted};
use edge::frame::{COLUMNS, PIXELS, ROWS};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{at, floats, npy, put, ramp};

fn pixels_of(bytes: &[u8]) -> Vec<Vec<f32>> {
    let frames = replay::read_bytes("array", bytes).expect("the array is good");
    frames
        .into_iter()
        .map(|one| one.frame.pixels.to_vec())
        .collect()
}

#[test]
fn arrays_of_every_usual_kind_are_read() {
    let mut other = ramp();
    other.reverse();
    let both: Vec<f32> = ramp().iter().chain(other.iter()).copied().collect();
    assert_eq!(
        pixels_of(&npy("<f4", false, "(24, 32)", &floats(&*ramp()))),
        [*ramp()]
    );
    assert_eq!(
        pixels_of(&npy("<f4", false, "(768,)", &floats(&*ramp()))),
        [*ramp()]
    );
    assert_eq!(
        pixels_of(&npy("<f4", false, "(1, 24, 32)", &floats(&*ramp()))),
        [*ramp()]
    );
    assert_eq!(
        pixels_of(&npy("<f4", false, "(2, 24, 32)", &floats(&both))),
        [*ramp(), *other]
    );
    assert_eq!(
        pixels_of(&npy("<f4", false, "(2, 768)", &floats(&both))),
        [*ramp(), *other]
    );
    let big: Vec<u8> = both
        .iter()
        .flat_map(|&pixel| f64::from(pixel).to_be_bytes())
        .collect();
    assert_eq!(
        pixels_of(&npy(">f8", false, "(2, 24, 32)", &big)),
        [*ramp(), *other]
    );

    // Columns first: the first index runs fastest.
    let mut turned = Vec::new();
    for column in 0..COLUMNS {
        for row in 0..ROWS {
            turned.extend([
                ramp()[row * COLUMNS + column],
                other[row * COLUMNS + column],
            ]);
        }
    }
    assert_eq!(
        pixels_of(&npy("<f4", true, "(2, 24, 32)", &floats(&turned))),
        [*ramp(), *other]
    );
    let mut turned = Vec::new();
    for pixel in 0..PIXELS {
        turned.extend([ramp()[pixel], other[pixel]]);
    }
    assert_eq!(
        pixels_of(&npy("<f4", true, "(2, 768)", &floats(&turned))),
        [*ramp(), *other]
    );

    for (descr, bytes) in [
        ("|i1", vec![0xfd]),
        ("<i2", (-3_i16).to_le_bytes().to_vec()),
        (">i2", (-3_i16).to_be_bytes().to_vec()),
        ("<i4", (-3_i32).to_le_bytes().to_vec()),
        ("<i8", (-3_i64).to_le_bytes().to_vec()),
    ] {
        assert_eq!(
            pixels_of(&npy(descr, false, "(24, 32)", &bytes.repeat(PIXELS)))[0][..],
            [-3.0; PIXELS],
            "{descr}"
        );
    }
    for (descr, bytes) in [
        ("|u1", vec![250]),
        (">u2", 250_u16.to_be_bytes().to_vec()),
        ("<u4", 250_u32.to_le_bytes().to_vec()),
        ("<u8", 250_u64.to_le_bytes().to_vec()),
    ] {
        assert_eq!(
            pixels_of(&npy(descr, false, "(24, 32)", &bytes.repeat(PIXELS)))[0][..],
            [250.0; PIXELS],
            "{descr}"
        );
    }
}

#[test]
fn a_file_beside_an_array_says_what_is_known_of_it() {
    let folder = TempDir::new().expect("a folder");
    let array = npy("<f4", false, "(2, 24, 32)", &floats(&ramp().repeat(2)));
    let path = put(folder.path(), "x.npy", array);
    let beside = |said: Value| {
        put(folder.path(), "x.json", said.to_string());
        replay::read_file(&path)
    };
    let frames = beside(json!({
        "captured_at": ["2026-02-22T00:00:00Z", 1_771_721_100], "ambient_c": [20.5, null], "camera": "left",
        "label": ["cold", null], "adopted_at": [null, "2026-03-01 00:00:00"], "adopted_because": [null, "dust"], "other": [1],
    }))
    .expect("two frames");
    assert_eq!(
        frames[0].frame.captured_at,
        Some(at("2026-02-22T00:00:00Z"))
    );
    assert_eq!(
        frames[1].frame.captured_at,
        Some(at("2026-02-22T00:45:00Z"))
    );
    assert_eq!(
        (frames[0].frame.ambient, frames[1].frame.ambient),
        (Some(20.5), None)
    );
    assert!(
        frames
            .iter()
            .all(|one| one.frame.camera.as_deref() == Some("left"))
    );
    assert_eq!(
        (frames[0].label.as_deref(), frames[1].label.as_deref()),
        (Some("cold"), None)
    );
    let because = Some("dust".to_owned());
    let adopted = Adopted {
        at: at("2026-03-01T00:00:00Z"),
        because,
    };
    assert_eq!(
        (&frames[0].adopted, &frames[1].adopted),
        (&None, &Some(adopted))
    );

    for (said, reason) in [
        (
            json!({"captured_at": "2026-02-22T00:00:00Z"}),
            "one time for 2 frames",
        ),
        (
            json!({"camera": ["a"]}),
            "camera lists 1 values for 2 frames",
        ),
        (
            json!({"camera": {"a": 1}}),
            "camera is neither text nor a number",
        ),
        (
            json!({"captured_at": [null, "soon"]}),
            "frame 1: captured_at: \"soon\" is no time",
        ),
        (json!([1]), "x.json"),
    ] {
        let bad = beside(said).expect_err("what it says is wrong");
        assert!(
            bad.path == path && bad.reason.contains(reason) && bad.reason.contains("x.json"),
            "{bad}"
        );
    }
}
