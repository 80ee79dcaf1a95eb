//! A walk through the pages with a real Chromium, on a phone and at a desk.

use crate::support::app::PEOPLE;
use crate::support::browser::{Browser, Role, Scheme, Width};
use crate::support::fleet::{Fleet, Past};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in() {
    let Some(browser) = Browser::start(Width::Phone, Scheme::Light).await else {
        return;
    };
    let t = std::time::Instant::now();
    let fleet = Fleet::made(Past::TwoDays).await;
    eprintln!("fleet {:?}", t.elapsed());
    let (_home, program) = fleet.serve().await;
    browser.open(&program.url).await;
    browser.write(Role::Textbox, "People token", PEOPLE).await;
    browser.click(Role::Button, "Sign in").await;
    browser.see("boiler-room").await;
    eprintln!(
        "{}\n{:?}\n{:?}",
        browser.text().await,
        browser.complaints().await,
        browser.barriers().await
    );
    eprintln!(
        "{:?} {:?} wide {}",
        browser.load().await,
        browser.names(Role::Heading).await,
        browser.is_too_wide().await
    );
    let png = browser.picture(Width::Phone, 3.0).await;
    let small = crate::support::browser::reduced(&png);
    eprintln!("{} {}", png.len(), small.len());
    std::fs::write("/tmp/bt/p.png", small).expect("w");
    browser.quit().await;
    program.stop().await;
}
