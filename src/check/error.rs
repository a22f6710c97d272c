//! Why nothing could be seen.

use crate::model::Trouble;

/// The reason an observation failed; it becomes the verdict *error*, never *fail*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProbeError {
    /// What went wrong, with file and offset where there is one.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whether it may go away by itself.
    pub transient: bool,
}

impl ProbeError {
    /// Makes an error that stays.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: None,
            transient: false,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Marks an error that may go away by itself.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }
}

impl From<ProbeError> for Trouble {
    fn from(error: ProbeError) -> Self {
        Self {
            message: error.message,
            remedy: error.remedy,
            transient: error.transient,
        }
    }
}
