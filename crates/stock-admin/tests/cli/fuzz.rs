//! Command lines at random: each is done or refused, in the words of this program, whatever it says, and within a bound
//! of memory.

use std::{sync::Mutex, thread, time::Duration};

use assert_cmd::Command;
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use seckill_core::testing::fuzz_cases;

use crate::support::{program, run, run_to_its_end};

/// Values, good and bad.
const VALUES: [&str; 23] = [
    "bash",
    "--",
    "-",
    "--no-such",
    "a",
    "-1",
    "0",
    "1",
    "1e9",
    "18446744073709551616",
    "2026-11-27T19:00:00Z",
    "+999999-01-01T00:00:00Z",
    "9999-99-99",
    "+08:00",
    "-99:99",
    "\u{202e}",
    "\r\n",
    "",
    " ",
    "'; --",
    "0:0",
    "0:-9223372036854775809",
    "a=b=c",
];

/// The words by which a command is called, and the flags that it knows.
#[derive(Clone, Debug)]
struct Known {
    path: Vec<String>,
    flags: Vec<String>,
}

/// Every command below `path`, as the program's own help lists them: none can be forgotten here.
fn known(path: &[String], all: &mut Vec<Known>) {
    let asked: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = run(&mut program(&asked)).expect(0).stdout;
    let words = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(str::split_whitespace);
    let flags = words
        .filter(|word| word.starts_with('-'))
        .map(|word| word.trim_end_matches(',').to_owned())
        .collect();
    all.push(Known { path: path.to_vec(), flags });
    let commands = help
        .split_once("Commands:\n")
        .map_or("", |(_, rest)| rest)
        .lines()
        .take_while(|line| !line.is_empty());
    for command in
        commands.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help")
    {
        known(&[path, &[command.to_owned()]].concat(), all);
    }
}

/// A command and flags that it knows, with values of all kinds between them; or any words.
fn line(all: &[Known]) -> impl Strategy<Value = Vec<String>> {
    let everything: Vec<String> =
        all.iter().flat_map(|known| [&known.path[..], &known.flags].concat()).collect();
    let noise = vec(any::<char>(), 0..30)
        .prop_map(|text| text.into_iter().filter(|it| *it != '\0').collect::<String>());
    let value = prop_oneof![8 => select(VALUES.to_vec()).prop_map(str::to_owned), 1 => noise];
    let called =
        (select(all.to_vec()), vec((any::<prop::sample::Index>(), any::<bool>(), value.clone()), 0..5))
            .prop_map(|(Known { mut path, flags }, arguments)| {
                for (flag, is_value, value) in arguments {
                    path.push(if is_value { value } else { flag.get(&flags).clone() });
                }
                path
            });
    let any_words = vec(prop_oneof![select(everything), value], 0..7);
    prop_oneof![3 => called, 1 => any_words]
}

/// Most memory of the program, KiB of addresses. Its code and what its threads set aside are half of it; a line, a few
/// hundred bytes, must not make it more.
const MEMORY: &str = "524288";

/// The program, in a folder that is thrown away and with that much memory.
fn bounded(line: &[String], folder: &std::path::Path) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -v \"$1\" && shift && exec \"$@\"",
        "sh",
        MEMORY,
        env!("CARGO_BIN_EXE_stock-admin"),
    ]);
    command.args(line).current_dir(folder).env_remove("RUST_LOG").env("USER", "olga").env_remove("SUDO_USER");
    command
}

/// How long a watch is left alone.
const WATCHED_FOR: Duration = Duration::from_secs(5);

#[test]
fn p6_any_command_line_is_done_or_refused() {
    let mut all = Vec::new();
    known(&[], &mut all);
    let count = |path: &[&str]| all.iter().filter(|known| known.path == path).count();
    assert_eq!((count(&[]), count(&["import"]), count(&["dead-letters", "replay"])), (1, 1, 1), "{all:?}");
    let mut runner = TestRunner::new(Config::default());
    let lines = line(&all);
    let lines: Vec<_> =
        (0..fuzz_cases(600)).map(|_| lines.new_tree(&mut runner).unwrap().current()).collect();
    // `man` writes into whatever folder it is told.
    let folder = std::env::temp_dir().join(format!("stock-admin-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let lines = Mutex::new(lines);
    let next = || lines.lock().unwrap().pop();
    // Several at once: those that ask servers wait for what is not there.
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(line) = next() {
                    let words: Vec<&str> = line.iter().map(String::as_str).collect();
                    let mut command = bounded(&line, &folder);
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
    std::fs::remove_dir_all(folder).unwrap();
}
