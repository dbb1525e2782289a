//! A page of a browser by its debugging port: the Chrome DevTools Protocol over a WebSocket (RFC 6455), on the loopback
//! device.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The frames that are of interest (RFC 6455, section 5.2).
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const MASKED: u8 = 0x80;

/// A page, and its workers.
pub(crate) struct Page {
    stream: TcpStream,
    /// Of the page; before there is one, calls are to the browser.
    session: Value,
    calls: u64,
    /// The addresses that the page and its workers have asked for.
    pub(crate) requests: Vec<String>,
}

impl Page {
    /// Opens an empty page, whose downloads go to a folder, in a browser by what its file `DevToolsActivePort` says: the port, and the path of the browser.
    pub(crate) fn open(active_port: &str, downloads: &Path) -> Result<Self> {
        let (port, path) = active_port.split_once('\n').context("the browser does not say its path")?;
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse()?)).context("the browser does not listen")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: d2VicGFnZXMgYXJlIGZ1bg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        ensure!(head.starts_with(b"HTTP/1.1 101"), "the browser refuses: {}", String::from_utf8_lossy(&head));
        let mut page = Self { stream, session: Value::Null, calls: 0, requests: vec![] };
        page.call("Browser.setDownloadBehavior", json!({"behavior": "allow", "downloadPath": downloads}))?;
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let params = json!({"targetId": target["targetId"], "flatten": true});
        page.session = page.call("Target.attachToTarget", params)?["sessionId"].take();
        // Workers wait until somebody watches what they ask for.
        let workers = json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true});
        page.call("Target.setAutoAttach", workers)?;
        Ok(page)
    }

    /// Calls a method of the protocol and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let session = self.session.clone();
        let id = self.ask(&session, method, &params)?;
        loop {
            let mut message: Value = serde_json::from_slice(&self.receive()?)?;
            if message["id"] == id {
                ensure!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return Ok(message["result"].take());
            }
            match message["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    self.requests.extend(message["params"]["request"]["url"].as_str().map(str::to_owned));
                }
                Some("Target.attachedToTarget") => {
                    let worker = message["params"]["sessionId"].take();
                    self.ask(&worker, "Network.enable", &json!({}))?;
                    self.ask(&worker, "Runtime.runIfWaitingForDebugger", &json!({}))?;
                }
                _ => {}
            }
        }
    }

    /// Sends a call, of which the answer has the number that this returns.
    fn ask(&mut self, session: &Value, method: &str, params: &Value) -> Result<u64> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if !session.is_null() {
            message["sessionId"] = session.clone();
        }
        self.send(TEXT, message.to_string().as_bytes())?;
        Ok(self.calls)
    }

    /// The value of an expression of JavaScript, awaited.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call("Runtime.evaluate", params)?;
        ensure!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].take())
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![FINAL | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(MASKED | length as u8),
            length @ 126..=0xffff => {
                frame.push(MASKED | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Clients must mask; a mask of zeros leaves the payload as it is. It guards proxies, of which there is none here.
        frame.extend([0; 4]);
        frame.extend(payload);
        Ok(self.stream.write_all(&frame)?)
    }

    /// The next message, of one or more frames.
    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut message = vec![];
        loop {
            let [first, second] = self.bytes()?;
            let length = match second {
                126 => u16::from_be_bytes(self.bytes()?).into(),
                127 => u64::from_be_bytes(self.bytes()?),
                length => length.into(),
            };
            let start = message.len();
            message.resize(start + usize::try_from(length)?, 0);
            self.stream.read_exact(&mut message[start..])?;
            match first & 0xf {
                CLOSE => bail!("the browser has closed the connection"),
                PING => {
                    let payload = message.split_off(start);
                    self.send(PONG, &payload)?;
                }
                _ if first & FINAL != 0 => return Ok(message),
                _ => {}
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
