//! What else has room in a text, and texts that must not be longer than one segment.

use super::gsm7::{SINGLE, segments, septets};
use super::{LONGEST, one_line, taken};

/// The text with a link behind it, if that costs no further segment. The link is what is dropped first: who has the rest
/// knows what happened and where.
pub fn with_link(text: String, link: &str) -> String {
    let longer = format!("{text} {link}");
    let fits = segments(&longer) <= segments(&text) && longer.chars().count() <= LONGEST;
    if fits { longer } else { text }
}

/// Any text folded and, if need be, cut to one segment.
pub fn one_segment(text: &str) -> String {
    let text = one_line(text, "");
    if septets(&text) <= SINGLE {
        return text;
    }
    format!("{}..", taken(text.chars(), SINGLE - 2).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_where_there_is_room() {
        let link = "https://thermal.example.com/i/17";
        let check = |text: &str, room: bool| {
            let expected = if room {
                format!("{text} {link}")
            } else {
                text.to_owned()
            };
            assert_eq!(with_link(text.to_owned(), link), expected);
        };
        check("CRITICAL barn-3: anomaly 0.88 above 0.7 #17", true);
        check(&"a".repeat(160 - 33), true);
        check(&"a".repeat(160 - 32), false);
        // In a longer text of somebody's own it may use what is left of the last part.
        check(&"a".repeat(170), true);
        check(&"a".repeat(306), false);
        check(&"a".repeat(1_600), false);
    }

    #[test]
    fn one_segment_and_not_a_letter_more() {
        assert_eq!(one_segment("it’s\n 71 °C"), "it's 71 C");
        assert_eq!(one_segment(&"a".repeat(160)), "a".repeat(160));
        assert_eq!(
            one_segment(&"a".repeat(161)),
            format!("{}..", "a".repeat(158))
        );
        assert_eq!(
            one_segment(&"€".repeat(100)),
            format!("{}..", "€".repeat(79))
        );
    }
}
