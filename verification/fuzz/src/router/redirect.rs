//! What is read out of a node's error.

use bytes::Bytes;
use hotshelf_wire::cluster::Redirect;
use hotshelf_wire::resp::ServerError;
use hotshelf_wire::{Endpoint, SLOTS};

/// A redirection names a slot that exists and a place that can be reached, and is read the
/// same from the words that a server would say it in.
pub(super) fn any(line: &[u8]) {
    let speaker = Endpoint::new("speaker", 1);
    let read = |line: String| Redirect::read(&ServerError::new(Bytes::from(line)), &speaker);
    let error = ServerError::new(Bytes::copy_from_slice(line));
    let told = Redirect::read(&error, &speaker);
    match &told {
        Some(Redirect::Moved(slot, owner)) => {
            assert!(*slot < SLOTS && can_be_reached(owner), "{told:?} is read from {error}");
            assert_eq!(read(format!("MOVED {slot} {}:{}", owner.host(), owner.port())), told);
        }
        Some(Redirect::Ask(owner)) => {
            assert!(can_be_reached(owner), "{told:?} is read from {error}");
            assert_eq!(read(format!("ASK 0 {}:{}", owner.host(), owner.port())), told);
        }
        Some(Redirect::TryAgain) => assert!(line.starts_with(b"TRYAGAIN"), "{error}"),
        Some(Redirect::Down) => assert!(line.starts_with(b"CLUSTERDOWN"), "{error}"),
        None => {}
    }
}

pub(super) fn can_be_reached(owner: &Endpoint) -> bool {
    owner.port() > 0 && !owner.host().is_empty() && owner.host() != "?"
}
