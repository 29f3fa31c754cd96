//! Plain HTTP/1.1 over a socket: what a test needs to see is when bytes arrive, and what they are.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// A whole response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends one request and reads the whole response.
///
/// # Errors
/// What the socket says.
pub fn request(address: SocketAddr, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<Response> {
    request_with(address, method, path, &[], body)
}

/// As [`request`], with further header fields.
///
/// # Errors
/// What the socket says.
pub fn request_with(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)], body: Option<&[u8]>) -> io::Result<Response> {
    let mut reader = send(address, method, path, fields, body)?;
    let (status, headers) = head(&mut reader)?;
    let mut bytes = Vec::new();
    if method != "HEAD" {
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
            while let Some(chunk) = chunk(&mut reader)? {
                bytes.extend(chunk);
            }
        } else {
            reader.read_to_end(&mut bytes)?;
        }
    }
    Ok(Response { status, headers, body: bytes })
}

/// A response that is read event by event.
#[derive(Debug)]
pub struct Sse {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    text: String,
}

impl Sse {
    /// The data of the next event as it arrives; `None` at the end of the body.
    ///
    /// # Errors
    /// What the socket says; an end in the middle of the body is `UnexpectedEof`.
    pub fn next_event(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                return Ok(Some(event.trim().strip_prefix("data: ").unwrap_or(&event).to_owned()));
            }
            match chunk(&mut self.reader)? {
                Some(bytes) => self.text.push_str(&String::from_utf8(bytes).map_err(io::Error::other)?),
                None => return Ok(None),
            }
        }
    }

    /// All further events' text deltas joined.
    ///
    /// # Errors
    /// As [`Self::next_event`].
    pub fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        while let Some(event) = self.next_event()? {
            text.push_str(&delta(&event));
        }
        Ok(text)
    }
}

/// The text delta of a chat-completion chunk, empty where there is none.
pub fn delta(event: &str) -> String {
    let value: Value = serde_json::from_str(event).unwrap_or_default();
    value["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
}

/// Posts `body` and returns once the head has come. Dropping the result closes the connection.
///
/// # Errors
/// What the socket says.
pub fn stream(address: SocketAddr, path: &str, body: &Value) -> io::Result<Sse> {
    stream_with(address, path, &[], body)
}

/// As [`stream`], with further header fields.
///
/// # Errors
/// What the socket says.
pub fn stream_with(address: SocketAddr, path: &str, fields: &[(&str, &str)], body: &Value) -> io::Result<Sse> {
    let mut reader = send(address, "POST", path, fields, Some(body.to_string().as_bytes()))?;
    let (status, headers) = head(&mut reader)?;
    Ok(Sse { status, headers, reader, text: String::new() })
}

/// Whether someone listens at `address`. To call a free port may give it to the call itself, which then talks to itself and keeps the port from whom it waits for.
pub fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(|socket| socket.local_addr().is_ok_and(|own| own != address))
}

fn send(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)], body: Option<&[u8]>) -> io::Result<BufReader<TcpStream>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(300)))?;
    let mut message = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in fields {
        write!(message, "{name}: {value}\r\n")?;
    }
    if let Some(body) = body {
        write!(message, "content-type: application/json\r\ncontent-length: {}\r\n", body.len())?;
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body.unwrap_or_default());
    // A server may refuse a large body before it has read it all: what it says then is what counts, not the broken pipe.
    let _ = socket.write_all(&message);
    Ok(BufReader::new(socket))
}

fn head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let bad = |line: &str| io::Error::other(format!("not HTTP: {line:?}"));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad(&line))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok((status, headers)) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}
