//! `[[destination]]`: the places to send to, each kind with its own keys.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use url::Url;

use super::section::Section;
use super::{
    Destination, DestinationKind, Http, RateLimit, Sender, Twilio, Ubidots, secret, units,
};

const UBIDOTS_URL: &str = "https://industrial.api.ubidots.com";
const UBIDOTS_RATE: &str = "4/s";
const TWILIO_URL: &str = "https://api.twilio.com";
const TWILIO_RATE: &str = "1/s";
const TIMEOUT: Duration = Duration::from_secs(15);
const VALIDITY: Duration = Duration::from_mins(15);
/// Twilio's own bounds for how long a text may wait in its queue.
const VALIDITY_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(10));
/// Nobody can look at a text and acknowledge it sooner.
const LEAST_ESCALATION: Duration = Duration::from_secs(30);
pub(super) const TIMEOUT_BOUNDS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_mins(5));

/// Of the person behind a number.
const LONGEST_NAME: usize = 40;

/// Headers that the HTTP client or the signature sets itself.
const RESERVED_HEADERS: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

type ReadKind = fn(&mut Section<'_>) -> Option<DestinationKind>;

/// The destination, and its name even if the rest is wrong: routes may still refer to it.
pub(super) fn read(mut section: Section<'_>) -> (Option<String>, Option<Destination>) {
    let name = section.name("destination");
    section.require("kind");
    let kinds: [(&str, ReadKind); 3] = [("ubidots", ubidots), ("twilio", twilio), ("http", http)];
    // Without a kind nobody can say which other keys belong here.
    let Some(read_kind) = section.choice("kind", &kinds) else {
        return (name, None);
    };
    let kind = read_kind(&mut section);
    section.close();
    let destination = name
        .clone()
        .zip(kind)
        .map(|(name, kind)| Destination { name, kind });
    (name, destination)
}

fn ubidots(section: &mut Section<'_>) -> Option<DestinationKind> {
    section.require("token");
    let base_url = base_url(section, "base_url", UBIDOTS_URL);
    let token = section.secret("token", secret::check_token);
    let rate_limit = rate_limit(section, UBIDOTS_RATE);
    let (timeout, allow_private) = reach(section);
    Some(DestinationKind::Ubidots(Ubidots {
        base_url,
        token: token?,
        rate_limit,
        timeout,
        allow_private,
    }))
}

fn twilio(section: &mut Section<'_>) -> Option<DestinationKind> {
    for key in ["account_sid", "auth_token", "to"] {
        section.require(key);
    }
    let base_url = base_url(section, "base_url", TWILIO_URL);
    let account_sid = section.parsed("account_sid", "a text that starts with AC", |text| {
        sid(text, "AC")
    });
    let auth_token = section.secret("auth_token", secret::check_token);
    let previous_auth_token = section.secret("previous_auth_token", secret::check_token);
    let half_a_key = section.has("api_key_sid") != section.has("api_key_secret");
    if half_a_key {
        section.problem(
            "api_key_sid",
            "and `api_key_secret` go together; give both or neither",
        );
    }
    let api_key_sid = section.parsed("api_key_sid", "a text that starts with SK", |text| {
        sid(text, "SK")
    });
    let api_key_secret = section.secret("api_key_secret", secret::check_token);
    let sender = sender(section);
    let escalate_after = section.duration_or_none("escalate_after", None, LEAST_ESCALATION);
    let (to, names) = receivers(section);
    let pictures = section.boolean("pictures", false);
    let (least, most) = VALIDITY_BOUNDS;
    let validity = section.duration_between("validity", VALIDITY, least, most);
    let rate_limit = rate_limit(section, TWILIO_RATE);
    let (timeout, allow_private) = reach(section);
    Some(DestinationKind::Twilio(Twilio {
        base_url,
        account_sid: account_sid?,
        auth_token: auth_token?,
        previous_auth_token,
        api_key: api_key_sid.zip(api_key_secret),
        sender: sender?,
        to,
        escalate_after,
        names,
        pictures,
        validity,
        rate_limit,
        timeout,
        allow_private,
        // Known when [server] is read too.
        public_url: None,
    }))
}

fn sender(section: &mut Section<'_>) -> Option<Sender> {
    match (section.has("from"), section.has("messaging_service_sid")) {
        (true, true) => section.problem(
            "messaging_service_sid",
            "stands beside `from`; keep one of the two",
        ),
        (false, false) => section.problem("from", "is missing; give it or `messaging_service_sid`"),
        _ => {}
    }
    let from = section.parsed("from", A_NUMBER, phone_number);
    let service = section.parsed(
        "messaging_service_sid",
        "a text that starts with MG",
        |text| sid(text, "MG"),
    );
    from.map(Sender::From)
        .or(service.map(Sender::MessagingService))
}

/// The numbers, and the names of those that stand behind one: "+15005550009" or "Ann +15005550009".
fn receivers(section: &mut Section<'_>) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut to, mut names) = (Vec::new(), BTreeMap::new());
    let Some(entries) = section.texts("to") else {
        return (to, names);
    };
    if entries.is_empty() {
        section.problem("to", "must name at least one number");
    }
    for entry in &entries {
        let (name, number) = match entry.trim().rsplit_once(char::is_whitespace) {
            Some((name, number)) => (name.trim(), number),
            None => ("", entry.as_str()),
        };
        if let Err(message) = phone_number(number) {
            section.problem("to", &format!("holds {entry:?}: {message}"));
        }
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            section.problem(
                "to",
                &format!("holds {entry:?}: a name has at most {LONGEST_NAME} letters"),
            );
        }
        if to.iter().any(|known| known == number) {
            section.problem("to", &format!("holds {number:?} twice"));
        }
        if !name.is_empty() {
            names.insert(number.to_owned(), name.to_owned());
        }
        to.push(number.to_owned());
    }
    (to, names)
}

fn http(section: &mut Section<'_>) -> Option<DestinationKind> {
    section.require("url");
    // Read as a secret, because many webhook addresses are one.
    let url = section.secret("url", |text| web_url(text).map(|_| ()));
    let url = url.and_then(|url| web_url(secrecy::ExposeSecret::expose_secret(&url)).ok());
    let headers = section.secret_table("headers", |value| {
        let valid = HeaderValue::from_str(value).is_ok();
        valid
            .then_some(())
            .ok_or_else(|| "must not hold line ends or control characters".to_owned())
    });
    for (name, _) in &headers {
        let lower = name.to_lowercase();
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            section.problem(
                "headers",
                &format!("holds {name:?}, which is not the name of a header"),
            );
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            section.problem(
                "headers",
                &format!("holds {name:?}, which is set by this service itself"),
            );
        }
    }
    let signing_secrets = section.secrets("signing_secrets", secret::check_signing_secret);
    let rate_limit = rate_limit(section, "none");
    let (timeout, allow_private) = reach(section);
    Some(DestinationKind::Http(Http {
        url: url?,
        headers,
        signing_secrets,
        rate_limit,
        timeout,
        allow_private,
    }))
}

fn reach(section: &mut Section<'_>) -> (Duration, bool) {
    let (least, most) = TIMEOUT_BOUNDS;
    let timeout = section.duration_between("timeout", TIMEOUT, least, most);
    (timeout, section.boolean("allow_private", false))
}

pub(super) fn rate_limit(section: &mut Section<'_>, default: &str) -> Option<RateLimit> {
    let expected = "a rate such as \"4/s\", or \"none\"";
    let given = section.parsed("rate_limit", expected, units::rate);
    given.unwrap_or_else(|| units::rate(default).expect("the defaults above are rates"))
}

/// An address to which paths are added.
pub(super) fn base_url(section: &mut Section<'_>, key: &'static str, default: &str) -> Url {
    let given = optional_base_url(section, key);
    given.unwrap_or_else(|| Url::parse(default).expect("the defaults are addresses"))
}

pub(super) fn optional_base_url(section: &mut Section<'_>, key: &'static str) -> Option<Url> {
    let text = section.text(key)?;
    let url = web_url(&text).and_then(|url| match url.query() {
        None => Ok(url),
        Some(_) => Err("must not hold a query (`?…`)".to_owned()),
    });
    url.map_err(|message| section.problem(key, &message)).ok()
}

/// The messages do not repeat the address, since people put tokens into them.
fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("must be an address such as \"https://example.com\": {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must start with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; give them in another key".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not hold a fragment (`#…`)".to_owned());
    }
    Ok(url)
}

fn sid(text: &str, prefix: &str) -> Result<String, String> {
    let letters = text.strip_prefix(prefix).unwrap_or_default();
    if !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "it must be {prefix} followed by letters and digits"
        ))
    }
}

const A_NUMBER: &str = "a phone number in quotes, such as \"+15005550006\"";

fn phone_number(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let of_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if of_digits && (7..=15).contains(&digits.len()) && !digits.starts_with('0') {
        Ok(text.to_owned())
    } else {
        Err("it must be in the international form, such as \"+15005550006\"".to_owned())
    }
}
