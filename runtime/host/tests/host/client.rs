//! A client of raw bytes: it sees what arrives when, and how a connection ends.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Asks for `path` on a connection that the server is to close afterwards.
    pub(crate) async fn ask(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await;
    }

    /// Reads until `text` has arrived.
    pub(crate) async fn wait_for(&mut self, text: &str) {
        let found = |received: &[u8]| received.windows(text.len()).any(|window| window == text.as_bytes());
        while !found(&self.received) {
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.received)).await;
            let read = read.unwrap_or_else(|_| panic!("'{text}' did not come; there is: {}", self.text())).unwrap();
            assert!(read > 0, "the connection ended before '{text}': {}", self.text());
        }
    }

    /// Reads the status.
    pub(crate) async fn status(&mut self) -> u16 {
        self.wait_for("\r\n").await;
        self.text()[9..12].parse().unwrap()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn end(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.socket.read_buf(&mut self.received)).await {
                Ok(Ok(0) | Err(_)) => return self.text(),
                Ok(Ok(_)) => {}
                Err(_) => panic!("the connection does not end; there is: {}", self.text()),
            }
        }
    }

    pub(crate) async fn get(mut self, path: &str) -> (u16, String) {
        self.ask(path).await;
        let text = self.end().await;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {text}"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { unchunk(body) } else { body.to_owned() })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// Whether a chunked response came to its proper end.
pub(crate) fn is_complete(response: &str) -> bool {
    response.ends_with("0\r\n\r\n")
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").unwrap_or_else(|| panic!("a chunk is cut: {body}"));
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return text;
        }
        text.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
}
