//! A web server on the loopback device, for one page.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// How long a browser may take to read an answer: one that has ended takes it never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page can send nothing anywhere but here, whatever is in it; nor can its workers, which heed no policy of a page.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

/// What a page asks for.
pub(crate) enum Request {
    /// A file, by its path from the root.
    Get(String),
    /// Somebody to take what it tells.
    Post(Vec<u8>),
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
    pub(crate) fn file(folder: &Path, path: &str) -> Self {
        let name = Path::new(if path == "/" { "index.html" } else { path.trim_start_matches('/') });
        if !name.components().all(|component| matches!(component, Component::Normal(_))) {
            return Self::Missing;
        }
        let kind = match name.extension().and_then(|ending| ending.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            Some("wasm") => "application/wasm",
            _ => "application/octet-stream",
        };
        fs::read(folder.join(name)).map_or(Self::Missing, |content| Self::Content(kind, content))
    }

    /// A value.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::Content("application/json", serde_json::to_vec(value).expect("names and lists of them"))
    }
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) request: Request,
    stream: TcpStream,
}

impl Asked {
    /// Answers it. A browser that has hung up asks again.
    pub(crate) fn answer(mut self, answer: Answer) {
        let (status, kind, content) = match answer {
            Answer::Content(kind, content) => ("200 OK", kind, content),
            Answer::Taken => ("204 No Content", "text/plain", vec![]),
            Answer::Missing => ("404 Not Found", "text/plain", b"there is no such file".to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {POLICY}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            content.len()
        );
        let _ = self.stream.write_all(head.as_bytes()).and_then(|()| self.stream.write_all(&content));
    }
}

/// The server.
pub(crate) struct Server {
    port: u16,
    asked: Receiver<Asked>,
}

impl Server {
    /// Listens on a port of the loopback device; 0 is any that is free.
    pub(crate) fn bind(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port} is taken"))?;
        let port = listener.local_addr()?.port();
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A browser opens connections before it has something to ask.
                thread::spawn(move || {
                    if let Ok(Some(request)) = read(&stream) {
                        // Nobody answers any more when this program ends.
                        let _ = sender.send(Asked { request, stream });
                    }
                });
            }
        });
        Ok(Self { port, asked })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers with the files of a folder, for as long as this program runs.
    pub(crate) fn serve(&self, folder: &Path) {
        while let Some(asked) = self.next(Duration::MAX) {
            let answer = match &asked.request {
                Request::Get(path) => Answer::file(folder, path),
                Request::Post(_) => Answer::Missing,
            };
            asked.answer(answer);
        }
    }

    /// The next request, unless there is none for so long.
    pub(crate) fn next(&self, patience: Duration) -> Option<Asked> {
        self.asked.recv_timeout(patience).ok()
    }
}

/// Reads the one request of a connection; nothing where the browser has closed it, or asks for something else.
fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    stream.set_write_timeout(Some(PATIENCE))?;
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
    Ok(match method {
        "GET" => Some(Request::Get(target.split('?').next().unwrap_or("/").to_owned())),
        "POST" => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            Some(Request::Post(body))
        }
        _ => None,
    })
}
