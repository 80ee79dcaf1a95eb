//! A request as Twilio makes it: a form, and the signature over its address and fields.
//!
//! Written apart from what the service checks signatures with, down to the construction of HMAC, so that one can show a
//! mistake of the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use url::{Url, form_urlencoded};

/// Of SHA-1, in bytes.
const BLOCK: usize = 64;

/// A form to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address that is signed, as it was given to Twilio.
    pub url: String,
    /// The value of `X-Twilio-Signature`.
    pub signature: String,
    /// `application/x-www-form-urlencoded`.
    pub body: String,
}

impl Webhook {
    pub fn new(auth_token: &str, url: &str, fields: &[(&str, &str)]) -> Self {
        // The fragment tells Twilio how to call and is no part of the address.
        let url = url.split('#').next().unwrap_or_default().to_owned();
        let mut pairs = fields.to_vec();
        pairs.sort_unstable();
        pairs.dedup();
        let mut signed = url.clone();
        for (name, value) in pairs {
            signed += name;
            signed += value;
        }
        Self {
            signature: STANDARD.encode(hmac_sha1(auth_token.as_bytes(), signed.as_bytes())),
            body: form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish(),
            url,
        }
    }

    /// Path and query of the address, below the path `prefix` that a proxy takes away.
    pub fn target(&self, prefix: &str) -> Option<String> {
        let url = Url::parse(&self.url).ok()?;
        let path = url.path().strip_prefix(prefix)?;
        let query = url.query().map(|query| format!("?{query}"));
        Some(format!("{path}{}", query.unwrap_or_default()))
    }
}

/// RFC 2104.
fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        let digest = Sha1::digest(key);
        block[..digest.len()].copy_from_slice(&digest);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha1::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha1::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    outer.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_as_twilios_own_libraries_sign() {
        let check = |url: &str, fields: &[(&str, &str)], expected: &str| {
            assert_eq!(Webhook::new("12345", url, fields).signature, expected);
        };
        let call = [
            ("To", "+18005551212"),
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
        ];
        check(
            "https://mycompany.com/myapp.php?foo=1&bar=2#rc=3",
            &call,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        );
        check(
            "https://mycompany.com:443/myapp.php?foo=1&bar=2",
            &call,
            "kvajT1Ptam85bY51eRf/AJRuM3w=",
        );
        let repeated = [
            ("Sid", "CA123"),
            ("SidAccount", "AC123"),
            ("Digits", "5678"),
            ("Digits", "1234"),
            ("Digits", "1234"),
        ];
        check(
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            &repeated,
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        );
    }

    #[test]
    fn forms_keep_a_plus() {
        let webhook = Webhook::new(
            "12345",
            "https://a.example/watch/twilio/inbound?x=1",
            &[("From", "+1 2")],
        );
        assert_eq!(webhook.body, "From=%2B1+2");
        assert_eq!(
            webhook.target("/watch").as_deref(),
            Some("/twilio/inbound?x=1")
        );
    }
}
