//! `completions` and `man`: what the shell and the manual know of this program.

use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use crate::{cli::Cli, failure::Failure, output::Report};

/// A completion script.
pub fn completions(shell: clap_complete::Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stock-admin", &mut script);
    Report::text(String::from_utf8_lossy(&script).into_owned())
}

/// Writes the manual pages, one a command, into `directory`.
pub fn manual(directory: &Path) -> Result<Report, Failure> {
    let refused = |error: std::io::Error| {
        Failure::Refused(format!("cannot write manual pages into {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(refused)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(refused)?;
    let text = format!("wrote the manual into {}: man -l {0}/stock-admin.1", directory.display());
    Ok(Report::new(text, &json!({ "directory": directory })))
}
