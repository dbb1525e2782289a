//! A server, its clients, and the scores that it must give.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../../tests/support/tensors.rs"]
pub(crate) mod tensors;
#[path = "../../../tests/support/words.rs"]
mod words;

pub(crate) use words::text;

/// A temporary folder with tiny models.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A model of `tests/golden` in a folder of this name.
    pub(crate) fn model(&self, golden: &str, name: &str) -> String {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(golden);
        words::model(&golden, self.path(name)).display().to_string()
    }

    /// The rows that `wgr score` writes.
    pub(crate) fn score(&self, model: &str, rows: &[Value], flags: &[&str]) -> Vec<Value> {
        let (input, output) = (self.path("rows.jsonl"), self.path("scores.jsonl"));
        std::fs::write(&input, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
        command.args(["score", "--force", "--quiet", "--model", model]).args(flags);
        let ended = command.arg("--input").arg(&input).arg("--output").arg(&output).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let written = std::fs::read_to_string(&output).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The score of each text.
    pub(crate) fn scores(&self, model: &str, texts: &[String], flags: &[&str]) -> Vec<f64> {
        let rows: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
        self.score(model, &rows, flags).iter().map(|row| row["score"].as_f64().unwrap()).collect()
    }
}

/// A server on a free port, which ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What it printed on stderr so far.
    pub(crate) log: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) fn start(model: &str, flags: &[&str]) -> Self {
        Self::start_with(model, flags, &[])
    }

    pub(crate) fn start_with(model: &str, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_at(&[&["--model", model], flags].concat(), environment)
    }

    /// Starts one with the models that the flags name.
    pub(crate) fn start_at(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
        command.args(["serve", "--port", "0"]).args(flags).env_remove("WGR_API_KEY");
        let mut child = command.envs(environment.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        while address.is_none() {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {}", log.lock().unwrap())).unwrap();
            address = line.strip_prefix("listening on http://").map(str::to_owned);
            log.lock().unwrap().push_str(&format!("{line}\n"));
        }
        let read = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                read.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, address: address.unwrap(), log }
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    /// The answer to one request, which must be a success.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = self.client().post(path, body);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// The rewards of texts.
    #[track_caller]
    pub(crate) fn rewards(&self, texts: &[String]) -> Vec<f64> {
        numbers(&self.ask("/get_reward", &json!({ "query": texts }))["rewards"])
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    /// JSON, or a text where it is not.
    pub(crate) body: Value,
}

/// A connection that is kept open between requests.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    /// Lines of the heads of its requests.
    headers: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).unwrap()), headers: String::new() }
    }

    pub(crate) fn with_key(self, key: &str) -> Self {
        self.with_header(&format!("authorization: Bearer {key}"))
    }

    /// Sends this line with every request from now on.
    pub(crate) fn with_header(mut self, line: &str) -> Self {
        self.headers += &format!("{line}\r\n");
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, b"").unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, body.to_string().as_bytes()).unwrap()
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// The connection is closed before the answer is complete.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Reply> {
        self.send_request(method, path, body)?;
        self.reply()
    }

    /// Sends a request whose answer is a stream, and reads its head.
    pub(crate) fn begin_stream(&mut self, path: &str, body: &Value) {
        self.send_request("POST", path, body.to_string().as_bytes()).unwrap();
        let reply = self.reply().unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert_eq!(reply.headers["content-type"], "text/event-stream");
    }

    /// All events of such an answer, without their `data: `.
    pub(crate) fn events(&mut self, path: &str, body: &Value) -> Vec<String> {
        self.begin_stream(path, body);
        let mut text = String::new();
        loop {
            let mut size = String::new();
            self.stream.read_line(&mut size).unwrap();
            let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            if chunk.len() == 2 {
                break;
            }
            text.push_str(std::str::from_utf8(&chunk[..chunk.len() - 2]).unwrap());
        }
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
    }

    fn send_request(&mut self, method: &str, path: &str, body: &[u8]) -> std::io::Result<()> {
        let headers = &self.headers;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: wgr\r\n{headers}content-length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn reply(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
        let mut headers = HashMap::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Ok(Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) })
    }
}

/// A list of numbers.
#[track_caller]
pub(crate) fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

pub(crate) fn texts(count: usize) -> Vec<String> {
    (0..count).map(text).collect()
}
