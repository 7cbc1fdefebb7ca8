//! Progress for what takes over a second: a bar on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts bytes. It shows on standard error, if that is a terminal.
pub fn bytes(what: &'static str) -> ProgressBar {
    bar("{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}", what)
}

/// A bar that counts rows.
pub fn rows(what: &'static str) -> ProgressBar {
    bar("{prefix} {bar:30} {human_pos}/{human_len} rows {per_sec} {eta}", what)
}

/// A bar that counts edges of a CDN.
pub fn edges(what: &'static str) -> ProgressBar {
    bar("{prefix} {bar:30} {pos}/{len} {elapsed}", what)
}

/// A bar that counts the time that something is known to take, in ms, with a message behind it.
pub fn seconds(what: &'static str, duration: Duration) -> ProgressBar {
    let bar = bar("{prefix} {bar:30} {elapsed} {msg}", what);
    bar.set_length(duration.as_millis() as u64);
    bar
}

/// A sign that something is under way, from its second second on.
pub fn waiting() -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    spinner.set_style(ProgressStyle::with_template("{spinner} {elapsed}").expect("the template is well-formed"));
    let shown = spinner.downgrade();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        if let Some(spinner) = shown.upgrade().filter(|spinner| !spinner.is_finished()) {
            spinner.set_draw_target(ProgressDrawTarget::stderr());
            spinner.enable_steady_tick(Duration::from_millis(250));
        }
    });
    spinner
}

fn bar(template: &str, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
