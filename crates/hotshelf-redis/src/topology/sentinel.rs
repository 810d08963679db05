//! Discovery of the primary of a service through its Sentinels.

use std::cmp::Reverse;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use hotshelf_core::backoff::Backoff;
use hotshelf_core::sync::Mutex;
use hotshelf_core::timeout::within;
use hotshelf_core::{BoxFuture, Error};
use hotshelf_wire::Endpoint;
use hotshelf_wire::resp::{Command, Value};
use hotshelf_wire::sentinel::{SWITCHES, Sentinels};

use crate::connection::{CloseReason, Inbox, Message};
use crate::errors;
use crate::link::{Dialer, Resolver, drive, send_all, until_silent};
use crate::options::Address;

/// The longest pause before the Sentinels are dialled again, after the connections to all of
/// them have failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks the Sentinels for the primary, and listens for the announcement of another one.
pub(crate) struct SentinelResolver {
    dialer: Dialer,
    sentinels: Mutex<Sentinels>,
    /// The primary in use. Without a majority for another one it stays.
    current: Mutex<Option<Endpoint>>,
}

/// How long others are waited for once two Sentinels agree, or one names the current primary.
const VOTING: Duration = Duration::from_millis(50);

impl SentinelResolver {
    pub(crate) fn new(dialer: Dialer, service: String, seeds: Vec<Endpoint>) -> Self {
        let sentinels = Mutex::new(Sentinels::new(service, seeds));
        Self { dialer, sentinels, current: Mutex::new(None) }
    }

    /// Asks the Sentinels, and returns what they report as the primary: first what most of them
    /// do.
    async fn candidates(&self) -> Result<Vec<Address>, Error> {
        let (mut asked, mut votes) = (Vec::new(), Vec::<(Endpoint, usize)>::new());
        let (mut asking, mut last_error) = (FuturesUnordered::new(), None);
        loop {
            let known = self.endpoints();
            for sentinel in known.iter().filter(|known| !asked.contains(*known)) {
                let sentinel = sentinel.clone();
                asking.push(async move { self.ask(&sentinel).await });
            }
            asked.clone_from(&known);
            let current = self.current.lock().clone();
            let is_enough = |(primary, count): &(Endpoint, usize)| {
                *count > 1 || current.as_ref() == Some(primary)
            };
            let next = match votes.iter().any(is_enough) {
                // The others may never answer. One alone can't elect another primary.
                true => within(&*self.dialer.runtime, VOTING, asking.next()).await.flatten(),
                false => asking.next().await,
            };
            match next {
                Some(Ok(Some(primary))) => {
                    match votes.iter_mut().find(|(other, _)| *other == primary) {
                        Some((_, count)) => *count += 1,
                        None => votes.push((primary, 1)),
                    }
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => last_error = Some(error),
                None => break,
            }
            if votes.iter().any(|(_, count)| 2 * count > self.endpoints().len()) {
                break;
            }
        }
        let current = self.current.lock().clone();
        votes.sort_by_key(|(primary, count)| (Reverse(*count), current.as_ref() != Some(primary)));
        if !votes.is_empty() {
            return Ok(votes.into_iter().map(|(primary, _)| Address::Tcp(primary)).collect());
        }
        let error = errors::unavailable(
            "no Sentinel knows the primary of the service: check the service in the URL",
        );
        // An error is more specific than that the service is unknown.
        Err(last_error.unwrap_or(error))
    }

    async fn ask(&self, sentinel: &Endpoint) -> Result<Option<Endpoint>, Error> {
        let address = Address::Tcp(sentinel.clone());
        let (listener, _) = Inbox::new();
        let mut dialled = self.dialer.dial(&address, listener).await?;
        let requests = self.sentinels.lock().requests();
        let replies = send_all(&dialled.connection, requests, self.dialer.timeout());
        let replies = drive(replies, &mut dialled.carrier).await?;
        if let Some(Value::Error(error)) = replies.first() {
            let message = format!("{sentinel} is no Sentinel: use redis:// for a server");
            return Err(errors::unavailable(message).with_source(error.clone()));
        }
        Ok(self.sentinels.lock().answered(sentinel, &replies))
    }

    async fn until_replaced(&self, current: &Address) {
        let mut backoff = Backoff::new(PAUSE, PAUSE);
        if let Address::Tcp(current) = current {
            *self.current.lock() = Some(current.clone());
        }
        loop {
            for sentinel in self.endpoints() {
                if self.listen(&sentinel, current).await.is_ok() {
                    // What it announces is not confirmed yet.
                    self.sentinels.lock().distrust(&sentinel);
                    return;
                }
            }
            let runtime = &self.dialer.runtime;
            runtime.sleep(backoff.next(runtime.random())).await;
        }
    }

    /// Listens to a Sentinel until it announces another primary.
    async fn listen(&self, sentinel: &Endpoint, current: &Address) -> Result<(), Error> {
        let (listener, mut values) = Inbox::new();
        let mut dialled = self.dialer.dial(&Address::Tcp(sentinel.clone()), listener).await?;
        dialled.connection.send_without_reply(&Command::new("SUBSCRIBE").arg(SWITCHES))?;
        let mut subscribed = false;
        loop {
            let silent = pin!(until_silent(&self.dialer, &dialled.connection));
            let ended = select(&mut dialled.carrier, silent);
            let value = match select(values.next(), ended).await {
                Either::Left((Some(value), _)) => value,
                Either::Left((None, _)) => {
                    return Err(errors::unavailable("lost messages of the Sentinel"));
                }
                Either::Right((Either::Left((reason, _)), _)) => return Err(reason.into()),
                Either::Right((Either::Right(_), _)) => {
                    return Err(CloseReason::Unresponsive.into());
                }
            };
            match Message::read(&value)? {
                Some(message) if self.is_switch(&message) => return Ok(()),
                Some(_) => {}
                // From here on no switch is missed, but one may have happened before.
                None if !subscribed => {
                    subscribed = true;
                    let asking = pin!(self.ask(sentinel));
                    let primary = match select(asking, &mut dialled.carrier).await {
                        Either::Left((primary, _)) => primary?,
                        Either::Right((reason, _)) => return Err(reason.into()),
                    };
                    match primary {
                        Some(primary) if Address::Tcp(primary.clone()) == *current => {}
                        Some(_) => return Ok(()),
                        None => return Err(errors::unavailable("it doesn't know the service")),
                    }
                }
                None => {}
            }
        }
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.sentinels.lock().endpoints().to_vec()
    }

    fn is_switch(&self, message: &Message) -> bool {
        self.sentinels.lock().is_switch(&message.channel, &message.payload)
    }
}

impl Resolver for SentinelResolver {
    fn resolve(&self) -> BoxFuture<'_, Result<Vec<Address>, Error>> {
        Box::pin(self.candidates())
    }

    fn replaced<'a>(&'a self, current: &'a Address) -> BoxFuture<'a, ()> {
        Box::pin(self.until_replaced(current))
    }

    fn is_elected(&self) -> bool {
        true
    }

    fn may_be_demoted(&self) -> bool {
        false
    }
}

impl fmt::Debug for SentinelResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentinels.lock().fmt(formatter)
    }
}
