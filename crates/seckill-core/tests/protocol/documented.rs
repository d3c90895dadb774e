//! `docs/reliability.md` says of every step of the model what it stands for, and of nothing else.

use std::collections::BTreeSet;

use super::{bounds::Bounds, model::Protocol};

const RELIABILITY: &str = include_str!("../../../../docs/reliability.md");

/// The steps of a world in which everything may happen, as the table names them: `Request(0, Arrive(1))` is
/// `Request::Arrive`.
fn steps() -> BTreeSet<String> {
    let world = Protocol::new(Bounds { changes: &[1], imports: 1, ..Bounds::CALM });
    let name = |step| {
        let step = format!("{step:?}");
        let (part, rest) = step.split_once('(').unwrap();
        let own = rest.rsplit(", ").next().unwrap();
        format!("{part}::{}", own.split(['(', ')']).next().unwrap())
    };
    world.steps.iter().map(name).collect()
}

#[test]
fn every_step_is_in_the_table_of_steps_and_files() {
    let (_, section) = RELIABILITY.split_once("### Steps and files").unwrap();
    let table = section.split("\n#").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let names = table.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    // A name without its part is of the part before it.
    let mut part = "";
    let mut documented = BTreeSet::new();
    for name in names {
        let (of, own) = name.split_once("::").unwrap_or((part, name));
        part = of;
        assert!(documented.insert(format!("{of}::{own}")), "{name} stands there twice");
    }
    assert_eq!(steps(), documented);
}
