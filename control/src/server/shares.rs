//! How the places for applications and for control connections are divided among users, so that none of
//! those whom `allow_users` names can shut out the others, root, or the engine's own user.

/// Of so many places one is kept for root and the engine's own user.
const KEPT_OF: usize = 8;

/// A bounded number of places.
#[derive(Copy, Clone, Debug)]
pub(super) struct Places {
    all: usize,
}

impl Places {
    /// So many.
    pub(super) fn new(all: usize) -> Self {
        Self { all }
    }

    /// Whether another user than root and the engine's own may take one more place, when `others` of
    /// them together have so many and this one has `own` of those: some are kept for root and the
    /// engine's user, and of the rest one user has half at most.
    pub(super) fn has_one_for(self, own: usize, others: usize) -> bool {
        let open = self.all - self.all.div_ceil(KEPT_OF).min(self.all / 2);
        others < open && own < open.div_ceil(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_half_to_the_others_and_all_leave_some_to_root() {
        let places = Places::new(256);
        let mut users = [0; 3];
        for user in 0..users.len() {
            while places.has_one_for(users[user], users.iter().sum()) {
                users[user] += 1;
            }
        }
        assert_eq!(users, [112, 112, 0]);
    }

    #[test]
    fn few_places_are_of_use_to_somebody() {
        assert!(Places::new(1).has_one_for(0, 0));
        assert!(Places::new(2).has_one_for(0, 0));
        assert!(!Places::new(2).has_one_for(1, 1));
    }
}
