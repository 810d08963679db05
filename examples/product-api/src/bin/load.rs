//! Asks the product API for products and pages, as many clients do, and prints each second how it
//! answers: `load ADDRESS [CLIENTS]`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

type Failure = Box<dyn Error + Send + Sync>;

const CLIENTS: usize = 16;

/// The pause of a client between two requests, and after a lost connection.
const PAUSE: Duration = Duration::from_millis(20);
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// Clients ask for a few products often, and for many of them seldom.
const PRODUCTS: u64 = 300;
const CATEGORIES: [&str; 5] = ["electronics", "books", "garden", "kitchen", "toys"];

/// The answers of a second.
#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    hits: AtomicU64,
    stale: AtomicU64,
    errors: AtomicU64,
    times: Mutex<Vec<Duration>>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: load ADDRESS [CLIENTS]")?;
    let clients = arguments.next().map_or(Ok(CLIENTS), |count| count.parse())?;
    let counts = Arc::new(Counts::default());
    for number in 0..clients {
        let (address, counts) = (address.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            let mut random = number as u64 + 1;
            while client(&address, &counts, &mut random).await.is_err() {
                counts.errors.fetch_add(1, Ordering::Relaxed);
                sleep_until(Instant::now() + LONG_PAUSE).await;
            }
        });
    }
    loop {
        sleep_until(Instant::now() + Duration::from_secs(1)).await;
        report(&counts);
    }
}

/// Sends requests over one connection, one after the other, until it fails.
async fn client(address: &str, counts: &Counts, random: &mut u64) -> Result<(), Failure> {
    let mut connection = BufReader::new(TcpStream::connect(address).await?);
    loop {
        let request = format!("GET {} HTTP/1.1\r\nhost: {address}\r\n\r\n", path(random));
        let begun = Instant::now();
        connection.get_mut().write_all(request.as_bytes()).await?;
        answer(&mut connection, counts).await?;
        counts.times.lock().unwrap_or_else(PoisonError::into_inner).push(begun.elapsed());
        sleep_until(Instant::now() + PAUSE).await;
    }
}

/// Returns what a client asks for next.
fn path(random: &mut u64) -> String {
    let [kind, page, product] = [(); 3].map(|()| next(random));
    if kind % 4 == 0 {
        let category = CATEGORIES[(page % 5) as usize];
        return format!("/products?category={category}&page={}", 1 + product % 3);
    }
    // The fourth power makes small numbers frequent.
    let share = (product % PRODUCTS) as f64 / PRODUCTS as f64;
    format!("/products/{}", 1 + (PRODUCTS as f64 * share.powi(4)) as u64)
}

/// Returns a pseudo-random number (xorshift64, Marsaglia 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 11
}

/// Reads a response, and counts it.
async fn answer(connection: &mut BufReader<TcpStream>, counts: &Counts) -> Result<(), Failure> {
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 200") {
        counts.errors.fetch_add(1, Ordering::Relaxed);
    }
    let mut length = 0;
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err("the service has closed the connection".into());
        }
        let header = line.trim_end().to_ascii_lowercase();
        let Some((name, value)) = header.split_once(':') else { break };
        match name {
            "content-length" => length = value.trim().parse()?,
            "cache-status" => {
                counts.hits.fetch_add(u64::from(value.contains("; hit")), Ordering::Relaxed);
                let is_stale = value.contains("detail=stale");
                counts.stale.fetch_add(u64::from(is_stale), Ordering::Relaxed);
            }
            _ => {}
        }
    }
    connection.read_exact(&mut vec![0; length]).await?;
    counts.answers.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Prints the last second in one line.
fn report(counts: &Counts) {
    let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
    let (answers, hits, stale) = (take(&counts.answers), take(&counts.hits), take(&counts.stale));
    let errors = take(&counts.errors);
    let mut times =
        std::mem::take(&mut *counts.times.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let ratio = (100 * hits).checked_div(answers).unwrap_or_default();
    let (p50, p99) = (at(50), at(99));
    println!(
        "{answers:5} answers, {ratio:3} % from the cache, {stale:4} stale, {errors:3} errors, \
         p50 {p50:.1?}, p99 {p99:.1?}"
    );
}
