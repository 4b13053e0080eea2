//! How far long work has come, told on standard error while a person watches.
//!
//! In: how much is done, of how much. Out: one line that is written over and over on a terminal, and nothing elsewhere:
//! a log does not want it, and standard output is for results.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long the bar is, in characters.
const BAR_CHARS: usize = 24;

/// A line that tells how far the work has come.
pub(crate) struct Progress {
    started: Instant,
    written: Option<Instant>,
    is_watched: bool,
}

impl Progress {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            written: None,
            is_watched: std::io::stderr().is_terminal(),
        }
    }

    /// `items` are done; `share` of the whole, from 0 to 1, where it is known.
    pub(crate) fn tell(&mut self, items: u64, what: &str, share: Option<f64>) {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= INTERVAL);
        if self.is_watched && is_due {
            self.written = Some(Instant::now());
            // Nobody is worse off when the terminal is gone.
            let line = line(items, what, share, self.started.elapsed());
            let _ = write!(std::io::stderr(), "\r{line}\u{1b}[K");
        }
    }

    /// Takes the line away. How long it took.
    pub(crate) fn end(self) -> Duration {
        if self.written.is_some() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
        self.started.elapsed()
    }
}

fn line(items: u64, what: &str, share: Option<f64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = items as f64 / seconds;
    let mut line = String::new();
    if let Some(share) = share.map(|share| share.clamp(0.0, 1.0)) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a few characters"
        )]
        let full = (share * BAR_CHARS as f64) as usize;
        let _ = write!(
            line,
            "[{}{}] {:3.0} %  ",
            "#".repeat(full),
            "-".repeat(BAR_CHARS - full),
            share * 100.0
        );
    }
    let _ = write!(line, "{items} {what}, {rate:.0} a second");
    if let Some(share) = share.filter(|share| *share > 0.01) {
        let _ = write!(
            line,
            ", {:.0} s left",
            seconds / share.min(1.0) * (1.0 - share.min(1.0))
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::line;

    #[test]
    fn the_line_says_how_much_how_fast_and_how_long() {
        let half = line(500, "links", Some(0.5), Duration::from_secs(10));
        assert_eq!(
            half,
            "[############------------]  50 %  500 links, 50 a second, 10 s left"
        );
        let unknown = line(500, "links", None, Duration::from_secs(5));
        assert_eq!(unknown, "500 links, 100 a second");
        let over = line(9, "links", Some(1.2), Duration::from_secs(1));
        assert!(over.starts_with("[########################] 100 %"), "{over}");
    }
}
