//! Secrets: read from files, checked for their form, never repeated in a message.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

/// Far more than any token; a wrong path to something huge is refused rather than read.
const LARGEST_FILE: u64 = 64 * 1024;

/// A secret from a file, and a warning if the file is open to everyone on the machine.
pub(super) fn from_file(path: &Path) -> Result<(SecretString, Option<String>), String> {
    let shown = path.display();
    let cannot_read =
        |error: std::io::Error| format!("cannot read the secret from {shown}: {error}");
    let file = File::open(path).map_err(cannot_read)?;
    let mode = file.metadata().map_err(cannot_read)?.permissions().mode();
    let mut text = String::new();
    file.take(LARGEST_FILE + 1)
        .read_to_string(&mut text)
        .map_err(cannot_read)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(format!("{shown} is too large to be a secret"));
    }
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(format!("the secret file {shown} is empty"));
    }
    let warning = (mode & 0o004 != 0)
        .then(|| format!("the secret file {shown} is readable by everyone; run `chmod 600` on it"));
    Ok((SecretString::from(secret), warning))
}

/// Tokens travel in HTTP headers, where a blank or a control character would change or end them.
pub(super) fn check_token(token: &str) -> Result<(), String> {
    if token.is_empty() {
        Err("must not be empty".to_owned())
    } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("must be of visible ASCII characters, without blanks or line ends".to_owned())
    }
}

pub(super) fn check_signing_secret(secret: &str) -> Result<(), String> {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok());
    match key {
        Some(key) if (24..=64).contains(&key.len()) => Ok(()),
        Some(key) => Err(format!(
            "must hold 24 to 64 bytes after `whsec_`, not {}",
            key.len()
        )),
        None => Err("must be `whsec_` followed by base64; \
             make one with `echo whsec_$(openssl rand -base64 32)`"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: Result<(), String>, expected: &str) {
        let answer = result.err().unwrap_or_default();
        assert!(
            answer.contains(expected) && (answer.is_empty() == expected.is_empty()),
            "{answer:?}"
        );
    }

    #[test]
    fn forms() {
        check(check_token("007"), "");
        check(check_token(""), "must not be empty");
        check(check_token("two words"), "visible ASCII");
        let encoded = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
        check(check_signing_secret(&encoded(24)), "");
        check(check_signing_secret(&encoded(64)), "");
        check(check_signing_secret(&encoded(23)), "not 23");
        check(check_signing_secret(&encoded(65)), "not 65");
        check(check_signing_secret("whsec_***"), "followed by base64");
        check(
            check_signing_secret(&STANDARD.encode([7; 32])),
            "`whsec_` followed by",
        );
    }
}
