//! The tests of this crate run the core's flights with the locks of shuttle.
