//! Where the programs `postgres` and `initdb` are: named by POSTGRES_BIN_DIR, on the PATH, where packages of
//! the usual systems put them, or fetched into the cache (`release`).
//!
//! A cluster opens only with the major version that made it, so that version is looked for if there is one.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::release;

/// The oldest version the schema and the launcher are tested with or meant for.
const OLDEST_MAJOR: u32 = 14;

/// Parent directory, beginning of the name, rest: packages differ only in these.
const PLACES: [(&str, &str, &str); 11] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/local", "pgsql", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/opt/local/lib", "postgresql", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Where to look; a value, so that a test can look elsewhere.
#[derive(Debug, Clone)]
pub struct Sources {
    /// If given, only this one counts.
    pub bin_dir: Option<PathBuf>,
    /// In order of preference.
    pub installed: Vec<PathBuf>,
    pub cache: Option<PathBuf>,
    /// The address of the release server.
    pub releases: String,
}

impl Sources {
    pub fn from_environment() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let releases = std::env::var("THERMAL_WATCH_POSTGRES_RELEASES").ok();
        Self {
            bin_dir: variable("POSTGRES_BIN_DIR").map(PathBuf::from),
            installed: std::env::split_paths(&path).chain(usual_places()).collect(),
            cache: cache_dir(),
            releases: releases.unwrap_or_else(|| release::RELEASES.to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    /// As the program says it: "15.20".
    text: String,
}

impl Version {
    /// Reads `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`, and pre-releases such as `18beta1`.
    fn parse(output: &str) -> Option<Self> {
        let (_, rest) = output.split_once("(PostgreSQL) ")?;
        let text = rest.split_whitespace().next()?.to_owned();
        let digits = text.find(|letter: char| !letter.is_ascii_digit());
        let major = text[..digits.unwrap_or(text.len())].parse().ok()?;
        Some(Self { major, text })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// A directory that holds both programs, which run here.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub dir: PathBuf,
    pub version: Version,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Finds the programs, or fetches them. `made_by` is the major version that made the cluster, `run_as` the user
/// and group they will run as if not as ours.
///
/// # Errors
/// Says which versions were found if none fits, and the ways out if there are none at all.
pub async fn find(
    sources: &Sources,
    made_by: Option<u32>,
    run_as: Option<(u32, u32)>,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Binaries> {
    if let Some(dir) = &sources.bin_dir {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
        let binaries = look_into(&dir, run_as).with_context(|| {
            format!("POSTGRES_BIN_DIR is {}, but that is no use", dir.display())
        })?;
        ensure!(fits(&binaries, made_by), misfit(made_by, &[binaries]));
        return Ok(binaries);
    }
    let mut misfits = Vec::new();
    let fetched = sources.cache.as_deref().map(release::installed_in);
    for dir in sources.installed.iter().chain(&fetched) {
        match installed_at(dir).map(|dir| look_into(&dir, run_as)) {
            Some(Ok(binaries)) if fits(&binaries, made_by) => return Ok(binaries),
            Some(Ok(binaries)) => misfits.push(binaries),
            Some(Err(error)) => tracing::debug!("skipping {}: {error:#}", dir.display()),
            None => {}
        }
    }
    if made_by.is_some_and(|major| major != release::MAJOR) {
        bail!(misfit(made_by, &misfits));
    }
    let found = if misfits.is_empty() {
        "PostgreSQL is not installed here"
    } else {
        "the PostgreSQL installed here is of no use"
    };
    let dir = fetch(sources, progress).await.with_context(|| {
        format!(
            "{found} and could not be fetched. There are three ways out: install PostgreSQL {OLDEST_MAJOR} or \
             newer (`apt install postgresql`, `brew install postgresql`); or set POSTGRES_BIN_DIR to the \
             directory with its `postgres` and `initdb`; or set DATABASE_URL to a server you run"
        )
    })?;
    look_into(&dir, run_as).with_context(|| {
        format!(
            "the PostgreSQL fetched into {} does not run here; install one",
            dir.display()
        )
    })
}

async fn fetch(sources: &Sources, progress: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    let cache = sources.cache.as_deref();
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME says where to keep it")?;
    release::fetch(&sources.releases, cache, progress).await
}

fn fits(binaries: &Binaries, made_by: Option<u32>) -> bool {
    let major = binaries.version.major;
    made_by.map_or(major >= OLDEST_MAJOR, |made_by| made_by == major)
}

fn misfit(made_by: Option<u32>, found: &[Binaries]) -> String {
    let list = |binaries: &Binaries| format!("{} in {}", binaries.version, binaries.dir.display());
    let found = match found {
        [] => "there is none".to_owned(),
        found => format!(
            "found only {}",
            found.iter().map(list).collect::<Vec<_>>().join(", ")
        ),
    };
    match made_by {
        Some(major) => format!(
            "the database was made by PostgreSQL {major} and opens only with that version, but {found}. Install \
             PostgreSQL {major}, or set POSTGRES_BIN_DIR to the directory with its programs; or choose another \
             `database.data_dir` and move the data there with pg_dump"
        ),
        None => format!("PostgreSQL {OLDEST_MAJOR} or newer is needed, but {found}"),
    }
}

/// The directory the programs really are in: distributions and version managers put links and shell wrappers
/// on the PATH, and the server finds its files relative to the real one.
fn installed_at(dir: &Path) -> Option<PathBuf> {
    let real = dir.join("postgres").canonicalize().ok()?;
    let mut start = [0; 2];
    File::open(&real).ok()?.read_exact(&mut start).ok()?;
    let parent = real.parent()?;
    (&start != b"#!" && parent.join("initdb").exists()).then(|| parent.to_owned())
}

/// Asks the server program for its version, as the user that will run it: it may not reach the directory.
fn look_into(dir: &Path, run_as: Option<(u32, u32)>) -> Result<Binaries> {
    ensure!(dir.join("initdb").exists(), "there is no `initdb`");
    let mut command = Command::new(dir.join("postgres"));
    command.arg("--version").current_dir("/");
    if let Some((uid, gid)) = run_as {
        command.uid(uid).gid(gid);
    }
    let output = command.output().context("cannot run its `postgres`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = Version::parse(&text).with_context(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        format!("`postgres --version` said: {}{}", text.trim(), error.trim())
    })?;
    let dir = dir.to_owned();
    Ok(Binaries { dir, version })
}

/// Existing directories where packages put the programs, the highest version of each kind of package first.
fn usual_places() -> Vec<PathBuf> {
    PLACES
        .iter()
        .flat_map(|(parent, start, rest)| {
            let names = fs::read_dir(parent).into_iter().flatten().flatten();
            let mut names: Vec<OsString> = names
                .map(|entry| entry.file_name())
                .filter(|name| name.to_string_lossy().starts_with(start))
                .collect();
            names.sort_by_key(|name| std::cmp::Reverse(number_in(&name.to_string_lossy())));
            let place = move |name| Path::new(parent).join(name).join(rest);
            names.into_iter().map(place)
        })
        .collect()
}

/// "postgresql@18" is 18, "9.6" is 9; without a number it is whatever the system calls its own.
fn number_in(name: &str) -> u32 {
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let end = digits.find(|letter: char| !letter.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())]
        .parse()
        .unwrap_or(u32::MAX)
}

/// Root's own cache is closed to the account that runs the server.
fn cache_dir() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/thermal-watch"));
    }
    let home = || variable("HOME").map(|home| Path::new(&home).join(".cache"));
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(base.join("thermal-watch"))
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_program_says() {
        fn check(output: &str, expected: Option<(u32, &str)>) {
            let version = Version::parse(output);
            let found = version
                .as_ref()
                .map(|version| (version.major, version.text.as_str()));
            assert_eq!(found, expected, "{output:?}");
        }
        check(
            "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n",
            Some((15, "15.20")),
        );
        check("postgres (PostgreSQL) 18.6\n", Some((18, "18.6")));
        check("postgres (PostgreSQL) 19beta1\n", Some((19, "19beta1")));
        check("postgres (EnterpriseDB) 15", None);
        check("", None);
    }

    #[test]
    fn names_of_packages_are_ordered_by_their_number() {
        fn check(name: &str, expected: u32) {
            assert_eq!(number_in(name), expected, "{name}");
        }
        check("15", 15);
        check("postgresql@18", 18);
        check("pgsql-9.6", 9);
        check("pgsql", u32::MAX);
    }
}
