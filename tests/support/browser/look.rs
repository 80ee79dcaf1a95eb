//! What a person sees of a page, and what the page complains of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Browser, Width, programs};

/// What loading a page took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Bytes that went over the wire, heads of answers included.
    pub bytes: u64,
    /// Each answer's address and bytes.
    pub parts: Vec<(String, u64)>,
}

impl Browser {
    /// Waits until the text is to be seen somewhere on the page.
    pub async fn see(&self, text: &str) {
        let script =
            "return document.body.innerText.toLowerCase().includes(arguments[0].toLowerCase())";
        self.until(&format!("the text {text:?}"), script, vec![json!(text)])
            .await;
    }

    /// Everything that can be read on the page now.
    pub async fn text(&self) -> String {
        let text = self.ask("return document.body.innerText", vec![]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a canvas inside what the selector finds is drawn, and returns how many of its pixels are.
    ///
    /// Drawn are pixels of another colour than the most frequent one; an empty canvas has none.
    pub async fn drawn(&self, selector: &str) -> u64 {
        let script = "const canvas = document.querySelector(arguments[0]);
            if (!canvas || !canvas.width || !canvas.height) return 0;
            const data = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
            const count = new Map(); for (const pixel of data) count.set(pixel, (count.get(pixel) || 0) + 1);
            return data.length - Math.max(...count.values());";
        let what = format!("a drawing on {selector}");
        let drawn = self.until(&what, script, vec![json!(selector)]).await;
        drawn.as_u64().unwrap_or_default()
    }

    /// Waits until every picture that the selector finds and that is on the screen, and at least one, is there and whole.
    pub async fn pictures(&self, selector: &str) -> u64 {
        let script = "const seen = one => { const box = one.getBoundingClientRect();
                return box.bottom > 0 && box.top < innerHeight && box.width > 0; };
            const all = [...document.querySelectorAll(arguments[0])];
            if (!all.some(seen)) all[0]?.scrollIntoView({ block: 'center' });
            const shown = all.filter(seen);
            return shown.every(one => one.complete && one.naturalWidth > 0) && shown.length;";
        let what = format!("the pictures {selector}");
        let shown = self.until(&what, script, vec![json!(selector)]).await;
        shown.as_u64().unwrap_or_default()
    }

    /// Whether the page has to be pushed to the side to be read, which on a phone it must not.
    pub async fn is_too_wide(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth + 1";
        self.ask(script, vec![]).await == json!(true)
    }

    /// Forgets files of earlier pages, so that the next one is loaded as by somebody who comes for the first time.
    pub async fn forget_files(&self) {
        self.cdp("Network.clearBrowserCache", json!({})).await;
    }

    /// What went over the wire for the page that is open, as far as it is loaded.
    pub async fn load(&self) -> Load {
        let script =
            "return ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
            .map(entry => [entry.name, entry.transferSize])";
        let entries = self.ask(script, vec![]).await;
        let entries = entries.as_array().cloned().unwrap_or_default().into_iter();
        let parts: Vec<(String, u64)> = entries
            .map(|entry| {
                let name = entry[0].as_str().unwrap_or_default();
                (name.to_owned(), entry[1].as_u64().unwrap_or_default())
            })
            .collect();
        Load {
            bytes: parts.iter().map(|(_, bytes)| bytes).sum(),
            parts,
        }
    }

    /// What the page complained of since this was last asked: errors of scripts, refused content, failed requests.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap_or_default();
        let severe = log.into_iter().filter(|entry| entry.level == "SEVERE");
        severe.map(|entry| entry.message).collect()
    }

    /// What axe-core finds wrong with the page for people who use it otherwise, if it is serious or critical.
    ///
    /// `THERMAL_WATCH_AXE` names its script, which `.ci/axe` fetches; without it that is said, and nothing is found.
    pub async fn barriers(&self) -> Vec<String> {
        let Some(axe) = axe() else {
            return Vec::new();
        };
        // As text and not by a tag, so that the page's own policy need not allow it.
        self.ask(axe, vec![]).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then(found => done(found.violations), error => done(String(error)));";
        let found = self.driver.execute_async(script, Vec::<Value>::new()).await;
        let found = found.expect("axe-core runs").json().clone();
        let violations = found
            .as_array()
            .unwrap_or_else(|| panic!("axe-core failed: {found}"));
        let serious = violations.iter().filter(|violation| {
            matches!(violation["impact"].as_str(), Some("serious" | "critical"))
        });
        serious.map(barrier).collect()
    }

    /// The page as PNG, from its top and as far down as it goes, but at most `screens` windows.
    pub async fn picture(&self, width: Width, screens: f64) -> Vec<u8> {
        let (wide, high) = width.size();
        // At two pixels each a phone is as wide as a desktop, and nobody sees it that large.
        let scale = if width == Width::Phone { 0.75 } else { 1.0 };
        // Nobody wants to see the room that is kept for a bar to scroll with.
        let script = "document.documentElement.style.scrollbarGutter = 'auto'; window.scrollTo(0, 0); return document.documentElement.scrollHeight";
        let whole = self.ask(script, vec![]).await.as_f64().unwrap_or_default();
        let all = "const all = [...document.images]; for (const one of all) one.loading = 'eager';
            return all.every(one => one.complete)";
        self.until("all pictures of the page", all, vec![]).await;
        let high = f64::from(high);
        let shown = whole.clamp(high.min(whole.max(1.0)), high * screens);
        let parameters = json!({
            "format": "png", "captureBeyondViewport": true,
            "clip": { "x": 0, "y": 0, "width": wide, "height": shown, "scale": scale },
        });
        let taken = self.cdp("Page.captureScreenshot", parameters).await;
        let data = taken["data"].as_str().unwrap_or_default();
        STANDARD.decode(data).expect("base64")
    }
}

fn barrier(violation: &Value) -> String {
    let text = |key: &str| violation[key].as_str().unwrap_or_default().to_owned();
    let nodes = violation["nodes"].as_array().cloned().unwrap_or_default();
    let places: Vec<String> = nodes
        .iter()
        .map(|node| {
            format!(
                "{} ({})",
                node["target"],
                node["failureSummary"].as_str().unwrap_or_default()
            )
        })
        .collect();
    format!(
        "{} {}: {} at {}",
        text("impact"),
        text("id"),
        text("help"),
        places.join("; ")
    )
}

/// The script, read once.
fn axe() -> Option<&'static str> {
    static AXE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let script = AXE.get_or_init(|| {
        let Some(path) = std::env::var_os("THERMAL_WATCH_AXE") else {
            programs::say(
                "left out: axe-core on the pages (THERMAL_WATCH_AXE=$(.ci/axe) names its script)",
            );
            return None;
        };
        let script = std::fs::read_to_string(&path);
        Some(
            script.unwrap_or_else(|error| panic!("THERMAL_WATCH_AXE, {}: {error}", path.display())),
        )
    });
    script.as_deref()
}
