//! A group of benchmarks whose inputs are made only when they are run, which a filter may prevent.

use std::fmt::Display;

use criterion::{Bencher, BenchmarkGroup, Criterion, Throughput};

use crate::instructions::{self, Marked};

/// The benchmarks of a structure.
pub(crate) struct Group<'a> {
    group: BenchmarkGroup<'a, Marked>,
    name: &'static str,
}

impl<'a> Group<'a> {
    pub(crate) fn new(criterion: &'a mut Criterion<Marked>, name: &'static str) -> Self {
        Self {
            group: criterion.benchmark_group(name),
            name,
        }
    }

    /// Measures `work` on what `make` made. What `work` returns is not optimized away.
    pub(crate) fn time<S, O>(
        &mut self,
        name: impl Display,
        throughput: Throughput,
        make: impl FnOnce() -> S,
        mut work: impl FnMut(&mut S) -> O,
    ) {
        self.run(name, throughput, make, |bencher, state| {
            bencher.iter(|| work(state));
        });
    }

    fn run<S>(
        &mut self,
        name: impl Display,
        throughput: Throughput,
        make: impl FnOnce() -> S,
        mut measure: impl FnMut(&mut Bencher<'_, Marked>, &mut S),
    ) {
        let name = name.to_string();
        let full = format!("{}/{name}", self.name);
        let (mut make, mut state) = (Some(make), None);
        self.group.throughput(throughput.clone());
        self.group.bench_function(name, |bencher| {
            if let Some(make) = make.take() {
                state = Some(make());
            }
            let state = state.as_mut().expect("it was just made");
            instructions::repeat(&full, &throughput, || measure(bencher, state));
        });
    }
}
