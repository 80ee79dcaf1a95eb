//! Where things live, and that nobody else uses them.
//!
//! `data_dir/postgres.lock` is held by the one process that owns the cluster and names it. `data_dir/postgres`
//! holds the cluster (`data`) and `server.log`. If we are root and the account of the server cannot reach
//! `data_dir`, as under /root, the cluster lives under /var/lib instead, found again by the path of `data_dir`.
//! The socket lives elsewhere: its path may have about a hundred bytes.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::Account;

pub(super) const LOG_NAME: &str = "server.log";

const ELSEWHERE: &str = "/var/lib/thermal-watch";

/// 104 bytes on macOS, less the file name Postgres appends.
const SOCKET_DIR_LIMIT: usize = 88;

/// At start a longer log makes room for a new one; one old log is kept.
const LOG_LIMIT: u64 = 8 << 20;

pub(super) struct Place {
    pub(super) account: Account,
    pub(super) home: PathBuf,
    pub(super) data: PathBuf,
    pub(super) sockets: PathBuf,
    /// Released when this value is dropped, or our process ends.
    lock: File,
}

impl Place {
    pub(super) fn prepare(data_dir: &Path, progress: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
        let data_dir = data_dir.canonicalize()?;
        let lock = lock(&data_dir.join("postgres.lock"))?;
        let (account, home) = choose_home(&data_dir)?;
        if !home.starts_with(&data_dir) {
            progress(&format!(
                "the account of the embedded Postgres cannot reach {}, its cluster is in {}",
                data_dir.display(),
                home.display()
            ));
        }
        make_home(&home, &account)?;
        let sockets = socket_dir(&home, &account)?;
        let data = home.join("data");
        let place = Self {
            account,
            home,
            data,
            sockets,
            lock,
        };
        place.rotate_log()?;
        Ok(place)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join(LOG_NAME)
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |found| found.len())
    }

    /// The last lines of the server's log, of those written after `start`.
    pub(super) fn log_tail(&self, start: u64) -> String {
        const BYTES: u64 = 16 << 10;
        const LINES: usize = 15;
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(start.max(length.saturating_sub(BYTES))))?;
            let mut bytes = Vec::new();
            file.take(BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// The directory is only ever used by this cluster, so what stands in it before a start is stale.
    pub(super) fn clear_sockets(&self) -> Result<()> {
        for entry in fs::read_dir(&self.sockets)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    fn rotate_log(&self) -> Result<()> {
        if self.log_length() > LOG_LIMIT {
            let old = self.home.join(format!("{LOG_NAME}.1"));
            fs::rename(self.log(), old).context("cannot rotate the server's log")?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Fails if the server still has its socket there, and then the next start uses it.
        let _ = fs::remove_dir(&self.sockets);
        // Closing would do, but for a child process that is being started just now and holds the file as well.
        let _ = self.lock.unlock();
    }
}

/// Takes the lock, or says who has it.
fn lock(path: &Path) -> Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o644)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner)?;
            let directory = path.parent().unwrap_or(path).display();
            bail!(
                "the data directory {directory} is already in use by pid {}; stop that process, \
                 or choose another `database.data_dir`",
                if owner.is_empty() {
                    "unknown"
                } else {
                    owner.trim()
                }
            );
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// An existing cluster stays where it is: looking elsewhere would seem to have lost all data.
fn choose_home(data_dir: &Path) -> Result<(Account, PathBuf)> {
    let near = data_dir.join("postgres");
    let far = Path::new(ELSEWHERE).join(short_hash(data_dir));
    let owner = |home: &Path| {
        fs::metadata(home.join("data"))
            .map(|found| found.uid())
            .ok()
    };
    if let Some(uid) = owner(&near) {
        let account = Account::of_server(Some(uid))?;
        ensure!(
            account.uid == uid,
            "the database in {} belongs to the user with id {uid}; start as that user or as root, \
             or choose another `database.data_dir`",
            near.display()
        );
        ensure!(
            account.reaches(data_dir),
            "the account of the embedded Postgres (user id {uid}) may not pass through {} or a directory \
             above it; allow that (`chmod o+x`), or move the data to a place where it may",
            data_dir.display()
        );
        return Ok((account, near));
    }
    let account = Account::of_server(owner(&far))?;
    let is_root = account.changed_to().is_some();
    if is_root && (far.join("data").exists() || !account.reaches(data_dir)) {
        return Ok((account, far));
    }
    Ok((account, near))
}

fn make_home(home: &Path, account: &Account) -> Result<()> {
    let above = home.parent().unwrap_or(home);
    if !above.exists() {
        fs::create_dir_all(above)
            .with_context(|| format!("cannot make the directory {}", above.display()))?;
        // Root's umask may be strict, and the server must pass.
        fs::set_permissions(above, Permissions::from_mode(0o755))?;
    }
    match DirBuilder::new().mode(0o700).create(home) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the directory {}", home.display()))
        }
        _ => account.own(home),
    }
}

/// A directory that belongs to the server's account and lets nobody else in, whoever made it first.
fn socket_dir(home: &Path, account: &Account) -> Result<PathBuf> {
    let path = socket_path(home, account)?;
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => account.own(&path)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot make {}", path.display()));
        }
    }
    let found = fs::symlink_metadata(&path)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        // Ours as root: an earlier start was killed before it could hand it over.
        account.own(&path)?;
    } else {
        ensure!(
            found.is_dir() && found.uid() == account.uid,
            "{} should be the directory of the database's socket, but is something of another user; \
             remove it, or set XDG_RUNTIME_DIR to a directory of yours",
            path.display()
        );
    }
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    Ok(path)
}

fn socket_path(home: &Path, account: &Account) -> Result<PathBuf> {
    let name = format!("thermal-watch-{}-{}", account.uid, short_hash(home));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // Root's own runtime directory is closed to the server's account.
    let runtime = runtime.filter(|_| account.changed_to().is_none());
    runtime
        .into_iter()
        .chain([std::env::temp_dir(), PathBuf::from("/tmp")])
        .filter(|base| base.is_dir() && account.reaches(base))
        .map(|base| base.join(&name))
        .find(|path| fits_a_socket(path))
        .context("neither XDG_RUNTIME_DIR, TMPDIR nor /tmp is fit for the database's socket")
}

/// Postgres reads the setting as a list, so quotes and commas are out too.
fn fits_a_socket(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    path.is_absolute() && bytes.len() <= SOCKET_DIR_LIMIT && bytes.iter().all(plain)
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_needs_a_short_and_plain_path() {
        fn check(path: &str, expected: bool) {
            assert_eq!(fits_a_socket(Path::new(path)), expected, "{path}");
        }
        check("/tmp/thermal-watch-0-0123456789abcdef", true);
        check("/run/user/1000/thermal-watch-1000-0123456789abcdef", true);
        check("/tmp/with,comma", false);
        check("/tmp/with space", false);
        check("tmp/relative", false);
        check(&format!("/{}", "x".repeat(SOCKET_DIR_LIMIT)), false);
    }
}
