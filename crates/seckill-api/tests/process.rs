//! The binary as a process: its end at SIGTERM, and its life without any dependency.

use seckill_core::testing::RunningProcess;

fn start(variables: &[(&str, &str)]) -> RunningProcess {
    let program = env!("CARGO_BIN_EXE_seckill-api");
    RunningProcess::start(program, &[&[("SECKILL_ORDER_ID_SECRET", "secret of a test")], variables].concat())
}

#[test]
fn it_is_unready_from_the_moment_of_sigterm_and_ends_well() {
    let api = start(&[("SECKILL_LAME_DUCK_SECONDS", "3")]);
    assert_eq!(api.get("/livez").unwrap().0, 200);
    assert_eq!(api.get("/metrics").unwrap().0, 200);
    api.request_stop();
    api.wait_for("/readyz", 503);
    let (_, report) = api.get("/readyz").unwrap();
    assert!(report.contains("\"stopping\":true"), "{report}");
    assert_eq!(api.get("/livez").unwrap().0, 200);
    assert_eq!(api.ended().code(), Some(0));
}

#[test]
fn it_is_alive_and_says_what_is_missing_without_any_dependency() {
    let api = start(&[
        ("DATABASE_URL", "mysql://nobody@127.0.0.1:1/nowhere"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
    ]);
    assert_eq!(api.get("/livez").unwrap().0, 200);
    let (status, report) = api.get("/readyz").unwrap();
    let missing = r#"{"ready":false,"stopping":false,"missing":["ledger","orderLog","store"]}"#;
    assert_eq!((status, &*report), (503, missing));
    api.request_stop();
    assert_eq!(api.ended().code(), Some(0));
}
