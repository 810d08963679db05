//! The round trips of calls.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hotshelf::Store;

use crate::support::{on_tokio, server};

/// A relay between a client and its server that counts round trips.
///
/// Everything that a client sends before it waits is one round trip.
struct Relay {
    port: u16,
    turns: Arc<AtomicU32>,
}

/// A peer that is silent for this long has sent everything.
const SILENCE: Duration = Duration::from_millis(40);

impl Relay {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let turns = Arc::clone(&counted);
                thread::spawn(move || relay(client, server, &turns));
            }
        });
        Self { port, turns }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn take(&self) -> u32 {
        self.turns.swap(0, Ordering::SeqCst)
    }
}

fn relay(mut client: TcpStream, mut server: TcpStream, turns: &AtomicU32) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
    }
    loop {
        let request = all(&mut client)?;
        if !request.is_empty() {
            turns.fetch_add(1, Ordering::SeqCst);
            server.write_all(&request)?;
        }
        let answer = all(&mut server)?;
        client.write_all(&answer)?;
    }
}

/// Reads until the peer is silent.
fn all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(all),
            Err(error) => return Err(error),
        }
    }
}

/// The round trips are the larger part of each call's time.
#[test]
fn calls_cost_documented_round_trips() {
    on_tokio(async {
        let server = server();
        let relay = Relay::to(server.port());
        let options = hotshelf::RedisOptions::from_url(&relay.url()).unwrap();
        let timeout = Duration::from_secs(10);
        let options = options.connect_timeout(timeout).read_timeout(timeout).store_timeout(timeout);
        let store = Store::builder().redis(options).build().unwrap();
        let cache = store.cache::<u32>("n").backend_budget(timeout).build().unwrap();
        let load = async |key, tags: &[&str]| {
            *cache.entry(key).tags(tags).or_insert_with(async || 1).await
        };
        // Connecting and loading the scripts are not counted.
        load("first", &["t"]).await;
        cache.insert("first", 2).await;
        relay.take();

        load("plain", &[]).await;
        assert_eq!(relay.take(), 3, "a miss: read, lease, store");
        load("plain", &[]).await;
        assert_eq!(relay.take(), 1, "a hit");
        load("tagged", &["t", "u"]).await;
        assert_eq!(relay.take(), 3, "a miss of an entry with tags");
        load("tagged", &["t", "u"]).await;
        assert_eq!(relay.take(), 1, "a hit with its tags");
        cache.get("tagged").await;
        assert_eq!(relay.take(), 2, "a hit with tags that the caller doesn't name");
        cache.get_many(["plain", "tagged", "none"]).await;
        assert_eq!(relay.take(), 2, "many hits, one of them with such tags");
        cache.insert_many((0..100_u32).map(|key| (key, key))).await;
        assert_eq!(relay.take(), 2, "many inserts");
        drop(
            cache.write_through("k", async || Ok::<_, std::convert::Infallible>(1)).await.unwrap(),
        );
        assert_eq!(relay.take(), 2, "a write");
        let write = async || Ok::<_, std::convert::Infallible>((0..100).collect());
        drop(cache.write_through_many(0..100_u32, write).await.unwrap());
        assert_eq!(relay.take(), 2, "many writes");
        let write = async || Ok::<_, std::convert::Infallible>(1);
        drop(cache.entry("k").tags(["t"]).write_through(write).await.unwrap());
        assert_eq!(relay.take(), 2, "a write with tags");
        cache.invalidate("plain").await.unwrap();
        assert_eq!(relay.take(), 1, "an invalidation");
        cache.invalidate_many(0..100_u32).await.unwrap();
        assert_eq!(relay.take(), 1, "many invalidations");
        store.invalidate_tags(["t", "u"]).await.unwrap();
        assert_eq!(relay.take(), 1, "an invalidation by tags");
    });
}
