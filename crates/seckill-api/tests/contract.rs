//! `docs/contract-tests.md` keeps its word: every test that it names is there, and whatever is promised to the
//! outside has a row.

use std::{collections::BTreeSet, fs, path::Path};

use seckill_api::{description, problem::Code};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What a name begins with, and the folder of its file. The first that fits counts.
const FOLDERS: [(&str, &str); 13] = [
    ("api/", "crates/seckill-api/src/"),
    ("cli/", "crates/stock-admin/tests/cli/"),
    ("consumer/", "crates/order-consumer/tests/"),
    ("pipeline/", "crates/order-consumer/tests/pipeline/"),
    ("core/", "crates/seckill-core/src/"),
    ("log/", "crates/seckill-core/tests/order_log/"),
    ("ledger/", "crates/seckill-core/tests/ledger/"),
    ("store/", "crates/seckill-core/tests/store/"),
    ("asyncapi", "crates/seckill-core/tests/asyncapi"),
    ("metrics", "crates/seckill-core/tests/metrics"),
    ("bench/", "crates/seckill-bench/src/"),
    ("http/", "crates/seckill-api/tests/http/"),
    ("", "crates/seckill-api/tests/"),
];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the page: what is promised, and the names of its tests.
fn rows() -> Vec<(String, Vec<String>)> {
    let page = read("docs/contract-tests.md");
    let (_explanation, tables) = page.split_once("\n## ").expect("the page has chapters");
    let rows =
        tables.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let tests = |cell: &str| cell.split('`').filter(|name| name.contains("::")).map(str::to_owned).collect();
    rows.filter(|row| row.0 != "Promise").map(|(promise, cell)| (promise.to_owned(), tests(cell))).collect()
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut seen = 0;
    for name in rows().into_iter().flat_map(|(promise, tests)| {
        assert!(!tests.is_empty(), "{promise}: no test");
        tests
    }) {
        seen += 1;
        let (file, function) = name.split_once("::").unwrap();
        if file.starts_with("scripts/") {
            assert_runs_in_a_script(file, function);
            continue;
        }
        let (prefix, folder) = FOLDERS.iter().find(|(prefix, _)| file.starts_with(prefix)).unwrap();
        let source = read(format!("{folder}{}.rs", &file[prefix.len()..]));
        let line = source.lines().position(|line| line.contains(&format!("fn {function}(")));
        let line = line.unwrap_or_else(|| panic!("{name} is not there"));
        let above = source.lines().nth(line - 1).unwrap();
        assert!(above.contains("test"), "{name} is no test: {above}");
    }
    assert!(seen > 150, "only {seen} names were found: is the page read as it is written?");
}

/// A test of Python's `unittest`, which runs all that are called so; or a function of the shell, that is called.
fn assert_runs_in_a_script(file: &str, function: &str) {
    let source = read(file);
    let tests = if function.starts_with("test_") {
        source.contains(&format!("    def {function}(self):"))
    } else {
        source.contains(&format!("\n{function}() {{")) && source.lines().any(|line| line == function)
    };
    assert!(tests, "{file}::{function} is not there, or nothing calls it");
}

/// The variables that clap reads for our binaries, as they stand in the sources under `folder`.
fn variables(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.append(&mut variables(&entry));
        } else if !entry.ends_with("tests.rs") {
            let source = fs::read_to_string(entry).unwrap();
            found.extend(
                source.split("env = \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
            );
        }
    }
    found
}

#[test]
fn every_setting_has_a_row_here_and_one_in_the_readme() {
    let (page, readme) = (read("docs/contract-tests.md"), read("README.md"));
    let settings: BTreeSet<String> = ["seckill-core", "seckill-api", "order-consumer", "stock-admin"]
        .iter()
        .flat_map(|name| variables(&Path::new(ROOT).join(format!("crates/{name}/src"))))
        .collect();
    assert!(settings.len() > 35, "only {settings:?} were found in the code");
    for name in &settings {
        // That a secret may come from a file is said once, for all of them.
        let of_file = name.strip_suffix("_FILE").is_some_and(|secret| settings.contains(secret));
        let row = format!("`{name}`");
        assert!(of_file || page.contains(&row) && readme.contains(&row), "{row} has no row");
    }
}

#[test]
fn every_route_refusal_and_command_has_a_row() {
    let page = read("docs/contract-tests.md");
    let description: serde_json::Value = serde_json::from_str(&description::json()).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "delete"].into_iter().filter(|it| item.get(it).is_some()) {
            let route = format!("`{} {path}`", method.to_uppercase());
            assert!(page.contains(&route), "{route} has no row");
        }
    }
    for code in Code::ALL {
        assert!(page.contains(&format!("`{}`", code.name())), "{} has no row", code.name());
    }
    // The commands as the README's table of them has them.
    let readme = read("README.md");
    let table = readme.split("| Command | Does |").nth(1).expect("the README lists the commands");
    let table = table.split("\n\n").next().unwrap();
    let mut commands = 0;
    for cell in table.lines().skip(2).filter_map(|line| line.split('|').nth(1)) {
        for command in cell.split('`').skip(1).step_by(2) {
            let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            let words: Vec<&str> = command.split(' ').take_while(plain).collect();
            let name = format!("`{}`", words.join(" "));
            assert!(page.contains(&name), "{name} has no row");
            commands += 1;
        }
    }
    assert!(commands > 15, "only {commands} commands were found in the README");
}
