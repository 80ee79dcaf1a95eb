//! Why an event is in the day, and what the demo says of it.

/// Why an event is in the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tutorial,
    Session,
    Health,
    Picture,
    Calm,
    Reading,
    NotAbove,
    Fires,
    Overtaken,
    Between,
    Clears,
    AlertFirst,
    AlertAfter,
    Late,
    TextNumbers,
    NoTime,
    Retried,
    UploadedTwice,
}

impl Kind {
    /// A few words for the demo's output; an ordinary reading needs none.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tutorial => "the tutorial's event of 2022: too old for an alarm",
            Self::Session => "Notehub's own: a session began",
            Self::Health => "the station's health",
            Self::Picture => "a third of a picture",
            Self::Calm => "the switchboard, where all is calm",
            Self::Reading => "",
            Self::NotAbove => "exactly 0.7 is not above it",
            Self::Fires => "the same moment as its alert.qo twin: one incident",
            Self::Overtaken => "overtaken by the peak, which has decided already",
            Self::Between => "under 0.7 but not under 0.5: still firing",
            Self::Clears => "below 0.5: all clear",
            Self::AlertFirst => "sent at once, before its thermal.qo twin",
            Self::AlertAfter => "overtaken by its thermal.qo twin",
            Self::Late => "overtaken by three later notes",
            Self::TextNumbers => "numbers as text",
            Self::NoTime => "no time by the Notecard: the one in the note counts",
            Self::Retried => "sent again by Notehub",
            Self::UploadedTwice => "uploaded twice by an interrupted sync",
        }
    }

    /// Whether the event was posted before.
    pub(super) fn is_repeat(self) -> bool {
        matches!(self, Self::Retried | Self::UploadedTwice)
    }
}
