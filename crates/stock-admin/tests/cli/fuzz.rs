//! Command lines at random: each is done or refused, in the words of this program, whatever it says.

use std::{sync::Mutex, thread, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::support::{program, run_to_its_end};

const WORDS: [&str; 48] = [
    "sale",
    "create",
    "list",
    "show",
    "open",
    "pause",
    "close",
    "stock",
    "add",
    "set",
    "reset",
    "reconcile",
    "outbox",
    "dead-letters",
    "replay",
    "completions",
    "bash",
    "help",
    "--help",
    "-V",
    "--json",
    "--yes",
    "--to",
    "--stock",
    "--title",
    "--per-buyer-limit",
    "--opens-at",
    "--closes-at",
    "--reason",
    "--watch",
    "--",
    "-",
    "--no-such",
    "a",
    "-1",
    "0",
    "1e9",
    "18446744073709551616",
    "2026-11-27T19:00:00Z",
    "+999999-01-01T00:00:00Z",
    "9999-99-99",
    "\u{202e}",
    "\r\n",
    "",
    " ",
    "'; --",
    "0:0",
    "0:-9223372036854775809",
];

fn word() -> impl Strategy<Value = String> {
    let noise =
        vec(any::<char>(), 0..30).prop_map(|text| text.into_iter().filter(|it| *it != '\0').collect());
    prop_oneof![8 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned), 1 => noise]
}

/// How long a watch is left alone.
const WATCHED_FOR: Duration = Duration::from_secs(5);

#[test]
fn p6_any_command_line_is_done_or_refused() {
    let mut runner = TestRunner::new(Config::default());
    let lines = vec(word(), 0..7);
    let lines: Vec<Vec<String>> = (0..600).map(|_| lines.new_tree(&mut runner).unwrap().current()).collect();
    let lines = Mutex::new(lines);
    let next = || lines.lock().unwrap().pop();
    // Several at once: those that ask servers wait for what is not there.
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(line) = next() {
                    let words: Vec<&str> = line.iter().map(String::as_str).collect();
                    let mut command = program(&words);
                    command.env("DATABASE_URL", "mysql://a:hunter2@127.0.0.1:1/a");
                    command.env("REDIS_URL", "redis://a:hunter2@127.0.0.1:1/1");
                    command.env("KAFKA_BROKERS", "127.0.0.1:1");
                    // One that watches goes on until it is stopped.
                    if words.contains(&"--watch") {
                        command.timeout(WATCHED_FOR);
                    }
                    let Some(ran) = run_to_its_end(&mut command) else {
                        assert!(words.contains(&"--watch"), "{line:?} was killed");
                        continue;
                    };
                    assert!([0, 1, 64, 69].contains(&ran.code), "{line:?}: {ran:?}");
                    assert!(!ran.stderr.contains("panicked"), "{line:?}: {ran:?}");
                    assert!(!format!("{ran:?}").contains("hunter2"), "{line:?}: {ran:?}");
                    if ran.code == 64 {
                        assert!(ran.stderr.lines().count() <= 1, "{line:?}: {ran:?}");
                    }
                }
            });
        }
    });
}
