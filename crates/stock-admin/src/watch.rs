//! `--watch`: looking again and again, until Ctrl-C.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use jiff::{Timestamp, Unit};
use seckill_core::shutdown;

use crate::{
    failure::Failure,
    output::{Report, put},
};

/// Back to the upper left, without wiping what is there: each line wipes its own rest, so nothing flickers.
const HOME: &str = "\x1b[H";
const WIPE_REST_OF_LINE: &str = "\x1b[K";
const WIPE_BELOW: &str = "\x1b[J";
const WIPE_ALL: &str = "\x1b[2J";

/// Looks every `every` and shows what it finds: in place on a terminal, below each other otherwise. Ends at a
/// signal, in good order; the exit code is then that of the last look.
///
/// A dependency that cannot be reached is shown, and looked for again. Any other failure ends it.
pub async fn watch(
    every: Duration,
    json: bool,
    look: impl AsyncFn() -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let stopped = shutdown::signalled();
    tokio::pin!(stopped);
    let in_place = !json && std::io::stdout().is_terminal();
    if in_place {
        put(WIPE_ALL);
    }
    let mut last = Ok(Report::shown());
    loop {
        tokio::select! {
            _ = &mut stopped => return last.map(Report::into_shown),
            found = look() => last = found,
        }
        match &last {
            Ok(report) if json => put(&format!("{}\n", report.json_line())),
            Ok(report) => show(in_place, every, report.as_text()),
            Err(failure @ Failure::Unreachable(..)) if in_place => show(true, every, &failure.line()),
            Err(failure @ Failure::Unreachable(..)) => failure.print(json),
            Err(_) => return last,
        }
        tokio::select! {
            _ = &mut stopped => return last.map(Report::into_shown),
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn show(in_place: bool, every: Duration, text: &str) {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    if !in_place {
        put(&format!("{now}\n{text}\n"));
        return;
    }
    let mut screen = HOME.to_owned();
    let head = format!("{now}, every {} s, Ctrl-C ends it", every.as_secs());
    for line in std::iter::once(head.as_str()).chain(text.lines()) {
        screen.extend([line, WIPE_REST_OF_LINE, "\n"]);
    }
    screen.push_str(WIPE_BELOW);
    put(&screen);
    // Without a line break at its end, the terminal would get it late.
    let _ = std::io::stdout().flush();
}
