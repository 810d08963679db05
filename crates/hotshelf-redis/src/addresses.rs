//! Connecting to a name with several addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use hotshelf_core::Runtime;

/// The time after which the next address is tried, too. RFC 8305 recommends 250 ms, which is the
/// whole of the default connect timeout.
const DELAY: Duration = Duration::from_millis(50);

/// Connects to the first address that answers.
///
/// Attempts begin 50 ms apart, or when the previous one has failed, and alternate between IPv6
/// and IPv4: an address that swallows packets costs 50 ms. This is "Happy Eyeballs" of
/// [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305), for a system resolver that returns all
/// addresses at once.
///
/// # Errors
/// That of the first attempt that has failed, if no address answers.
///
/// # Cancel safety
/// Dropping it ends all attempts.
pub async fn connect_to_any<T, F>(
    runtime: &dyn Runtime,
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut untried = alternating(addresses.into_iter().collect()).into_iter();
    let (mut attempts, mut failure) = (FuturesUnordered::new(), None);
    loop {
        if let Some(address) = untried.next() {
            attempts.push(connect(address));
        } else if attempts.is_empty() {
            return Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()));
        }
        let ended = match untried.len() {
            0 => attempts.next().await,
            _ => match select(attempts.next(), runtime.sleep(DELAY)).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => continue,
            },
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => drop(failure.get_or_insert(error)),
            None => {}
        }
    }
}

/// Sorts addresses so that the families alternate, beginning with that of the first.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (same, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut sorted = Vec::new();
    loop {
        let before = sorted.len();
        sorted.extend(same.next());
        sorted.extend(other.next());
        if sorted.len() == before {
            return sorted;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use hotshelf_core::{BoxFuture as Boxed, Moment};

    use super::*;

    /// A runtime whose timers are always due.
    #[derive(Debug)]
    struct Impatient;

    impl Runtime for Impatient {
        fn now(&self) -> Moment {
            Moment::default()
        }

        fn sleep(&self, _: Duration) -> Boxed<'static, ()> {
            Box::pin(ready(()))
        }

        fn spawn(&self, _: Boxed<'static, ()>) {}

        fn random(&self) -> u64 {
            0
        }
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate() {
        let sorted = alternating(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]));
        assert_eq!(sorted, addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        assert!(alternating(Vec::new()).is_empty());
    }

    #[test]
    fn silent_and_closed_addresses_are_passed_over() {
        let connect = |address: SocketAddr| -> BoxFuture<'_, io::Result<u16>> {
            match address.port() {
                1 => Box::pin(pending()),
                2 => Box::pin(ready(Err(io::ErrorKind::ConnectionRefused.into()))),
                port => Box::pin(ready(Ok(port))),
            }
        };
        let connected =
            |texts: &[&str]| connect_to_any(&Impatient, addresses(texts), connect).now_or_never();
        let found = connected(&["[::1]:1", "1.1.1.1:2", "[::1]:3"]);
        assert_eq!(found.unwrap().unwrap(), 3);
        let refused = connected(&["1.1.1.1:2", "1.1.1.2:2"]).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connected(&[]).unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(connected(&["1.1.1.1:2", "1.1.1.1:1"]).is_none());
    }
}
