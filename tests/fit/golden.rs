//! The golden fixture: simulated frames, and what the reference gives for them.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    reason = "the fixture is ours, and a test that cannot go on has failed"
)]

use std::{path::Path, sync::OnceLock};

use edge::{
    frame::{PIXELS, Pixels},
    model::{
        Assessment, Model,
        fit::{Example, Fit, train},
        residual::assess,
    },
};
use serde_json::Value;

pub const NAMES: [&str; 3] = ["cold", "warm", "hot"];

pub struct Golden {
    pub train: Vec<Pixels>,
    pub test: Vec<Pixels>,
    pub expected: Value,
}

impl Golden {
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        numbers(&self.expected[name])
    }

    pub fn indices(&self, name: &str) -> Vec<usize> {
        self.numbers(name)
            .iter()
            .map(|&number| number as usize)
            .collect()
    }

    pub fn assess(&self, model: &Model) -> Vec<Assessment> {
        self.test.iter().map(|frame| assess(model, frame)).collect()
    }
}

pub fn golden() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let folder = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/golden"
        ));
        let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let read = |name: &str, mended: &str| {
            let mut frames = frames_of(&std::fs::read(folder.join(name)).unwrap());
            for pixel in expected[mended].as_array().unwrap() {
                let [frame, index, value] = numbers(pixel)[..] else {
                    panic!("three numbers")
                };
                frames[frame as usize][index as usize] = value as f32;
            }
            frames
        };
        Golden {
            train: read("train.npy", "mended_train"),
            test: read("test.npy", "mended_test"),
            expected,
        }
    })
}

pub fn golden_fit() -> &'static Fit {
    static FIT: OnceLock<Fit> = OnceLock::new();
    FIT.get_or_init(|| train(&labelled(&golden().train), Some(&names()), &mut |_| ()).unwrap())
}

/// Of a NumPy file of float32 whose header takes 128 bytes, as those of the fixture do.
fn frames_of(bytes: &[u8]) -> Vec<Pixels> {
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False"));
    bytes[128..]
        .chunks_exact(4 * PIXELS)
        .map(|frame| {
            std::array::from_fn(|index| {
                f32::from_le_bytes(frame[4 * index..][..4].try_into().unwrap())
            })
        })
        .collect()
}

pub fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

pub fn examples(frames: &[Pixels]) -> Vec<Example<'_>> {
    frames
        .iter()
        .map(|pixels| Example {
            pixels,
            label: None,
            adopted: false,
        })
        .collect()
}

/// The first of the golden frames with their labels.
pub fn labelled(frames: &[Pixels]) -> Vec<Example<'_>> {
    let labels = golden().indices("train_label");
    frames
        .iter()
        .zip(labels)
        .map(|(pixels, label)| Example {
            pixels,
            label: Some(label),
            adopted: false,
        })
        .collect()
}

/// The numbers of JSON lists, one within another or not.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}
