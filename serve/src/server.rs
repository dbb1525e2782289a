//! Listening, connections, and the end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use wgr::gpu::AdapterChoice;
use wgr::{Error, Event, Observer, Result};

use crate::app::{App, Key};
use crate::config::ServeConfig;
use crate::core::{Current, Device, Served, Setup};
use crate::generation::{self, Generation};
use crate::metrics::Metrics;
use crate::rewards::Rewards;
use crate::routes::router;

/// Connections at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 2048;
/// Within this time the head of a request must have arrived, also the first byte of the next on an open connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Within this time the last answers must have been read when the server ends.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether requests are still being answered when the server is about to end.
const GLANCE: Duration = Duration::from_millis(10);

/// Serves until SIGINT or SIGTERM, then answers what it has accepted. A second signal ends the process at once.
///
/// # Errors
/// A setting or a model is wrong, the device does not open, or the address cannot be listened on.
pub fn serve(config: &ServeConfig, adapter: &AdapterChoice, mut observer: Box<dyn Observer + Send>) -> Result<()> {
    config.validate()?;
    let key = std::env::var(&config.api_key_env).ok().filter(|key| !key.is_empty());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // They tokenize, for which more threads than cores are of no use.
        .max_blocking_threads(std::thread::available_parallelism().map_or(1, std::num::NonZero::get).max(2))
        .build()
        .map_err(|error| Error::io("threads", error))?;
    runtime.block_on(async {
        let listener = listen(config, key.is_some()).await?;
        let address = listener.local_addr().map_err(|error| Error::io(&config.host, error))?;
        let served = config.model.as_deref().map(|model| Served::open(config, model)).transpose()?;
        if let Some(served) = &served {
            observer.on(Event::Note(&served.model.reading.to_string()));
        }
        let metrics = Arc::new(Metrics::new());
        let generation = config.generate.as_deref().map(|model| {
            let served = generation::Served::open(model, config.base_dtype, config.max_length, &mut *observer)?;
            Generation::start(adapter.clone(), served, config.max_queue, &mut *observer)
        });
        let generation = generation.transpose()?;
        let rewards = served.map(|served| {
            let current = Arc::new(Current::new(served.into()));
            let setup = Setup {
                adapter: adapter.clone(),
                current: current.clone(),
                max_batch_tokens: config.max_batch_tokens,
                metrics: metrics.clone(),
            };
            Ok::<_, Error>(Rewards::new(Device::start(setup, observer)?, current, config.max_queue))
        });
        let rewards = rewards.transpose()?;
        let app = Arc::new(App::new(config.clone(), rewards, generation, metrics, key.map(Key::new)));
        let stop = signals()?;
        say(&format!("listening on http://{address}"));
        accept(listener, app, stop).await;
        Ok(())
    })
}

/// One line on stderr. If that is closed, there is nobody to tell.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Listens on the address of the settings, unless it is open to others and nothing is asked of them.
async fn listen(config: &ServeConfig, has_key: bool) -> Result<TcpListener> {
    let at = || format!("`.host` {}", config.host);
    let failed = |error: std::io::Error| Error::input(at(), error.to_string(), "");
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((config.host.as_str(), config.port)).await.map_err(failed)?.collect();
    let is_loopback = |address: &SocketAddr| address.ip().is_loopback();
    if !has_key && !config.no_auth && !found.iter().all(is_loopback) {
        let problem = format!("can be reached by others, and {} holds no key", config.api_key_env);
        return Err(Error::input(at(), problem, "set that variable, or use `.no_auth` where the network is trusted"));
    }
    TcpListener::bind(&found[..]).await.map_err(failed)
}

/// Becomes true at the first SIGINT or SIGTERM; the second ends the process.
fn signals() -> Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    #[cfg(unix)]
    let mut next = {
        use tokio::signal::unix::{SignalKind, signal};
        let open = |kind| signal(kind).map_err(|error| Error::io("signals", error));
        let (mut interrupt, mut terminate) = (open(SignalKind::interrupt())?, open(SignalKind::terminate())?);
        async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    };
    #[cfg(not(unix))]
    let mut next = async || {
        // Without a handler the system ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::spawn(async move {
        next().await;
        say("answering the requests that were accepted; another signal ends at once");
        // The receiver lives as long as the server.
        let _ = stop.send(true);
        next().await;
        std::process::exit(1);
    });
    Ok(stopped)
}

/// Accepts connections until the end.
async fn accept(listener: TcpListener, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let router = router(app.clone());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut drained = std::pin::pin!(async {
        // An error means that no signal can come any more, as the process ends.
        let _ = stop.wait_for(|stop| *stop).await;
        app.draining.store(true, Ordering::SeqCst);
        while app.metrics.underway() > 0 {
            tokio::time::sleep(GLANCE).await;
        }
    });
    loop {
        let place = places.clone().acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        tokio::select! {
            () = &mut drained => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), closing.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                // Such as too many open files, which pass.
                Err(error) => {
                    tracing::warn!("a connection cannot be accepted: {error}");
                    tokio::time::sleep(GLANCE).await;
                }
            }
        }
    }
    // Nobody reads this after the last connection.
    let _ = close.send(true);
    if tokio::time::timeout(READ_PATIENCE, connections.join_all()).await.is_err() {
        tracing::warn!("clients that did not read their answers were cut off");
    }
}

/// Serves a connection until its client goes, or until it is to be closed, after the answer under way.
async fn connection(stream: TcpStream, router: Router, mut closing: watch::Receiver<bool>) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = closing.wait_for(|close| *close) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}
