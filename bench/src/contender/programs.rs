//! Unmodified programs, a server and a client: at an engine under `braid exec`, on Linux's Multipath TCP by
//! mptcpize, or as they are.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Engine, Failure, Processes, failed};
use super::{engine, kernel};
use crate::load::Pace;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(10);

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests of a client's first try, which finds out whether the server answers.
const FIRST: u32 = 1;

/// Seconds after which a client is ended by force.
const LONGEST: &str = "30";

/// The same of one that finds out whether the server answers: redis-benchmark waits for ever where one of
/// its connections was refused.
const LONGEST_FIRST: &str = "2";

/// Connections of each client.
const CLIENTS: &str = "50";

/// Under what programs run.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Under {
    /// `braid exec`, at both ends.
    BraidExec,
    /// `mptcpize run`, at both ends.
    Mptcpize,
    /// Nothing: Linux's TCP.
    Nothing,
}

/// A server and its client.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Programs {
    /// redis-server, and redis-benchmark with so many requests on their way on each connection.
    Redis {
        /// How many.
        pipelined: u32,
        /// Requests in all.
        requests: u32,
    },
    /// nginx with a page of a few bytes, and wrk.
    Http,
}

impl Programs {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Redis { .. } => ["redis-server", "redis-benchmark"],
            Self::Http => ["nginx", "wrk"],
        }
    }

    /// Requests a second that the client had answered.
    ///
    /// # Errors
    ///
    /// [`Failure::Absent`] names what is not installed.
    pub fn requests_per_second(self, under: Under, processes: &Processes) -> Result<f64, Failure> {
        for name in self.names() {
            look_for(name)?;
        }
        let place = Place::new(under, processes)?;
        let _server = self.serve(&place)?;
        let begun = Instant::now();
        loop {
            // It takes a while until it listens.
            thread::sleep(PAUSE);
            let output = self.ask(&place, Some(FIRST))?;
            if output.status.success() {
                break;
            }
            if begun.elapsed() > START {
                let [server, client] = self.names();
                let told = String::from_utf8_lossy(&output.stderr);
                return Err(Failure::Failed(format!(
                    "{client} finds no {server} ({under:?}): {told}"
                )));
            }
        }
        let output = self.ask(&place, None)?;
        let told = String::from_utf8_lossy(&output.stdout);
        let rate = match self {
            // "GET","123456.78",...
            Self::Redis { .. } => told
                .lines()
                .find_map(|line| line.strip_prefix("\"GET\",\"")?.split('"').next()),
            Self::Http => told
                .lines()
                .find_map(|line| line.strip_prefix("Requests/sec:")),
        };
        let rate = rate.and_then(|rate| rate.trim().parse().ok());
        rate.ok_or_else(|| Failure::Failed(format!("{} told no rate: {told}", self.names()[1])))
    }

    fn serve(self, place: &Place<'_>) -> Result<Server, Failure> {
        let (host, port) = (
            place.address.ip().to_string(),
            place.address.port().to_string(),
        );
        let mut command = place.command(self.names()[0]);
        match self {
            Self::Redis { .. } => command
                .args(["--port", &port, "--bind", &host, "--save", ""])
                .args(["--protected-mode", "no"]),
            Self::Http => {
                let folder = place.processes.folder();
                let file = folder.join("nginx.conf");
                let write = || std::fs::File::create(&file)?.write_all(nginx(place).as_bytes());
                write().map_err(failed("cannot configure nginx"))?;
                command.arg("-p").arg(folder).arg("-c").arg(&file)
            }
        };
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null());
        let spawned = spawned.stderr(Stdio::null()).spawn();
        Ok(Server(spawned.map_err(failed("cannot start a server"))?))
    }

    /// Asks `requests` times, or as often as is measured.
    fn ask(self, place: &Place<'_>, requests: Option<u32>) -> Result<Output, Failure> {
        let (host, port) = (
            place.address.ip().to_string(),
            place.address.port().to_string(),
        );
        let mut command = place.command("timeout");
        let longest = requests.map_or(LONGEST, |_| LONGEST_FIRST);
        command.args([longest, self.names()[1]]);
        match self {
            Self::Redis {
                pipelined,
                requests: all,
            } => {
                let (pipelined, requests) = (pipelined.to_string(), requests.unwrap_or(all));
                command
                    .args(["-h", &host, "-p", &port, "-t", "get", "--csv"])
                    .args(["-c", CLIENTS, "-P", &pipelined, "-n"])
                    .arg(requests.to_string())
            }
            Self::Http => {
                // It counts in whole seconds.
                command
                    .args(["-t", "1", "-c", CLIENTS, "-d", "1s"])
                    .arg(format!("http://{host}:{port}/"))
            }
        };
        command.output().map_err(failed("cannot start a client"))
    }
}

/// A configuration with one process that serves a page of a few bytes.
fn nginx(place: &Place<'_>) -> String {
    let (address, folder) = (place.address, place.processes.folder().display());
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000;\n\
         client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;\n\
         uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         server {{ listen {address}; location / {{ return 200 \"a page of a few bytes\\n\"; }} }} }}\n"
    )
}

/// Where programs run, and under what.
struct Place<'a> {
    under: Under,
    processes: &'a Processes,
    address: SocketAddr,
    /// Their sockets' engine, as long as they run.
    _engine: Option<Engine>,
}

impl<'a> Place<'a> {
    fn new(under: Under, processes: &'a Processes) -> Result<Self, Failure> {
        if under == Under::Mptcpize {
            look_for("mptcpize")?;
        }
        let engine = match under {
            Under::BraidExec => Some(processes.engine(Pace::Sleeping)?),
            Under::Mptcpize | Under::Nothing => None,
        };
        let address: IpAddr = match under {
            Under::BraidExec => engine::ADDRESS,
            Under::Mptcpize | Under::Nothing => kernel::LOOPBACK,
        };
        let port = free_port().map_err(failed("no port is free"))?;
        Ok(Self {
            under,
            processes,
            address: SocketAddr::new(address, port),
            _engine: engine,
        })
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self.under {
            Under::BraidExec => {
                let mut command = Command::new(program);
                self.processes.under_braid_exec(&mut command);
                command
            }
            Under::Mptcpize => {
                let mut command = Command::new("mptcpize");
                command.arg("run").arg(program);
                command
            }
            Under::Nothing => Command::new(program),
        }
    }
}

/// A port that nobody has on this host, for now.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Whether a program is installed.
fn look_for(program: &str) -> Result<(), Failure> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let there = |folder: &Path| folder.join(program).is_file();
    let mut places = std::env::split_paths(&folders);
    match places.any(|folder| there(&folder)) || there(Path::new("/usr/sbin")) {
        true => Ok(()),
        false => Err(Failure::Absent(format!(
            "{program} is not installed: apt-get install redis-server redis-tools nginx-light wrk mptcpize"
        ))),
    }
}

/// A server that runs, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
