//! exp and ln from plain arithmetic.
//!
//! The platform's own may differ in the last bit from one machine to the next (they choose instructions at run time),
//! and a fit must be the same everywhere. Also the two conversions of numbers that the fit needs throughout.

const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// Terms of the exponential series: enough for half of ln 2.
const TERMS: usize = 15;
const INVERSE_FACTORIALS: [f64; TERMS] = {
    let mut terms = [1.0; TERMS];
    let (mut index, mut factorial) = (1, 1.0);
    while index < TERMS {
        factorial *= real(index);
        terms[index] = 1.0 / factorial;
        index += 1;
    }
    terms
};

/// e to the x, to within a few units in the last place; beyond what f64 can hold it stays at e to the ±700.
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = (x * std::f64::consts::LOG2_E).round();
    // In two parts, so that nothing is lost when the larger one is taken away.
    let rest = (x - halvings * LN_2_HIGH) - halvings * LN_2_LOW;
    let mut sum = 0.0;
    let mut power = TERMS;
    while power > 0 {
        power -= 1;
        sum = sum * rest + INVERSE_FACTORIALS[power];
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 13 and 2033"
    )]
    let exponent = (halvings + 1023.0) as u64;
    sum * f64::from_bits(exponent << 52)
}

/// The natural logarithm of a positive, normal number.
pub fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1023;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose series ends quickly for m between 0.7 and 1.4.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for odd in (1..=23_u32).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(odd);
    }
    let exponent = f64::from(exponent);
    2.0 * ratio * sum + exponent * LN_2_LOW + exponent * LN_2_HIGH
}

/// A count as a number to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of frames and pixels are far below 2^53"
)]
pub const fn real(count: usize) -> f64 {
    count as f64
}

/// As the graph holds it. What is beyond f32 stays at its end, so that infinity never gets out.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is what is meant"
)]
pub fn single(x: f64) -> f32 {
    (x as f32).clamp(f32::MIN, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_good_as_the_platforms() {
        for step in -2000..2000 {
            let x = f64::from(step) * 0.173;
            let (ours, theirs) = (exp(x), x.exp());
            assert!(
                (ours - theirs).abs() <= 1e-14 * theirs,
                "exp({x}): {ours} {theirs}"
            );
            assert!(
                (ln(theirs) - x).abs() <= 1e-14 * x.abs().max(1.0),
                "ln(e^{x})"
            );
        }
    }

    #[test]
    fn stays_within_its_numbers() {
        assert!(exp(1e300).is_finite() && exp(-1e300) >= 0.0);
        assert_eq!(single(1e300).to_bits(), f32::MAX.to_bits());
        assert_eq!(exp(0.0).to_bits(), 1.0_f64.to_bits());
    }
}
