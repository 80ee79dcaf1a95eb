//! What the service answers, or fails to, and what follows.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use edge::clock::Clock;
use edge::emulate::notehub::{Notehub, Route, Source};
use edge::emulate::time::World;

use super::{Answer, bench, bench_with, reading, readings, start, station};

/// As long as a real second is for a machine that is busy, and no longer.
const PATIENCE: Duration = Duration::from_millis(300);

fn seconds(times: &[Duration]) -> Vec<u64> {
    times.iter().map(Duration::as_secs).collect()
}

#[test]
fn what_fails_is_tried_three_times_over_about_six_minutes() {
    let bench = bench(Answer::status(503));
    bench.receiver.then(Answer::text(503, "busy"));
    bench.receiver.then(Answer::text(500, "broken"));
    bench.receiver.then(Answer::text(200, "taken"));
    bench.notehub.receive(vec![reading(0)]);
    bench.settle();
    let log = bench.notehub.log();
    let told: Vec<_> = log
        .iter()
        .map(|attempt| {
            (
                attempt.status,
                attempt.failed,
                attempt.source,
                attempt.text.as_str(),
            )
        })
        .collect();
    let expected = [
        (Some(503), true, Source::Normal, "busy"),
        (Some(500), true, Source::Retry, "broken"),
        (Some(200), false, Source::Retry, "taken"),
    ];
    assert_eq!(told, expected);
    let after = |index: usize| (log[index].began - start()).num_seconds();
    assert_eq!(after(0), 0);
    assert!((108..=132).contains(&after(1)), "{}", after(1));
    assert!((324..=396).contains(&after(2)), "{}", after(2));
    let seen = bench.receiver.take();
    assert!(seen.iter().all(|request| request.body == seen[0].body));
    assert_eq!(bench.notehub.given_up(), Vec::<String>::new());

    // Now it is never taken, and after the third time nobody tries again.
    bench.notehub.receive(vec![reading(1)]);
    assert_eq!(
        bench.notehub.given_up(),
        Vec::<String>::new(),
        "it is not over yet"
    );
    bench.settle();
    let log = bench.notehub.log();
    assert_eq!(log.len(), 6);
    assert_eq!(bench.notehub.given_up(), [log[5].event.clone()]);
    // Until somebody presses the button.
    bench.receiver.always(Answer::status(204));
    assert!(bench.notehub.reroute(&log[5].event));
    assert!(!bench.notehub.reroute("no such event"));
    assert_eq!(bench.notehub.given_up(), Vec::<String>::new());
    assert_eq!(bench.notehub.log()[6].source, Source::Manual);
}

#[test]
fn a_retried_event_comes_late_and_out_of_order() {
    let bench = bench(Answer::status(200));
    bench.receiver.then(Answer::status(200));
    bench.receiver.then(Answer::status(503));
    bench.notehub.receive(readings(3));
    bench.clock.sleep(Duration::from_secs(60));
    assert_eq!(bench.notehub.tick(), 0, "it is not due");
    bench.notehub.receive(vec![reading(3)]);
    bench.settle();
    let seqs: Vec<_> = bench
        .seen()
        .iter()
        .map(|event| event["body"]["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, [0, 1, 2, 3, 1]);
}

#[test]
fn what_is_refused_is_not_tried_again() {
    for status in [400, 401, 404, 413, 422, 429, 301, 304] {
        let mut answer = Answer::status(status);
        if status == 301 {
            answer = answer.with("location", "/elsewhere");
        }
        let bench = bench(answer);
        bench.notehub.receive(vec![reading(0)]);
        bench.settle();
        let log = bench.notehub.log();
        assert_eq!(log.len(), 1, "{status}");
        assert_eq!((log[0].failed, log[0].status), (true, Some(status)));
        assert_eq!(bench.receiver.take().len(), 1, "nobody is sent elsewhere");
        assert_eq!(bench.notehub.given_up().len(), 1);
    }
}

#[test]
fn without_retries_a_failure_is_final() {
    let bench = bench_with(Answer::status(503), |route| route.retry = false);
    bench.notehub.receive(readings(2));
    assert_eq!(bench.notehub.next_due(), None);
    assert_eq!(bench.notehub.log().len(), 2);
    assert_eq!(bench.notehub.given_up().len(), 2);
}

#[test]
fn no_answer_and_half_an_answer_are_failures() {
    let cases = [
        (Answer::Hang, None, true),
        (Answer::Vanish, None, false),
        (
            Answer::Cut {
                status: 200,
                body: b"half".to_vec(),
            },
            Some(200),
            false,
        ),
        (Answer::Drip { status: 200 }, Some(200), true),
    ];
    for (answer, status, late) in cases {
        let said = format!("{answer:?}");
        let bench = bench_with(answer, |route| route.timeout = PATIENCE);
        bench.notehub.receive(vec![reading(0)]);
        let log = bench.notehub.log();
        assert_eq!(log.len(), 1);
        assert_eq!(
            (log[0].failed, log[0].status),
            (true, status),
            "{said}: {log:?}"
        );
        assert!(!log[0].text.is_empty());
        assert_eq!(
            log[0].took,
            if late { PATIENCE } else { Duration::ZERO },
            "{said}"
        );
        bench.receiver.always(Answer::status(200));
        bench.settle();
        let log = bench.notehub.log();
        assert_eq!((log.len(), log[1].failed), (2, false), "{said}");
    }
}

#[test]
fn an_answer_without_end_is_read_as_far_as_it_is_kept() {
    let bench = bench(Answer::Endless {
        status: 200,
        chunk: vec![b'x'; 64 * 1024],
    });
    bench.notehub.receive(readings(2));
    let log = bench.notehub.log();
    assert_eq!(log.len(), 2);
    for attempt in log {
        assert_eq!((attempt.failed, attempt.text.len()), (false, 2048));
    }
}

/// Something that is no service at all answers each connection with these bytes.
fn stranger(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            // It listens before it answers, so that nothing is cut off.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        }
    });
    format!("http://{address}/notehub")
}

#[test]
fn what_speaks_no_http_is_a_failure_and_does_no_harm() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        format!("http://{address}/notehub")
    };
    let endless: &'static [u8] = vec![b'h'; 1 << 20].leak();
    for url in [
        nobody,
        stranger(b"SSH-2.0-OpenSSH_9.6\r\n"),
        stranger(b"HTTP/1.1 999999 \r\n\r\n"),
        stranger(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        stranger(b"\0\xFF\xFE\0"),
        stranger(b""),
        stranger(endless),
        "http://no-such-host.invalid/notehub".to_owned(),
        "no url at all".to_owned(),
    ] {
        let clock = Clock::simulated(World::new(start(), None).local());
        let mut route = Route::new(&url, "token");
        route.timeout = Duration::from_secs(5);
        let notehub = Notehub::new(clock.clone(), 1, route, station());
        notehub.receive(vec![reading(0)]);
        let mut times = Vec::new();
        while let Some(due) = notehub.next_due() {
            clock.sleep_until(due);
            times.push(clock.uptime());
            notehub.tick();
        }
        let log = notehub.log();
        assert_eq!(log.len(), 3, "{url}: {log:?}");
        assert!(
            log.iter()
                .all(|attempt| attempt.failed && !attempt.text.is_empty()),
            "{log:?}"
        );
        assert_eq!(seconds(&times).len(), 2);
    }
}
