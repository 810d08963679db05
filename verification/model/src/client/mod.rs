//! The clients: processes whose calls share flights, and writers.

mod batch;
mod call;
mod flight;
mod hand_over;
mod insert;
mod lead;
mod near;
mod nested;
mod outcome;
mod process;
mod program;
mod refresh;
mod scan;
mod stale;
mod writer;

pub(crate) use call::CallStep;
pub(crate) use flight::{FlightId, FlightStep};
pub(crate) use near::NearStep;
pub(crate) use process::Process;
pub(crate) use program::WriterKind;
pub(crate) use writer::{Writer, WriterStep};
