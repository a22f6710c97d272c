//! Why a name leads to nothing.

use std::sync::Arc;

/// Bytes of a name.
const MAX_NAME: usize = 4096;

/// Why a name leads to nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Nothing is there.
    NotThere,
    /// It is a link to something that is not there.
    Dangling,
    /// It leads out of the folder.
    Outside,
    /// It, or a folder on the way, begins with a dot.
    Hidden,
    /// It is neither a file nor a folder.
    Special,
    /// It may not be read, or cannot be just now.
    Unreadable,
    /// It is not what was judged any more.
    Changed,
    /// A loop's folder holds it, and no loop judged it.
    Unjudged,
    /// It is larger than what is read of it.
    Large,
    /// It is a folder with more entries than are looked at.
    Many,
    /// Nothing is given for now: what was judged is not green, and why.
    NotGreen(Red),
    /// Something that a machine would need cannot be had; it is told nothing rather than to boot
    /// without it.
    Without {
        /// What, and why.
        what: String,
        /// Whether it may be had later, once it has been judged again.
        passes: bool,
    },
    /// Nothing says what a machine is to boot.
    Unsaid(String),
}

/// Why what was judged is not green: what everybody may hear of it, and what the one who serves is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Red {
    told: Arc<str>,
    known: Arc<str>,
}

impl Red {
    /// Makes one that everybody may hear.
    pub fn told(why: impl Into<Arc<str>>) -> Self {
        let told = why.into();
        let known = Arc::clone(&told);
        Self { told, known }
    }

    /// Makes one of which others than the one who serves hear less: where things lie on this machine is
    /// none of their business.
    pub fn known(told: impl Into<Arc<str>>, known: impl Into<Arc<str>>) -> Self {
        let (told, known) = (told.into(), known.into());
        Self { told, known }
    }
}

impl Refusal {
    /// Says it to everybody.
    pub fn told(&self) -> &str {
        match self {
            Self::NotGreen(why) => &why.told,
            other => other.shown(),
        }
    }

    /// Says it to the one who serves.
    pub fn shown(&self) -> &str {
        match self {
            Self::NotThere => "nothing is there",
            Self::Dangling => "it is a link to what is not there",
            Self::Outside => "it leads out of the folder",
            Self::Hidden => "names that begin with a dot are not served",
            Self::Special => "it is neither a file nor a folder",
            Self::Unreadable => "it cannot be read",
            Self::Changed => {
                "it was changed after it was judged: build it until it is green (tdg generate)"
            }
            Self::Unjudged => {
                "no loop judged it: build it until it is green (tdg generate), or start tdg serve \
                 again with --force"
            }
            Self::Large => "it is too large",
            Self::Many => "it has more entries than are looked at",
            Self::NotGreen(why) => &why.known,
            Self::Without { what, .. } => what,
            Self::Unsaid(why) => why,
        }
    }

    /// Tells whether it may be given later, once it has been judged again.
    pub fn passes(&self) -> bool {
        match self {
            Self::Changed | Self::NotGreen(_) => true,
            Self::Without { passes, .. } => *passes,
            Self::NotThere
            | Self::Dangling
            | Self::Outside
            | Self::Hidden
            | Self::Special
            | Self::Unreadable
            | Self::Unjudged
            | Self::Large
            | Self::Many
            | Self::Unsaid(_) => false,
        }
    }
}

/// Gives the parts of a name with single slashes between them, or refuses one that would lead
/// elsewhere.
///
/// # Errors
/// Says why.
pub fn plain(name: &str) -> Result<String, Refusal> {
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(Refusal::NotThere);
    }
    let parts = name.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.filter(|part| *part != ".").collect();
    if parts.contains(&"..") {
        return Err(Refusal::Outside);
    }
    match parts.iter().any(|part| part.starts_with('.')) {
        true => Err(Refusal::Hidden),
        false => Ok(parts.join("/")),
    }
}
