//! `cloud healthcheck`, as a container asks it.

use crate::support::database::database;
use crate::support::program::Home;

#[tokio::test]
async fn the_health_check_says_whether_events_can_be_stored() {
    let database = database().await;
    // The port is not known before it is bound: the address is given, as it is where the configuration does not have it.
    let home = Home::new("[server]\nlisten = \"127.0.0.1:0\"\n");
    let program = home.serve_with(&[("DATABASE_URL", &database.url)]).await;
    let url = format!("{}/readyz", program.url);
    let well = home.run(&["healthcheck", "--url", &url]).await;
    let said = String::from_utf8_lossy(&well.stdout).into_owned();
    assert!(well.status.success(), "{said}");
    assert_eq!(said, format!("{url} answers 200 OK\n"));

    // What answers but is not well is not well.
    let url = format!("{}/nothing-here", program.url);
    let ill = home.run(&["healthcheck", "--url", &url]).await;
    let said = String::from_utf8_lossy(&ill.stderr).into_owned();
    assert_eq!(ill.status.code(), Some(1), "{said}");
    assert!(said.contains("answers 404 Not Found"), "{said}");

    let url = format!("{}/readyz", program.url);
    assert!(program.stop().await);
    let gone = home.run(&["healthcheck", "--url", &url]).await;
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert_eq!(gone.status.code(), Some(1), "{said}");
    assert!(said.contains("does not answer"), "{said}");
}

#[tokio::test]
async fn without_an_address_the_configured_one_is_asked() {
    // A port that nobody listens on: this listener never answers, and is gone when it is asked for.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let home = Home::new(&format!(
        "[server]\nlisten = \"0.0.0.0:{}\"\n",
        address.port()
    ));
    let asked = home.run(&["healthcheck"]).await;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(1), "{said}");
    let url = format!("http://{address}/readyz does not answer");
    assert!(said.contains(&url), "{said}");
}
