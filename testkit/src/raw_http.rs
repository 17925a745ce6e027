//! HTTP/1.1 as bytes on a connection, for stand-ins that inspect, change or break requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers in order; names are in lower case.
    pub headers: Vec<(String, String)>,
    /// As much of the body as has been read.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.0 == name)
            .map(|header| header.1.as_str())
    }

    /// Returns the region for which the request is signed.
    pub fn region(&self) -> Option<&str> {
        self.header("authorization")?.split('/').nth(2)
    }

    /// Returns the request as bytes, with `connection: close`.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in self.headers.iter().filter(|header| header.0 != "connection") {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"connection: close\r\n\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// Reads the head of the next request and the first bytes of its body; `None` at the end.
pub async fn read_head(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    Some(Request {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: bytes[end + 4..].to_vec(),
    })
}

/// Reads the rest of the body; `None` when the connection ends before.
pub async fn read_body(socket: &mut TcpStream, request: &mut Request) -> Option<()> {
    let length: usize = request.header("content-length").unwrap_or("0").parse().unwrap();
    while request.body.len() < length {
        if socket.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// Writes a response and closes the connection.
pub async fn answer(socket: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &str) {
    let mut head = format!(
        "HTTP/1.1 {status} Injected\r\ncontent-length: {}\r\ncontent-type: application/xml\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = socket.write_all(format!("{head}\r\n{body}").as_bytes()).await;
    let _ = socket.shutdown().await;
}

/// Resets the connection.
pub fn reset(socket: TcpStream) {
    socket.set_zero_linger().unwrap();
    drop(socket);
}
