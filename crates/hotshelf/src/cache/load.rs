//! Loading on a miss.

use std::any::TypeId;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hotshelf_core::IntoKey;
use hotshelf_core::cache::{
    CallOptions, EntryKey, LoadTicket, LoadTimeouts, Loaded, SharedError, Value, Waited,
};

use super::context::LoadContext;
use super::{Cache, CacheValue, of_its_type, present};
use crate::load_error::LoadError;

/// The result of a loading call.
pub(super) type LoadResult<T, E> = Result<Option<Arc<T>>, LoadError<E>>;

impl<T: CacheValue> Cache<T> {
    /// Returns a value, or loads it with a loader that cannot fail.
    ///
    /// Otherwise like [`Cache::get_or_try_insert_with`].
    ///
    /// # Cancel safety
    /// Same as [`Cache::get_or_try_insert_with`].
    #[doc(alias = "get_or_set")]
    pub async fn get_or_insert_with<F>(&self, key: impl IntoKey, load: F) -> Arc<T>
    where
        F: AsyncFnOnce() -> T,
    {
        let key = self.bytes.key(&key.into_key());
        let load = async || Ok::<_, Infallible>(Some(load().await));
        infallible(value(self.load(key, CallOptions::default().must_load(true), load).await))
    }

    /// Returns a value, or loads and stores it.
    ///
    /// Of all concurrent callers, in this process and in others, one runs its loader. The
    /// others wait for its value or, in the same process, its error. The loader may borrow
    /// from its environment, and runs in the caller's task.
    ///
    /// A hit costs one round trip, a miss three. If the backend fails, its deadline passes at
    /// most, and then the loader runs anyway.
    ///
    /// A loader that asks for its own key gets what the inner loader returns, without waiting;
    /// the inner call stores nothing, and is counted as `degraded`. For
    /// another key, a loader waits for the loads of others for the cache's `wait_timeout` at
    /// most, since two loaders may need each other's keys; then it loads by itself. A loader
    /// waits for ever if a task that it has spawned asks for its key. A
    /// caller that is woken and not polled, as `select!` on a `&mut` future may leave it, is
    /// replaced after the cache's `wait_timeout`, and its value is not stored.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let numbers = hotshelf::Store::memory().cache::<u64>("numbers").build()?;
    /// let text = String::from("42");
    /// let number = numbers.get_or_try_insert_with("answer", async || text.parse::<u64>()).await?;
    /// assert_eq!(*number, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// In a function that is generic over its loader, pass a closure that awaits it, as in
    /// `async || f().await`. An `f` that is `Fn() -> Fut` doesn't implement `AsyncFnOnce` for
    /// the compiler if the future has to be `Send`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use hotshelf::{Cache, LoadError};
    ///
    /// async fn cached<F, Fut, E>(cache: &Cache<u64>, key: &str, f: F) -> Result<Arc<u64>, LoadError<E>>
    /// where
    ///     F: FnOnce() -> Fut + Send,
    ///     Fut: Future<Output = Result<u64, E>> + Send,
    ///     E: Send + Sync + 'static,
    /// {
    ///     cache.get_or_try_insert_with(key, async || f().await).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the loader's error, which the callers that waited for it share.
    ///
    /// # Cancel safety
    /// May be dropped at any point. If the call was running its loader, the caller that has
    /// waited longest runs its own loader.
    #[doc(alias = "get_or_set")]
    #[doc(alias = "cache_aside")]
    pub async fn get_or_try_insert_with<F, E>(
        &self,
        key: impl IntoKey,
        load: F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: Send + Sync + 'static,
    {
        let key = self.bytes.key(&key.into_key());
        let load = async || load().await.map(Some);
        value(self.load(key, CallOptions::default(), load).await)
    }

    /// Reads, and loads on a miss. Returns `None` for a negative that was cached or just
    /// loaded.
    pub(super) async fn load<F, E>(
        &self,
        key: EntryKey,
        options: CallOptions,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce() -> Result<Option<T>, E>,
        E: Send + Sync + 'static,
    {
        match ended(self.bytes.load(Ok(key), options, TypeId::of::<E>()).await) {
            // Boxed, so that the future of a hit stays small.
            Err(ticket) => Box::pin(lead(ticket, load)).await,
            Ok(ended) => ended,
        }
    }

    /// Reads, and loads on a miss with a loader that is given a context.
    pub(super) async fn load_with<F, E>(
        &self,
        key: EntryKey,
        options: CallOptions,
        load: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: AsyncFnOnce(LoadContext<T>) -> Result<Option<Arc<T>>, E>,
        E: Send + Sync + 'static,
    {
        match ended(self.bytes.load(Ok(key), options, TypeId::of::<E>()).await) {
            Err(ticket) => Box::pin(lead_with(ticket, load)).await,
            Ok(ended) => ended,
        }
    }
}

/// Returns the outcome of a call, or the duty to load.
pub(super) fn ended<T: CacheValue, E: Send + Sync + 'static>(
    loaded: Loaded,
) -> Result<LoadResult<T, E>, Box<LoadTicket>> {
    Ok(match loaded {
        // A refresh is offered to calls that can carry it out.
        Loaded::Value(value) | Loaded::Refresh(value, _) => Ok(present(value)),
        Loaded::Failed(error) => Err(LoadError::Failed(of_its_type(error))),
        Loaded::BackingOff(left) => Err(LoadError::BackingOff(left)),
        Loaded::TimedOut => Err(LoadError::TimedOut),
        Loaded::Lead(ticket) => return Err(ticket),
    })
}

/// Runs the loader, and completes the load with its result.
async fn lead<T, F, E>(ticket: Box<LoadTicket>, load: F) -> LoadResult<T, E>
where
    T: CacheValue,
    F: AsyncFnOnce() -> Result<Option<T>, E>,
    E: Send + Sync + 'static,
{
    let timeouts = ticket.timeouts();
    // Pinned and boxed, so that a caller whose loader runs takes little memory.
    let leading = async move {
        let loaded = ticket.run(pin!(load())).await;
        Box::pin(complete(ticket, loaded.map(|value| value.map(Arc::new)))).await
    };
    in_time(timeouts, leading).await
}

async fn lead_with<T, F, E>(ticket: Box<LoadTicket>, load: F) -> LoadResult<T, E>
where
    T: CacheValue,
    F: AsyncFnOnce(LoadContext<T>) -> Result<Option<Arc<T>>, E>,
    E: Send + Sync + 'static,
{
    let timeouts = ticket.timeouts();
    let leading = async move {
        let context = LoadContext::new(&ticket);
        let loaded = ticket.run(pin!(load(context.clone()))).await;
        context.complete(ticket, loaded).await
    };
    in_time(timeouts, leading).await
}

/// Waits for a load as long as the cache's timeouts allow, and drops it then: it may borrow from
/// its caller.
async fn in_time<T, E, F>(timeouts: LoadTimeouts, leading: F) -> LoadResult<T, E>
where
    T: CacheValue,
    F: Future<Output = LoadResult<T, E>>,
{
    if timeouts.next().is_none() {
        return leading.await;
    }
    match timeouts.wait(pin!(leading)).await.0 {
        Waited::Done(result) => result,
        Waited::Stale(value) => Ok(present(value)),
        Waited::TimedOut => Err(LoadError::TimedOut),
    }
}

/// Ends a load with what its loader has returned.
pub(super) async fn complete<T, E>(
    ticket: Box<LoadTicket>,
    loaded: Result<Option<Arc<T>>, E>,
) -> LoadResult<T, E>
where
    T: CacheValue,
    E: Send + Sync + 'static,
{
    match loaded {
        Ok(value) => {
            let shared = match &value {
                Some(value) => Value::Present(Arc::clone(value) as _),
                None => Value::Absent,
            };
            ticket.complete(shared).await;
            Ok(value)
        }
        Err(error) => {
            let error = Arc::new(error);
            let stale = ticket.fail(&(Arc::clone(&error) as SharedError)).await;
            stale.map_or(Err(LoadError::Failed(error)), |value| Ok(present(value)))
        }
    }
}

/// Returns the value of a call that takes no negative.
pub(super) fn value<T, E>(loaded: Result<Option<Arc<T>>, E>) -> Result<Arc<T>, E> {
    loaded.map(|value| value.expect("a call that takes no negative is given a value"))
}

/// Returns the value of a loader that cannot fail. The call
/// [must load](CallOptions::must_load).
pub(super) fn infallible<V>(result: Result<V, LoadError<Infallible>>) -> V {
    match result {
        Ok(value) => value,
        Err(LoadError::Failed(never)) => match *never {},
        Err(LoadError::TimedOut | LoadError::BackingOff(_)) => {
            unreachable!("a call that must load ends with a value")
        }
    }
}
