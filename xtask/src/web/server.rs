//! A web server on the loopback device, for one page.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path};

use anyhow::{Context, Result};

/// What a page asks for.
pub(crate) enum Request<'a> {
    /// A file, by its path from the root.
    Get(&'a str),
    /// It tells something.
    Post(#[allow(dead_code, reason = "there is one thing that pages tell")] &'a str, &'a [u8]),
}

/// What it gets.
pub(crate) enum Answer {
    /// A file of this type.
    Content(&'static str, Vec<u8>),
    /// Nothing is to be said.
    Taken,
    /// There is none.
    Missing,
}

impl Answer {
    /// A file of a folder; `index.html` for the folder itself.
    pub(crate) fn file(folder: &Path, path: &str) -> Option<Self> {
        let name = Path::new(if path == "/" { "index.html" } else { path.trim_start_matches('/') });
        if !name.components().all(|component| matches!(component, Component::Normal(_))) {
            return Some(Self::Missing);
        }
        let kind = match name.extension().and_then(|ending| ending.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("json") => "application/json",
            Some("wasm") => "application/wasm",
            _ => "application/octet-stream",
        };
        Some(fs::read(folder.join(name)).map_or(Self::Missing, |content| Self::Content(kind, content)))
    }
}

/// The server.
pub(crate) struct Server {
    listener: TcpListener,
    port: u16,
}

impl Server {
    /// Listens on a port of the loopback device; 0 is any that is free.
    pub(crate) fn bind(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port} is taken"))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers requests, one after the other, until there is no answer.
    pub(crate) fn serve(&self, mut answer: impl FnMut(Request) -> Option<Answer>) -> Result<()> {
        for stream in self.listener.incoming() {
            // A browser that hangs up asks again.
            let Ok(stream) = stream else { continue };
            match respond(&stream, &mut answer) {
                Ok(true) | Err(_) => {}
                Ok(false) => break,
            }
        }
        Ok(())
    }
}

/// Answers the one request of a connection; whether there was an answer.
fn respond(stream: &TcpStream, answer: &mut impl FnMut(Request) -> Option<Answer>) -> std::io::Result<bool> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
    let path = target.split('?').next().unwrap_or("/");
    let answered = match method {
        "GET" => answer(Request::Get(path)),
        "POST" => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            answer(Request::Post(path, &body))
        }
        // A connection that a browser opened and did not use.
        _ => return Ok(true),
    };
    let goes_on = answered.is_some();
    let (status, kind, content) = match answered.unwrap_or(Answer::Taken) {
        Answer::Content(kind, content) => ("200 OK", kind, content),
        Answer::Taken => ("204 No Content", "text/plain", vec![]),
        Answer::Missing => ("404 Not Found", "text/plain", b"there is no such file".to_vec()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&content)?;
    Ok(goes_on)
}
