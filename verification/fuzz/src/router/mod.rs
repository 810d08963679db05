//! A command goes to the owner of its slot, and the map of slots is fetched in time.

mod command;
mod events;
mod map;
mod redirect;

use crate::input::Input;

/// Interprets the input according to its first byte: a command, replies that may be maps, an
/// error that may be a redirection, or the events of a router.
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
