//! A real Chromium without a window, driven through chromedriver by the protocol of the W3C.
//!
//! Each browser has a chromedriver, a profile and a process group of its own, all gone when it is dropped. The window is
//! a phone's or a desktop's; colours, time zone and language are set, so a page looks the same wherever the tests run.
//! `find` looks for things by role and accessible name in the very tree that screen readers get, `look` asks what a person
//! sees, `palette` makes pictures small. Waiting is always for a condition, with a deadline that only a failure meets.
//!
//! Where Chromium or chromedriver is missing, `Browser::start` says so on the real stderr, past the capture of the test
//! harness, and gives nothing; with `THERMAL_WATCH_BROWSER=required`, as in `.ci/run`, that is a failure.

/// What is on the page by role and accessible name, and what a person does with it.
mod find;
/// What a person sees: pictures, charts, complaints.
mod look;
/// Pictures of few colours.
mod palette;
/// The programs, and the process that drives.
mod programs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::common::command::{Command, ExtensionCommand};
use thirtyfour::{Capabilities, WebDriver};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use find::Role;
pub use palette::reduced;
use programs::{Chromedriver, Programs};

/// Only a failure waits this long; a busy machine with a debug build must not.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Each is some hundred megabytes and half a dozen processes.
static ROOM: Semaphore = Semaphore::const_new(2);

/// The kind of window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 390 by 844 at two pixels each, touched.
    Phone,
    /// 1280 by 900, with a mouse.
    Desktop,
}

/// The colours that the reader prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    // Dropped after the driver, which says goodbye to it.
    _chromedriver: Chromedriver,
    _room: SemaphorePermit<'static>,
}

impl Width {
    pub fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Desktop => "desktop",
        }
    }

    /// In CSS pixels.
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Phone => (390, 844),
            Self::Desktop => (1280, 900),
        }
    }
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Browser {
    /// A new browser with nothing in its memory; None where there is none on this machine.
    pub async fn start(width: Width, scheme: Scheme) -> Option<Self> {
        let programs = Programs::find()?;
        let room = ROOM.acquire().await.expect("never closed");
        let chromedriver = Chromedriver::start(&programs).await;
        // The client has no proxy between us, and a provider for TLS, which it asks for although it never uses it.
        let client = cloud::demo::local_client().expect("a client");
        let capabilities = capabilities(&programs, &chromedriver, width);
        let driver = WebDriver::builder(chromedriver.url(), capabilities)
            .client(client)
            .await
            .expect("chromedriver starts Chromium");
        let browser = Self {
            driver,
            _chromedriver: chromedriver,
            _room: room,
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        browser
            .cdp(
                "Emulation.setEmulatedMedia",
                json!({ "features": features }),
            )
            .await;
        if width == Width::Desktop {
            // The window's own frame takes from its size.
            let (wide, high) = width.size();
            let size =
                json!({ "width": wide, "height": high, "deviceScaleFactor": 1, "mobile": false });
            browser
                .cdp("Emulation.setDeviceMetricsOverride", size)
                .await;
        }
        let zone = json!({ "timezoneId": "America/Chicago" });
        browser.cdp("Emulation.setTimezoneOverride", zone).await;
        Some(browser)
    }

    /// Goes to a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        let opened = self.driver.goto(url).await;
        opened.unwrap_or_else(|error| panic!("opening {url}: {error}"));
    }

    /// Where the browser is.
    pub async fn url(&self) -> String {
        let url = self.driver.current_url().await.expect("it is somewhere");
        url.to_string()
    }

    /// Ends it well; a browser that is only dropped is killed.
    pub async fn quit(self) {
        // If it does not want to, it is killed in a moment.
        let _ = self.driver.clone().quit().await;
    }

    /// What the script, which is a function's body, returns in the page. No policy of the page applies to it.
    pub async fn ask(&self, script: &str, arguments: Vec<Value>) -> Value {
        let answer = self.try_ask(script, arguments).await;
        answer.unwrap_or_else(|error| panic!("{error}\nin {script}"))
    }

    /// The same, where a page may be about to go away.
    async fn try_ask(
        &self,
        script: &str,
        arguments: Vec<Value>,
    ) -> thirtyfour::error::WebDriverResult<Value> {
        let returned = self.driver.execute(script, arguments).await?;
        Ok(returned.json().clone())
    }

    /// Waits until the script returns something that JavaScript calls true, and returns it.
    pub async fn until(&self, what: &str, script: &str, arguments: Vec<Value>) -> Value {
        self.wait_for(what, async || {
            // Between two pages there is nothing to ask.
            let answer = self.try_ask(script, arguments.clone()).await.ok()?;
            let no = matches!(&answer, Value::Null | Value::Bool(false))
                || answer == json!(0)
                || answer == json!("");
            (!no).then_some(answer)
        })
        .await
    }

    /// Looks again and again until there is something, and fails with what the page shows if there never is.
    pub async fn wait_for<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if since.elapsed() > PATIENCE {
                let shown = self.try_ask(
                    "return location.href + '\\n' + document.body.innerText",
                    vec![],
                );
                let shown = shown.await.unwrap_or_default();
                let complaints = self.complaints().await;
                let named = self.named().await;
                panic!(
                    "waited in vain for {what}\non {}\nnamed: {named:#?}\nconsole: {complaints:#?}",
                    shown.as_str().unwrap_or_default()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A command of the protocol of Chromium's own tools.
    async fn cdp(&self, name: &'static str, parameters: Value) -> Value {
        let answer = self.try_cdp(name, parameters).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    async fn try_cdp(
        &self,
        name: &'static str,
        parameters: Value,
    ) -> thirtyfour::error::WebDriverResult<Value> {
        let command = Command::ExtensionCommand(Box::new(Cdp(name, parameters)));
        let answer = self.driver.cmd(command).await?;
        answer.value()
    }
}

#[derive(Debug)]
struct Cdp(&'static str, Value);

impl ExtensionCommand for Cdp {
    fn parameters_json(&self) -> Option<Value> {
        Some(json!({ "cmd": self.0, "params": self.1 }))
    }

    fn method(&self) -> reqwest::Method {
        reqwest::Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/goog/cdp/execute".into()
    }
}

fn capabilities(programs: &Programs, chromedriver: &Chromedriver, width: Width) -> Capabilities {
    let (wide, high) = width.size();
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-default-browser-check",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--lang=en",
        // The same shapes of letters on every machine that has the same fonts.
        "--font-render-hinting=none",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!(
        "--user-data-dir={}",
        chromedriver.profile().display()
    ));
    arguments.push(format!("--window-size={wide},{high}"));
    if rustix::process::geteuid().is_root() {
        // Chromium refuses to run as root with it.
        arguments.push("--no-sandbox".to_owned());
    }
    let mut options = json!({ "binary": programs.chromium, "args": arguments });
    if width == Width::Phone {
        options["mobileEmulation"] = json!({
            "deviceMetrics": { "width": wide, "height": high, "pixelRatio": 2, "touch": true, "mobile": true },
        });
    }
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    serde_json::from_value(wanted).expect("capabilities are an object")
}
