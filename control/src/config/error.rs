//! What is wrong with a configuration: one sentence, with file and line.

use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; `braid engine --config FILE` names another", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {sentence}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what mends it.
        sentence: String,
    },
}

/// What is wrong with a document, and where it is.
#[derive(Debug)]
pub(super) struct Fault {
    /// Bytes of the text.
    place: Range<usize>,
    sentence: String,
}

impl Fault {
    pub(super) fn new(place: Range<usize>, sentence: impl Display) -> Self {
        Self {
            place,
            sentence: sentence.to_string(),
        }
    }

    pub(super) fn locate(self, path: &Path, text: &str) -> ConfigError {
        let before = text.as_bytes().get(..self.place.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        ConfigError::Wrong {
            path: path.into(),
            line,
            sentence: self.sentence,
        }
    }
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        let place = error.span().unwrap_or(0..0);
        // The parser may tell more on further lines; one sentence is one line.
        let sentence = error.message().replace('\n', "; ");
        Self { place, sentence }
    }
}
