//! The primary of a service, as its Sentinels see it.

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use hotshelf_core::{BoxFuture, Error};
use hotshelf_wire::Endpoint;
use hotshelf_wire::resp::Command;
use hotshelf_wire::sentinel::{SWITCHES, Sentinels};

use crate::client::pub_sub;
use crate::errors;
use crate::link::{Dialer, Place, ask_all, while_carried};
use crate::options::Address;

/// The pause before the Sentinels are listened to again, after none of them could be.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks Sentinels where the primary is, and listens for their word that it is another one.
pub(crate) struct BySentinels {
    dialer: Dialer,
    sentinels: Mutex<Sentinels>,
}

impl BySentinels {
    pub(crate) fn new(dialer: Dialer, service: String, seeds: Vec<Endpoint>) -> Self {
        Self { dialer, sentinels: Mutex::new(Sentinels::new(service, seeds)) }
    }

    async fn ask_one_after_the_other(&self) -> Result<Address, Error> {
        let known = self.lock().known().to_vec();
        let mut trouble = None;
        for sentinel in known {
            match self.ask(&sentinel).await {
                Ok(Some(primary)) => return Ok(Address::Tcp(primary)),
                Ok(None) => {}
                Err(error) => trouble = Some(error),
            }
        }
        let error = errors::unavailable("no Sentinel knows the primary of the service");
        Err(match trouble {
            Some(trouble) => error.with_source(trouble),
            None => error,
        })
    }

    async fn ask(&self, sentinel: &Endpoint) -> Result<Option<Endpoint>, Error> {
        let address = Address::Tcp(sentinel.clone());
        let (listener, _) = pub_sub::inbox();
        let mut dialled = self.dialer.dial(&address, listener).await?;
        let questions = self.lock().ask();
        let asking = ask_all(&dialled.connection, questions, self.dialer.deadline());
        let replies = while_carried(asking, &mut dialled.carrier).await?;
        Ok(self.lock().answered(sentinel, &replies))
    }

    async fn until_replaced(&self, current: Option<&Address>) {
        loop {
            let known = self.lock().known().to_vec();
            for sentinel in known {
                if self.listen(&sentinel, current).await.is_ok() {
                    return;
                }
            }
            self.dialer.runtime.sleep(PAUSE).await;
        }
    }

    /// Listens to a Sentinel until it says that the primary is another one.
    async fn listen(&self, sentinel: &Endpoint, current: Option<&Address>) -> Result<(), Error> {
        let (listener, mut values) = pub_sub::inbox();
        let mut dialled = self.dialer.dial(&Address::Tcp(sentinel.clone()), listener).await?;
        dialled.connection.tell(&Command::new("SUBSCRIBE").arg(SWITCHES))?;
        let mut listening = false;
        loop {
            let value = match select(values.next(), &mut dialled.carrier).await {
                Either::Left((Some(value), _)) => value,
                Either::Left((None, _)) => return Err(errors::unavailable("nothing is heard")),
                Either::Right((why, _)) => return Err(why.into()),
            };
            match pub_sub::read(&value)? {
                Some(message) if self.lock().is_switch(&message.channel, &message.payload) => {
                    return Ok(());
                }
                Some(_) => {}
                // From here on nothing is missed, but a switch may have come before.
                None if !listening => {
                    listening = true;
                    let asking = pin!(self.ask(sentinel));
                    let primary = match select(asking, &mut dialled.carrier).await {
                        Either::Left((primary, _)) => primary?,
                        Either::Right((why, _)) => return Err(why.into()),
                    };
                    if primary.is_some() && primary.map(Address::Tcp).as_ref() != current {
                        return Ok(());
                    }
                }
                None => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sentinels> {
        self.sentinels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for BySentinels {
    fn find(&self) -> BoxFuture<'_, Result<Address, Error>> {
        Box::pin(self.ask_one_after_the_other())
    }

    fn replaced<'a>(&'a self, current: Option<&'a Address>) -> BoxFuture<'a, ()> {
        Box::pin(self.until_replaced(current))
    }

    fn is_elected(&self) -> bool {
        true
    }
}

impl fmt::Debug for BySentinels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(formatter)
    }
}
