//! A middleware of tower that caches the answers of any service, and returns its error.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hotshelf::{Cache, LoadError, Store};
use tower::{Layer, Service, ServiceExt, service_fn};

#[derive(Clone)]
struct CacheLayer(Cache<String>);

#[derive(Clone)]
struct Cached<S> {
    cache: Cache<String>,
    inner: S,
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cached<S>;

    fn layer(&self, inner: S) -> Cached<S> {
        Cached { cache: self.0.clone(), inner }
    }
}

impl<S> Service<String> for Cached<S>
where
    S: Service<String, Response = String> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + Sync + 'static,
{
    type Response = Arc<String>;
    type Error = LoadError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: String) -> Self::Future {
        let Self { cache, inner } = self.clone();
        Box::pin(async move {
            let load = async || inner.oneshot(request.clone()).await;
            cache.get_or_try_insert_with(&request, load).await
        })
    }
}

#[tokio::test]
async fn inner_errors_pass_through() {
    let answers = Store::memory().cache::<String>("answers").build().unwrap();
    let upper = service_fn(async |request: String| match request.as_str() {
        "fail" => Err("no answer"),
        text => Ok(text.to_uppercase()),
    });
    let service = CacheLayer(answers.clone()).layer(upper);
    for _ in 0..3 {
        assert_eq!(*service.clone().oneshot("hi".into()).await.unwrap(), "HI");
    }
    assert_eq!(answers.stats().loads, 1);
    let failed = service.oneshot("fail".into()).await.unwrap_err();
    assert_eq!(failed.loader(), Some(&"no answer"));
}

#[tokio::test]
async fn services_that_cannot_fail_stay_so() {
    let answers = Store::memory().cache::<String>("answers").build().unwrap();
    let echo = service_fn(async |request: String| Ok::<_, Infallible>(request));
    let service = CacheLayer(answers).layer(echo);
    assert_eq!(*service.oneshot("hi".into()).await.unwrap(), "hi");
}
