//! Colour for terminals, and none where nobody would see it.

use std::io::IsTerminal as _;

/// Whether output may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Colour,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Warm,
    Cool,
    Dim,
    Strong,
}

impl Ink {
    /// Plain when stdout is no terminal, when `NO_COLOR` is set to anything, and on dumb terminals.
    pub fn of_stdout() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self::choose(
            std::io::stdout().is_terminal(),
            &variable("NO_COLOR"),
            &variable("TERM"),
        )
    }

    fn choose(terminal: bool, no_color: &str, term: &str) -> Self {
        if terminal && no_color.is_empty() && term != "dumb" {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if self == Self::Plain || text.trim().is_empty() => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warm => "33",
            Tone::Cool => "36",
            Tone::Dim => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_for_terminals_that_want_it() {
        assert_eq!(Ink::choose(true, "", "xterm"), Ink::Colour);
        assert_eq!(Ink::choose(false, "", "xterm"), Ink::Plain);
        assert_eq!(Ink::choose(true, "1", "xterm"), Ink::Plain);
        assert_eq!(Ink::choose(true, "", "dumb"), Ink::Plain);
        assert_eq!(Ink::Plain.paint(Tone::Bad, "x"), "x");
        assert_eq!(Ink::Colour.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
