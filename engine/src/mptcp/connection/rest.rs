//! Memory that a connection took for data and needs no more once it is idle.

use super::Connection;

impl Connection {
    /// Gives back what nothing is in. What comes next takes it again, so this is for a connection on which
    /// nothing has happened for a while.
    pub fn release_spare(&mut self) {
        self.send.buffer.release_memory();
        self.send.reinject.release_spare();
        self.receive.release_spare();
        self.views.shrink_to_fit();
        for view in &mut self.views {
            view.ledger.release_spare();
        }
    }
}
