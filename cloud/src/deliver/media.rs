//! Where Twilio reaches us: addresses below `server.public_url`, and links to pictures that are good for an hour (pure).
//!
//! Twilio fetches the picture of a text without any token of ours, so the link itself is the permission: it names one
//! picture and the moment it ends, and carries a keyed digest of both. The key is derived from the auth token of the
//! account, so that every replica and every restart has the same one and nothing has to be kept; while the token is being
//! changed, links made with the one before stay good.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use url::{Host, Url};

use super::guard;
use crate::config::Twilio;

/// Twilio fetches within seconds of the sending, and once more if it has to.
pub const GOOD_FOR: TimeDelta = TimeDelta::hours(1);

/// One picture: a frame by its device and the event that brought it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Picture {
    pub device: String,
    pub event: String,
}

/// The address of one of our paths (with its query) as the world sees it.
pub fn public(base: Option<&Url>, path: &str) -> Option<String> {
    Some(format!("{}{path}", base?.as_str().trim_end_matches('/')))
}

/// Whether Twilio takes an address with this host: it refuses a whole text for a callback to one that it cannot reach.
pub fn reachable(base: &Url) -> bool {
    match base.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or_default();
            name.contains('.') && !name.contains('_') && last != "local"
        }
        Some(Host::Ipv4(address)) => guard::is_public(address.into()),
        Some(Host::Ipv6(address)) => guard::is_public(address.into()),
        None => false,
    }
}

/// A link to a picture that ends at `expires`.
pub fn link(base: &Url, token: &SecretString, picture: &Picture, expires: DateTime<Utc>) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (device, event) = (encoded(&picture.device), encoded(&picture.event));
    let expires = expires.timestamp();
    let signature = signature(token, picture, expires);
    let path = format!("/media/{device}/{event}?expires={expires}&signature={signature}");
    public(Some(base), &path).unwrap_or_default()
}

/// Whether a link to this picture is one of ours and still good.
pub fn accepts<'a>(
    phones: impl Iterator<Item = &'a Twilio>,
    picture: &Picture,
    (expires, presented): (i64, &str),
    now: DateTime<Utc>,
) -> bool {
    let tokens = phones.flat_map(|twilio| {
        [
            Some(&twilio.auth_token),
            twilio.previous_auth_token.as_ref(),
        ]
    });
    let ours = tokens
        .flatten()
        .fold(subtle::Choice::from(0), |found, token| {
            let expected = signature(token, picture, expires);
            found | expected.as_bytes().ct_eq(presented.as_bytes())
        });
    bool::from(ours) && now.timestamp() < expires
}

/// 256 bits in hexadecimal digits.
fn signature(token: &SecretString, picture: &Picture, expires: i64) -> String {
    let key = digest(
        token.expose_secret().as_bytes(),
        b"thermal watch: links to pictures",
    );
    // No text that the database holds has a zero byte in it, so no two pictures are written alike.
    let subject = format!("{}\0{}\0{expires}", picture.device, picture.event);
    let mut text = String::with_capacity(64);
    for byte in digest(&key, subject.as_bytes()) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn digest(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_can_reach() {
        for (url, expected) in [
            ("https://thermal.example.com", true),
            ("https://thermal.example.com:8443/watch/", true),
            ("http://93.184.216.34", true),
            ("https://thermal_watch.example.com", false),
            ("http://localhost:8080", false),
            ("http://127.0.0.1:8080", false),
            ("http://192.168.1.7", false),
            ("http://[::1]/", false),
            ("http://station.local", false),
            ("http://intranet", false),
        ] {
            assert_eq!(reachable(&url.parse().expect("a URL")), expected, "{url}");
        }
    }

    #[test]
    fn addresses_below_a_path() {
        let check = |base: &str, expected: &str| {
            let url: Url = base.parse().expect("a URL");
            assert_eq!(public(Some(&url), "/i/17").as_deref(), Some(expected));
        };
        check(
            "https://thermal.example.com",
            "https://thermal.example.com/i/17",
        );
        check(
            "https://thermal.example.com:8443/watch",
            "https://thermal.example.com:8443/watch/i/17",
        );
        check(
            "https://thermal.example.com/watch/",
            "https://thermal.example.com/watch/i/17",
        );
    }
}
