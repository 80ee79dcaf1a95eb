//! The check that requests and replies carry: `,"crc":"SSSS:CCCCCCCC"` before the last brace.
//!
//! SSSS is the request's sequence number and CCCCCCCC the CRC-32 of the text without that member, both in hexadecimal. It
//! is put in and taken out of the text as it stands: JSON that is parsed and written again has other digits.

/// The length of `"crc":"SSSS:CCCCCCCC"`, and of what joins it to the rest.
const MEMBER: usize = 21;

/// A text that carried a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub sequence: u16,
    /// Whether the text is what the check was made of.
    pub intact: bool,
    /// The text without the check.
    pub text: String,
}

/// The CRC-32 (IEEE) of a text.
pub fn of(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}

/// Puts the check into the text of a JSON object.
pub fn add(text: &str, sequence: u16) -> String {
    let crc = of(text);
    let rest = text.strip_suffix('}').unwrap_or(text);
    // An empty object gets a blank where others get a comma, so that the length is the same.
    let joint = if rest.ends_with('{') { ' ' } else { ',' };
    format!("{rest}{joint}\"crc\":\"{sequence:04X}:{crc:08X}\"}}")
}

/// Takes the check out of a text without white space around it; None if there is none, in that form and that place.
pub fn take(text: &str) -> Option<Checked> {
    let rest = text.strip_suffix('}')?;
    let start = rest.len().checked_sub(MEMBER)?;
    let (before, member) = (rest.get(..start)?, rest.get(start..)?);
    let (sequence, crc) = member
        .strip_prefix("\"crc\":\"")?
        .strip_suffix('"')?
        .split_once(':')?;
    let (sequence, crc) = (hexadecimal(sequence, 4)?, hexadecimal(crc, 8)?);
    // Blues' Python client joins the member to an empty object without the blank.
    let before = before
        .strip_suffix([',', ' '])
        .or_else(|| before.ends_with('{').then_some(before))?;
    let text = format!("{before}}}");
    Some(Checked {
        sequence: u16::try_from(sequence).ok()?,
        intact: of(&text) == crc,
        text,
    })
}

fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let proper = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    proper.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_one_that_blues_libraries_make() {
        for (text, crc) in [
            ("{}", 0xA3A6_BF43),
            (r#"{"req":"hub.sync"}"#, 0x10BA_C79A),
            (r#"{"req": "hub.sync"}"#, 0xDF2B_9115),
            (r#"{"req":"card.version"}"#, 0x9295_BAB2),
            (r#"{"total":1}"#, 0x15CB_2833),
        ] {
            assert_eq!(of(text), crc, "{text}");
        }
        assert_eq!(add("{}", 0x1a), r#"{ "crc":"001A:A3A6BF43"}"#);
        assert_eq!(
            add(r#"{"req":"hub.sync"}"#, 0xffff),
            r#"{"req":"hub.sync","crc":"FFFF:10BAC79A"}"#
        );
    }

    #[test]
    fn what_was_put_in_is_taken_out_and_damage_is_seen() {
        for text in ["{}", r#"{"a":1.10000000000000000001}"#, r#"{"ä":"}"}"#] {
            let expected = Checked {
                sequence: 77,
                intact: true,
                text: text.to_owned(),
            };
            let with = add(text, 77);
            assert_eq!(take(&with), Some(expected.clone()));
            // Other libraries write small letters.
            let (body, check) = with.split_at(with.len() - 16);
            let small = format!("{body}{}", check.to_lowercase());
            assert_eq!(take(&small), Some(expected));
        }
        let damaged = add(r#"{"total":1}"#, 1).replace(":1,", ":2,");
        assert!(!take(&damaged).expect("a check").intact);
        for without in [
            "",
            "}",
            "{}",
            r#"{"crc":"0001:15CB2833"} "#,
            r#"{"a":1,"crc":"001:15CB2833"}"#,
            r#"{"a":1,"crc":"+001:15CB2833"}"#,
            r#"{"a":1;"crc":"0001:15CB2833"}"#,
        ] {
            assert_eq!(take(without), None, "{without}");
        }
    }
}
