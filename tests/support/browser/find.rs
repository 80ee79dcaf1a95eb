//! Things on the page by role and accessible name, and what a person does with them.
//!
//! The names come from the accessibility tree that Chromium makes for screen readers: what cannot be found here cannot
//! be found by somebody who does not see the page, either.

use serde_json::{Value, json};
use thirtyfour::{Key, TypingData, WebElement};

use super::Browser;

/// Roles of WAI-ARIA, as Chromium names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Alert,
    Button,
    Heading,
    Link,
    Status,
    Textbox,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Button => "button",
            Self::Heading => "heading",
            Self::Link => "link",
            Self::Status => "status",
            Self::Textbox => "textbox",
        }
    }
}

impl Browser {
    /// The first thing with this role whose accessible name contains the text, as soon as there is one.
    pub async fn find(&self, role: Role, name: &str) -> WebElement {
        let what = format!("a {} named {name:?}", role.name());
        self.wait_for(&what, async || self.find_now(role, name).await)
            .await
    }

    /// The same if it is there already. A name in quotation marks has to be the whole one.
    pub async fn find_now(&self, role: Role, name: &str) -> Option<WebElement> {
        let whole = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let fits = |found: &str| match whole {
            Some(whole) => found == whole,
            None => found.to_lowercase().contains(&name.to_lowercase()),
        };
        let nodes = self.nodes(role).await?;
        let (_, id) = nodes.into_iter().find(|(found, _)| fits(found))?;
        let resolved = json!({ "backendNodeId": id });
        let resolved = self.try_cdp("DOM.resolveNode", resolved).await.ok()?;
        let keep = json!({
            "objectId": resolved["object"]["objectId"],
            "functionDeclaration": "function () { globalThis.foundByTest = this; }",
        });
        self.try_cdp("Runtime.callFunctionOn", keep).await.ok()?;
        let found = self
            .driver
            .execute("return globalThis.foundByTest", Vec::<Value>::new())
            .await;
        found.ok()?.element().ok()
    }

    /// Clicks or touches it. A click that something else would get is a failure.
    pub async fn click(&self, role: Role, name: &str) {
        let what = format!("a {} named {name:?} that can be clicked", role.name());
        self.wait_for(&what, async || {
            // The page may put another in its place at any time.
            let element = self.find_now(role, name).await?;
            element.scroll_into_view().await.ok()?;
            element.click().await.ok()
        })
        .await;
    }

    /// Opens what is folded under a summary, if it is not open.
    pub async fn open_menu(&self, summary: &str) {
        let script = "const found = [...document.querySelectorAll('summary')].find(one => one.innerText.includes(arguments[0]));
            if (!found) return false; if (!found.parentElement.open) found.click(); return found.parentElement.open;";
        let what = format!("a summary with the text {summary:?}");
        self.until(&what, script, vec![json!(summary)]).await;
    }

    /// Replaces what is written in a field.
    pub async fn write(&self, role: Role, name: &str, text: &str) {
        let field = self.find(role, name).await;
        field.clear().await.expect("the field can be emptied");
        field
            .send_keys(text)
            .await
            .expect("the field can be written in");
    }

    /// Presses keys wherever the focus is.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        let pressed = self.driver.action_chain().send_keys(keys).perform().await;
        pressed.expect("keys are pressed");
    }

    /// Goes on with Tab until the focus is on the thing with this role and name, as somebody without a mouse does.
    pub async fn tab_to(&self, role: Role, name: &str) {
        const FAR: usize = 120;
        let wanted = self.find(role, name).await;
        let wanted = wanted.to_json().expect("an element");
        let mut passed = Vec::new();
        for _ in 0..FAR {
            self.press(Key::Tab).await;
            let script = "const at = document.activeElement;
                if (at === arguments[0]) return true;
                return at.tagName + ' ' + (at.getAttribute('aria-label') || at.innerText || '').slice(0, 40);";
            let at = self.ask(script, vec![wanted.clone()]).await;
            if at == json!(true) {
                return;
            }
            passed.push(at);
        }
        panic!(
            "{FAR} times Tab did not lead to a {} named {name:?}, but to {passed:?}",
            role.name()
        );
    }

    /// Whether the focus can be seen: the element that has it looks other than without.
    pub async fn focus_is_visible(&self) -> bool {
        let script = "const at = document.activeElement, look = () => { const style = getComputedStyle(at);
                return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.backgroundColor,
                    style.borderColor].join(); };
            const focused = look(); at.blur(); const bare = look(); at.focus({ focusVisible: true }); return focused !== bare;";
        self.ask(script, vec![]).await == json!(true)
    }

    /// Everything that could have been found, for whoever has to mend a test.
    pub(super) async fn named(&self) -> Vec<String> {
        let mut named = Vec::new();
        for role in [Role::Heading, Role::Link, Role::Button, Role::Textbox] {
            let nodes = self.nodes(role).await.unwrap_or_default();
            let nodes = nodes.into_iter();
            named.extend(nodes.map(|(name, _)| format!("{} {name:?}", role.name())));
        }
        named
    }

    /// Name and number of each node with the role, or None while the page is changing.
    async fn nodes(&self, role: Role) -> Option<Vec<(String, Value)>> {
        let document = self.try_cdp("DOM.getDocument", json!({ "depth": 0 }));
        let root = document.await.ok()?["root"]["nodeId"].clone();
        let query = json!({ "nodeId": root, "role": role.name() });
        let found = self
            .try_cdp("Accessibility.queryAXTree", query)
            .await
            .ok()?;
        let nodes = found["nodes"].as_array()?.iter();
        let nodes = nodes.filter(|node| node["ignored"] == json!(false));
        let told = nodes.map(|node| {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            (name.to_owned(), node["backendDOMNodeId"].clone())
        });
        Some(told.collect())
    }
}
