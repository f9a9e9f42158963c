//! The tables of states as snapshots: a change of behaviour shows as a diff.

use braid_engine::mptcp::connection::{CloseEvent, DataState, Sign, Standing};
use std::fmt::Write;

#[test]
fn data_level_states() {
    let mut table = String::new();
    for state in DataState::ALL {
        for event in CloseEvent::ALL {
            let after = match state.on(event) {
                Ok(after) => format!("{after:?}"),
                Err(_) => "illegal".to_owned(),
            };
            let row = format!("{state:?} + {event:?}");
            writeln!(table, "{row:<32} {after}").expect("a string takes it");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn fallback_decisions() {
    let mut table = String::new();
    for standing in Standing::ALL {
        for sign in Sign::ALL {
            let row = format!("{standing:?} + {sign:?}");
            writeln!(table, "{row:<40} {:?}", standing.judge(sign)).expect("a string takes it");
        }
    }
    insta::assert_snapshot!(table);
}
