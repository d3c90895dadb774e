//! `stock-admin`: reads what the operator wants, does it, and says how it went: by text or JSON, and by
//! exit code.

mod change;
mod cli;
mod doctor;
mod failure;
mod output;
mod reconcile;
mod sale;
mod setup;
mod stock;
mod surroundings;

use std::process::ExitCode;

use clap::CommandFactory;
use seckill_core::{settings, telemetry};

use crate::{
    cli::{Cli, Command, SaleCommand, StockCommand, TopicsCommand},
    failure::Failure,
    output::Report,
    surroundings::Surroundings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli: Cli = settings::parse();
    if let Err(error) = telemetry::start_logging(&cli.log) {
        settings::exit_with(&error);
    }
    let json = cli.json;
    match execute(cli).await {
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

async fn execute(cli: Cli) -> Result<Report, Failure> {
    let Cli { command, yes, places, .. } = cli;
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "stock-admin", &mut script);
        return Ok(Report::text(String::from_utf8_lossy(&script).into_owned()));
    }
    let all = Surroundings::new(places)?;
    match command {
        Command::Migrate => setup::migrate(&all).await,
        Command::Topics(TopicsCommand::Create(topics)) => setup::create_topics(&all, &topics).await,
        Command::Sale(SaleCommand::Create(new)) => sale::create(&all, new).await,
        Command::Sale(SaleCommand::List) => sale::list(&all).await,
        Command::Sale(SaleCommand::Show { sale }) | Command::Stock(StockCommand::Show { sale }) => {
            sale::show(&all, &sale).await
        }
        Command::Sale(SaleCommand::History { sale }) => sale::history(&all, &sale).await,
        Command::Sale(SaleCommand::Open { sale }) => sale::open(&all, &sale).await,
        Command::Sale(SaleCommand::Pause { sale }) => sale::pause(&all, &sale).await,
        Command::Sale(SaleCommand::Close { sale }) => sale::close(&all, &sale, yes).await,
        Command::Stock(StockCommand::Add { sale, units, reason }) => {
            stock::add(&all, &sale, units, reason).await
        }
        Command::Stock(StockCommand::Set { sale, units, reason }) => {
            stock::set(&all, &sale, units, reason).await
        }
        Command::Reset { sale, to, reason } => stock::reset(&all, &sale, to, reason, yes).await,
        Command::Reconcile { sale } => reconcile::reconcile(&all, sale.as_ref()).await,
        Command::Doctor => doctor::examine(&all).await,
        Command::Completions { .. } => unreachable!("answered above"),
    }
}
