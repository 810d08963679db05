//! The command line, for `python -m hotshelf`.

use std::ffi::OsString;
use std::sync::Arc;

use hotshelf_cli::{Connection, Host, Outcome, StandardTerminal};
use hotshelf_core::cache::LEASE;
use hotshelf_core::{ByteStore, Error, Runtime};
use hotshelf_redis::{RedisBackend, RedisOptions};
use pyo3::prelude::*;

use crate::errors::exception;
use crate::pending::outcome;
use crate::runtime::LoopRuntime;
use crate::store::Store;
use crate::transport::LoopTransport;
use crate::{finalization, threads};

/// Connects on the sockets of the threads without an event loop.
struct ThreadHost;

impl Host for ThreadHost {
    fn connect(&self, options: &RedisOptions) -> Result<Connection, Error> {
        let transport = Arc::new(LoopTransport::new(options)?);
        let runtime: Arc<dyn Runtime> = Arc::new(LoopRuntime);
        let backend = RedisBackend::on(transport, options, Arc::clone(&runtime));
        let redis = backend.client().clone();
        let store = ByteStore::with_options(Arc::new(backend), runtime, LEASE, None)?;
        Ok(Connection { store, redis })
    }
}

/// The admin page that a command asks for.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Dashboard(hotshelf_cli::Dashboard);

#[pymethods]
impl Dashboard {
    /// Returns the URL of the server, with its password.
    #[getter]
    fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the address to listen on.
    #[getter]
    fn listen(&self) -> (String, u16) {
        (self.0.listen.ip().to_string(), self.0.listen.port())
    }

    /// Returns whether visitors may invalidate.
    #[getter]
    fn writes(&self) -> bool {
        self.0.writes
    }

    /// Returns whether visitors may see values.
    #[getter]
    fn values(&self) -> bool {
        self.0.values
    }

    /// Returns whether a request with this header `Host` is answered.
    fn allows_host(&self, host: Option<&str>) -> bool {
        self.0.allows_host(host)
    }

    /// Builds the caches that were found on a store.
    fn build_caches(&self, store: &Store) -> PyResult<()> {
        let built = self.0.caches.build_on(&store.shared.state().store);
        built.map_err(|error| exception(&error))
    }
}

/// Runs a command, the first argument of which is the name of the program, and returns its exit
/// code, or the page to serve.
#[pyfunction]
pub(crate) fn run_cli(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<Bound<'_, PyAny>> {
    let _inside = finalization::enter(py);
    let driver = threads::ThreadDriver::of_this_process()?;
    threads::run(py, &driver, async move {
        let (host, terminal) = (Arc::new(ThreadHost), Arc::new(StandardTerminal::new()));
        let done = hotshelf_cli::run(arguments, host, terminal).await;
        outcome(move |py| match done {
            Outcome::Serve(dashboard) => {
                Ok(Dashboard(*dashboard).into_pyobject(py)?.into_any().unbind())
            }
            Outcome::Exit(code) => Ok(code.into_pyobject(py)?.into_any().unbind()),
            _ => Ok(0_u8.into_pyobject(py)?.into_any().unbind()),
        })
    })
}
