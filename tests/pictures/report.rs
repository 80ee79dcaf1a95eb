//! The training report as people get it: the text measured, the page read.

use edge::frame::{COLUMNS, PIXELS, Pixels};
use edge::model::detectable::Detectable;
use edge::model::metadata::AdoptedFrame;
use edge::model::report::{
    self, BadPixels, DetectableSummary, Dropped, DroppedFrame, HeldOutPoint, HeldOutSummary,
    Hottest, LabelSummary, Mode, Plots, Report,
};
use edge::model::{Named, Threshold};

use super::{at, boiler, count};

#[test]
fn the_text_says_what_it_must_in_under_45_lines() {
    let mut example = Example::new();
    let text = report::text(&example.report);
    assert!(text.lines().count() < 45, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    for said in [
        "118 of 120 read",
        "2026-01-01 00:00 to 2026-01-14 21:00 UTC (13.9 days)",
        "2026-01-05 09:00 UTC cold/0035.csv",
        "3 mended in 2 frames",
        "raised to the floor of 7",
        "as the held-out frames gave it",
        "if the coming weeks look like these",
        "9.0 °C",
        "19.3 °C",
        "cold 40, hot 39, warm 39",
        "91 %",
        "! ",
    ] {
        assert!(
            unwrapped(&text).contains(said),
            "{said} is missing in\n{text}"
        );
    }
    example.report.threshold_residual = Threshold {
        raw: 23.4,
        clamped: 15.0,
    };
    let text = unwrapped(&report::text(&example.report));
    assert!(text.contains("cut to the cap of 15"), "{text}");

    example.report.dropped[0].frame.file = "a\x1b[31m\r\nb.csv".to_owned();
    let hostile = report::text(&example.report);
    assert!(!hostile.contains(['\x1b', '\r']), "{hostile:?}");
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let example = Example::new();
    let page = report::html(&example.report, &example.plots()).unwrap();
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    for section in [
        "scene",
        "detectable",
        "held-out",
        "thresholds",
        "frames",
        "labels",
        "modes",
        "blind",
        "next",
    ] {
        assert!(
            page.contains(&format!("<section id=\"{section}\">")),
            "{section}"
        );
    }
    for said in [
        "if the coming weeks look like these",
        "raised to the floor of 7",
        "only 334 hours",
        "2026-01-05 09:00 UTC",
        "pump that failed",
        "edge classify",
        "edge adopt",
        "door was open",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("http") && !page.contains("url(") && !page.contains("<script"));
    assert!(!page.contains("<link") && !page.contains("@import") && !page.contains("<iframe"));
    for source in page.split("src=").skip(1) {
        assert!(source.starts_with("\"data:image/png;base64,"));
    }
    assert!(!page.contains("Simulated frames"));
    // Mean, hottest, 3 maps, 2 dropped, 11 modes; and a bar for each legend.
    assert_eq!(page.matches("<figure>").count(), 2 + 3 + 2 + 11);
    assert_eq!(page.matches("class=\"legend\"").count(), 2 + 1 + 1 + 11);
}

#[test]
fn a_hostile_recording_cannot_write_into_the_page() {
    let mut example = Example::new();
    let hostile = "<script>alert(1)</script>\"'><img src=http://x onerror=a>";
    let named = Named {
        file: hostile.to_owned(),
        captured_at: None,
    };
    example.report.dropped[0].frame = named.clone();
    example.report.adopted[0].frame = named.clone();
    example.report.adopted[0].because = Some(hostile.to_owned());
    example.report.hottest.frame = named;
    example.report.camera = Some(hostile.to_owned());
    example.report.software = hostile.to_owned();
    example.report.warnings = vec![hostile.to_owned()];
    example.report.labels[0].label = hostile.to_owned();
    let page = report::html(&example.report, &example.plots()).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img src=http"));
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    for tag in page.split('<').skip(1) {
        // Within quotes it is text; outside them it would be an attribute.
        let tag = tag.split('>').next().unwrap();
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains("onerror"), "{tag}");
    }
}

#[test]
fn a_page_of_little_is_still_a_page() {
    let mut example = Example::new();
    example.report.simulated = true;
    example.report.dropped.clear();
    example.report.adopted.clear();
    example.report.detectable.clear();
    example.report.labels.clear();
    example.report.held_out.expected_per_30_days = f64::NAN;
    let hottest = [f32::NAN; PIXELS];
    let plots = Plots {
        mean: &[],
        modes: Vec::new(),
        detectable: &[],
        held_out: Vec::new(),
        dropped: Vec::new(),
        hottest: &hottest,
    };
    let page = report::html(&example.report, &plots).unwrap();
    assert!(page.contains("Simulated frames: for demonstration only"));
    assert!(page.contains("No frame was dropped"));
    assert!(!page.contains("NaN"));
    assert!(report::text(&example.report).starts_with("Simulated frames"));
}

/// A report as training on two weeks of a boiler could have made it.
pub struct Example {
    pub report: Report,
    frames: Vec<Pixels>,
    detectable: Vec<Detectable>,
}

impl Example {
    pub fn new() -> Self {
        let frames: Vec<Pixels> = (0..4).map(boiler).collect();
        let detectable = [(1, 9.0_f32), (2, 4.3), (3, 2.8)].map(|(radius, typical)| Detectable {
            radius,
            delta_t: blindness(typical),
        });
        let dropped = [35, 77].map(|number| Dropped {
            frame: named(number),
            score: 41.2 - count_f64(number) / 4.0,
        });
        let report = Report {
            frames: 118,
            frames_read: 120,
            first_frame: Some(at(0)),
            last_frame: Some(at(111)),
            span_hours: Some(333.0),
            dropped: dropped.to_vec(),
            adopted: vec![AdoptedFrame {
                frame: named(12),
                adopted_at: at(200),
                because: Some("the door was open".to_owned()),
            }],
            bad_pixels: BadPixels {
                frames: 2,
                pixels: 3,
                sensor_faults: 1,
            },
            k: 11,
            threshold_residual: Threshold {
                raw: 5.31,
                clamped: 7.0,
            },
            threshold_envelope: Threshold {
                raw: 4.62,
                clamped: 4.62,
            },
            held_out: HeldOutSummary {
                over_threshold: 1,
                expected_per_30_days: 0.86,
                median_ratio: 0.42,
                largest_ratio: 1.08,
            },
            detectable: [(1, 9.0, 19.3), (2, 4.3, 9.5), (3, 2.8, 5.9)]
                .map(|(radius, median, p95)| DetectableSummary {
                    radius,
                    median,
                    p95,
                })
                .to_vec(),
            labelled: true,
            labels: [("cold", 40), ("hot", 39), ("warm", 39)]
                .map(|(label, frames)| LabelSummary {
                    label: label.to_owned(),
                    frames,
                })
                .to_vec(),
            label_accuracy: Some(0.907),
            hottest: Hottest {
                celsius: 64.2,
                row: 8,
                column: 14,
                frame: named(91),
            },
            camera: Some("MLX90640 4f2a-0031-9c77".to_owned()),
            simulated: false,
            software: "edge 0.1.0".to_owned(),
            warnings: vec![
                "The recording spans only 334 hours of a season: what the scene does in other weather is not learned, \
                 and will be reported until it is adopted."
                    .to_owned(),
                "Along the supply pipe (rows 14 to 16) a spot must be more than 20 °C hotter to be seen."
                    .to_owned(),
            ],
        };
        Self {
            report,
            frames,
            detectable: detectable.to_vec(),
        }
    }

    pub fn plots(&self) -> Plots<'_> {
        let mode = |mode: usize| Mode {
            swing: (0..PIXELS)
                .map(|index| {
                    let (row, column) = (count(index / COLUMNS), count(index % COLUMNS));
                    let wave = (row * 0.13 * count(mode + 1)).cos()
                        * (column * 0.1 * count(mode) + 0.8).sin();
                    (self.frames[0][index] - 20.0) * wave / (2.0 + 2.0 * count(mode))
                })
                .collect(),
            share: Some(0.55 * 0.44_f64.powi(i32::try_from(mode).unwrap())),
        };
        let point = |number: usize| {
            let wave = (count_f64(number) * 12.9898).sin() * 43_758.547;
            let noise = wave - wave.floor();
            HeldOutPoint {
                number,
                captured_at: Some(at(number)),
                residual: if number == 60 {
                    1.08
                } else {
                    0.3 + 0.35 * noise * noise
                },
                envelope: 0.45 * noise - 0.1,
            }
        };
        Plots {
            mean: &self.frames[0],
            modes: (0..11).map(mode).collect(),
            detectable: &self.detectable,
            held_out: (0..112)
                .filter(|number| ![35, 77].contains(number))
                .map(point)
                .collect(),
            dropped: [35, 77]
                .map(|number| DroppedFrame {
                    number,
                    ratio: if number == 35 { 5.2 } else { 1.9 },
                    captured_at: Some(at(number)),
                    pixels: &self.frames[number % 4],
                })
                .to_vec(),
            hottest: &self.frames[1],
        }
    }
}

/// More is needed at hot edges, and most along the pipe.
fn blindness(typical: f32) -> Vec<f32> {
    let boiler = boiler(1);
    let hot = boiler.iter().map(|celsius| (celsius - 20.0) / 20.0);
    hot.map(|hot| typical * (0.8 + 0.9 * hot * hot)).collect()
}

fn named(number: usize) -> Named {
    Named {
        file: format!("cold/{number:04}.csv"),
        captured_at: Some(at(number)),
    }
}

fn count_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
