//! The admin page, for an application of ASGI.

use std::sync::Arc;

use hotshelf_core::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::host::begin;
use crate::pending::outcome;
use crate::store::{Shared, Store};

/// The page of one store. A forked process, or a store that was reopened, has a page of its own.
#[pyclass(frozen, module = "hotshelf._hotshelf")]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    options: hotshelf_admin::AdminOptions,
    page: Mutex<Option<(usize, Arc<hotshelf_admin::Admin>)>>,
}

/// What the page needs of a request.
#[derive(FromPyObject)]
struct Asked {
    method: String,
    path: String,
    base: String,
    query: String,
    body: Vec<u8>,
    host: Option<String>,
    origin: Option<String>,
    fetch_site: Option<String>,
    intent: Option<String>,
    who: String,
}

impl Admin {
    fn page(&self) -> Arc<hotshelf_admin::Admin> {
        let state = self.shared.state();
        let id = Arc::as_ptr(&state) as usize;
        let mut page = self.page.lock();
        match &*page {
            Some((of, page)) if *of == id => Arc::clone(page),
            _ => {
                let new = hotshelf_admin::Admin::new(state.store.clone(), self.options.clone());
                *page = Some((id, Arc::clone(&new)));
                new
            }
        }
    }
}

#[pymethods]
impl Admin {
    #[new]
    fn new(store: &Store, writes: bool, values: bool, is_open: bool, hosts: Vec<String>) -> Self {
        let mut options = hotshelf_admin::AdminOptions::default();
        options.writes = writes;
        options.values = values;
        options.is_open = is_open;
        options.hosts = hosts;
        options.address = store.address();
        Self { shared: Arc::clone(&store.shared), options, page: Mutex::new(None) }
    }

    /// Takes a sample of the counters, for the history that a page shows.
    fn sample(&self) {
        self.page().sample();
    }

    /// Answers a request: its status, headers and body.
    fn respond<'py>(&self, py: Python<'py>, asked: Asked) -> PyResult<Bound<'py, PyAny>> {
        let page = self.page();
        begin(py, async move {
            let request = hotshelf_admin::Request {
                method: &asked.method,
                path: &asked.path,
                base: &asked.base,
                query: &asked.query,
                body: &asked.body,
                host: asked.host.as_deref(),
                origin: asked.origin.as_deref(),
                fetch_site: asked.fetch_site.as_deref(),
                intent: asked.intent.as_deref(),
                who: &asked.who,
            };
            let response = page.respond(request).await;
            outcome(move |py| Ok(parts(py, &response)?.into_any().unbind()))
        })
    }
}

/// Returns the response to a request that isn't answered, with the text of an error.
#[pyfunction]
pub(crate) fn admin_error<'py>(
    py: Python<'py>,
    status: u16,
    text: &str,
) -> PyResult<Bound<'py, PyTuple>> {
    parts(py, &hotshelf_admin::Response::error(status, text))
}

fn parts<'py>(
    py: Python<'py>,
    response: &hotshelf_admin::Response,
) -> PyResult<Bound<'py, PyTuple>> {
    let headers = response.headers.iter().map(|(name, value)| {
        (PyBytes::new(py, name.as_bytes()), PyBytes::new(py, value.as_bytes()))
    });
    let headers = PyList::new(py, headers.collect::<Vec<_>>())?;
    (response.status, headers, PyBytes::new(py, &response.body)).into_pyobject(py)
}
