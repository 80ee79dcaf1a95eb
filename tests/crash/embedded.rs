//! Nothing is configured: the service runs a Postgres of its own, which must be as safe as any other.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::load::Load;
use super::world::{World, until};
use crate::support::program::Home;

#[tokio::test]
async fn a_service_with_its_own_postgres_loses_nothing_and_leaves_nothing_running() {
    let world = World::new().await;
    let home = Home::new(&world.config(None));
    let mut program = home.serve().await;
    let load = Load::start(8, &[&program.url]);
    for more in [100, 1] {
        load.acknowledged(more).await;
        program.kill().await;
        program = home.serve().await;
        load.goes_to(&[&program.url]);
    }
    load.acknowledged(20).await;
    let seen = load.finish().await;
    world.check(&database(&home), &seen).await;

    let postmaster = postmaster(home.path());
    assert!(!is_gone(postmaster), "it runs until the service stops it");
    assert!(program.stop().await, "it ends well");
    assert!(is_gone(postmaster), "Postgres has ended before its service");
    until("no process is left", async || !left_running(home.path())).await;
}

/// Where the service says its database is.
fn database(home: &Home) -> String {
    let log = fs::read_to_string(home.logs()).expect("a log");
    let (_, after) = log
        .rsplit_once("psql '")
        .expect("the log tells how to look into the database");
    let (url, _) = after.split_once('\'').expect("a URL in quotes");
    url.to_owned()
}

fn postmaster(home: &Path) -> Pid {
    let file = fs::read_to_string(home.join("data/postgres/data/postmaster.pid"))
        .expect("a running server");
    let pid = file
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    pid.and_then(Pid::from_raw).expect("a process id")
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::SRCH)
}

/// Whether any process still works in this directory; where that cannot be seen, none does.
fn left_running(home: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let places = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    places.into_iter().any(|place| place.starts_with(home))
}
