//! The tests of this crate run the core's flights under the locks of shuttle.
