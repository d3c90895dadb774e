//! What an operator at a terminal sees: questions, progress, a screen that is drawn again. The terminal is a
//! real pseudo-terminal, made by `script`.

use std::{
    io::{Read, Write},
    process::{Child, Command as Process, Stdio},
};

use crate::support::Site;

/// Starts the program at a terminal, behind what the shell line `before` does to it.
fn start_behind(before: &str, site: &Site, command: &str) -> Child {
    // By exec: a shell that stayed would get Ctrl-C too, and its end would hide the program's.
    let line = format!("{before}exec {} {command}", env!("CARGO_BIN_EXE_stock-admin"));
    let mut script = Process::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.envs(site.places()).env("TERM", "xterm").env_remove("RUST_LOG");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script (bsdutils) is there")
}

fn start(site: &Site, command: &str) -> Child {
    start_behind("stty columns 100 rows 40; ", site, command)
}

/// What the program says, at a terminal on which `typed` is typed, and its exit code.
fn at_terminal(site: &Site, command: &str, typed: &str) -> (i32, String) {
    let mut running = start(site, command);
    let mut keyboard = running.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let mut screen = String::new();
    running.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    (running.wait().unwrap().code().unwrap(), screen)
}

#[tokio::test]
async fn what_resets_asks_and_does_only_what_was_agreed_to() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let reset = format!("reset {sale} --to 3");
    for no in ["n\n", "\n", "no\n", "\u{4}"] {
        let (code, screen) = at_terminal(&site, &reset, no);
        assert_eq!(code, 1, "{screen}");
        assert!(screen.contains("so that 3 units are left? [y/N]"), "{screen}");
        assert!(screen.contains("not confirmed; nothing was changed"), "{screen}");
        assert_eq!(site.in_ledger(&sale).await.remaining, 10);
    }
    let (code, screen) = at_terminal(&site, &reset, "y\n");
    assert_eq!(code, 0, "{screen}");
    assert_eq!(site.in_ledger(&sale).await.remaining, 3);
}

#[tokio::test]
async fn a_watch_draws_in_place_and_ends_at_ctrl_c() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let command = format!("sale show {sale} --watch 1");
    let (code, screen) = interrupted_at_terminal(&site, &command);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.starts_with("\x1b[2J\x1b[H"), "{screen:?}");
    assert!(screen.matches("\x1b[H").count() >= 2, "it was not drawn again: {screen:?}");
    assert!(screen.contains("every 1 s, Ctrl-C ends it"), "{screen:?}");
}

/// The same, with Ctrl-C typed once two looks are on the screen.
fn interrupted_at_terminal(site: &Site, command: &str) -> (i32, String) {
    let mut running = start(site, command);
    let (mut keyboard, mut screen) = (running.stdin.take().unwrap(), running.stdout.take().unwrap());
    let (mut seen, mut part) = (String::new(), [0; 4096]);
    while seen.matches("\x1b[H").count() < 2 {
        let read = screen.read(&mut part).unwrap();
        assert!(read > 0, "it ended by itself: {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    keyboard.write_all(b"\x03").unwrap();
    screen.read_to_string(&mut seen).unwrap();
    (running.wait().unwrap().code().unwrap(), seen)
}

#[tokio::test]
async fn a_terminal_that_does_not_know_its_width_gets_a_whole_table() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let mut running = start_behind("stty columns 0 rows 0; ", &site, &format!("sale show {sale}"));
    let mut screen = String::new();
    running.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    assert!(running.wait().unwrap().success(), "{screen}");
    assert!(screen.contains(sale.as_str()), "{screen}");
}

#[tokio::test]
async fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let mut site = Site::with_topics().await;
    site.database.execute("DELETE FROM sales").await;
    site.sale(10).await;
    let (code, screen) = at_terminal(&site, "reconcile", "");
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("counting sales"), "{screen:?}");
    let ran = site.run(&["reconcile"]).expect(0);
    assert_eq!(ran.stderr, "");
}
