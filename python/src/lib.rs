//! hotshelf's engine and Redis client on Python's event loops, and in threads without one.
//!
//! The engine's futures run on the loop's own thread, between its callbacks
//! ([`executor`], [`driver`]): Rust encodes, decodes, matches replies and completes futures;
//! the loop only signals ready sockets and due timers. Rust never awaits Python: on a miss it
//! returns a ticket to Python code, which awaits the factory in the caller's own task and then
//! completes the load. In a thread without an event loop, operations block ([`threads`]).
#![forbid(unsafe_code)]

mod admin;
mod arguments;
mod cache;
mod cli;
mod client;
mod convert;
mod defaults;
mod driver;
mod errors;
mod executor;
mod finalization;
mod fork;
mod host;
mod idle;
mod kept;
mod limit;
mod load_many;
mod log;
mod optimistic;
mod pending;
mod pub_sub;
mod refresh;
mod runtime;
mod socket;
mod spans;
mod store;
mod test_backend;
mod threads;
mod ticket;
mod trace;
mod transport;
mod turns;
mod value;
mod write_guard;

use pyo3::prelude::*;

/// The extension module of hotshelf.
#[pymodule]
fn _hotshelf(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::load(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<store::Store>()?;
    module.add_class::<test_backend::TestBackend>()?;
    module.add_class::<cache::Cache>()?;
    module.add_class::<admin::Admin>()?;
    module.add_class::<write_guard::PyWriteGuard>()?;
    module.add_class::<cli::Dashboard>()?;
    module.add_class::<client::Client>()?;
    module.add_class::<client::KeyScan>()?;
    module.add_class::<optimistic::Optimistic>()?;
    module.add_class::<pub_sub::PubSub>()?;
    module.add_class::<driver::Driver>()?;
    module.add_class::<pending::Pending>()?;
    module.add_class::<ticket::Ticket>()?;
    module.add_class::<refresh::Refresh>()?;
    module.add_class::<limit::Limit>()?;
    module.add_class::<load_many::ManyLoad>()?;
    module.add_class::<ticket::Failed>()?;
    module.add_class::<trace::Trace>()?;
    module.add_class::<trace::InheritedTags>()?;
    module.add_class::<value::Unencoded>()?;
    module.add_class::<value::Encoded>()?;
    module.add_class::<value::Missing>()?;
    module.add_function(wrap_pyfunction!(fork::before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(fork::after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(store::after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(threads::is_blocking, module)?)?;
    module.add_function(wrap_pyfunction!(threads::set_blocking, module)?)?;
    module.add_function(wrap_pyfunction!(admin::admin_error, module)?)?;
    module.add_function(wrap_pyfunction!(spans::collect_spans, module)?)?;
    module.add_function(wrap_pyfunction!(cli::run_cli, module)?)?;
    module.add_function(wrap_pyfunction!(store::declare_prefix, module)?)?;
    module.add_function(wrap_pyfunction!(arguments::mode_after_undecodable, module)?)?;
    module.add_function(wrap_pyfunction!(defaults::defaults, module)?)?;
    let at_exit = wrap_pyfunction!(finalization::at_exit, module)?;
    module.py().import("atexit")?.call_method1("register", (at_exit,))?;
    log::install();
    Ok(())
}
