//! The interface that a port is attached to, which may be deleted under it.

use super::PortError;

/// An interface, until it is deleted.
#[derive(Debug)]
pub(super) struct Attachment {
    name: String,
    gone: bool,
}

impl Attachment {
    /// To the interface `name`, which exists.
    pub(super) fn to(name: &str) -> Self {
        Self {
            name: name.into(),
            gone: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that the interface was deleted. It never comes back: one of the same name is another.
    pub(super) fn lose(&mut self) {
        self.gone = true;
    }

    pub(super) fn is_lost(&self) -> bool {
        self.gone
    }

    /// The error of every call of a port whose interface was deleted.
    pub(super) fn check(&self) -> Result<(), PortError> {
        if self.gone {
            return Err(self.gone());
        }
        Ok(())
    }

    /// The error itself.
    pub(super) fn gone(&self) -> PortError {
        PortError::Gone {
            name: self.name.clone(),
        }
    }
}
