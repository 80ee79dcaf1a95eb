//! Scores over time, drawn in characters: people would rather look than read.
//!
//! Pure: points in, text out. A column shows the highest score in its stretch of time, because a short peak is the
//! very thing one looks for.

use chrono::{DateTime, TimeDelta, Utc};

use super::ink::{Ink, Tone};

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Characters a bar of the chart is wide.
const BAR_WIDTH: usize = 2;

/// A score between 0 and 1 at a time.
pub type Point = (DateTime<Utc>, f64);

/// The whole stretch in one line of `columns` characters.
pub fn sparkline(points: &[Point], columns: usize, threshold: f64, ink: Ink) -> String {
    let mut line = String::new();
    for peak in peaks(points, columns) {
        // A quiet stretch is drawn as a thin line; a stretch without any point stays empty.
        let mark = peak.map_or(' ', |score| eighth(score.max(0.01), 0.0, 1.0));
        line.push_str(&ink.paint(tone(peak.unwrap_or_default(), threshold), &mark.to_string()));
    }
    line
}

/// A chart of `rows` lines with a bar for each of `bars` stretches, the threshold as a line, and the times below.
pub fn chart(points: &[Point], bars: usize, rows: usize, threshold: f64, ink: Ink) -> String {
    let peaks = peaks(points, bars);
    let height = |row: usize| to_f64(row) / to_f64(rows);
    // A bar that rises into this row or a higher one has passed the threshold.
    let threshold_row = (0..rows)
        .rev()
        .find(|row| height(*row) <= threshold + 1e-9)
        .unwrap_or_default();
    let mut chart = String::new();
    for row in (0..rows).rev() {
        let (from, to) = (height(row), height(row + 1));
        let label = if row == threshold_row || row == rows / 2 || row == 0 {
            format!("{from:.1} ┤")
        } else {
            "    │".to_owned()
        };
        let mut line = ink.paint(Tone::Dim, &label);
        for peak in &peaks {
            let (mark, tone) = match eighth(peak.unwrap_or_default(), from, to) {
                ' ' if row == threshold_row => ('▁', Tone::Warm),
                mark if row >= threshold_row => (mark, Tone::Bad),
                mark => (mark, Tone::Cool),
            };
            line.push_str(&ink.paint(tone, &mark.to_string().repeat(BAR_WIDTH)));
        }
        chart.push_str(line.trim_end());
        chart.push('\n');
    }
    if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
        let (first, last) = (first.format("%H:%M"), last.format("%H:%M UTC"));
        let gap = " ".repeat((bars * BAR_WIDTH).saturating_sub(14));
        let times = format!("     {first}{gap}{last}");
        chart.push_str(&ink.paint(Tone::Dim, &times));
        chart.push('\n');
    }
    chart
}

/// The highest score in each of `columns` equal stretches of time.
fn peaks(points: &[Point], columns: usize) -> Vec<Option<f64>> {
    let mut peaks: Vec<Option<f64>> = vec![None; columns];
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
        return peaks;
    };
    // One more than the span, so that the last point falls into the last column and not behind it.
    let span = (*last - *first + TimeDelta::milliseconds(1)).num_milliseconds();
    for (at, score) in points {
        let since = (*at - *first).num_milliseconds();
        let wide = i64::try_from(columns).unwrap_or(i64::MAX);
        let column = usize::try_from(since * wide / span).unwrap_or_default();
        if let Some(peak) = peaks.get_mut(column) {
            *peak = Some(peak.map_or(*score, |before| before.max(*score)));
        }
    }
    peaks
}

/// How full a cell from `from` to `to` is.
fn eighth(score: f64, from: f64, to: f64) -> char {
    if score <= from {
        return ' ';
    }
    let eighths = ((score - from) / (to - from) * 8.0).clamp(1.0, 8.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1..=8"
    )]
    let eighths = eighths as usize;
    EIGHTHS[eighths]
}

fn tone(score: f64, threshold: f64) -> Tone {
    if score > threshold {
        Tone::Bad
    } else {
        Tone::Cool
    }
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(scores: &[f64]) -> Vec<Point> {
        let start: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().expect("a time");
        let at = |minutes: usize| start + TimeDelta::minutes(i64::try_from(minutes).unwrap_or(0));
        let placed = scores.iter().enumerate();
        placed
            .map(|(index, score)| (at(5 * index), *score))
            .collect()
    }

    #[test]
    fn a_sparkline_keeps_the_peak_of_every_stretch() {
        let scores = points(&[0.0, 0.1, 0.0, 0.95, 0.2, 0.0]);
        assert_eq!(sparkline(&scores, 3, 0.7, Ink::Plain), "▁█▂");
        assert_eq!(sparkline(&[], 3, 0.7, Ink::Plain), "   ");
    }

    #[test]
    fn a_chart_has_its_threshold_and_its_times() {
        let scores = points(&[0.1, 0.45, 0.7, 0.75, 1.0, 0.2, 0.0, 0.0, 0.3]);
        let expected = "    │        ██
    │        ██
0.7 ┤▁▁▁▁▁▁▄▄██▁▁▁▁▁▁▁▁
    │    ██████
0.5 ┤    ██████
    │  ▄▄██████
    │  ████████
    │  ████████      ██
    │  ██████████    ██
0.0 ┤████████████    ██
     08:00    08:40 UTC
";
        assert_eq!(chart(&scores, 9, 10, 0.7, Ink::Plain), expected);
    }
}
