//! A command goes to the owner of its slot, and the map of slots is asked for in time.

mod command;
mod events;
mod map;
mod redirect;

use crate::input::Input;

/// Takes the input for what its first byte says: a command, replies that may be maps, an
/// error that may redirect, or what happens to a router.
pub fn router(input: &[u8]) {
    let mut input = Input(input);
    match input.small() {
        b'c' => command::any(input),
        b'f' => command::of_a_known_form(input),
        b'm' => map::any(input.0),
        b's' => map::of_slots(input),
        b'r' => redirect::any(input.0),
        _ => events::happen(input),
    }
}
