//! Connections: those that say nothing, too slowly, too much, or are too many, and what they are shown.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use super::*;
use crate::pki::CHECK_PERIOD;

/// A time that tests move.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Reads until the other side closes; time stands still but for what somebody waits for.
async fn rest(mut stream: TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut ends without a farewell.
    let _cut = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn whoever_does_not_speak_or_speaks_too_slowly_is_cut() {
    let server = Server::start().await;
    let mut streams = Vec::new();
    for (protocol, begun) in [
        ("http/1.1", ""),
        ("http/1.1", "GET /livez HTTP/1.1\r\nhost: a\r\nx"),
        ("h2", ""),
        ("h2", "PRI * HTTP/2.0\r\n"),
    ] {
        let mut stream = server.connect(None, protocol.as_bytes()).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    let mut plain = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    tokio::time::pause();
    for stream in streams {
        rest(stream).await;
    }
    // Nor does a handshake last for ever.
    assert_eq!(plain.read(&mut [0]).await.unwrap(), 0);
    tokio::time::resume();
    let mut anybody = server.client(None).await;
    assert_eq!(anybody.text("GET /livez", &[], "").await.0, 200);
}

#[tokio::test]
async fn a_connection_carries_many_requests_and_ends_when_it_is_idle_for_long() {
    let server = Server::start().await;
    let mut stream = server.connect(None, b"http/1.1").await;
    for _ in 0..3 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            answer.push(stream.read_u8().await.unwrap());
        }
    }
    tokio::time::pause();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn headers_have_a_limit() {
    let server = Server::start().await;
    let mut stream = server.connect(None, b"http/1.1").await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let long = format!("x: {}\r\n", "x".repeat(4000));
    for _ in 0..1000 {
        if stream.write_all(long.as_bytes()).await.is_err() {
            break;
        }
    }
    let told = rest(stream).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 431 "), "{told}");

    let stream = server.connect(None, b"h2").await;
    let (mut sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let ask = |size: usize| {
        let request = Request::get("https://localhost/livez").header("x", "x".repeat(size));
        request.body(Full::new(Bytes::new())).unwrap()
    };
    assert_eq!(sender.send_request(ask(30_000)).await.unwrap().status(), 200);
    assert_eq!(sender.send_request(ask(100_000)).await.unwrap().status(), 431);
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait() {
    let server = Server::start_by(Arc::new(runtime::clock::SystemClock), 2048, 2).await;
    let mut first = server.client(None).await;
    let mut second = server.client(None).await;
    assert_eq!(first.text("GET /livez", &[], "").await.0, 200);
    let third = server.client(None);
    tokio::pin!(third);
    // What comes after the waiting one is answered before it.
    tokio::select! {
        biased;
        _ = &mut third => panic!("there was no room"),
        answer = second.text("GET /livez", &[], "") => assert_eq!(answer.0, 200),
    }
    drop(first);
    assert_eq!(third.await.text("GET /livez", &[], "").await.0, 200);
}

#[tokio::test]
async fn a_new_certificate_is_shown_before_the_old_one_ends() {
    let clock = Arc::new(Moved(AtomicI64::new(1_800_000_000)));
    let server = Server::start_by(clock.clone(), 2048, 100).await;
    let shown = async || {
        let stream = server.connect(None, b"http/1.1").await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let first = shown().await;
    assert_eq!(shown().await, first);
    let mut kept = server.client(None).await;
    clock.0.fetch_add(340 * 24 * 3600, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(CHECK_PERIOD).await;
    tokio::time::resume();
    let deadline = tokio::time::Instant::now() + SOON;
    while shown().await == first {
        assert!(tokio::time::Instant::now() < deadline, "the certificate stays");
    }
    // A year later nobody takes the first one any more.
    clock.0.fetch_add(60 * 24 * 3600, Ordering::Relaxed);
    let mut anybody = server.client(None).await;
    assert_eq!(anybody.text("GET /livez", &[], "").await.0, 200);
    let _closed_or_not = kept.sender.ready().await;
}
