//! How many SMS segments a text takes, and why.
//!
//! Counted here apart from the code that writes the texts, so that the demo and the tests check that code against
//! a second opinion. GSM 03.38: 160 septets in one segment or 153 each in several; one character outside its
//! alphabet turns the whole text into UCS-2 with 70 or 67.

use std::fmt;

/// The basic alphabet; each of these takes one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table; each of these takes two.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    pub encoding: Encoding,
    /// Septets or UCS-2 code units.
    pub length: usize,
    pub count: usize,
}

impl Segments {
    pub fn of(text: &str) -> Self {
        let (encoding, length, alone, together) = match septets(text) {
            Some(septets) => (Encoding::Gsm7, septets, 160, 153),
            None => (Encoding::Ucs2, text.encode_utf16().count(), 70, 67),
        };
        let count = if length <= alone {
            1
        } else {
            length.div_ceil(together)
        };
        Self {
            encoding,
            length,
            count,
        }
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = match self.encoding {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        };
        let plural = if self.count == 1 { "" } else { "s" };
        let Self { count, length, .. } = self;
        write!(f, "{count} segment{plural}, {length} characters {encoding}")
    }
}

fn septets(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |sum, c| {
        if BASIC.contains(c) {
            Some(sum + 1)
        } else if EXTENSION.contains(c) {
            Some(sum + 2)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, encoding: Encoding, length: usize, count: usize) {
        let expected = Segments {
            encoding,
            length,
            count,
        };
        assert_eq!(Segments::of(text), expected, "{text}");
    }

    #[test]
    fn segments_are_counted_as_a_phone_counts_them() {
        check("", Encoding::Gsm7, 0, 1);
        check("Boiler room: 0.88", Encoding::Gsm7, 17, 1);
        check(&"a".repeat(160), Encoding::Gsm7, 160, 1);
        check(&"a".repeat(161), Encoding::Gsm7, 161, 2);
        check(&"a".repeat(307), Encoding::Gsm7, 307, 3);
        check(&"[".repeat(80), Encoding::Gsm7, 160, 1);
        check(&"[".repeat(81), Encoding::Gsm7, 162, 2);
        check("40 °C", Encoding::Ucs2, 5, 1);
        check(&"’".repeat(71), Encoding::Ucs2, 71, 2);
        check("🔥", Encoding::Ucs2, 2, 1);
    }
}
