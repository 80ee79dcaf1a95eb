//! The pages with a real Chromium, on a phone and at a desk: a walk through all that a person does, and each page by itself.
//!
//! Things are looked for by role and accessible name, so a change of layout breaks nothing here, and what a screen reader
//! cannot name is not found. Without Chromium everything here says that it is left out (`support::browser`).

/// What is done on them.
mod deeds;
/// All pages, each by itself; and the pictures of them in the README.
mod pages;
/// From signing in to signing out.
mod walk;

use crate::support::app::PEOPLE;
use crate::support::browser::{Browser, Role, Scheme, Width};
use crate::support::fleet::{Fleet, Past};
use crate::support::program::{Home, Program};

/// A person with a browser, before the service with a fleet.
struct Visit {
    browser: Browser,
    fleet: Fleet,
    program: Program,
    width: Width,
    // The program works in it.
    _home: Home,
}

impl Visit {
    /// None where there is no browser.
    async fn begin(past: Past, width: Width, scheme: Scheme) -> Option<Self> {
        let browser = Browser::start(width, scheme).await?;
        let fleet = Fleet::made(past).await;
        let (home, program) = fleet.serve().await;
        Some(Self {
            browser,
            fleet,
            program,
            width,
            _home: home,
        })
    }

    async fn open(&self, path: &str) {
        self.browser
            .open(&format!("{}{path}", self.program.url))
            .await;
    }

    async fn sign_in(&self) {
        self.open("/").await;
        let browser = &self.browser;
        browser.write(Role::Textbox, "People token", PEOPLE).await;
        browser.click(Role::Button, "Sign in").await;
        browser.see("boiler-room").await;
    }

    /// What is wrong with the page as it is, in words.
    async fn faults(&self) -> Vec<String> {
        let browser = &self.browser;
        let mut faults = browser.complaints().await;
        faults.extend(browser.barriers().await);
        if browser.is_too_wide().await {
            faults.push("the page is wider than the window".to_owned());
        }
        faults
    }

    /// Fails if something is.
    async fn is_sound(&self, place: &str) {
        let faults = self.faults().await;
        assert!(
            faults.is_empty(),
            "{place}, {}, {}: {faults:#?}",
            self.width.name(),
            self.browser.url().await
        );
    }

    async fn end(self) {
        self.browser.quit().await;
        assert!(self.program.stop().await, "the service stops well");
    }
}
