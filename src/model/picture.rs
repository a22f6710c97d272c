//! What a check has seen, as something that can be drawn.
//!
//! A kind says what there is to be drawn, and every report draws it in its own way. The lines for
//! people are here, because more than one report shows them.

use super::path::printable;
use super::size::show_size;
use super::value::clip;
use serde::Serialize;

/// A walk keeps this many steps; more of them are a script that goes round.
const MOST_STEPS: usize = 30;
/// Those that are left out would stand before this one.
const GAP: usize = MOST_STEPS / 2;
/// A text of a picture has at most about this many characters.
const MOST_TEXT: usize = 1000;

/// Something to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// Questions of a machine to servers, and where that ends.
    Walk(Walk),
    /// The files in which more is to be seen, as they were named.
    Files(Vec<String>),
}

/// What a machine asked servers for, one after the other, and where that led.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Walk {
    /// The machine, in a few words.
    pub machine: String,
    /// What was asked, in order, and what came: of many steps the first and the last.
    pub steps: Vec<Step>,
    /// How many steps are left out, in the middle of those that are there.
    pub left_out: usize,
    /// Where it ends.
    pub end: End,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `dhcp`, `tftp`, `http` or `https`.
    pub protocol: String,
    /// What the server is to the machine: as the protocol, or `proxy-dhcp` or `boot-server`.
    pub role: String,
    /// Who answered.
    pub from: String,
    /// What was asked for.
    pub what: String,
    /// What came.
    pub came: String,
    /// The bytes of a file that came.
    pub size: Option<u64>,
    /// How long it took, in seconds.
    pub took: Option<f64>,
}

/// The end of a walk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct End {
    /// Whether the machine gets to where it is meant to get.
    pub how: How,
    /// The outcome, or the fault's name.
    pub name: String,
    /// Where the machine is stopped.
    pub stage: Option<String>,
    /// What starts, or why not, in words.
    pub text: String,
}

/// Whether a machine arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A kernel starts.
    Arrived,
    /// Something else starts, and where that leads is not known.
    Elsewhere,
    /// Something stops the machine.
    Stopped,
}

impl Walk {
    /// Makes a walk of all its steps, of which it keeps those that fit.
    #[must_use]
    pub fn new(machine: String, mut steps: Vec<Step>, end: End) -> Self {
        let left_out = steps.len().saturating_sub(MOST_STEPS);
        // The beginning says what was offered, the end what went wrong.
        if left_out > 0 {
            steps.drain(GAP..GAP + left_out);
        }
        Self {
            machine,
            steps,
            left_out,
            end,
        }
    }

    /// Tells before which step some are left out.
    #[must_use]
    pub fn gap(&self) -> Option<usize> {
        (self.left_out > 0).then_some(GAP)
    }

    fn lines(&self) -> Vec<String> {
        let from = |step: &Step| step.from.chars().count();
        let width = self.steps.iter().map(from).max().unwrap_or(0).min(40);
        let mut lines = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            if self.gap() == Some(index) {
                lines.push(format!("  ⋮    {} more", self.left_out));
            }
            let Step {
                protocol,
                from,
                what,
                ..
            } = step;
            lines.push(format!("{protocol:<5}  {from:width$}  {what}"));
            lines.push(format!("  │    {:width$}  {}", "", step.answer()));
        }
        lines.push(self.end.line());
        lines
    }
}

impl Step {
    /// Gives what came, with its size.
    #[must_use]
    pub fn answer(&self) -> String {
        match self.size {
            Some(size) => format!("{}, {}", self.came, show_size(size)),
            None => self.came.clone(),
        }
    }
}

impl End {
    fn line(&self) -> String {
        let Self { name, text, .. } = self;
        match self.how {
            How::Stopped => {
                let stage = self.stage.as_deref().unwrap_or_default();
                format!("  ╳    {name} ({stage}): {text}")
            }
            How::Arrived => format!("  ▼    {text}"),
            How::Elsewhere => format!("  ▼    {name}: {text}"),
        }
    }
}

impl Picture {
    /// Draws it for people, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let lines = match self {
            Self::Walk(walk) => walk.lines(),
            Self::Files(files) => files.iter().map(|file| format!("kept  {file}")).collect(),
        };
        // What a server says makes no line of its own.
        lines.iter().map(|line| printable(line)).collect()
    }

    /// Passes each text through a function, and cuts what is too long then.
    pub fn texts(&mut self, change: &dyn Fn(&str) -> String) {
        let cut = |text: &mut String| *text = clip(&change(text), MOST_TEXT);
        match self {
            Self::Walk(Walk {
                machine,
                steps,
                left_out: _,
                end,
            }) => {
                cut(machine);
                for step in steps {
                    cut(&mut step.from);
                    cut(&mut step.what);
                    cut(&mut step.came);
                }
                cut(&mut end.text);
            }
            // A path that is cut leads nowhere.
            Self::Files(files) => files.iter_mut().for_each(|file| *file = change(file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(protocol: &str, what: &str, came: &str, size: Option<u64>) -> Step {
        Step {
            protocol: protocol.to_owned(),
            role: protocol.to_owned(),
            from: "10.0.0.1".to_owned(),
            what: what.to_owned(),
            came: came.to_owned(),
            size,
            took: None,
        }
    }

    fn end(how: How, name: &str, stage: Option<&str>, text: &str) -> End {
        End {
            how,
            name: name.to_owned(),
            stage: stage.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    fn drawn(steps: Vec<Step>, end: End) -> Vec<String> {
        Picture::Walk(Walk::new("arm64".to_owned(), steps, end)).lines()
    }

    #[test]
    fn a_walk_is_drawn_to_where_it_stops() {
        let steps = vec![
            step("dhcp", "DISCOVER of PXEClient", "boot file `x.efi`", None),
            step(
                "tftp",
                "tftp://10.0.0.1/x.efi",
                "ipxe, pe for amd64",
                Some(4096),
            ),
        ];
        let stop = end(
            How::Stopped,
            "wrong-architecture",
            Some("boot-file"),
            "`x.efi` is for amd64",
        );
        let wanted = "\
dhcp   10.0.0.1  DISCOVER of PXEClient
  │              boot file `x.efi`
tftp   10.0.0.1  tftp://10.0.0.1/x.efi
  │              ipxe, pe for amd64, 4.0 KiB
  ╳    wrong-architecture (boot-file): `x.efi` is for amd64";
        assert_eq!(drawn(steps, stop).join("\n"), wanted);
        let boots = end(How::Arrived, "boot", None, "http://h/kernel starts: quiet");
        assert_eq!(
            drawn(vec![], boots),
            ["  ▼    http://h/kernel starts: quiet"]
        );
        let disk = end(How::Elsewhere, "disk", None, "a disk");
        assert_eq!(drawn(vec![], disk), ["  ▼    disk: a disk"]);
    }

    #[test]
    fn what_a_server_says_makes_no_line_and_drives_no_terminal() {
        let steps = vec![step("tftp", "x\ndhcp  forged", "\u{1b}[2J", None)];
        let lines = drawn(steps, end(How::Arrived, "boot", None, "k starts: \u{1b}c"));
        assert_eq!(lines.len(), 3);
        assert!(!lines.concat().contains(char::is_control), "{lines:?}");
    }

    #[test]
    fn of_many_steps_the_first_and_the_last_are_drawn() {
        let steps = (0..100).map(|n| step("http", &format!("step {n}."), "", None));
        let lines = drawn(steps.collect(), end(How::Stopped, "loop", None, ""));
        assert_eq!(lines.len(), 2 * MOST_STEPS + 2);
        let all = lines.join("\n");
        assert!(all.contains("step 0.") && all.contains("step 99.") && all.contains("70 more"));
        assert!(!all.contains("step 50."));
        let few = (0..30).map(|n| step("http", &format!("step {n}."), "", None));
        assert!(
            !drawn(few.collect(), end(How::Stopped, "loop", None, ""))
                .join("\n")
                .contains("more")
        );
    }

    #[test]
    fn texts_are_hidden_first_and_cut_then() {
        let long = "x".repeat(2000);
        let steps = vec![step("http", &format!("{long} secret"), "secret", None)];
        let mut picture = Picture::Walk(Walk::new(
            "secret".to_owned(),
            steps,
            end(How::Stopped, "loop", None, "a secret"),
        ));
        picture.texts(&|text| text.replace("secret", "•••"));
        let all = format!("{picture:?}");
        assert!(
            !all.contains("secret") && all.contains("more characters"),
            "{all}"
        );
        assert!(all.len() < 2000);
    }
}
