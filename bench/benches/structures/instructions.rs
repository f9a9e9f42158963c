//! Instruction counts: the same benchmarks once more, under callgrind.
//!
//! Each measurement begins and ends with a call of a function of this module. Callgrind sets its counts to
//! zero at the one and writes them to a file at the other, so what is prepared is not counted.
//!
//! Valgrind has a processor of its own, without SHA extensions: what hashes counts more there than it does.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Set for the process that is counted.
const VARIABLE: &str = "BRAID_BENCH_COUNTED";

/// Begins a line that tells of a benchmark that was counted.
const MARK: &str = "counted:";

/// Has libc copy by vectors, as it does for all but the longest otherwise: of the instruction that copies by
/// itself, callgrind would count each byte.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824",
);

/// How often each is counted, of which the median tells: the first times are cold.
const REPETITIONS: usize = 9;

/// Wall time, with marks for callgrind.
pub(crate) struct Marked(pub(crate) WallTime);

/// From here on is measured. The argument makes it another function than [`braid_measurement_ends`].
#[inline(never)]
fn braid_measurement_begins() {
    black_box("begins");
}

#[inline(never)]
fn braid_measurement_ends() {
    black_box("ends");
}

impl Measurement for Marked {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        let start = self.0.start();
        braid_measurement_begins();
        start
    }

    fn end(&self, start: Instant) -> Duration {
        braid_measurement_ends();
        self.0.end(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        self.0.add(one, other)
    }

    fn zero(&self) -> Duration {
        self.0.zero()
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// True in the process that is counted.
pub(crate) fn is_counted() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Elements of an iteration, which is a single one where bytes are its throughput.
pub(crate) fn elements(throughput: &Throughput) -> u64 {
    match throughput {
        Throughput::Elements(elements) => *elements,
        _ => 1,
    }
}

/// Runs a benchmark: once, or as often as it is to be counted.
pub(crate) fn repeat(name: &str, elements: u64, mut measure: impl FnMut()) {
    if !is_counted() {
        return measure();
    }
    for _ in 0..REPETITIONS {
        measure();
    }
    println!("{MARK}{name}\t{elements}");
}

/// A benchmark that was counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// Group and name.
    pub(crate) name: String,
    /// Elements of an iteration, as [`elements`] has them.
    pub(crate) elements: u64,
    /// Instructions of an iteration.
    pub(crate) instructions: u64,
}

/// Counts the benchmarks that this process measured.
///
/// # Errors
///
/// What is missing, or went wrong.
pub(crate) fn count() -> Result<Vec<Counted>, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    run_in(folder.path())
}

fn run_in(folder: &Path) -> Result<Vec<Counted>, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--zero-before=*braid_measurement_begins*")
        .arg("--dump-before=*braid_measurement_ends*")
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("out").display()
        ))
        .arg(program)
        .args(env::args_os().skip(1))
        .arg("--test")
        .env(VARIABLE, "1")
        .env(TUNABLES.0, TUNABLES.1)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "valgrind is not installed".to_owned(),
            _ => format!("valgrind: {error}"),
        })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let names = said.lines().filter_map(|line| line.strip_prefix(MARK));
    let mut dumps = (1..).map(|number| folder.join(format!("out.{number}")));
    names
        .map(|line| {
            let of_this: Vec<PathBuf> = dumps.by_ref().take(REPETITIONS).collect();
            let mut totals = of_this
                .iter()
                .map(|path| total(path))
                .collect::<Result<Vec<_>, _>>()?;
            totals.sort_unstable();
            let (name, elements) = line.split_once('\t').ok_or("a mark without elements")?;
            Ok(Counted {
                name: name.to_owned(),
                elements: elements
                    .parse()
                    .map_err(|error| format!("{line}: {error}"))?,
                instructions: totals[REPETITIONS / 2],
            })
        })
        .collect()
}

/// The instructions of a dump.
fn total(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| format!("{}: no total", path.display()))
}
