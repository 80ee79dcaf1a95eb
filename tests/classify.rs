//! `edge classify` and `edge check-model`, and the runtimes behind them: through the program and the API.

mod models;
mod program;
mod runtimes;

use std::fs;
use std::path::Path;

use edge::classify::convention::{Overrides, Scale};
use edge::classify::{self, Classifier, Options, Runtime, Verdict};
use edge::frame::{Frame, PIXELS, Pixels};
use edge::model::onnx::{Attribute, Data, Dim, Element, Graph};
use edge::model::residual;
use edge::picture::{self, Colours, Range};
use proptest::prelude::*;

fn scene() -> Classifier {
    Classifier::load(&models::scene_file(), &Runtime::Embedded).expect("our own model loads")
}

fn classified(classifier: &mut Classifier, pixels: &Pixels) -> classify::Classification {
    let verdict = classifier.classify(&Frame::new(Box::new(*pixels)), &[]);
    match verdict.expect("a frame can be judged") {
        Verdict::Classified(classification) => classification,
        Verdict::SensorFault { bad_pixels } => panic!("{bad_pixels} bad pixels"),
    }
}

fn scores(classification: &classify::Classification) -> Vec<f32> {
    classification
        .scores
        .iter()
        .map(|(_, score)| *score)
        .collect()
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) -> bool {
    found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn a_runtime_says_what_the_same_calculation_in_rust_says() {
    let model = models::scene();
    let mut classifier = scene();
    for seed in 0..40 {
        let mut pixels = models::normal_frame(&model, seed);
        if seed % 2 == 1 {
            // A hot or cold spot of three pixels' width somewhere.
            let (row, column) = (2 + seed as usize % 20, 2 + seed as usize * 5 % 28);
            for at in [0, 1, 31, 32, 33, 34, 64, 65] {
                pixels[(row - 1) * 32 + column - 1 + at] += f32::from(seed as u8) - 15.0;
            }
        }
        let expected = residual::assess(&model, &Frame::new(pixels.clone()).repaired(&[]).pixels);
        let found = classified(&mut classifier, &pixels);
        assert!(
            close(&scores(&found), &expected.scores, 1e-4),
            "{seed}: {found:?} {expected:?}"
        );
        assert_eq!(
            found.place.map(edge::frame::Place::index),
            Some(expected.index),
            "{seed}"
        );
        let numbers = [
            found.delta_t.unwrap(),
            found.ratio.unwrap(),
            found.shift.unwrap()[0],
            found.shift.unwrap()[1],
        ];
        let wanted = [
            expected.delta_t,
            expected.ratio,
            expected.shift[0],
            expected.shift[1],
        ];
        assert!(
            close(&numbers, &wanted, 2e-3),
            "{seed}: {numbers:?} {wanted:?}"
        );
    }
}

#[test]
fn up_to_four_broken_pixels_are_mended_and_five_are_a_fault() {
    let model = models::scene();
    let mut classifier = scene();
    let whole = models::normal_frame(&model, 3);
    let before = classified(&mut classifier, &whole);
    for broken in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1000.0,
        -273.15,
        f32::MAX,
    ] {
        for count in 1..=8 {
            let mut frame = Frame::new(whole.clone());
            for at in 0..count {
                frame.pixels[100 + at * 75] = broken;
            }
            let verdict = classifier.classify(&frame, &[]).unwrap();
            match verdict {
                Verdict::Classified(found) => {
                    assert!(count <= 4, "{broken} {count}");
                    assert_eq!(found.bad_pixels, count);
                    assert!(
                        close(&scores(&found), &scores(&before), 0.1),
                        "{broken} {found:?}"
                    );
                }
                Verdict::SensorFault { bad_pixels } => {
                    assert!(count > 4, "{broken} {count}");
                    assert_eq!(bad_pixels, count);
                }
            }
        }
    }
    // What the camera's own list says counts as well.
    let known = [5, 99, 300, 500, 767];
    let verdict = classifier.classify(&Frame::new(whole), &known).unwrap();
    assert_eq!(verdict, Verdict::SensorFault { bad_pixels: 5 });
}

#[test]
fn damage_is_found_by_the_golden_answer() {
    let model = models::scene();
    let refused = |file: &[u8], reason: &str| {
        let error = Classifier::load(file, &Runtime::Embedded).unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    };
    refused(
        &models::damaged(&models::scene_file(), &model),
        "the file is damaged",
    );
    let mut metadata = models::metadata(&model);
    metadata.golden.scores[1] += 0.01;
    refused(
        &edge::model::onnx::write(&model, &metadata),
        "golden answer",
    );
    let mut metadata = models::metadata(&model);
    metadata.golden.frame.pop();
    refused(&edge::model::onnx::write(&model, &metadata), "golden");
    refused(b"GIF89a", "");
    refused(b"", "empty");
}

#[test]
fn a_strangers_model_sees_temperatures_as_they_are() {
    let file = models::of_temperatures(true, &[("labels", r#"["cold", "warm", "hot"]"#)]);
    let mut classifier = Classifier::load(&file, &Runtime::Embedded).unwrap();
    for celsius in [-20.0, 0.0, 20.0, 31.5, 80.0] {
        let found = classified(&mut classifier, &[celsius; PIXELS]);
        assert!(
            close(&scores(&found), &models::by_mean(celsius), 1e-5),
            "{celsius}: {found:?}"
        );
        assert_eq!(found.scores[0].0, "cold");
        assert_eq!(
            (found.place, found.delta_t, found.ratio, found.shift),
            (None, None, None, None)
        );
    }
}

#[test]
fn a_strangers_model_sees_pictures_by_the_convention_that_holds() {
    let labels = ("labels", "red,green,blue");
    let pixels: Box<Pixels> = Box::new(std::array::from_fn(|index| 15.0 + (index % 32) as f32));
    let check = |entries: &[(&str, &str)],
                 said: Overrides,
                 range: Range,
                 colours: Colours,
                 scale: fn(f32, usize) -> f32| {
        for (channels_first, height, width) in [
            (true, 48, 64),
            (false, 48, 64),
            (true, 96, 96),
            (false, 33, 20),
        ] {
            let entries = [&[labels], entries].concat();
            let file = models::of_pictures(channels_first, height, width, &entries);
            let options = Options {
                convention: said,
                ..Options::default()
            };
            let mut classifier = classify::load_bytes(&file, &Runtime::Embedded, &options).unwrap();
            let rgb = picture::plain(&pixels, range, colours, width as usize, height as usize);
            let mean = [0, 1, 2].map(|channel| {
                let bytes = rgb.iter().skip(channel).step_by(3);
                let sum: f64 = bytes
                    .map(|&byte| f64::from(scale(f32::from(byte), channel)))
                    .sum();
                (sum / (rgb.len() / 3) as f64) as f32
            });
            let found = scores(&classified(&mut classifier, &pixels));
            let expected = models::softmax(&mean);
            assert!(
                close(&found, &expected, 1e-4),
                "{entries:?} {said:?}: {found:?} {expected:?}"
            );
        }
    };
    let none = Overrides::default();
    let tutorial = Range::Fixed(20.0, 40.0);
    check(&[], none, tutorial, Colours::Tutorial, |byte, _| {
        byte / 255.0
    });
    check(
        &[
            ("thermal_watch.range", "0..60"),
            ("thermal_watch.colours", "inferno"),
            ("thermal_watch.scale", "-1..1"),
        ],
        none,
        Range::Fixed(0.0, 60.0),
        Colours::Inferno,
        |byte, _| byte / 127.5 - 1.0,
    );
    let said = Overrides {
        range: Some(Range::Fixed(10.0, 30.0)),
        scale: Some(Scale::Imagenet),
        ..none
    };
    check(
        &[("thermal_watch.range", "0..60")],
        said,
        Range::Fixed(10.0, 30.0),
        Colours::Tutorial,
        |byte, channel| {
            (byte / 255.0 - [0.485, 0.456, 0.406][channel]) / [0.229, 0.224, 0.225][channel]
        },
    );
}

#[test]
fn labels_must_be_known_and_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.onnx");
    let load =
        |path: &Path, options: &Options| classify::load_file(path, &Runtime::Embedded, options);
    let labels = |classifier: anyhow::Result<Classifier>| classifier.unwrap().labels().join(" ");
    let reason = |classifier: anyhow::Result<Classifier>| format!("{:#}", classifier.unwrap_err());
    let none = Options::default();

    fs::write(&path, models::of_temperatures(true, &[])).unwrap();
    assert!(reason(load(&path, &none)).contains("nothing names its 3 scores"));
    fs::write(folder.path().join("labels.txt"), "a\nb\nc\n").unwrap();
    assert_eq!(labels(load(&path, &none)), "a b c");
    fs::write(folder.path().join("mine.labels.txt"), "d\r\ne\r\n\r\nf").unwrap();
    assert_eq!(labels(load(&path, &none)), "d e f");
    let said = Options {
        labels: Some(vec!["g".into(), "h".into()]),
        ..Options::default()
    };
    assert!(reason(load(&path, &said)).contains("--labels names 2: g, h"));
    fs::write(
        &path,
        models::of_temperatures(true, &[("names", "{0: 'x', 1: 'y', 2: 'z'}")]),
    )
    .unwrap();
    assert_eq!(labels(load(&path, &none)), "x y z");
    fs::write(&path, models::of_temperatures(true, &[("classes", "p,q")])).unwrap();
    assert!(reason(load(&path, &none)).contains("`classes` names 2: p, q"));
}

#[test]
fn logits_are_refused_until_somebody_says_softmax() {
    let labels = ("labels", "a,b,c");
    let file = models::of_temperatures(false, &[labels]);
    let error = Classifier::load(&file, &Runtime::Embedded).unwrap_err();
    assert!(format!("{error:#}").contains("--softmax"), "{error:#}");
    let said = Options {
        convention: Overrides {
            softmax: true,
            ..Overrides::default()
        },
        ..Options::default()
    };
    let told = models::of_temperatures(false, &[labels, ("activation", "softmax")]);
    for classifier in [
        classify::load_bytes(&file, &Runtime::Embedded, &said),
        Classifier::load(&told, &Runtime::Embedded),
    ] {
        let found = classified(&mut classifier.unwrap(), &[33.0; PIXELS]);
        assert!(
            close(&scores(&found), &models::by_mean(33.0), 1e-5),
            "{found:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the pixels are, a score is a number between 0 and 1, and they sum to 1.
    #[test]
    fn scores_are_probabilities_for_any_frame(
        seed in any::<u32>(),
        level in -300.0_f32..700.0,
        broken in proptest::collection::vec((0..PIXELS, any::<f32>()), 0..6),
    ) {
        let model = models::scene();
        let mut classifier = scene();
        let mut pixels = models::normal_frame(&model, seed);
        for pixel in pixels.iter_mut() {
            *pixel += level;
        }
        for (at, value) in broken {
            pixels[at] = value;
        }
        match classifier.classify(&Frame::new(pixels), &[]).unwrap() {
            Verdict::SensorFault { bad_pixels } => prop_assert!(bad_pixels > 4),
            Verdict::Classified(found) => {
                let scores = scores(&found);
                prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}", found);
                prop_assert!((scores.iter().sum::<f32>() - 1.0).abs() <= 1e-6, "{:?}", found);
                prop_assert!(found.ratio.unwrap().is_finite() && found.delta_t.unwrap().is_finite());
            }
        }
    }

    /// A room that is warmer everywhere is the same scene, as long as no place is hotter than it ever was.
    #[test]
    fn a_constant_offset_changes_nothing(seed in any::<u32>(), offset in -40.0_f32..25.0) {
        let model = models::scene();
        let mut classifier = scene();
        let pixels = models::normal_frame(&model, seed);
        let moved = pixels.map(|pixel| pixel + offset);
        let (before, after) = (classified(&mut classifier, &pixels), classified(&mut classifier, &moved));
        prop_assert!(close(&scores(&before), &scores(&after), 1e-3), "{:?} {:?}", before, after);
    }
}

/// ONNX has defaults for the attributes of windows, and exporters leave them out.
#[test]
fn windows_without_their_attributes_run_on_the_built_in_runtime() {
    let ones = |count: usize| Data::Float(vec![0.01; count]);
    let graph = Graph::new("bare")
        .input("frame", Element::Float, &[1, 1, 24, 32].map(Dim::Size))
        .output("scores", Element::Float, &[1, 2].map(Dim::Size))
        .initializer("weights", &[2, 1, 3, 3], ones(18))
        .node("Conv", &["frame", "weights"], &["a"], &[])
        .node(
            "MaxPool",
            &["a"],
            &["b"],
            &[("kernel_shape", Attribute::Ints(vec![2, 2]))],
        )
        .node(
            "AveragePool",
            &["b"],
            &["c"],
            &[("kernel_shape", Attribute::Ints(vec![2, 2]))],
        )
        .node("GlobalAveragePool", &["c"], &["d"], &[])
        .node("Flatten", &["d"], &["e"], &[("axis", Attribute::Int(1))])
        .node(
            "Softmax",
            &["e"],
            &["scores"],
            &[("axis", Attribute::Int(1))],
        );
    let file = edge::model::onnx::encode(&graph, &[("labels".to_owned(), "a,b".to_owned())]);
    let mut classifier = Classifier::load(&file, &Runtime::Embedded).unwrap();
    let found = classified(&mut classifier, &[25.0; PIXELS]);
    assert!(close(&scores(&found), &[0.5, 0.5], 1e-5), "{found:?}");
}
