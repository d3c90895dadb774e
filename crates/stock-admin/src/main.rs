//! `stock-admin`: reads what the operator wants, does it, and says how it went: by text or JSON, and by
//! exit code.

mod change;
mod cli;
mod dead_letters;
mod doctor;
mod failure;
mod import;
mod outbox;
mod output;
mod progress;
mod rebuild;
mod reconcile;
mod repair;
mod sale;
mod setup;
mod shell;
mod stock;
mod strays;
mod surroundings;
mod watch;

use std::process::ExitCode;

use seckill_core::{
    settings::{self, Refusal},
    telemetry,
};

use crate::{
    cli::{Cli, Command, DeadLettersCommand, OutboxCommand, SaleCommand, StockCommand, TopicsCommand, Watch},
    dead_letters::Choice,
    failure::Failure,
    output::Report,
    surroundings::Surroundings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (json, done) = match settings::try_parse::<Cli>(std::env::args_os()) {
        Ok(cli) => (cli.json, run(cli).await),
        Err(Refusal::Shown(text)) => text.exit(),
        // What cannot be understood as a whole still says how it wants to be answered.
        Err(Refusal::Wrong(error)) => (std::env::args_os().any(|it| it == "--json"), Err(error.into())),
    };
    match done {
        Ok(report) => {
            report.print(json);
            ExitCode::from(report.exit_code())
        }
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(cli: Cli) -> Result<Report, Failure> {
    telemetry::start_logging(&cli.log)?;
    execute(cli).await
}

async fn execute(cli: Cli) -> Result<Report, Failure> {
    let Cli { command, yes, json, places, .. } = cli;
    match command {
        Command::Completions { shell } => return Ok(shell::completions(shell)),
        Command::Man { directory } => return shell::manual(&directory),
        _ => {}
    }
    let all = Surroundings::new(places)?;
    match command {
        Command::Migrate => setup::migrate(&all).await,
        Command::Topics(TopicsCommand::Create) => setup::create_topics(&all).await,
        Command::Sale(SaleCommand::Create(new)) => sale::create(&all, new).await,
        Command::Sale(SaleCommand::List) => sale::list(&all).await,
        Command::Sale(SaleCommand::Show { sale, watch: Watch { every: Some(every) } }) => {
            watch::watch(every, json, async || sale::show(&all, &sale).await).await
        }
        Command::Sale(SaleCommand::Show { sale, .. }) | Command::Stock(StockCommand::Show { sale }) => {
            sale::show(&all, &sale).await
        }
        Command::Sale(SaleCommand::History { sale }) => sale::history(&all, &sale).await,
        Command::Sale(SaleCommand::Open { sale }) => sale::open(&all, &sale).await,
        Command::Sale(SaleCommand::Pause { sale }) => sale::pause(&all, &sale).await,
        Command::Sale(SaleCommand::Close { sale }) => sale::close(&all, &sale).await,
        Command::Stock(StockCommand::Add { sale, units, reason }) => {
            stock::add(&all, &sale, units, reason).await
        }
        Command::Stock(StockCommand::Set { sale, units, reason }) => {
            stock::set(&all, &sale, units, reason).await
        }
        Command::Reset { sale, to, reason } => stock::reset(&all, &sale, to, reason, yes).await,
        Command::Reconcile { sale, repair: true, .. } => repair::repair(&all, sale.as_ref(), yes).await,
        Command::Reconcile { sale, watch: Watch { every: Some(every) }, .. } => {
            watch::watch(every, json, async || reconcile::reconcile(&all, sale.as_ref()).await).await
        }
        Command::Reconcile { sale, .. } => reconcile::reconcile(&all, sale.as_ref()).await,
        Command::Rebuild { sale, patience, .. } => {
            rebuild::rebuild(&all, sale.as_ref(), &patience, yes).await
        }
        Command::Import(import) => import::import(&all, import, yes).await,
        Command::Outbox(OutboxCommand::List { sale, limit }) => {
            outbox::list(&all, sale.as_ref(), limit).await
        }
        Command::Outbox(OutboxCommand::Publish { sale }) => outbox::publish(&all, sale.as_ref()).await,
        Command::DeadLetters(DeadLettersCommand::List { reason }) => {
            dead_letters::list(&all, &Choice::All(reason)).await
        }
        Command::DeadLetters(DeadLettersCommand::Replay { letter, reason, .. }) => {
            dead_letters::replay(&all, &letter.map_or(Choice::All(reason), Choice::One)).await
        }
        Command::Doctor => doctor::examine(&all).await,
        Command::Completions { .. } | Command::Man { .. } => unreachable!("answered above"),
    }
}
