//! The tests of this crate run the core's flights and its near tier with the locks of shuttle.
