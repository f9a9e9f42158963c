//! A group of benchmarks whose inputs are made only when they are run, which a filter may prevent.

use std::cell::RefCell;
use std::fmt::Display;

use criterion::{BatchSize, Bencher, BenchmarkGroup, Criterion, Throughput};

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

    /// The same, with something to be prepared before each time, which is not measured.
    pub(crate) fn time_prepared<S, I, O>(
        &mut self,
        name: impl Display,
        throughput: Throughput,
        make: impl FnOnce() -> S,
        mut prepare: impl FnMut(&mut S) -> I,
        mut work: impl FnMut(&mut S, I) -> O,
    ) {
        self.run(name, throughput, make, |bencher, state| {
            let state = RefCell::new(state);
            bencher.iter_batched(
                || prepare(&mut state.borrow_mut()),
                |input| work(&mut state.borrow_mut(), input),
                BatchSize::PerIteration,
            );
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
        let elements = instructions::elements(&throughput);
        self.group.throughput(throughput);
        self.group.bench_function(name, |bencher| {
            if let Some(make) = make.take() {
                state = Some(make());
            }
            let state = state.as_mut().expect("it was just made");
            instructions::repeat(&full, elements, || measure(bencher, state));
        });
    }
}
