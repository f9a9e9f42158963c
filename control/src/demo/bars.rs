//! Progress bars on standard error, one for each transfer.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{prefix:26} [{bar:30}] {binary_bytes:>11}/{binary_total_bytes:11} {msg}";

/// The bars of a demonstration, or none where nobody watches.
#[derive(Debug)]
pub(super) struct Bars(Option<MultiProgress>);

impl Bars {
    /// A set of bars that is drawn only if `visible`.
    pub(super) fn new(visible: bool) -> Self {
        Self(visible.then(MultiProgress::new))
    }

    /// Adds the bar of a transfer of `bytes` bytes.
    pub(super) fn start(&self, title: &'static str, bytes: u64) -> ProgressBar {
        let Some(bars) = &self.0 else {
            return ProgressBar::hidden();
        };
        let bar = bars.add(ProgressBar::new(bytes));
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title);
        bar
    }

    /// Says on standard error what went wrong, above the bars if there are any.
    pub(super) fn complain(&self, sentence: &str) {
        let sentence = format!("braid: {sentence}");
        match &self.0 {
            // A terminal that cannot be written to leaves nobody to tell.
            Some(bars) => drop(bars.println(sentence)),
            None => eprintln!("{sentence}"),
        }
    }
}
