//! `seckill-bench`: sends crowds, and checks that what they were told is so.
//!
//! | module | is |
//! |---|---|
//! | [`load`], [`buyer`], [`request`], [`http`] | the load generator: the crowd, one buyer, its bytes, the wire |
//! | [`recorder`], [`history`] | what was asked and answered, measured and kept |
//! | [`confirm`] | when accepted orders are in MySQL |
//! | [`witness`] | what MySQL, Redis and Kafka hold |
//! | [`promises`], [`verify`] | the checks, and when they are made |
//! | [`progress`], [`report`] | what is shown |
//! | [`hook`] | commands in the middle of a sale |
//! | [`chaos`] | the fault suite |
//! | [`floor`] | the bare server that speed is measured against |

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use seckill_core::settings::{self, Refusal};
use serde_json::json;

mod buyer;
mod chaos;
mod confirm;
mod exit;
mod floor;
mod history;
mod hook;
mod http;
mod load;
mod progress;
mod promises;
mod recorder;
mod report;
mod request;
mod verify;
mod witness;

use exit::Failure;
use load::LoadArgs;
use report::Summary;
use verify::{PromisesArgs, WhereArgs};

// A request allocates a name, a key and a line of history: the system's allocator shows in the profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load generator and promise checker of the flash-sale system
///
/// Exit: 0 done and all promises hold, 1 a promise is broken, 64 bad usage, 69 something needed does not answer.
#[derive(Parser, Debug)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Send a crowd of buyers and keep the history of what they were told
    Load(LoadCommand),
    /// Check a history against MySQL and Redis
    Promises(PromisesArgs),
    /// Both: sell, wait until all is written, check
    Demo(DemoCommand),
    /// Break things under load, and check every promise (run it by scripts/chaos)
    Chaos(chaos::ChaosArgs),
    /// Serve as the bare server that speed is measured against
    Floor(floor::FloorArgs),
}

#[derive(Args, Debug)]
struct LoadCommand {
    #[command(flatten)]
    load: LoadArgs,
    /// Where the history goes, one line of JSON for each attempt; none is kept if not given
    #[arg(long)]
    history: Option<PathBuf>,
    /// MySQL, for the progress bar of what is written
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[derive(Args, Debug)]
struct DemoCommand {
    #[command(flatten)]
    load: LoadArgs,
    /// Where the history goes, one line of JSON for each attempt
    #[arg(long)]
    history: PathBuf,
    #[command(flatten)]
    place: WhereArgs,
}

fn main() -> ExitCode {
    let cli = match settings::try_parse::<Cli>(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Refusal::Shown(text)) => {
            // A closed stdout is no reason to fail.
            let _ = text.print();
            return ExitCode::from(exit::OK);
        }
        Err(Refusal::Wrong(error)) => settings::exit_with(&error),
    };
    match run(&cli) {
        Ok(true) => ExitCode::from(exit::OK),
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(failure) => {
            eprintln!("seckill-bench: {failure}");
            failure.code()
        }
    }
}

/// Does what was asked, and says if all promises that were looked at hold.
fn run(cli: &Cli) -> Result<bool, Failure> {
    if let Command::Floor(args) = &cli.command {
        return actix_web::rt::System::new().block_on(floor::serve(args)).map(|()| true);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &cli.command {
            Command::Load(command) => load(cli, command).await,
            Command::Promises(args) => promises(cli, args).await,
            Command::Demo(command) => demo(cli, command).await,
            Command::Chaos(args) => chaos::run(args, cli.json).await,
            Command::Floor(_) => Ok(true),
        }
    })
}

async fn load(cli: &Cli, command: &LoadCommand) -> Result<bool, Failure> {
    let finished = load::run(&command.load, command.history.clone(), command.database_url.as_deref()).await?;
    let summary = Summary::of(&finished);
    if cli.json {
        println!("{}", json!(summary));
    } else {
        println!("{}", summary.table());
    }
    Ok(true)
}

async fn promises(cli: &Cli, args: &PromisesArgs) -> Result<bool, Failure> {
    let history = verify::read_histories(&args.history)?;
    let findings = verify::verify(&history, &args.sale, &args.place).await?;
    let all_hold = promises::all_hold(&findings);
    if cli.json {
        println!("{}", json!({ "ok": all_hold, "promises": findings }));
    } else {
        println!("{}", report::promises_table(&findings));
    }
    Ok(all_hold)
}

async fn demo(cli: &Cli, command: &DemoCommand) -> Result<bool, Failure> {
    let DemoCommand { load, history, place } = command;
    let finished = load::run(load, Some(history.clone()), Some(&place.database_url)).await?;
    let summary = Summary::of(&finished);
    let told = verify::read_histories(std::slice::from_ref(history))?;
    let findings = verify::verify(&told, &load.sale, place).await?;
    let all_hold = promises::all_hold(&findings);
    if cli.json {
        println!("{}", json!({ "ok": all_hold, "promises": findings, "load": summary }));
    } else {
        println!("{}\n\n{}", summary.table(), report::promises_table(&findings));
    }
    Ok(all_hold)
}
