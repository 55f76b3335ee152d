//! Load and backends of `rake soak`: thousands of connections of random kinds, with faults. Each outcome is checked.
//!
//! Prints the ports of its backends and a port that refuses. Then executes commands from standard
//! input, with a line of JSON as the result of each:
//!   run PORT FIRST COUNT         connections FIRST.. through the proxy on PORT, until all have ended
//!   storm PORT FIRST COUNT RATE  short connections, RATE per second if the machine can
//!   drain PORT FIRST             lossless connections, until the proxy accepts no more and all have ended

#[path = "../../args.rs"]
#[allow(dead_code)] // the benchmarks use all of it
mod args;
mod kinds;
mod outcomes;
mod plan;
mod random;
mod script;
#[path = "../../stream.rs"]
mod stream;

use args::Args;
use kinds::Kind;
use outcomes::Outcomes;
use plan::Plan;
use random::Random;
use script::{End, Outcome, Script, prepare};
use socket2::{Domain, Socket, Type};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

const BACKENDS: usize = 4;

/// Concurrent clients. With two descriptors each, and pipes, the proxy stays below the usual limit of 1024.
const CONCURRENCY: usize = 300;

/// The maximum length of a head.
const HEAD: usize = 60;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args = Args::parse(["soak".to_owned()].into_iter().chain(std::env::args().skip(1)))?;
    let only = args.text("only", "");
    let selected: Vec<(Kind, u64)> = Kind::ALL
        .iter()
        .copied()
        .filter(|(kind, _)| only.is_empty() || only.split(',').any(|name| name == kind.name()))
        .collect();
    if selected.is_empty() {
        let names: Vec<&str> = Kind::ALL.iter().map(|(kind, _)| kind.name()).collect();
        return Err(format!("no such kind; there are {}", names.join(", ")).into());
    }
    let soak = Rc::new(Soak {
        seed: args.get("seed", 1)?,
        rate: args.get("rate", 400.0)?,
        selected: RefCell::new(selected),
        outcomes: RefCell::default(),
        serving: Cell::new(0),
        served: Notify::new(),
        closed: Cell::new(false),
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let _refusing = local.block_on(&runtime, async { listen(&soak) })?;
    for command in io::stdin().lines() {
        let command = command?;
        let words: Vec<&str> = command.split(' ').collect();
        let report = match words[..] {
            ["run", port, first, count] => {
                let phase =
                    soak.phase(local_port(port.parse()?), first.parse()?, Some(count.parse()?), soak.rate);
                local.block_on(&runtime, phase)
            }
            ["storm", port, first, count, rate] => {
                let before = soak.select_kinds(&[Kind::Short]);
                let (port, count) = (local_port(port.parse()?), Some(count.parse()?));
                let report = local.block_on(&runtime, soak.phase(port, first.parse()?, count, rate.parse()?));
                soak.selected.replace(before);
                report
            }
            ["drain", port, first] => {
                soak.select_kinds(Kind::LOSSLESS);
                let phase = soak.phase(local_port(port.parse()?), first.parse()?, None, soak.rate);
                local.block_on(&runtime, phase)
            }
            _ => return Err(format!("no such command: {command}").into()),
        };
        println!("{report}");
    }
    Ok(())
}

struct Soak {
    seed: u64,
    /// Connections per second.
    rate: f64,
    selected: RefCell<Vec<(Kind, u64)>>,
    outcomes: RefCell<Outcomes>,
    /// Open backend connections.
    serving: Cell<usize>,
    served: Notify,
    /// The proxy accepts no more connections.
    closed: Cell<bool>,
}

fn local_port(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Listens on the backends' ports and prints them. The last port is bound, and refuses connections.
fn listen(soak: &Rc<Soak>) -> io::Result<Socket> {
    let mut ports = Vec::new();
    for _ in 0..BACKENDS {
        let socket = TcpSocket::new_v4()?;
        socket.bind(local_port(0))?;
        let listener = socket.listen(4096)?;
        ports.push(listener.local_addr()?.port());
        spawn_local(accept(Rc::clone(soak), listener));
    }
    let refusing = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    refusing.bind(&local_port(0).into())?;
    ports.extend(refusing.local_addr()?.as_socket().map(|address| address.port()));
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    println!("{}", ports.join(" "));
    Ok(refusing)
}

async fn accept(soak: Rc<Soak>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                soak.serving.set(soak.serving.get() + 1);
                let soak = Rc::clone(&soak);
                spawn_local(async move {
                    soak.serve(socket).await;
                    soak.serving.set(soak.serving.get() - 1);
                    soak.served.notify_waiters();
                });
            }
            Err(error) => {
                soak.outcomes.borrow_mut().unexpected.push(format!("the backend cannot accept: {error}"));
            }
        }
    }
}

impl Soak {
    /// Selects these kinds. Returns the previous selection.
    fn select_kinds(&self, kinds: &[Kind]) -> Vec<(Kind, u64)> {
        self.selected.replace(Kind::ALL.iter().copied().filter(|(kind, _)| kinds.contains(kind)).collect())
    }

    /// Opens connections in bursts, waits until all have ended, and returns the report.
    async fn phase(self: &Rc<Self>, target: SocketAddr, first: u64, count: Option<u64>, rate: f64) -> String {
        let started = Instant::now();
        let room = Arc::new(Semaphore::new(CONCURRENCY));
        let mut random = Random::of(self.seed, u64::MAX - first);
        let mut due = started;
        let mut burst = 0;
        let mut clients = JoinSet::new();
        for number in first..count.map_or(u64::MAX, |count| first + count) {
            if self.closed.get() {
                break;
            }
            if burst == 0 {
                burst = random.size(1..=200);
                due += Duration::from_secs_f64(burst as f64 / rate);
                sleep_until(due).await;
            }
            burst -= 1;
            let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            let soak = Rc::clone(self);
            clients.spawn_local(async move {
                soak.call(target, number, count.is_none()).await;
                drop(place);
            });
            while clients.try_join_next().is_some() {}
        }
        while clients.join_next().await.is_some() {}
        loop {
            let served = self.served.notified();
            if self.serving.get() == 0 {
                break;
            }
            served.await;
        }
        self.outcomes.take().report(started.elapsed(), count.is_none())
    }

    async fn call(&self, target: SocketAddr, number: u64, draining: bool) {
        let plan = kinds::plan(self.seed, number, &self.selected.borrow());
        let outcome = match connect(target, &plan).await {
            Ok(socket) => Script::client(&plan).run(socket, &[]).await,
            Err(error) if draining && error.kind() == ErrorKind::ConnectionRefused => {
                return self.closed.set(true);
            }
            // It was in the queue of the listener that the drain has closed. A busy machine learns both at once.
            Err(error) if draining && error.kind() == ErrorKind::ConnectionReset => {
                Outcome { end: Some(End::Reset), ..Outcome::default() }
            }
            Err(error) => Outcome::fault(format!("cannot connect: {error}")),
        };
        self.outcomes.borrow_mut().client(plan, outcome);
    }

    async fn serve(&self, socket: TcpStream) {
        // A connection reset before its head arrived is ignored here; a missing one is found in the report.
        let Some((head, early)) = read_head(&socket).await else { return };
        let number = head.split(' ').nth(2).and_then(|number| number.parse().ok());
        let plan = number.map(|number| kinds::plan(self.seed, number, &self.selected.borrow()));
        let Some(plan) = plan.filter(|plan| plan.head_at_server() == head) else {
            return self.outcomes.borrow_mut().unexpected.push(format!("came to the backend: {head:?}"));
        };
        let outcome = match prepare(&socket, plan.small_buffers) {
            Ok(()) => Script::server(&plan).run(socket, &early).await,
            Err(error) => Outcome::fault(format!("cannot set up: {error}")),
        };
        self.outcomes.borrow_mut().server(plan.number, outcome);
    }
}

async fn connect(target: SocketAddr, plan: &Plan) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    prepare(&socket, plan.small_buffers)?;
    socket.connect(target).await
}

/// Returns the first line and the data after it, or None if the connection ends before.
async fn read_head(socket: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut got = vec![0; 64 * 1024];
    let mut count = 0;
    loop {
        socket.readable().await.ok()?;
        match socket.try_read(&mut got[count..]) {
            Ok(0) => return None,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        let end = got[..count].iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        if end.is_some() || count > HEAD {
            let (head, early) = got[..count].split_at(end.unwrap_or(count));
            return Some((String::from_utf8_lossy(head).into_owned(), early.to_vec()));
        }
    }
}
