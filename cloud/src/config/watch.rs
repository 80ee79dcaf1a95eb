//! `[watch]`: when the silence of a station is an alarm, and whom it concerns.

use std::time::Duration;

use super::section::Section;
use super::{Expression, Rule, Severity, Threshold, Watch, Wording, flow};

/// The name that incidents of silent stations have in the place of a rule's; no `[[rule]]` may have it.
pub const SILENT: &str = "silent";

const SECOND: Duration = Duration::from_secs(1);

/// `told` are the destinations that are told if the section does not say.
pub(super) fn read(mut section: Section<'_>, told: Vec<String>) -> Watch {
    let severities = [Severity::Critical, Severity::Warning, Severity::Info]
        .map(|severity| (severity.word(), severity));
    let watch = Watch {
        enabled: section.boolean("enabled", true),
        silent_after: section.duration("silent_after", Duration::from_mins(90), SECOND),
        grace: section.duration("grace", Duration::from_mins(30), Duration::ZERO),
        severity: section
            .choice("severity", &severities)
            .unwrap_or(Severity::Critical),
        notify: section.texts("notify").unwrap_or(told),
        repeat: section.duration_or_none("repeat", Some(flow::REPEAT), SECOND),
    };
    section.close();
    watch
}

impl Watch {
    /// How the silence of a station is told: as a rule that no note is judged by.
    pub fn rule(&self) -> Rule {
        Rule {
            name: SILENT.to_owned(),
            files: Vec::new(),
            devices: Vec::new(),
            fleets: Vec::new(),
            products: Vec::new(),
            value: Expression {
                text: "null".to_owned(),
                source: "[watch]".to_owned(),
            },
            fire: Threshold::Above(0.0),
            clear: 0.0,
            hold: Duration::ZERO,
            clear_hold: Duration::ZERO,
            count: flow::ONCE,
            missing: None,
            severity: self.severity,
            notify: self.notify.clone(),
            message: None,
            wording: Wording::Silence,
            cooldown: flow::COOLDOWN,
            repeat: self.repeat,
            max_age: flow::MAX_AGE,
        }
    }
}
