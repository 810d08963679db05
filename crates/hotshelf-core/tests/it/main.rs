//! The core from outside.

mod golden_keys;
mod params_python;
mod simulation;
