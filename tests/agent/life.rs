//! How an agent begins, ends and is watched: on emulated hardware, and as a program.

use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use edge::agent::{Agent, Setup};
use edge::classify::{Classifier, Runtime};
use edge::emulate::notecard::Fault;
use edge::model::DEMONSTRATION;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::hands::Hands;
use super::station::{config, hours, minutes};
use crate::support::edge::command;

#[test]
fn once_makes_one_reading_goes_on_where_it_was_and_lets_the_notecard_cut_the_power() {
    let hands = Hands::new();
    assert!(hands.agent().once(None), "everything was handed over");
    // The time was not known yet, and this is the first look ever: nothing is known to be recent.
    let first = hands.files();
    assert_eq!(
        first.iter().filter(|file| *file == "thermal.qo").count(),
        1,
        "{first:?}"
    );
    assert!(hands.sync());
    hands.clock.sleep(minutes(30));
    assert!(hands.agent().once(None));
    assert!(hands.sync());
    for _ in 0..3 {
        hands.clock.sleep(minutes(30));
        assert!(hands.agent().once(Some(minutes(30))));
        // A reading, and no sign of life or picture: those of a day were made.
        assert_eq!(hands.files(), ["thermal.qo"]);
        let next = hands.notecard.next_sync().expect("a schedule");
        assert!(
            next > hands.clock.uptime(),
            "it asked for a sync of its own"
        );
        let off = hands.notecard.host_off_until().expect("the power is cut");
        assert!(off > hands.clock.uptime() + minutes(29));
        assert!(hands.sync());
    }
    // Without a Notecard it says that it could not, and the reading waits for the next time.
    hands.notecard.set_deaf(hours(1));
    assert!(!hands.agent().once(None));
    hands.clock.sleep(hours(1));
    assert!(hands.agent().once(None));
    assert_eq!(hands.files(), ["thermal.qo", "thermal.qo"]);
    assert_eq!(hands.notecard.violations(), []);
}

#[test]
fn the_watchdog_is_fed_whatever_camera_and_notecard_do_and_only_while_both_workers_get_on() {
    let hands = Hands::new();
    let agent = hands.agent();
    let stop = agent.stop();
    let task = hands.clock.spawn("agent", move || agent.run());
    hands.clock.sleep(hours(1));
    hands.camera.silence(hours(1));
    hands.notecard.set_deaf(hours(1));
    hands.clock.sleep(hours(2));
    stop.stop();
    task.join().expect("it ends");
    let meals = hands.supervisor.meals();
    let longest = meals
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .expect("meals");
    // systemd waits for ten minutes.
    assert!(longest < minutes(3), "hungry for {longest:?}");
    assert!(meals.last().expect("meals") > &(hours(3) - minutes(3)));
}

/// Runs an agent for so long and gives the files of the notes that the Notecard has in the end.
fn run(hands: &Hands, time: Duration) -> Vec<String> {
    let agent = hands.agent();
    let stop = agent.stop();
    let task = hands.clock.spawn("agent", move || agent.run());
    hands.sync_when_asked();
    hands.clock.sleep(time);
    stop.stop();
    task.join().expect("it ends");
    hands.files()
}

fn readings(files: &[String]) -> usize {
    files.iter().filter(|file| *file == "thermal.qo").count()
}

#[test]
fn a_notecard_that_refuses_for_a_while_gets_every_note_afterwards() {
    for tag in [
        "{dfu-in-progress}",
        "{device-disabled}",
        "{io}",
        "{nobody-knows}",
    ] {
        let hands = Hands::new();
        // From the first question on, and everything.
        hands
            .notecard
            .script(std::iter::repeat_n(Some(Fault::Refused(tag)), 60));
        let files = run(&hands, hours(5));
        let cycles = usize::try_from(hands.clock.uptime().as_secs() / 300).expect("a count");
        assert!(
            readings(&files).abs_diff(cycles) <= 1,
            "{tag}: {cycles} cycles, {files:?}"
        );
    }
}

#[test]
fn a_note_that_the_notecard_will_never_take_is_given_up_and_told_of_once() {
    let hands = Hands::new();
    let agent = hands.agent();
    let stop = agent.stop();
    let task = hands.clock.spawn("agent", move || agent.run());
    hands.sync_when_asked();
    let settled = minutes(65) - Duration::from_secs(5);
    hands
        .clock
        .sleep(settled.saturating_sub(hands.clock.uptime()));
    let before = readings(&hands.files());
    // The next reading, three times.
    hands
        .notecard
        .script(std::iter::repeat_n(Some(Fault::Refused("{too-big}")), 3));
    hands.clock.sleep(hours(3));
    stop.stop();
    task.join().expect("it ends");
    let files = hands.files();
    assert!(readings(&files) > before + 20, "{files:?}");
    let told: Vec<_> = hands
        .notecard
        .queued()
        .into_iter()
        .filter(|note| note.file == "health.qo")
        .filter_map(|note| note.body["why"].as_str().map(str::to_owned))
        .filter(|why| why.contains("refused"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_disk_that_takes_nothing_does_not_blind_the_agent() {
    let hands = Hands::new();
    std::fs::create_dir_all(hands.state.path().join("boot/in-the-way")).expect("a folder");
    std::fs::create_dir_all(hands.state.path().join("state.json/in-the-way")).expect("a folder");
    let files = run(&hands, hours(1));
    assert!(readings(&files) >= 11, "{files:?}");
}

#[test]
fn a_spool_belongs_to_one_agent() {
    let hands = Hands::new();
    let agent = hands.agent();
    let second = Agent::new(Setup {
        config: config(""),
        clock: hands.clock.clone(),
        station: hands.station.clone(),
        state_dir: hands.state.path().to_owned(),
        classifier: Classifier::load(DEMONSTRATION, &Runtime::Embedded).expect("the model loads"),
        supervisor: hands.supervisor.clone(),
        chance: ChaCha8Rng::seed_from_u64(1),
    });
    let complaint = format!("{:#}", second.expect_err("there is one already"));
    assert!(complaint.contains("spool"), "{complaint}");
    drop(agent);
}

#[test]
fn as_a_program_it_speaks_to_systemd_keeps_its_notes_and_ends_when_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("edge.toml"),
        "state_dir = \"state\"\n[camera]\nbus = \"/dev/i2c-no-such\"\n[notecard]\nport = \"/dev/no-such-tty\"",
    )
    .expect("a file");
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd
        .set_read_timeout(Some(Duration::from_mins(1)))
        .expect("a time-out");
    let mut agent = command(folder.path(), &["run"])
        .env("NOTIFY_SOCKET", &path)
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut told = String::new();
    let mut buffer = [0; 4096];
    while !(told.contains("READY=1") && told.contains("WATCHDOG=1")) {
        let length = systemd.recv(&mut buffer).expect("it tells systemd");
        told.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let pid = Pid::from_raw(i32::try_from(agent.id()).expect("a number")).expect("it runs");
    kill_process(pid, Signal::TERM).expect("it can be told");
    let ended = agent.wait().expect("it ends");
    let mut said = String::new();
    agent
        .stderr
        .take()
        .expect("its output")
        .read_to_string(&mut said)
        .expect("text");
    assert!(ended.success(), "{said}");
    assert!(
        said.contains("/dev/i2c-no-such") && said.contains("for demonstration"),
        "{said}"
    );
    assert!(folder.path().join("state/spool").is_dir());
}
