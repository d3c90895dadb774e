//! `docs/metrics.md` is what the services measure: it is made from the catalogue, and the catalogue has exactly
//! the metrics, with exactly the labels, that the code counts and measures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use seckill_core::telemetry::catalogue::{self, Kind, Service};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Set to rewrite the committed page.
const REWRITE: &str = "SECKILL_REWRITE_METRICS";
/// The chapters of the page follow this line; what comes before is written by hand.
const MADE: &str = "<!-- From here on made from crates/seckill-core/src/telemetry/catalogue.rs. -->\n";

#[test]
fn the_committed_page_is_made_from_the_catalogue() {
    let page = Path::new(ROOT).join("docs/metrics.md");
    let committed = fs::read_to_string(&page).unwrap();
    let (by_hand, _made) =
        committed.split_once(MADE).expect("docs/metrics.md has the line that says what is made");
    let expected = format!("{by_hand}{MADE}{}", catalogue::markdown());
    if std::env::var_os(REWRITE).is_some() {
        fs::write(&page, &expected).unwrap();
    } else {
        assert!(
            committed == expected,
            "docs/metrics.md is not what the catalogue says; to rewrite it:\n    \
             {REWRITE}=1 cargo test -p seckill-core --test metrics"
        );
    }
}

/// One place in the code that measures.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    kind: &'static str,
    labels: Vec<String>,
}

#[test]
fn the_catalogue_has_what_the_code_measures_and_nothing_else() {
    let mut sites: BTreeMap<String, BTreeSet<Site>> = BTreeMap::new();
    for path in sources(&["seckill-core", "seckill-api", "order-consumer"]) {
        for (name, site) in sites_in(&fs::read_to_string(&path).unwrap()) {
            sites.entry(name).or_default().insert(site);
        }
    }
    assert!(sites.len() > 20, "the code was not found: {sites:?}");
    let mut described: BTreeMap<String, BTreeSet<Site>> = BTreeMap::new();
    for measure in catalogue::measures() {
        let labels = measure.labels.iter().map(ToString::to_string).collect();
        let site = Site { kind: measure.kind.name(), labels };
        let twice = described.insert(measure.name.to_owned(), [site].into());
        assert_eq!(twice, None, "{} is described twice", measure.name);
    }
    assert_eq!(sites, described, "left: the code; right: the catalogue");
}

/// A service is said to measure something exactly if its own code does; of what the core measures, this cannot be
/// seen here (`scripts/observe-test` looks at real processes).
#[test]
fn each_service_is_said_to_measure_what_its_code_measures() {
    for (service, krate) in [(Service::Api, "seckill-api"), (Service::Consumer, "order-consumer")] {
        for path in sources(&[krate]) {
            for (name, _) in sites_in(&fs::read_to_string(&path).unwrap()) {
                let measure = catalogue::measures().find(|measure| measure.name == name).unwrap();
                assert!(measure.of.contains(&service), "{krate} measures {name}");
            }
        }
    }
}

/// By the conventions of Prometheus: <https://prometheus.io/docs/practices/naming/>.
#[test]
fn names_follow_the_conventions() {
    for measure in catalogue::measures() {
        let (name, kind) = (measure.name, measure.kind);
        assert!(name.starts_with("seckill_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), measure.unit == "seconds", "{name}");
        if kind == Kind::Histogram {
            // Else it has no buckets: `Metrics::install`.
            assert!(name.ends_with("_seconds") || name.ends_with("_size"), "{name}");
        }
        assert!(measure.help.ends_with('.') && measure.answers.ends_with('?'), "{name}");
        assert!(!measure.help.contains('|') && !measure.answers.contains('|'), "{name}: breaks its table");
    }
}

fn sources(crates: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        crates.iter().map(|name| Path::new(ROOT).join("crates").join(name).join("src")).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The metrics that a file registers: `counter!("seckill_…", "label" => …)` and the like.
fn sites_in(code: &str) -> Vec<(String, Site)> {
    let mut sites = Vec::new();
    for kind in [Kind::Counter, Kind::Gauge, Kind::Histogram] {
        let kind = kind.name();
        for (start, opening) in code.match_indices(&format!("{kind}!(")) {
            if code[..start].ends_with("describe_") {
                continue;
            }
            let arguments = arguments(&code[start + opening.len()..]);
            let Some(rest) = arguments.trim_start().strip_prefix('"') else {
                panic!("a metric whose name is not written out: {arguments}");
            };
            let name = rest.split('"').next().unwrap().to_owned();
            let mut labels = Vec::new();
            for before in arguments.split("=>").collect::<Vec<_>>().split_last().unwrap().1 {
                labels.push(before.trim_end().rsplit('"').nth(1).expect("a label is written out").to_owned());
            }
            sites.push((name, Site { kind, labels }));
        }
    }
    sites
}

/// What stands between the parenthesis that is open and the one that closes it.
fn arguments(code: &str) -> &str {
    let mut depth = 1;
    for (place, character) in code.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..place];
        }
    }
    panic!("a macro that does not end: {code}")
}
