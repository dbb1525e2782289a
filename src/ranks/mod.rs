//! Ranks: the processes that work on one run together, each on an adapter of its own. `transport` passes messages,
//! `world` is what ranks do together, and [`Ranks`] is how the rest of the library asks for it.

mod adapter;
mod deal;
mod deck;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod pieces;
#[cfg(test)]
mod threads;
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "a rank that is alone has nobody to talk to"))]
mod transport;
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "a rank that is alone has nobody to wait for"))]
mod world;

use std::sync::Arc;
use std::sync::mpsc;

use bytemuck::Pod;
use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

pub(crate) use deal::deal;
pub(crate) use pieces::Next;
pub(crate) use world::Traffic;
use world::World;

/// Whether several ranks can work together: the feature `mpi`.
pub const WITH_MPI: bool = cfg!(feature = "mpi");

/// Something that the thread of the connection does.
type Job = Box<dyn FnOnce(&mut World) + Send>;

/// The ranks of a run, of which this process is one. Cloning is cheap.
#[derive(Clone)]
pub struct Ranks {
    rank: usize,
    /// The host of each rank.
    hosts: Arc<[String]>,
    /// What the thread of the connection has to do, in this order; `None` for a rank that is alone.
    jobs: Option<mpsc::Sender<Job>>,
}

impl Ranks {
    /// This process alone.
    pub fn alone() -> Self {
        Self { rank: 0, hosts: vec!["this host".to_owned()].into(), jobs: None }
    }

    /// Ranks within this process, connected to each other.
    #[cfg(test)]
    pub(crate) fn on_threads(size: usize) -> Vec<Self> {
        let patience = std::time::Duration::from_secs(60);
        let meet = |transport| Meeting::begin(move || World::meet(Box::new(transport), "here", patience));
        let meetings: Vec<Meeting> = threads::connected(size).into_iter().map(meet).collect();
        meetings.into_iter().map(|meeting| meeting.end().unwrap()).collect()
    }

    /// The ranks that a launcher such as `mpirun` started this process with, or this process alone. To be called once.
    ///
    /// # Errors
    /// There are several ranks, and the library was built without the feature `mpi`, or MPI does not start.
    pub fn join() -> Result<Self> {
        match launch::ranks(|name| std::env::var(name).ok())? {
            Some((size, variable)) if size > 1 => start(size, variable),
            _ => Ok(Self::alone()),
        }
    }

    /// This process alone, for work that ranks do not share.
    ///
    /// # Errors
    /// A launcher started several ranks, which would all do the same and overwrite each other's files.
    pub fn refuse_several() -> Result<Self> {
        match launch::ranks(|name| std::env::var(name).ok())? {
            Some((size, variable)) if size > 1 => {
                let problem = format!("started on {size} ranks, but this command does not share its work among ranks");
                Err(Error::input(variable, problem, "start it without the launcher"))
            }
            _ => Ok(Self::alone()),
        }
    }

    /// The number of this rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.hosts.len()
    }

    /// Whether this is the rank that prints and writes files.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// The number of this rank among those on its host.
    pub fn place(&self) -> usize {
        self.hosts[..self.rank].iter().filter(|host| **host == self.hosts[self.rank]).count()
    }

    /// Begins to add values over all ranks, element by element in the order of ranks. Sums are taken in the order in which
    /// they were begun, which must be the same on every rank.
    pub(crate) fn begin_sum(&self, values: Vec<f32>) -> Pending<Vec<f32>> {
        self.begin(|world| world.sum(values))
    }

    /// Begins to add one list for each rank in the same way, and to give this rank the sums of its own.
    pub(crate) fn begin_reduce_scatter(&self, lists: Vec<Vec<f32>>) -> Pending<Vec<f32>> {
        self.begin(|world| world.reduce_scatter(lists))
    }

    /// Begins to gather the messages of all ranks, of which the longest has `longest` bytes.
    pub(crate) fn begin_gather_large(&self, message: Vec<u8>, longest: usize) -> Pending<Vec<Vec<u8>>> {
        self.begin(move |world| world.gather_large(&message, longest))
    }

    /// The messages of all ranks, for the first alone; the others get nothing. The longest has `longest` bytes.
    ///
    /// # Errors
    /// As [`Ranks::total`].
    pub(crate) async fn collect_large(&self, message: Vec<u8>, longest: usize) -> Result<Vec<Vec<u8>>> {
        self.begin(move |world| world.collect_large(&message, longest)).wait().await
    }

    /// Adds numbers over all ranks, in the order of ranks.
    ///
    /// # Errors
    /// A rank failed or does not answer.
    pub(crate) async fn total<const N: usize>(&self, numbers: [f64; N]) -> Result<[f64; N]> {
        if self.jobs.is_none() {
            return Ok(numbers);
        }
        let mut total = [0.0; N];
        for theirs in self.gather_values(&numbers).await? {
            total.iter_mut().zip(theirs).for_each(|(total, number)| *total += number);
        }
        Ok(total)
    }

    /// Whether it is so on any rank.
    ///
    /// # Errors
    /// As [`Ranks::total`].
    pub(crate) async fn any(&self, here: bool) -> Result<bool> {
        Ok(self.total([f64::from(u8::from(here))]).await? != [0.0])
    }

    /// The values of each rank.
    ///
    /// # Errors
    /// As [`Ranks::total`].
    pub(crate) async fn gather_values<T: Pod>(&self, values: &[T]) -> Result<Vec<Vec<T>>> {
        let all = self.gather(bytemuck::cast_slice(values).to_vec()).await?;
        Ok(all.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect())
    }

    /// The messages of all ranks, in their order.
    ///
    /// # Errors
    /// As [`Ranks::total`].
    pub(crate) async fn gather(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        if self.jobs.is_none() {
            return Ok(vec![message]);
        }
        self.begin(|world| world.gather(message)).wait().await
    }

    /// What each rank has, by way of JSON, in which numbers with a fraction may lose their last bit.
    ///
    /// # Errors
    /// As [`Ranks::total`]; a rank sent something else.
    pub(crate) async fn gather_json<T: DeserializeOwned>(&self, own: &impl Serialize) -> Result<Vec<T>> {
        let json = serde_json::to_vec(own).map_err(|e| Error::run(format!("a message to other ranks: {e}"), ""))?;
        let all = self.gather(json).await?;
        let read = |(rank, json): (usize, &Vec<u8>)| {
            serde_json::from_slice(json).map_err(|e| self.error(rank, format!("sent what cannot be read: {e}")))
        };
        all.iter().enumerate().map(read).collect()
    }

    /// Checks that all ranks have the same facts, given with their names, such as "rows" with a hash of them.
    ///
    /// # Errors
    /// The first rank that has others than the first, and what differs; as [`Ranks::total`].
    pub(crate) async fn agree(&self, facts: &[(&str, String)]) -> Result<()> {
        let text = |facts: &[(&str, String)]| facts.iter().map(|(_, fact)| format!("{fact}\n")).collect::<String>();
        let all = self.gather(text(facts).into_bytes()).await?;
        for (rank, theirs) in all.iter().enumerate() {
            let differs = theirs.split(|byte| *byte == b'\n').zip(all[0].split(|byte| *byte == b'\n'));
            let differing: Vec<&str> = differs
                .zip(facts)
                .filter_map(|((theirs, first), (name, _))| (theirs != first).then_some(*name))
                .collect();
            if !differing.is_empty() {
                let problem = format!("has {} that rank 0 on {} has not", differing.join(" and "), self.hosts[0]);
                return Err(self.error(rank, problem));
            }
        }
        Ok(())
    }

    /// What this rank has spent on the others so far.
    ///
    /// # Errors
    /// As [`Ranks::total`].
    pub(crate) async fn traffic(&self) -> Result<Traffic> {
        match self.jobs {
            None => Ok(Traffic::default()),
            Some(_) => self.begin(|world| Ok(world.traffic())).wait().await,
        }
    }

    /// The error that a rank is to blame for.
    pub(crate) fn error(&self, rank: usize, problem: impl Into<String>) -> Error {
        Error::Rank { rank, host: self.hosts[rank].clone(), problem: problem.into(), silent: false }
    }

    /// Ends a run together with the others, and returns its result as people should read it: an error names the rank that
    /// it is of. Nothing may be asked of the ranks afterwards.
    ///
    /// # Errors
    /// The run's own, or that of a rank that fails meanwhile.
    pub async fn leave(&self, result: Result<()>) -> Result<()> {
        if self.jobs.is_none() {
            return result;
        }
        let ended = match result {
            Ok(()) => self.begin(World::end).wait().await,
            failed => failed,
        };
        let Err(error) = ended else { return Ok(()) };
        let told = error.to_string();
        let is_own = !matches!(error, Error::Rank { .. });
        let ended = self.begin(move |world| {
            if is_own {
                world.tell(&told);
            }
            world.end_after_failure();
            Ok(())
        });
        ended.wait().await?;
        // Wrong usage and a request to stop are no fault of a rank.
        let is_named = !is_own || error.exit_code() == 2 || matches!(error, Error::Interrupted(_));
        Err(if is_named { error } else { self.error(self.rank, error.to_string()) })
    }

    /// Whether it is this rank that prints an error, so that it is printed once: the first, or the next if the first is
    /// silent.
    pub fn tells(&self, error: &Error) -> bool {
        match error {
            Error::Rank { rank: 0, silent: true, .. } => self.rank == 1,
            _ => self.is_first(),
        }
    }

    fn begin<T: Send + 'static>(&self, work: impl FnOnce(&mut World) -> Result<T> + Send + 'static) -> Pending<T> {
        let (sender, receiver) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // Whoever waits notices if the thread has ended, as the sender is dropped.
            let _ = jobs.send(Box::new(move |world| drop(sender.send(work(world)))));
        }
        Pending(receiver)
    }
}

/// Something that the thread of the connection has been asked for.
pub(crate) struct Pending<T>(oneshot::Receiver<Result<T>>);

impl<T> Pending<T> {
    /// Waits until it is there.
    ///
    /// # Errors
    /// A rank failed or does not answer.
    pub(crate) async fn wait(self) -> Result<T> {
        self.0.await.unwrap_or_else(|_| Err(Error::run("the connection to the other ranks is closed", "")))
    }
}

/// A thread that meets the other ranks and has the connection to them from then on.
#[cfg(any(feature = "mpi", test))]
struct Meeting {
    jobs: mpsc::Sender<Job>,
    met: mpsc::Receiver<Result<(usize, Vec<String>)>>,
}

#[cfg(any(feature = "mpi", test))]
impl Meeting {
    fn begin(meet: impl FnOnce() -> Result<World> + Send + 'static) -> Self {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, met) = mpsc::channel();
        std::thread::spawn(move || {
            let mut world = match meet() {
                Ok(world) => world,
                Err(error) => return drop(tell.send(Err(error))),
            };
            // The receiver waits below.
            let _ = tell.send(Ok((world.rank(), world.hosts().to_vec())));
            todo.into_iter().for_each(|job| job(&mut world));
        });
        Self { jobs, met }
    }

    fn end(self) -> Result<Ranks> {
        let (rank, hosts) = self.met.recv().unwrap_or_else(|_| Err(Error::run("MPI did not start", "")))?;
        Ok(Ranks { rank, hosts: hosts.into(), jobs: Some(self.jobs) })
    }
}

#[cfg(feature = "mpi")]
fn start(_: usize, _: &str) -> Result<Ranks> {
    let patience = mpi::patience()?;
    let meet = move || mpi::Mpi::start().and_then(|(mpi, host)| World::meet(Box::new(mpi), &host, patience));
    Meeting::begin(meet).end()
}

#[cfg(not(feature = "mpi"))]
fn start(size: usize, variable: &str) -> Result<Ranks> {
    let problem = format!("started on {size} ranks, but this program was built without MPI and would run {size} times");
    Err(Error::input(variable, problem, "build it with `cargo build --release --features mpi`"))
}
