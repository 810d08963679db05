//! Discovery of the primary of a service through its Sentinels.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use hotshelf_core::backoff::Backoff;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{BoxFuture, Error};
use hotshelf_wire::Endpoint;
use hotshelf_wire::resp::Command;
use hotshelf_wire::sentinel::{SWITCHES, Sentinels};

use crate::connection::{Inbox, Message};
use crate::errors;
use crate::link::{Dialer, Resolver, drive, send_all};
use crate::options::Address;

/// The longest pause before the Sentinels are dialled again, after the connections to all of
/// them have failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks the Sentinels for the primary, and listens for the announcement of another one.
pub(crate) struct SentinelResolver {
    dialer: Dialer,
    sentinels: Mutex<Sentinels>,
}

impl SentinelResolver {
    pub(crate) fn new(dialer: Dialer, service: String, seeds: Vec<Endpoint>) -> Self {
        Self { dialer, sentinels: Mutex::new(Sentinels::new(service, seeds)) }
    }

    /// Asks the Sentinels one by one.
    async fn find_primary(&self) -> Result<Address, Error> {
        let mut last_error = None;
        for sentinel in self.endpoints() {
            match self.ask(&sentinel).await {
                Ok(Some(primary)) => return Ok(Address::Tcp(primary)),
                Ok(None) => {}
                Err(error) => last_error = Some(error),
            }
        }
        let error = errors::unavailable(
            "no Sentinel knows the primary of the service: check the service in the URL",
        );
        Err(match last_error {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    async fn ask(&self, sentinel: &Endpoint) -> Result<Option<Endpoint>, Error> {
        let address = Address::Tcp(sentinel.clone());
        let (listener, _) = Inbox::new();
        let mut dialled = self.dialer.dial(&address, listener).await?;
        let requests = self.sentinels.lock().requests();
        let replies = send_all(&dialled.connection, requests, self.dialer.timeout());
        let replies = drive(replies, &mut dialled.carrier).await?;
        Ok(self.sentinels.lock().answered(sentinel, &replies))
    }

    async fn until_replaced(&self, current: Option<&Address>) {
        let mut backoff = Backoff::new(PAUSE, PAUSE);
        loop {
            for sentinel in self.endpoints() {
                if self.listen(&sentinel, current).await.is_ok() {
                    return;
                }
            }
            let runtime = &self.dialer.runtime;
            runtime.sleep(backoff.next(runtime.random())).await;
        }
    }

    /// Listens to a Sentinel until it announces another primary.
    async fn listen(&self, sentinel: &Endpoint, current: Option<&Address>) -> Result<(), Error> {
        let (listener, mut values) = Inbox::new();
        let mut dialled = self.dialer.dial(&Address::Tcp(sentinel.clone()), listener).await?;
        dialled.connection.send_without_reply(&Command::new("SUBSCRIBE").arg(SWITCHES))?;
        let mut subscribed = false;
        loop {
            let value = match select(values.next(), &mut dialled.carrier).await {
                Either::Left((Some(value), _)) => value,
                Either::Left((None, _)) => {
                    return Err(errors::unavailable("lost messages of the Sentinel"));
                }
                Either::Right((reason, _)) => return Err(reason.into()),
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
                    if primary.is_some() && primary.map(Address::Tcp).as_ref() != current {
                        return Ok(());
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
    fn resolve(&self) -> BoxFuture<'_, Result<Address, Error>> {
        Box::pin(self.find_primary())
    }

    fn replaced<'a>(&'a self, current: Option<&'a Address>) -> BoxFuture<'a, ()> {
        Box::pin(self.until_replaced(current))
    }

    fn is_elected(&self) -> bool {
        true
    }
}

impl fmt::Debug for SentinelResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentinels.lock().fmt(formatter)
    }
}
