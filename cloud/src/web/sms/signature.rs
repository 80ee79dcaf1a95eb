//! Whether a request comes from Twilio (pure).
//!
//! Twilio signs the address that was entered at its side, and for a form every field of it, with the auth token of the
//! account: HMAC-SHA1 in base64, in `X-Twilio-Signature`. The address is ours as configured and not as the request says it:
//! a proxy may have rewritten that, and a forger may write what he likes. Twilio itself is not consistent about ports, so
//! the address counts with and without one. What is not a form is covered by a digest in the signed query.
//!
//! All candidates are computed and compared whatever the first one shows, in a time that does not depend on where two
//! signatures differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};
use url::{Url, form_urlencoded};

/// What stands in the body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Signed<'a> {
    /// The decoded fields of a form, as often as they came.
    Form(&'a [(String, String)]),
    /// The bytes of anything else.
    Digest(&'a [u8]),
}

/// Whether one of the tokens made this signature for the address and the body.
pub fn accepts<'a>(
    tokens: impl IntoIterator<Item = &'a SecretString>,
    address: &str,
    signed: Signed<'_>,
    presented: &str,
) -> bool {
    let (fields, whole) = match signed {
        Signed::Form(fields) => (written(fields), Choice::from(1)),
        Signed::Digest(body) => (String::new(), digest_matches(address, body)),
    };
    let addresses = spellings(address);
    let mut found = Choice::from(0);
    for token in tokens {
        for address in &addresses {
            let expected = signature(token, address, &fields);
            found |= expected.as_bytes().ct_eq(presented.as_bytes());
        }
    }
    (found & whole).into()
}

fn signature(token: &SecretString, address: &str, fields: &str) -> String {
    let key = token.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(address.as_bytes());
    mac.update(fields.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Names in the order of their bytes, each with its different values in order, and nothing between.
fn written(fields: &[(String, String)]) -> String {
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        by_name.entry(name).or_default().insert(value);
    }
    let mut text = String::new();
    for (name, values) in by_name {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}

/// The address as it is, without its port, and with the usual one of its scheme.
fn spellings(address: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([address.to_owned()]);
    let (Ok(url), Some((scheme, rest))) = (Url::parse(address), address.split_once("://")) else {
        return all;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // The colon of a port comes after the bracket that ends an IPv6 address.
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let host = match authority[after_host..].find(':') {
        Some(colon) => &authority[..after_host + colon],
        None => authority,
    };
    all.insert(format!("{scheme}://{host}{path}"));
    // `url` leaves the usual port out, so this is the port that the address means.
    if let Some(port) = url.port_or_known_default() {
        all.insert(format!("{scheme}://{host}:{port}{path}"));
    }
    all
}

/// Whether the query holds the digest of the body. Without one, nothing in a signature speaks of the body.
fn digest_matches(address: &str, body: &[u8]) -> Choice {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
    let Some((_, given)) = given else {
        return Choice::from(0);
    };
    let mut expected = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        // Writing to a String does not fail.
        let _ = write!(expected, "{byte:02x}");
    }
    expected
        .as_bytes()
        .ct_eq(given.to_ascii_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: &str, address: &str, form: &str, signature: &str, expected: bool) {
        let fields: Vec<_> = form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect();
        let tokens = [SecretString::from("another"), SecretString::from(token)];
        let accepted = accepts(&tokens, address, Signed::Form(&fields), signature);
        assert_eq!(accepted, expected, "{address} {form}");
    }

    const CALL: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";

    #[test]
    fn signatures_of_twilios_own_libraries() {
        let address = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let with_port = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
        for address in [address, with_port] {
            check("12345", address, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true);
            check("12345", address, CALL, "kvajT1Ptam85bY51eRf/AJRuM3w=", true);
        }
        let repeated = "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234";
        check(
            "12345",
            address,
            repeated,
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
            true,
        );
        let sid = |prefix: &str| format!("{prefix}{}", "0".repeat(32));
        let (account, message) = (sid("AC"), sid("SM"));
        check(
            "test-auth-token",
            "https://example.test/twilio/inbound",
            &format!(
                "AccountSid={account}&Body=ACK&From=%2B15005550006&MessageSid={message}&NumMedia=0&To=%2B15005550009"
            ),
            "VxvGanIadMUk1xEhxsoQOATC6bc=",
            true,
        );
        check(
            "test-auth-token",
            "https://example.test/twilio/status?alert=42",
            &format!(
                "AccountSid={account}&ApiVersion=2010-04-01&From=%2B15005550006&MessageSid={message}&MessageStatus=delivered&SmsSid={message}&SmsStatus=delivered&To=%2B15005550009"
            ),
            "EtYpBtPu+gjekI9exJw1T9322Kg=",
            true,
        );
    }

    #[test]
    fn whatever_differs_is_refused() {
        let address = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let right = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        check("54321", address, CALL, right, false);
        check(
            "12345",
            "https://mycompany.com/myapp.php?foo=1",
            CALL,
            right,
            false,
        );
        check(
            "12345",
            "http://mycompany.com/myapp.php?foo=1&bar=2",
            CALL,
            right,
            false,
        );
        check(
            "12345",
            "https://mycompany.com:8443/myapp.php?foo=1&bar=2",
            CALL,
            right,
            true,
        );
        check(
            "12345",
            "https://other.com/myapp.php?foo=1&bar=2",
            CALL,
            right,
            false,
        );
        check("12345", address, &format!("{CALL}&New=1"), right, false);
        // A plus that was not encoded is a blank.
        check("12345", address, &CALL.replace("%2B", "+"), right, false);
        for wrong in [
            "",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8",
            "rsoydt4t1cutdk1pdd93/vvr8b8=",
        ] {
            check("12345", address, CALL, wrong, false);
        }
    }

    #[test]
    fn bodies_that_are_no_forms_are_known_by_their_digest() {
        let address = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        let tokens = [SecretString::from("12345")];
        let check = |address: &str, body: &str, expected: bool| {
            let signed = Signed::Digest(body.as_bytes());
            let accepted = accepts(&tokens, address, signed, "a9nBmqA0ju/hNViExpshrM61xv4=");
            assert_eq!(accepted, expected, "{address} {body}");
        };
        let body = r#"{"property": "value", "boolean": true}"#;
        check(address, body, true);
        check(address, r#"{"property": "value", "boolean": false}"#, false);
        check("https://mycompany.com/myapp.php?foo=1&bar=2", body, false);
        let tokens = [SecretString::from("12345")];
        let unsigned = signature(&tokens[0], "https://mycompany.com/", "");
        assert!(!accepts(
            &tokens,
            "https://mycompany.com/",
            Signed::Digest(b"{}"),
            &unsigned
        ));
    }

    #[test]
    fn addresses_with_and_without_ports() {
        let check = |address: &str, expected: &[&str]| {
            let expected: BTreeSet<_> = expected.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(spellings(address), expected);
        };
        check(
            "https://a.example/x?y=1:2",
            &["https://a.example/x?y=1:2", "https://a.example:443/x?y=1:2"],
        );
        check(
            "http://a.example?y",
            &["http://a.example?y", "http://a.example:80?y"],
        );
        check(
            "https://a.example:8443/x",
            &["https://a.example:8443/x", "https://a.example/x"],
        );
        check(
            "https://[2001:db8::1]:8443/x",
            &["https://[2001:db8::1]:8443/x", "https://[2001:db8::1]/x"],
        );
        check(
            "https://[2001:db8::1]/x",
            &["https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"],
        );
        check("no address", &["no address"]);
    }
}
