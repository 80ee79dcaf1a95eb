//! Where the embedded Postgres gets its programs from: what is installed must fit, and what is fetched must be
//! what was announced. A server on this machine stands in for that of the releases.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use cloud::database::embedded::binaries::{self, Binaries, Sources};
use futures_util::future::ready;
use futures_util::{FutureExt, StreamExt, stream};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::database::open_directory;

#[tokio::test]
async fn programs_are_fetched_once_and_then_found() {
    let server = Releases::with_programs().await;
    let sources = server.sources();
    let (first, second) = tokio::join!(find(&sources), find(&sources));
    let first = first.unwrap();
    assert_eq!(
        (first.version.major, first.version.to_string().as_str()),
        (18, "18.6")
    );
    assert_eq!(
        second.unwrap().dir,
        first.dir,
        "two at once share one download"
    );
    assert_eq!(find(&sources).await.unwrap().dir, first.dir);
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(
        asked.len(),
        2,
        "an archive and its checksum, once: {asked:?}"
    );
    for path in asked {
        let name = path.trim_end_matches(".sha256");
        assert!(
            name.starts_with("/18.6.0/postgresql-18.6.0-") && name.ends_with(".tar.gz"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unfinished_download_is_made_again() {
    let server = Releases::with_programs().await;
    fs::create_dir_all(
        server
            .cache
            .path()
            .join("cache/unfinished/postgresql-18.6.0/bin"),
    )
    .unwrap();
    find(&server.sources()).await.unwrap();
    assert!(!server.cache.path().join("cache/unfinished").exists());
}

#[tokio::test]
async fn a_download_that_is_not_what_was_announced_is_refused() {
    let good = Releases::with_programs().await;
    let (archive, sum) = (good.archive.clone(), good.sum.clone());
    let damaged = [&archive[..archive.len() - 1], b"?"].concat();
    let without_initdb = archive_of(&[("postgres", "#!/bin/sh")]);
    let its_sum = sum_of(&without_initdb);
    for (archive, sum, size, told) in [
        (
            damaged.clone(),
            sum.clone(),
            None,
            "is damaged: its SHA-256 is",
        ),
        (archive.clone(), "0".repeat(64), None, "nothing was kept"),
        (
            archive.clone(),
            "moved".to_owned(),
            None,
            "holds no checksum",
        ),
        (archive.clone(), String::new(), None, "answered 404"),
        (
            archive.clone(),
            sum.clone(),
            Some(archive.len() + 1),
            "the connection broke after",
        ),
        (without_initdb, its_sum, None, "it holds no `bin/initdb`"),
        (
            b"no archive".to_vec(),
            sum_of(b"no archive"),
            None,
            "cannot unpack",
        ),
    ] {
        let server = Releases::start(archive, sum, size).await;
        let error = find(&server.sources()).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(told), "{told:?} is missing in {error:?}");
        let kept = fs::read_dir(server.cache.path().join("cache"))
            .unwrap()
            .flatten();
        let kept: Vec<_> = kept.map(|entry| entry.file_name()).collect();
        assert!(
            kept.iter()
                .all(|name| name == "lock" || name == "unfinished"),
            "{kept:?}"
        );
    }
}

#[tokio::test]
async fn offline_it_names_three_ways_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let cache = open_directory();
    let sources = sources(cache.path(), &format!("http://{address}"));
    let error = format!("{:#}", find(&sources).await.unwrap_err());
    for told in [
        "not installed",
        "apt install postgresql",
        "POSTGRES_BIN_DIR",
        "DATABASE_URL",
        "cannot reach",
    ] {
        assert!(error.contains(told), "{told:?} is missing in {error:?}");
    }
}

#[tokio::test]
async fn installed_programs_must_fit_the_cluster() {
    let directory = open_directory();
    let dir = |name: &str, text: &str| {
        let dir = directory.path().join(name);
        fs::create_dir(&dir).unwrap();
        for program in ["postgres", "initdb"] {
            fs::write(dir.join(program), text).unwrap();
            fs::set_permissions(dir.join(program), Permissions::from_mode(0o755)).unwrap();
        }
        dir
    };
    let script = dir("wrapper", "#!/bin/sh\necho 'postgres (PostgreSQL) 15.1'\n");
    let broken = dir("broken", "neither a script nor a program");
    let mut sources = sources(directory.path(), "http://127.0.0.1:9");

    sources.installed = vec![broken.clone(), script.clone()];
    let error = format!("{:#}", find(&sources).await.unwrap_err());
    assert!(
        error.contains("not installed"),
        "wrappers and wrecks are passed over: {error}"
    );

    sources.bin_dir = Some(script);
    let found = find(&sources).await.unwrap();
    assert_eq!(found.version.major, 15, "but what is named is taken");
    let error = binaries::find(&sources, Some(16), None, &|_| {})
        .await
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("made by PostgreSQL 16") && error.contains("found only 15.1"),
        "{error}"
    );

    sources.bin_dir = Some(broken);
    let error = format!("{:#}", find(&sources).await.unwrap_err());
    assert!(error.contains("POSTGRES_BIN_DIR"), "{error}");
}

async fn find(sources: &Sources) -> anyhow::Result<Binaries> {
    binaries::find(sources, None, None, &|_| {}).await
}

fn sources(cache: &Path, releases: &str) -> Sources {
    Sources {
        bin_dir: None,
        installed: Vec::new(),
        cache: Some(cache.join("cache")),
        releases: releases.to_owned(),
    }
}

/// Stands in for the server of the releases: one archive, and the checksum beside it.
struct Releases {
    archive: Vec<u8>,
    sum: String,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    cache: TempDir,
}

impl Releases {
    async fn with_programs() -> Self {
        let postgres = "#!/bin/sh\necho 'postgres (PostgreSQL) 18.6'\n";
        let archive = archive_of(&[("postgres", postgres), ("initdb", "#!/bin/sh\n")]);
        let sum = sum_of(&archive);
        Self::start(archive, sum, None).await
    }

    /// `size` is what the server claims, if not the truth. Without a `sum` there is no such file.
    async fn start(archive: Vec<u8>, sum: String, size: Option<usize>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, body, line) = (asked.clone(), archive.clone(), sum.clone());
        let answer = move |path: Uri| async move {
            log.lock().unwrap().push(path.to_string());
            if !path.path().ends_with(".sha256") {
                let length = size.unwrap_or(body.len());
                // The pause lets the first part leave before the connection breaks.
                let cut = stream::once(tokio::task::yield_now().map(|()| Err("cut")));
                let cut = cut.filter(move |_| ready(size.is_some()));
                let body = Body::from_stream(stream::iter([Ok(body)]).chain(cut));
                ([("content-length", length.to_string())], body).into_response()
            } else if line.is_empty() {
                StatusCode::NOT_FOUND.into_response()
            } else {
                format!("{line}  postgresql.tar.gz\n").into_response()
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self {
            archive,
            sum,
            address,
            asked,
            cache: open_directory(),
        }
    }

    fn sources(&self) -> Sources {
        // A slash too many in a setting is no reason to fail.
        sources(self.cache.path(), &format!("http://{}/", self.address))
    }
}

fn archive_of(programs: &[(&str, &str)]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let bin = directory.path().join("postgresql-18.6.0/bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, text) in programs {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.args(["-cz", "-f", "-", "-C"])
        .arg(directory.path())
        .arg("postgresql-18.6.0");
    tar.output().unwrap().stdout
}

fn sum_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
