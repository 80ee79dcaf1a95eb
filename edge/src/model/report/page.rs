//! The page: everything that needs a picture, in the order in which somebody decides.
//!
//! Verdict and warnings stand first, then the scene as it was learned, what can be seen in it, and how the held-out frames
//! fared. Names of files and labels come from recordings; the template escapes all text.

use askama::Template;

use super::chart::{Chart, chart};
use super::figure::{Figure, Legend, Scheme, pixels, position};
use super::words::{
    BLIND_SPOTS, Clamp, NOT_A_SAFETY_DEVICE, bad_pixels, clamp, clamp_words, counted, degrees,
    expected_words, percent, span, time,
};
use super::{Plots, Report};
use crate::frame::{Pixels, Place};
use crate::model::Threshold;
use crate::model::detectable::Detectable;
use crate::picture::round::real;
use crate::picture::{Colours, Limits, Range};

/// A spot that must be hotter than this to be seen will be found by its smell, deg C.
const BLIND: f32 = 20.0;
/// Dropped frames beyond these are listed without a picture.
const MOST_THUMBNAILS: usize = 24;

pub(super) fn html(report: &Report, plots: &Plots<'_>) -> anyhow::Result<String> {
    let (detectable, detectable_legend) = detectable(plots)?;
    let (dropped, dropped_legend) = dropped(report, plots)?;
    let page = Page {
        report,
        camera: report.camera.as_deref().unwrap_or("camera unknown"),
        verdict: verdict(report),
        span: span(report),
        facts: facts(report),
        scene: scene(report, plots)?,
        detectable,
        detectable_legend,
        detectable_rows: detectable_rows(report, plots),
        chart: chart(plots),
        over: held_out_words(report),
        expected: expected_words(&report.held_out),
        thresholds: [
            threshold("Unexplained", "× noise", &report.threshold_residual),
            threshold("Hotter than ever", "°C", &report.threshold_envelope),
        ],
        dropped_without_picture: report.dropped.len() - dropped.len(),
        dropped,
        dropped_legend,
        adopted: adopted(report),
        bad_pixels: bad_pixels(report),
        labels: labels(report),
        accuracy: report.label_accuracy.map(percent),
        modes: modes(plots)?,
        modes_total: modes_total(plots),
        blind_spots: &BLIND_SPOTS,
        not_a_safety_device: NOT_A_SAFETY_DEVICE,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    camera: &'a str,
    verdict: Verdict,
    span: String,
    facts: Vec<Fact>,
    scene: Vec<Figure>,
    detectable: Vec<Figure>,
    detectable_legend: Option<Legend>,
    detectable_rows: Vec<[String; 4]>,
    chart: Option<Chart>,
    over: String,
    expected: String,
    thresholds: [ThresholdRow; 2],
    dropped: Vec<Figure>,
    dropped_without_picture: usize,
    dropped_legend: Option<Legend>,
    adopted: Vec<[String; 4]>,
    bad_pixels: String,
    labels: Vec<Share>,
    accuracy: Option<String>,
    modes: Vec<Figure>,
    modes_total: Option<String>,
    blind_spots: &'a [(&'a str, &'a str)],
    not_a_safety_device: &'a str,
}

struct Verdict {
    /// Of the style sheet.
    class: &'static str,
    text: String,
}

/// A figure that stands at the top, large.
struct Fact {
    value: String,
    of: &'static str,
}

struct ThresholdRow {
    name: &'static str,
    raw: String,
    used: String,
    words: String,
    doubtful: bool,
}

/// How many frames a label has, and how that is of all.
struct Share {
    label: String,
    frames: usize,
    percent: String,
}

fn verdict(report: &Report) -> Verdict {
    let (class, text) = match report.warnings.len() {
        _ if report.simulated => (
            "warm",
            "For demonstration only: it has learned simulated frames, not a place.".to_owned(),
        ),
        0 => (
            "good",
            "Nothing in the training speaks against using this model.".to_owned(),
        ),
        1 => ("warm", "Use with care: there is a warning.".to_owned()),
        many => ("warm", format!("Use with care: there are {many} warnings.")),
    };
    Verdict { class, text }
}

fn facts(report: &Report) -> Vec<Fact> {
    let expected = report.held_out.expected_per_30_days;
    let mut facts = vec![
        Fact {
            value: report.frames.to_string(),
            of: "frames learned",
        },
        Fact {
            value: if !expected.is_finite() {
                "unknown".to_owned()
            } else if expected < 0.05 {
                "< 0.1".to_owned()
            } else {
                format!("{expected:.1}")
            },
            of: "false alarms in 30 days, if the coming weeks look like these",
        },
    ];
    let summary = report.detectable.iter().find(|summary| summary.radius == 2);
    if let Some(summary) = summary {
        facts.push(Fact {
            value: degrees(summary.median),
            of: "makes a spot of 2 pixels radius visible, in half of the places",
        });
    }
    facts.push(Fact {
        value: degrees(report.hottest.celsius),
        of: "is the hottest it was taught, and now normal",
    });
    facts
}

fn scene(report: &Report, plots: &Plots<'_>) -> anyhow::Result<Vec<Figure>> {
    let hottest = &report.hottest;
    let place = Place {
        row: hottest.row,
        column: hottest.column,
    };
    let mut taught = vec![format!(
        "{:.1} °C at row {}, column {} (from 0)",
        hottest.celsius, hottest.row, hottest.column
    )];
    taught.extend(hottest.frame.captured_at.map(time));
    taught.push(hottest.frame.file.clone());
    let figure = |pixels: &Pixels, title: &str, note: String, mark| -> anyhow::Result<Figure> {
        let scheme = Scheme {
            colours: Colours::Inferno,
            limits: Range::Auto.limits(pixels),
            scale: 12,
        };
        Ok(Figure {
            title: title.to_owned(),
            alt: format!(
                "{title}: {:.1} to {:.1} °C",
                scheme.limits.low, scheme.limits.high
            ),
            note,
            uri: scheme.picture(pixels)?,
            legend: Some(scheme.legend(6)?),
            mark,
        })
    };
    Ok(vec![
        figure(
            &pixels(plots.mean),
            "Mean of all frames",
            "What the scene looks like when nothing is the matter.".to_owned(),
            None,
        )?,
        figure(
            plots.hottest,
            "Hottest frame",
            taught.join(" · "),
            Some(position(place)),
        )?,
    ])
}

/// All with one range, so that they can be compared.
fn detectable(plots: &Plots<'_>) -> anyhow::Result<(Vec<Figure>, Option<Legend>)> {
    let scheme = Scheme {
        colours: Colours::YellowRed,
        limits: Limits {
            low: 0.0,
            high: BLIND,
        },
        scale: 8,
    };
    let figures = plots.detectable.iter().map(|map| {
        let mut seen = pixels(&map.delta_t);
        for pixel in seen.iter_mut().filter(|pixel| **pixel > BLIND) {
            *pixel = f32::NAN;
        }
        let title = format!("Radius {}", counted(map.radius, "pixel"));
        Ok(Figure {
            alt: format!("{title}: {} of the places are blind", blind_share(map)),
            title,
            note: String::new(),
            uri: scheme.picture(&seen)?,
            legend: None,
            mark: None,
        })
    });
    under_one_legend(figures, &scheme, 4)
}

fn detectable_rows(report: &Report, plots: &Plots<'_>) -> Vec<[String; 4]> {
    let rows = report.detectable.iter().map(|summary| {
        let map = plots
            .detectable
            .iter()
            .find(|map| map.radius == summary.radius);
        [
            counted(summary.radius, "pixel"),
            degrees(summary.median),
            degrees(summary.p95),
            map.map(blind_share).unwrap_or_default(),
        ]
    });
    rows.collect()
}

fn blind_share(map: &Detectable) -> String {
    // What is no number is blind as well.
    let seen = map
        .delta_t
        .iter()
        .filter(|celsius| **celsius <= BLIND)
        .count();
    percent(1.0 - real(seen) / real(map.delta_t.len().max(1)))
}

fn held_out_words(report: &Report) -> String {
    let held_out = &report.held_out;
    format!(
        "{} of {} frames were over a threshold; the largest score was {:.2} of its threshold, half were under {:.2}",
        held_out.over_threshold, report.frames, held_out.largest_ratio, held_out.median_ratio
    )
}

fn threshold(name: &'static str, unit: &str, threshold: &Threshold) -> ThresholdRow {
    ThresholdRow {
        name,
        raw: format!("{:.2} {unit}", threshold.raw),
        used: format!("{:.2} {unit}", threshold.clamped),
        words: clamp_words(threshold),
        doubtful: clamp(threshold) == Clamp::Cap,
    }
}

fn dropped(report: &Report, plots: &Plots<'_>) -> anyhow::Result<(Vec<Figure>, Option<Legend>)> {
    let shown = || {
        report
            .dropped
            .iter()
            .zip(&plots.dropped)
            .take(MOST_THUMBNAILS)
    };
    let scheme = Scheme {
        colours: Colours::Inferno,
        limits: Range::Auto.common(shown().map(|(_, frame)| frame.pixels)),
        scale: 5,
    };
    let figures = shown().map(|(dropped, frame)| {
        let when = dropped.frame.captured_at.map(time).unwrap_or_default();
        Ok(Figure {
            title: if when.is_empty() {
                format!("Frame {}", frame.number + 1)
            } else {
                when
            },
            alt: format!("dropped frame {}", dropped.frame.file),
            note: format!("score {:.1}: {}", dropped.score, dropped.frame.file),
            uri: scheme.picture(frame.pixels)?,
            legend: None,
            mark: None,
        })
    });
    under_one_legend(figures, &scheme, 6)
}

/// Figures that share a legend; there is none where there are no figures.
fn under_one_legend(
    figures: impl Iterator<Item = anyhow::Result<Figure>>,
    scheme: &Scheme,
    ticks: usize,
) -> anyhow::Result<(Vec<Figure>, Option<Legend>)> {
    let figures = figures.collect::<anyhow::Result<Vec<_>>>()?;
    let legend = (!figures.is_empty()).then(|| scheme.legend(ticks));
    Ok((figures, legend.transpose()?))
}

fn adopted(report: &Report) -> Vec<[String; 4]> {
    let rows = report.adopted.iter().map(|adopted| {
        [
            adopted.frame.captured_at.map(time).unwrap_or_default(),
            adopted.frame.file.clone(),
            time(adopted.adopted_at),
            adopted.because.clone().unwrap_or_default(),
        ]
    });
    rows.collect()
}

fn labels(report: &Report) -> Vec<Share> {
    let all: usize = report.labels.iter().map(|label| label.frames).sum();
    let shares = report.labels.iter().map(|label| Share {
        label: label.label.clone(),
        frames: label.frames,
        percent: super::figure::percent(real(label.frames) / real(all.max(1))),
    });
    shares.collect()
}

fn modes(plots: &Plots<'_>) -> anyhow::Result<Vec<Figure>> {
    let figures = plots.modes.iter().enumerate().map(|(index, mode)| {
        let finite = mode.swing.iter().filter(|swing| swing.is_finite());
        let largest = finite.fold(0.05, |most: f32, swing| most.max(swing.abs()));
        let scheme = Scheme {
            colours: Colours::BlueRed,
            limits: Limits {
                low: -largest,
                high: largest,
            },
            scale: 5,
        };
        let title = format!("Mode {}", index + 1);
        let share = mode.share.map(percent);
        Ok(Figure {
            alt: format!("{title}: up to {largest:.1} °C"),
            title,
            note: share
                .map(|share| format!("{share} of all changes"))
                .unwrap_or_default(),
            uri: scheme.picture(&pixels(&mode.swing))?,
            legend: Some(scheme.short_legend()?),
            mark: None,
        })
    });
    figures.collect()
}

/// None unless all shares are known.
fn modes_total(plots: &Plots<'_>) -> Option<String> {
    let shares: Option<Vec<f64>> = plots.modes.iter().map(|mode| mode.share).collect();
    let total: f64 = shares.filter(|shares| !shares.is_empty())?.iter().sum();
    Some(percent(total))
}
