//! Reading redirections from the errors of nodes.

use bytes::Bytes;
use hotshelf_wire::cluster::Redirect;
use hotshelf_wire::resp::ServerError;
use hotshelf_wire::{Endpoint, SLOTS};

/// A redirection names an existing slot and a reachable endpoint, and is read the same from the
/// text in which a server would send it.
pub(super) fn any(line: &[u8]) {
    let sender = Endpoint::new("sender", 1);
    let read = |line: String| Redirect::read(&ServerError::new(Bytes::from(line)), &sender);
    let error = ServerError::new(Bytes::copy_from_slice(line));
    let redirect = Redirect::read(&error, &sender);
    match &redirect {
        Some(Redirect::Moved(slot, owner)) => {
            assert!(*slot < SLOTS && can_be_reached(owner), "{redirect:?} is read from {error}");
            assert_eq!(read(format!("MOVED {slot} {}:{}", owner.host(), owner.port())), redirect);
        }
        Some(Redirect::Ask(owner)) => {
            assert!(can_be_reached(owner), "{redirect:?} is read from {error}");
            assert_eq!(read(format!("ASK 0 {}:{}", owner.host(), owner.port())), redirect);
        }
        Some(Redirect::TryAgain) => assert!(line.starts_with(b"TRYAGAIN"), "{error}"),
        Some(Redirect::Down) => assert!(line.starts_with(b"CLUSTERDOWN"), "{error}"),
        None => {}
    }
}

pub(super) fn can_be_reached(owner: &Endpoint) -> bool {
    owner.port() > 0 && !owner.host().is_empty() && owner.host() != "?"
}
