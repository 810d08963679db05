//! Tests of `Proxy`.
#![expect(clippy::disallowed_methods, reason = "a real network takes real time")]
#![expect(clippy::unwrap_used, reason = "all of it is tests")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hotshelf_testkit::{Conditions, Direction, Proxy, RedisServer};

const SOON: Duration = Duration::from_millis(100);

/// Starts an echo server and returns its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn send(mut stream: &TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

fn receive(mut stream: &TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Returns `true` if a text is echoed.
fn works(stream: &TcpStream) -> bool {
    send(stream, "ping");
    receive(stream, 4) == "ping"
}

/// Returns `true` if nothing arrives for a moment, not even the end of the stream.
fn is_silent(mut stream: &TcpStream) -> bool {
    let before = stream.read_timeout().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    stream.set_read_timeout(before).unwrap();
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Returns `true` if the stream has ended, in order or by a reset.
fn has_ended(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn proxy_forwards_and_counts() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::start(server.port()).unwrap();
    assert_eq!(proxy.url(), format!("redis://127.0.0.1:{}", proxy.port()));
    for _ in 0..2 {
        let client = connect(&proxy);
        send(&client, "PING\r\n");
        assert_eq!(receive(&client, 7), "+PONG\r\n");
    }
    assert_eq!(proxy.connections(), 2);
    assert_eq!(proxy.refused(), 0);
    assert_eq!(proxy.bytes(Direction::ToServer), 12);
    assert_eq!(proxy.bytes(Direction::ToClient), 14);
    proxy.cut();
    assert_eq!(proxy.bytes(Direction::ToClient), 14, "closed connections are counted, too");
}

#[test]
fn end_of_stream_follows_bytes() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut client = connect(&proxy);
    send(&client, "last words");
    client.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
}

#[test]
fn delay_applies_to_each_chunk() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    proxy.set(Direction::ToServer, Conditions::default().delay(SOON));
    let start = Instant::now();
    for _ in 0..20 {
        send(&client, "chunk");
        thread::sleep(Duration::from_millis(5));
    }
    receive(&client, 5);
    assert!(start.elapsed() >= SOON);
    receive(&client, 19 * 5);
    assert!(start.elapsed() < 10 * SOON, "{:?}", start.elapsed());
}

#[test]
fn delay_does_not_throttle() {
    let proxy = Proxy::start(echo()).unwrap();
    proxy.set_both(Conditions::default().delay(SOON));
    let client = connect(&proxy);
    let text = "x".repeat(32 << 20);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| send(&client, &text));
        assert!(receive(&client, text.len()) == text);
    });
    // In chunks of 64 KiB, one by one, it would take more than 50 seconds.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn jitter_reorders_connections_only() {
    let proxy = Proxy::start_with_seed(echo(), 1).unwrap();
    proxy.set(Direction::ToServer, Conditions::default().jitter(2 * SOON));
    let clients: Vec<_> = (0..8).map(|_| connect(&proxy)).collect();
    for client in &clients {
        send(client, "1");
        thread::sleep(Duration::from_millis(2));
        send(client, "2");
    }
    let start = Instant::now();
    let arrival = |client: &TcpStream| {
        assert_eq!(receive(client, 2), "12");
        start.elapsed()
    };
    let arrivals: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter().map(|client| scope.spawn(move || arrival(client))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(!arrivals.is_sorted(), "{arrivals:?}");
}

#[test]
fn held_bytes_arrive_after_clear() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    proxy.set(Direction::ToClient, Conditions::default().hold());
    send(&client, "1");
    assert!(is_silent(&client));
    send(&client, "2");
    proxy.clear();
    assert_eq!(receive(&client, 2), "12");
    assert!(works(&client));
}

#[test]
fn swallowed_bytes_silence_connection() {
    let proxy = Proxy::start(echo()).unwrap();
    let [hit, spared] = [connect(&proxy), connect(&proxy)];
    assert!(works(&hit) && works(&spared));
    proxy.set(Direction::ToServer, Conditions::default().swallow());
    send(&hit, "lost");
    assert!(is_silent(&hit));
    proxy.clear();
    send(&hit, "after a hole");
    assert!(is_silent(&hit));
    assert!(works(&spared));
    assert!(works(&connect(&proxy)));
}

#[test]
fn swallow_drops_bytes_in_flight() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    proxy.set(Direction::ToClient, Conditions::default().hold());
    send(&client, "1");
    assert!(is_silent(&client));
    proxy.set(Direction::ToClient, Conditions::default().swallow());
    proxy.clear();
    assert!(is_silent(&client));
}

#[test]
fn drip_limits_bytes_per_interval() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    proxy.set(Direction::ToClient, Conditions::default().drip(3, Duration::from_millis(20)));
    let start = Instant::now();
    send(&client, "0123456789");
    assert_eq!(receive(&client, 10), "0123456789");
    assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[test]
fn split_bytes_arrive_in_order() {
    let proxy = Proxy::start(echo()).unwrap();
    proxy.set_both(Conditions::default().split());
    let client = connect(&proxy);
    let text: String = (0..1000).map(|number| format!("{number},")).collect();
    send(&client, &text);
    assert_eq!(receive(&client, text.len()), text);
}

#[test]
fn cut_ends_existing_connections_only() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    assert!(works(&client));
    proxy.cut();
    assert!(has_ended(&client));
    assert!(works(&connect(&proxy)));
}

#[test]
fn half_close_ends_one_direction() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap().port()).unwrap();
    let client = connect(&proxy);
    let (server, _) = listener.accept().unwrap();
    send(&server, "hello");
    assert_eq!(receive(&client, 5), "hello");
    proxy.half_close(Direction::ToClient);
    assert!(has_ended(&client));
    send(&server, "to nobody");
    send(&client, "still there");
    assert_eq!(receive(&server, 11), "still there");
}

#[test]
fn refuse_affects_new_connections_only() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    assert!(works(&client));
    proxy.refuse(true);
    assert!(has_ended(&connect(&proxy)));
    assert!(works(&client));
    assert_eq!((proxy.connections(), proxy.refused()), (1, 1));
    proxy.refuse(false);
    assert!(works(&connect(&proxy)));
}

#[test]
fn connection_is_refused_without_server() {
    let mut server = RedisServer::start().unwrap();
    let proxy = Proxy::start(server.port()).unwrap();
    server.kill();
    assert!(has_ended(&connect(&proxy)));
    assert_eq!(proxy.refused(), 1);
    server.restart().unwrap();
    let client = connect(&proxy);
    send(&client, "PING\r\n");
    assert_eq!(receive(&client, 7), "+PONG\r\n");
}

#[test]
fn freeze_silences_existing_connections_only() {
    let proxy = Proxy::start(echo()).unwrap();
    let client = connect(&proxy);
    assert!(works(&client));
    proxy.freeze_connections();
    proxy.clear();
    send(&client, "ping");
    assert!(is_silent(&client));
    assert!(works(&connect(&proxy)));
}

#[test]
fn drop_ends_listener_and_connections() {
    let proxy = Proxy::start(echo()).unwrap();
    let [client, frozen] = [connect(&proxy), connect(&proxy)];
    assert!(works(&client) && works(&frozen));
    proxy.freeze_connections();
    proxy.set_both(Conditions::default().hold());
    let held = connect(&proxy);
    send(&held, "ping");
    let port = proxy.port();
    drop(proxy);
    assert!([client, frozen, held].iter().all(has_ended));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
