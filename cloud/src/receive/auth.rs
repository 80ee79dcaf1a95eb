//! Who may speak to us: tokens made, kept and compared.
//!
//! Notehub signs nothing, so a long random token in a header is all there is. Two may be valid at once, so that one can be
//! replaced without a gap. Comparison takes the same time wherever two tokens differ, and whichever of them matches.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Tokens of one kind, as digests: equal lengths, so that comparing tells nothing about the length either.
#[derive(Clone)]
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a SecretString>) -> Self {
        Self(
            tokens
                .into_iter()
                .map(|token| digest(token.expose_secret()))
                .collect(),
        )
    }

    pub fn accept(&self, presented: &str) -> bool {
        let presented = digest(presented);
        self.0
            .iter()
            .fold(Choice::from(0), |found, token| {
                found | token.ct_eq(&presented)
            })
            .into()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

/// The token of `Authorization: Bearer …`, or of the header that some prefer to set in a Notehub route.
pub fn presented<'a>(headers: &'a HeaderMap, own_header: &str) -> Option<&'a str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
    bearer.or_else(|| headers.get(own_header)?.to_str().ok())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token kept in `data_dir/NAME`, made there if there is none yet. The flag says whether it was made just now.
pub fn kept_or_made(data_dir: &Path, name: &str) -> anyhow::Result<(SecretString, bool)> {
    let path = data_dir.join(name);
    match fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => {
            return Ok((token.trim().to_owned().into(), false));
        }
        Ok(_) => fs::remove_file(&path)
            .with_context(|| format!("replacing the empty {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("reading the token in {}", path.display()));
        }
    }
    fs::create_dir_all(data_dir)
        .with_context(|| format!("making the data directory {}", data_dir.display()))?;
    let token = random_token();
    // Made under another name and linked: two services that start at once agree on one token, and none is half written.
    let fresh = data_dir.join(format!(".{name}.{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(|| format!("writing a token to {}", fresh.display()))?;
    file.write_all(token.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing a token to {}", fresh.display()))?;
    let linked = fs::hard_link(&fresh, &path);
    fs::remove_file(&fresh).ok();
    match linked {
        Ok(()) => Ok((token.into(), true)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            kept_or_made(data_dir, name)
        }
        Err(error) => {
            Err(error).with_context(|| format!("keeping the token in {}", path.display()))
        }
    }
}

/// 192 random bits, in letters and digits that survive any form field.
pub fn random_token() -> String {
    let bytes: [u8; 24] = rand::random();
    bytes
        .iter()
        .fold(String::with_capacity(48), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
}
