//! A web server on the loopback device that behaves as told, even badly, and remembers its requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

impl Request {
    /// The text of the last message.
    pub(crate) fn question(&self) -> &str {
        self.body["messages"]
            .as_array()
            .and_then(|all| all.last())
            .and_then(|m| m["content"].as_str())
            .unwrap_or_default()
    }
}

/// The behaviour of the server.
pub(crate) enum Reply {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Promises a body and breaks off within it.
    Cut,
    /// Closes the connection without a word.
    HangUp,
    /// Never answers.
    Silence,
}

impl Reply {
    /// A chat completion with this answer, of 10 and 3 tokens.
    pub(crate) fn completion(answer: &str) -> Self {
        Self::json(&json!({
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 3},
        }))
    }

    /// A verdict on feedback.
    pub(crate) fn feedback(level: &str) -> Self {
        Self::completion(&json!({"reason": "because", "feedback": level}).to_string())
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::Answer(200, vec![], body.to_string().into_bytes())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, vec![], b"{\"error\": \"as told\"}".to_vec())
    }
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server that answers the n-th request, from 0, with `reply`.
    pub(crate) fn start(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (log, ended) = (Arc::new(Mutex::new(vec![])), Arc::new(AtomicBool::new(false)));
        let (thread_log, thread_ended, reply) = (log.clone(), ended.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if thread_ended.load(Ordering::SeqCst) {
                    return;
                }
                let (log, reply) = (thread_log.clone(), reply.clone());
                std::thread::spawn(move || {
                    // A client that goes away is its own affair.
                    let _ = serve(stream.unwrap(), &log, &*reply);
                });
            }
        });
        Self { address, log, ended }
    }

    /// The base of its address, with the version that OpenAI-compatible servers have in it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    reply: &(dyn Fn(usize, &Request) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let Some(request) = read(&mut reader)? else { return Ok(()) };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    match reply(number, &request) {
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Told\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
            stream.write_all((head + "\r\n").as_bytes())?;
            stream.write_all(&body)?;
        }
        Reply::Cut => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"choices\": [")?,
        Reply::HangUp => {}
        // Until the client closes the connection.
        Reply::Silence => drop(reader.read(&mut [0; 1])),
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split(' ').nth(1).map(str::to_owned) else { return Ok(None) };
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, authorization, body: serde_json::from_slice(&body).unwrap_or_default() }))
}
