//! Telling people that long work goes on: on stderr, and only where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How far something has come, of `total`. Gone when it is finished or dropped.
pub fn bar(doing: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").expect("the template is right");
    let bar = ProgressBar::new(total as u64).with_style(style).with_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Work whose end cannot be foreseen; its message says what is waited for.
pub fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").expect("the template is right");
    let spinner = ProgressBar::new_spinner().with_style(style);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
