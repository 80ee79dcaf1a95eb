//! Crossings between counts and positions.
//!
//! Pictures count pixels in whole numbers and place things between them. The casts are all here, so that each is looked
//! at once: counts are far below what a float holds exactly, and positions are kept within what a count can be.

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of pixels and frames are far below 2^52"
)]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

/// The nearest whole number, within what any picture can be wide; 0 for what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to what an i32 holds"
)]
pub(crate) fn whole(position: f64) -> i32 {
    if position.is_nan() {
        return 0;
    }
    position.round().clamp(-1e9, 1e9) as i32
}

/// The nearest count; 0 for what is below it or no number.
pub(crate) fn count(position: f64) -> usize {
    usize::try_from(whole(position)).unwrap_or(0)
}

/// The same count as a signed one, for coordinates.
pub(crate) fn coordinate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "temperatures are measured to far less than f32 holds"
)]
pub(crate) fn narrow(celsius: f64) -> f32 {
    celsius as f32
}
