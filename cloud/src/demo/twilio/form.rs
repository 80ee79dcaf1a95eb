//! What a send and a lookup may say, judged as Twilio judges it. Pure: fields in, a draft or a refusal out.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use url::{Host, Url, form_urlencoded};

/// The form fields of a send in Twilio's published API description.
pub(super) const KNOWN_FIELDS: &[&str] = &[
    "AddressRetention",
    "ApplicationSid",
    "Attempt",
    "Body",
    "ContentRetention",
    "ContentSid",
    "ContentVariables",
    "FallbackFrom",
    "ForceDelivery",
    "From",
    "MaxPrice",
    "MediaUrl",
    "MessagingServiceSid",
    "PersistentAction",
    "ProvideFeedback",
    "RiskCheck",
    "ScheduleType",
    "SendAsMms",
    "SendAt",
    "ShortenUrls",
    "SmartEncoded",
    "StatusCallback",
    "To",
    "TrafficType",
    "ValidityPeriod",
];

/// In one message.
const MOST_MEDIA: usize = 10;

/// Senders with a set result under Twilio's test credentials. +15005550006 is the one that works.
const MAGIC_FROM: &[(&str, u32, &str)] = &[
    ("+15005550001", 21212, "is not a valid phone number"),
    (
        "+15005550007",
        21606,
        "is not a valid message-capable Twilio phone number",
    ),
    ("+15005550008", 21611, "has exceeded its message queue"),
];

/// Recipients with a set result.
const MAGIC_TO: &[(&str, u32, &str)] = &[
    ("+15005550001", 21211, "is not a valid phone number"),
    (
        "+15005550002",
        21612,
        "is not currently reachable from this sender",
    ),
    (
        "+15005550003",
        21408,
        "is in a region that is not enabled for this account",
    ),
    (
        "+15005550004",
        21610,
        "has unsubscribed from this sender (STOP)",
    ),
    ("+15005550009", 21614, "is not a mobile number"),
];

/// A refusal in Twilio's terms.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
    /// Caused by a magic number, so wanted by whoever sent it.
    pub(super) on_purpose: bool,
}

impl Refusal {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            on_purpose: false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            code,
            message,
            ..
        } = self;
        write!(f, "{status} with code {code}: {message}")
    }
}

/// A message that may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) body: String,
    pub(super) validity_seconds: Option<u32>,
    pub(super) status_callback: Option<String>,
    pub(super) media: Vec<String>,
}

impl Draft {
    pub(super) fn parse(fields: &[(String, String)]) -> Result<Self, Refusal> {
        let bad = |code, message: String| Err(Refusal::new(400, code, message));
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let to = match field("To") {
            None | Some("") => return bad(21604, "A 'To' phone number is required.".to_owned()),
            Some(to) if !is_e164(to) => {
                return bad(21211, format!("Invalid 'To' Phone Number: {to}"));
            }
            Some(to) => magic(MAGIC_TO, "To", to)?,
        };
        let from = match (field("From"), field("MessagingServiceSid")) {
            (Some(_), Some(_)) => {
                let message = "Give either 'From' or 'MessagingServiceSid', not both.";
                return bad(20422, message.to_owned());
            }
            (None | Some(""), None | Some("")) => {
                return bad(21603, "A 'From' phone number is required.".to_owned());
            }
            (Some(from), None) if !is_e164(from) => {
                return bad(21212, format!("Invalid 'From' Phone Number: {from}"));
            }
            (Some(from), None) => magic(MAGIC_FROM, "From", from)?,
            (None, Some(service)) if is_service_sid(service) => service,
            (None, Some(service)) => {
                return bad(21701, format!("Invalid MessagingServiceSid: {service}"));
            }
        };
        let body = match field("Body") {
            None | Some("") => return bad(21602, "Message body is required.".to_owned()),
            Some(body) if body.chars().count() > 1600 => {
                let message = "The concatenated message body exceeds the 1600 character limit.";
                return bad(21617, message.to_owned());
            }
            Some(body) => body,
        };
        if let Some(callback) = field("StatusCallback").filter(|url| !is_callback(url)) {
            return bad(21609, format!("Invalid StatusCallback URL: {callback}"));
        }
        let all = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).count();
        if let Some((name, _)) = fields
            .iter()
            .find(|(name, _)| name != "MediaUrl" && all(name) > 1)
        {
            return bad(
                20001,
                format!("The field '{name}' was given more than once."),
            );
        }
        let media: Vec<_> = fields
            .iter()
            .filter(|(name, _)| name == "MediaUrl")
            .map(|(_, url)| url.clone())
            .collect();
        if media.len() > MOST_MEDIA {
            return bad(
                21623,
                "Number of media files exceeds the limit of 10.".to_owned(),
            );
        }
        if let Some(url) = media.iter().find(|url| !is_fetchable(url)) {
            return bad(21620, format!("Invalid media URL(s): {url}"));
        }
        if !(media.is_empty() || to.starts_with("+1") || to.starts_with("+61")) {
            return bad(21612, format!("Pictures cannot be sent to {to}."));
        }
        let validity_seconds = match field("ValidityPeriod").map(|text| (text, text.parse())) {
            None => None,
            Some((_, Ok(seconds @ 1..=36_000))) => Some(seconds),
            Some((text, _)) => {
                return bad(90007, format!("Invalid validity period value: {text}"));
            }
        };
        Ok(Self {
            to: to.to_owned(),
            from: from.to_owned(),
            body: body.to_owned(),
            validity_seconds,
            status_callback: field("StatusCallback").map(str::to_owned),
            media,
        })
    }
}

/// The filter of a list request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lookup {
    to: Option<String>,
    from: Option<String>,
    not_before: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    pub(super) page_size: usize,
    /// The last message of the page before, by its sid.
    after: Option<String>,
}

/// What stands before a sid in a page token.
const TOKEN: &str = "PA";

impl Lookup {
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        let mut lookup = Self {
            to: None,
            from: None,
            not_before: None,
            before: None,
            page_size: 50,
            after: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = || Refusal::new(400, 20001, format!("Invalid query: {name}={value}"));
            match name.as_ref() {
                "To" if is_e164(&value) => lookup.to = Some(value.into_owned()),
                "From" if is_e164(&value) => lookup.from = Some(value.into_owned()),
                // `DateSent>=x` splits at its only `=` into the name `DateSent>`.
                "DateSent>" => lookup.not_before = Some(instant(&value).ok_or_else(bad)?.0),
                // A whole day given as the upper limit is part of the answer.
                "DateSent<" => {
                    let (start, length) = instant(&value).ok_or_else(bad)?;
                    lookup.before = Some(start + length);
                }
                "DateSent" => {
                    let (start, length) = instant(&value).ok_or_else(bad)?;
                    (lookup.not_before, lookup.before) = (Some(start), Some(start + length));
                }
                "PageSize" => match value.parse() {
                    Ok(size @ 1..=1000) => lookup.page_size = size,
                    _ => return Err(bad()),
                },
                "PageToken" => {
                    lookup.after = Some(value.strip_prefix(TOKEN).ok_or_else(bad)?.to_owned());
                }
                "Page" => {}
                _ => return Err(bad()),
            }
        }
        Ok(lookup)
    }

    pub(super) fn matches(&self, to: &str, from: &str, at: DateTime<Utc>) -> bool {
        self.to.as_ref().is_none_or(|wanted| wanted == to)
            && self.from.as_ref().is_none_or(|wanted| wanted == from)
            && self.not_before.is_none_or(|limit| at >= limit)
            && self.before.is_none_or(|limit| at < limit)
    }

    /// How many of these messages, newest first, stand on the pages before.
    pub(super) fn skipped<'a>(&self, mut sids: impl Iterator<Item = &'a str>) -> usize {
        let Some(after) = &self.after else { return 0 };
        sids.position(|sid| sid == after)
            .map_or(usize::MAX, |last| last + 1)
    }

    /// The query for the page behind the one that ends with this message.
    pub(super) fn next(query: &str, last: &str) -> String {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let kept = pairs.filter(|(name, _)| !matches!(name.as_ref(), "Page" | "PageToken"));
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(kept);
        next.append_pair("PageToken", &format!("{TOKEN}{last}"));
        next.finish()
    }
}

/// A day or a moment, with how long it lasts.
fn instant(text: &str) -> Option<(DateTime<Utc>, TimeDelta)> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some((day.and_time(NaiveTime::MIN).and_utc(), TimeDelta::days(1)));
    }
    let moment = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    Some((moment, TimeDelta::seconds(1)))
}

fn magic<'a>(
    numbers: &[(&str, u32, &str)],
    role: &str,
    number: &'a str,
) -> Result<&'a str, Refusal> {
    let Some((_, code, why)) = numbers.iter().find(|(magic, ..)| *magic == number) else {
        return Ok(number);
    };
    let mut refusal = Refusal::new(400, *code, format!("The '{role}' number {number} {why}."));
    refusal.on_purpose = true;
    Err(refusal)
}

fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

fn is_service_sid(sid: &str) -> bool {
    let hex = sid.strip_prefix("MG").unwrap_or_default();
    hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Twilio takes no status callback whose host name holds an underscore.
fn is_callback(text: &str) -> bool {
    is_fetchable(text)
        && Url::parse(text).is_ok_and(|url| !url.host_str().is_some_and(|host| host.contains('_')))
}

/// An address of the web that is not one of the machine that asks.
fn is_fetchable(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let web = matches!(url.scheme(), "http" | "https");
        let public = match url.host() {
            Some(Host::Domain(name)) => name.contains('.'),
            Some(Host::Ipv4(address)) => !address.is_loopback() && !address.is_private(),
            Some(Host::Ipv6(address)) => !address.is_loopback(),
            None => false,
        };
        web && public
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: &str, expected: Result<(&str, &str), u32>) {
        let fields: Vec<_> = form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect();
        let got = Draft::parse(&fields);
        let got = got
            .as_ref()
            .map(|draft| (draft.to.as_str(), draft.from.as_str()));
        assert_eq!(got.map_err(|refusal| refusal.code), expected, "{form}");
    }

    #[test]
    fn forms_are_judged_as_twilio_judges_them() {
        let fine = "To=%2B14155550123&From=%2B15005550006&Body=Hot";
        let both = Ok(("+14155550123", "+15005550006"));
        check(fine, both);
        check(&format!("{fine}&ValidityPeriod=900"), both);
        check(&format!("{fine}&ValidityPeriod=0"), Err(90007));
        check(&format!("{fine}&ValidityPeriod=36001"), Err(90007));
        check(
            &format!("{fine}&StatusCallback=https://a_b.example/"),
            Err(21609),
        );
        check(
            &format!("{fine}&StatusCallback=http://localhost/"),
            Err(21609),
        );
        check(&format!("{fine}&StatusCallback=https://a.example/"), both);
        check(
            &format!("{fine}&MediaUrl=https://a.example/1&MediaUrl=https://a.example/2"),
            both,
        );
        check(&format!("{fine}&MediaUrl=https://127.0.0.1/1"), Err(21620));
        check(
            &format!("{fine}{}", "&MediaUrl=https://a.example/1".repeat(11)),
            Err(21623),
        );
        check(&format!("{fine}&Body=Cold"), Err(20001));
        check(
            "To=%2B4917000000000&From=%2B15005550006&Body=Hot&MediaUrl=https://a.example/1",
            Err(21612),
        );
        check(&format!("{fine}&MessagingServiceSid=MG1"), Err(20422));
        check("From=%2B15005550006&Body=Hot", Err(21604));
        // A plus that was not encoded arrives as a blank.
        check("To=+14155550123&From=%2B15005550006&Body=Hot", Err(21211));
        check("To=%2B14155550123&Body=Hot", Err(21603));
        check("To=%2B14155550123&From=%2B15005550006", Err(21602));
        let long = "a".repeat(1601);
        check(
            &format!("To=%2B14155550123&From=%2B15005550006&Body={long}"),
            Err(21617),
        );
        let service = format!("MG{}", "0a".repeat(16));
        check(
            &format!("To=%2B14155550123&MessagingServiceSid={service}&Body=Hot"),
            Ok(("+14155550123", &service)),
        );
        for (number, code) in [
            ("1", 21211),
            ("2", 21612),
            ("3", 21408),
            ("4", 21610),
            ("9", 21614),
        ] {
            let form = format!("To=%2B1500555000{number}&From=%2B15005550006&Body=Hot");
            check(&form, Err(code));
        }
        for (number, code) in [("1", 21212), ("7", 21606), ("8", 21611)] {
            let form = format!("To=%2B14155550123&From=%2B1500555000{number}&Body=Hot");
            check(&form, Err(code));
        }
    }

    #[test]
    fn lookups_filter_by_number_and_time() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let sent = at("2026-02-03T10:00:00Z");
        let matches = |query: &str| {
            let lookup = Lookup::parse(query).expect("a good query");
            lookup.matches("+14155550123", "+15005550006", sent)
        };
        assert!(matches(""));
        assert!(matches(
            "To=%2B14155550123&From=%2B15005550006&DateSent%3E=2026-02-03"
        ));
        assert!(matches("DateSent%3E=2026-02-03T10:00:00Z&PageSize=1000"));
        assert!(!matches("DateSent%3E=2026-02-03T10:00:01Z"));
        assert!(matches("DateSent=2026-02-03"));
        assert!(matches("DateSent%3C=2026-02-03"));
        assert!(!matches("DateSent%3C=2026-02-02"));
        assert!(!matches("To=%2B14155550124"));
        assert!(Lookup::parse("To=+14155550123").is_err());
        assert!(Lookup::parse("Sent=2026-02-03").is_err());
    }
}
