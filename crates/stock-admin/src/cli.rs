//! The command line: every command, its arguments and their ranges.

mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use seckill_core::{
    order::{Goods, Units},
    order_log::Position,
    sale::SaleId,
    settings::{
        DatabaseSettings, GroupSettings, KafkaSettings, LogSettings, OriginalSettings, RedisSettings,
        TopicSettings,
    },
};

use self::values::{
    goods, limit, lines, more_or_fewer, offset, position, reason, reset_reason, seconds, time, title, units,
};

const AFTER_HELP: &str = "\
Exit codes:
  0   done
  1   refused, drift or a fault found, or a dependency answered with a failure
  64  bad usage, or a bad setting
  69  a dependency is unreachable

Examples:
  stock-admin sale create phone --stock 1000 --opens-at 2026-11-27T20:00:00Z
  stock-admin sale show phone --watch
  stock-admin stock add phone 50 --reason 'a new pallet'
  stock-admin reconcile --json || stock-admin reconcile --repair";

/// Sets up, inspects and changes sales and their stock.
///
/// What is refused has changed nothing. What resets a sale, or has it sell nothing while it is loaded anew, asks first.
#[derive(Parser, Debug)]
#[command(name = "stock-admin", version, subcommand_required = true, after_long_help = AFTER_HELP)]
pub struct Cli {
    /// Answer in JSON, for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not ask before what destroys or resets
    #[arg(long, short, global = true)]
    pub yes: bool,
    #[command(flatten, next_help_heading = "Settings")]
    pub places: Places,
    #[command(flatten, next_help_heading = "Settings")]
    pub log: LogSettings,
    #[command(subcommand)]
    pub command: Command,
}

/// Where everything is.
#[derive(Args, Clone, Debug)]
pub struct Places {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    #[command(flatten)]
    pub group: GroupSettings,
    #[command(flatten)]
    pub topics: TopicSettings,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Bring the database's schema up to date; make the default sale
    Migrate,
    /// The topics of the order log
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Sales
    #[command(subcommand)]
    Sale(SaleCommand),
    /// The stock of a sale
    #[command(subcommand)]
    Stock(StockCommand),
    /// Make the units that are left exactly N, at one moment; asks first
    ///
    /// The sale is paused for it, for some milliseconds.
    Reset {
        /// The sale
        sale: SaleId,
        /// Units left afterwards
        #[arg(long, value_name = "N", value_parser = units, allow_hyphen_values = true)]
        to: Units,
        /// Why, for the audit
        #[arg(long, default_value = "reset", value_parser = reset_reason)]
        reason: String,
    },
    /// Check that ledger, log and store add up; mend what does not
    Reconcile {
        /// Only this sale
        sale: Option<SaleId>,
        /// Mend what can be mended safely, and check again; asks first
        #[arg(long, conflicts_with = "watch")]
        repair: bool,
        #[command(flatten)]
        watch: Watch,
    },
    /// Load the ledger of a sale, or of all, anew from the log and the store; asks first
    ///
    /// They sell nothing meanwhile: three seconds (five with replicas), and as long as the log takes to be written.
    /// An order-consumer does it; where none runs, nothing is changed.
    Rebuild {
        /// Only this sale
        #[arg(conflicts_with = "all")]
        sale: Option<SaleId>,
        /// Every sale, which is also what no name means
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        patience: Patience,
    },
    /// Take over the orders of the original (nest-seckill) into a sale; asks first
    ///
    /// Reads the original's table `order` and changes nothing there. Each order becomes a confirmed order of one
    /// unit, under its own id, and counts against the sale's stock. What is there already is left alone: run it as
    /// often as you like. Rows that cannot be orders are listed with the reason, and make exit code 1.
    ///
    /// The sale sells nothing meanwhile, and until an order-consumer has loaded it anew: some seconds.
    Import(Import),
    /// Orders whose events are not known to be in the order log
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Messages of the order log that could not be stored
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Check every dependency, and its settings that the promises rest on
    ///
    /// A dependency that cannot be reached is a fault like any other: a line, and exit code 1.
    Doctor,
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one a command
    Man {
        /// The folder, made where there is none
        directory: PathBuf,
    },
}

/// An import from the original.
#[derive(Args, Debug)]
pub struct Import {
    /// The sale
    pub sale: SaleId,
    #[command(flatten)]
    pub original: OriginalSettings,
    /// Only tell what would be imported
    #[arg(long)]
    pub dry_run: bool,
    /// What was bought, where a row does not say
    #[arg(long, value_name = "TEXT", value_parser = goods)]
    pub goods: Option<Goods>,
    /// Time zone of the original's dates, for example +08:00
    #[arg(long, value_name = "OFFSET", default_value = "+00:00", value_parser = offset, allow_hyphen_values = true)]
    pub time_zone: String,
    #[command(flatten)]
    pub patience: Patience,
}

/// Looking again and again.
#[derive(Args, Debug)]
pub struct Watch {
    /// Look again every so many seconds, until Ctrl-C
    #[arg(long = "watch", id = "watch", value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    pub every: Option<Duration>,
}

/// Waiting for a ledger that is being loaded.
#[derive(Args, Debug)]
pub struct Patience {
    /// Seconds to wait for the order-consumer that loads it
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub within: Duration,
}

#[derive(Subcommand, Debug)]
pub enum OutboxCommand {
    /// Show them, oldest first
    List {
        /// Only of this sale
        sale: Option<SaleId>,
        /// Most orders shown of a sale
        #[arg(long, value_name = "N", default_value = "1000", value_parser = lines)]
        limit: usize,
    },
    /// Publish again, now, those that are older than three seconds; harmless twice
    Publish {
        /// Only of this sale
        sale: Option<SaleId>,
    },
}

#[derive(Subcommand, Debug)]
pub enum DeadLettersCommand {
    /// Show them, oldest first
    List {
        /// Only those whose reason contains this
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },
    /// Put them into the order log again, as they were; harmless twice
    Replay {
        /// Only the one that is there in the dead-letter topic
        #[arg(value_name = "PARTITION:OFFSET", value_parser = position, conflicts_with = "all")]
        letter: Option<Position>,
        /// All of them, which is also what no place means
        #[arg(long)]
        all: bool,
        /// All whose reason contains this
        #[arg(long, value_name = "TEXT", value_parser = reason, conflicts_with = "letter")]
        reason: Option<String>,
    },
}

#[derive(Subcommand, Debug)]
pub enum TopicsCommand {
    /// Make the topics that are not there
    Create,
}

#[derive(Subcommand, Debug)]
pub enum SaleCommand {
    /// Make a sale; one of this name must not exist
    Create(NewSale),
    /// All sales
    List,
    /// One sale
    Show {
        /// The sale
        sale: SaleId,
        #[command(flatten)]
        watch: Watch,
    },
    /// Every change that was made to a sale: who, when, why
    History {
        /// The sale
        sale: SaleId,
    },
    /// Let a sale sell, within its window
    Open {
        /// The sale
        sale: SaleId,
    },
    /// Let a sale sell nothing for the moment
    Pause {
        /// The sale
        sale: SaleId,
    },
    /// End a sale
    Close {
        /// The sale
        sale: SaleId,
    },
}

#[derive(Args, Debug)]
pub struct NewSale {
    /// Its name
    pub sale: SaleId,
    /// Units for sale
    #[arg(long, value_name = "N", value_parser = units, allow_hyphen_values = true)]
    pub stock: Units,
    /// For people [default: its name]
    #[arg(long, value_parser = title)]
    pub title: Option<String>,
    /// Most units that one buyer may hold
    #[arg(long, value_name = "N", value_parser = limit, allow_hyphen_values = true)]
    pub per_buyer_limit: Option<Units>,
    /// When it begins to sell, for example 2026-11-27T20:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub opens_at: Option<Timestamp>,
    /// When it ends
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub closes_at: Option<Timestamp>,
}

#[derive(Subcommand, Debug)]
pub enum StockCommand {
    /// One sale's stock
    Show {
        /// The sale
        sale: SaleId,
    },
    /// Add units to the stock, or take some away
    Add {
        /// The sale
        sale: SaleId,
        /// Units more; negative: fewer
        #[arg(allow_hyphen_values = true, value_parser = more_or_fewer)]
        units: i64,
        /// Why, for the audit
        #[arg(long, value_parser = reason)]
        reason: String,
    },
    /// Make the stock, in all, exactly N
    Set {
        /// The sale
        sale: SaleId,
        /// Units in all, sold ones included
        #[arg(value_parser = units, allow_hyphen_values = true)]
        units: Units,
        /// Why, for the audit
        #[arg(long, default_value = "set", value_parser = reason)]
        reason: String,
    },
}
