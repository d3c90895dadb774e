//! The command line: every command, its arguments and their ranges.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use seckill_core::{
    order::Units,
    sale::{MAX_STOCK, MAX_TITLE, SaleId},
    settings::{DatabaseSettings, GroupSettings, KafkaSettings, LogSettings, RedisSettings, TopicSettings},
};

/// Sets up, inspects and changes sales and their stock.
///
/// Exit codes: 0 done, 1 refused or drift found, 64 bad usage, 69 a dependency is unreachable. What is
/// refused has changed nothing.
#[derive(Parser, Debug)]
#[command(name = "stock-admin", version, subcommand_required = true)]
pub struct Cli {
    /// Answer in JSON, for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not ask before what destroys or resets
    #[arg(long, short, global = true)]
    pub yes: bool,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
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
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Bring the database's schema up to date, and make the default sale where there is none
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
    /// Make the units that are left exactly N, at one moment; pauses the sale for it
    Reset {
        /// The sale
        sale: SaleId,
        /// Units left afterwards
        #[arg(long, value_name = "N", value_parser = units, allow_hyphen_values = true)]
        to: Units,
        /// Why, for the audit
        #[arg(long, default_value = "reset", value_parser = reason)]
        reason: String,
    },
    /// Check for each sale that ledger, log and store add up
    Reconcile {
        /// Only this sale
        sale: Option<SaleId>,
    },
    /// Check every dependency and the settings of it that the promises rest on
    Doctor,
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand, Debug)]
pub enum TopicsCommand {
    /// Make the topics that are not there
    Create(TopicSettings),
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

fn units(text: &str) -> Result<Units, String> {
    whole_number(text, 0..=MAX_STOCK)
}

fn limit(text: &str) -> Result<Units, String> {
    whole_number(text, 1..=MAX_STOCK)
}

fn more_or_fewer(text: &str) -> Result<i64, String> {
    let most = MAX_STOCK.cast_signed();
    whole_number(text, -most..=most)
}

fn whole_number<N: FromStr + PartialOrd + Display>(
    text: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn title(text: &str) -> Result<String, String> {
    short_text(text, MAX_TITLE)
}

fn reason(text: &str) -> Result<String, String> {
    short_text(text, 500)
}

fn short_text(text: &str, most: usize) -> Result<String, String> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {most} characters, none of them control characters"))
    }
}

/// A time as the store keeps it: to the millisecond.
fn time(text: &str) -> Result<Timestamp, String> {
    let time: Timestamp =
        text.parse().map_err(|_| "must be RFC 3339, for example 2026-11-27T20:00:00Z".to_owned())?;
    Timestamp::from_millisecond(time.as_millisecond()).map_err(|error| error.to_string())
}
