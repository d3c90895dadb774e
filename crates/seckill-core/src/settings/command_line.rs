//! Reading settings from the command line and the environment, and saying in one line what is wrong.

use std::{
    ffi::{OsStr, OsString},
    num::{IntErrorKind, ParseIntError},
    path::PathBuf,
};

use clap::{
    Arg, Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Exit code of a bad setting or bad usage.
pub const EXIT_USAGE: i32 = 64;

/// Why a set of settings cannot be used: one line for stderr.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

impl SettingsError {
    /// Says that `setting` cannot be used, and why; `why` must not repeat a secret.
    pub fn of(setting: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("{setting}: {why}"))
    }
}

/// Reads the settings of this process or ends it: `--help` and `--version` with 0, anything wrong with one
/// line on stderr and [`EXIT_USAGE`].
pub fn parse<T: Parser>() -> T {
    match try_parse(std::env::args_os()) {
        Ok(settings) => settings,
        Err(Refusal::Shown(error)) => error.exit(),
        Err(Refusal::Wrong(error)) => exit_with(&error),
    }
}

/// Ends the process because of `error`: one line on stderr and [`EXIT_USAGE`].
pub fn exit_with(error: &SettingsError) -> ! {
    let program = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    eprintln!("{name}: {error}");
    std::process::exit(EXIT_USAGE)
}

/// Why [`try_parse`] gave no settings.
#[derive(Debug)]
pub enum Refusal {
    /// Help or version was asked for.
    Shown(clap::Error),
    /// A setting is wrong.
    Wrong(SettingsError),
}

/// Reads settings from `arguments` (the first is the program) and the environment.
pub fn try_parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, Refusal> {
    let is_empty = |variable: &OsStr| std::env::var_os(variable).is_some_and(|value| value.is_empty());
    let command = without_variables(T::command(), &is_empty);
    let read =
        command.try_get_matches_from(arguments).and_then(|mut found| T::from_arg_matches_mut(&mut found));
    read.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Shown(error),
        _ => Refusal::Wrong(SettingsError(one_line(&T::command(), &error))),
    })
}

/// `command`, and all below it, without the variables that are `unwanted`: an empty one counts as not set.
pub(super) fn without_variables(command: Command, unwanted: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|argument| match argument.get_env() {
            Some(variable) if unwanted(variable) => argument.env(None::<&'static str>),
            _ => argument,
        })
        .mut_subcommands(|below| without_variables(below, unwanted))
}

/// What clap says in several lines, in one that names the setting by flag and variable.
pub(super) fn one_line(command: &Command, error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let setting = context(ContextKind::InvalidArg).map(|argument| with_variable(command, &argument));
    let why = std::error::Error::source(error).map(reason);
    match (error.kind(), setting) {
        (ErrorKind::ValueValidation, Some(setting)) => {
            format!("{setting}: {}", why.unwrap_or_else(|| "not a valid value".into()))
        }
        (ErrorKind::InvalidValue, Some(setting)) => match context(ContextKind::ValidValue) {
            Some(valid) => format!("{setting}: must be one of {valid}"),
            None => format!("{setting}: a value is required"),
        },
        (ErrorKind::MissingRequiredArgument, Some(setting)) => format!("{setting}: is required"),
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand, _) => {
            "a command is missing (see --help)".to_owned()
        }
        // What is not a flag may be a secret in the wrong place, and is not repeated.
        (ErrorKind::UnknownArgument, Some(setting)) if setting.starts_with("--") => {
            let (flag, meant) = (mistyped(command, &setting), suggested(context(ContextKind::SuggestedArg)));
            format!("{flag}: there is no such flag{meant} (see --help)")
        }
        (ErrorKind::InvalidSubcommand, _) => {
            let meant = suggested(context(ContextKind::SuggestedSubcommand));
            format!("there is no such command{meant} (see --help)")
        }
        (ErrorKind::UnknownArgument | ErrorKind::TooManyValues, _) => {
            "there is an argument too many (see --help)".to_owned()
        }
        (ErrorKind::ArgumentConflict, Some(setting)) => match context(ContextKind::PriorArg) {
            Some(other) => format!("{setting}: cannot be used with {}", with_variable(command, &other)),
            None => format!("{setting}: may be given once"),
        },
        // Not in clap's own words: they repeat values.
        (_, Some(setting)) => format!("{setting}: not what is expected (see --help)"),
        (_, None) => "the arguments cannot be understood (see --help)".to_owned(),
    }
}

/// What clap takes a mistyped name for: one of our own, which may be shown.
fn suggested(name: Option<String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// As much of an unknown flag as can be shown. Where the space or `=` behind a flag is missing, what follows is its
/// value, and that may be a secret.
fn mistyped(command: &Command, flag: &str) -> String {
    let text = flag.trim_start_matches('-');
    let end = match beginning_of(command, text) {
        Some(known) => known.len(),
        None => text.find(|it: char| !it.is_ascii_lowercase() && it != '-').unwrap_or(text.len()),
    };
    // What is a flag, of another command, has its variable behind it.
    let whole = text.len() == end || text[end..].starts_with(" (");
    if whole { flag.to_owned() } else { format!("--{}…", &text[..end]) }
}

/// The longest name of a flag, of `command` itself or of one below it, that `text` begins with.
fn beginning_of<'a>(command: &'a Command, text: &str) -> Option<&'a str> {
    let own = command.get_arguments().filter_map(Arg::get_long).filter(|known| text.starts_with(*known));
    let below = command.get_subcommands().filter_map(|below| beginning_of(below, text));
    own.chain(below).max_by_key(|known| known.len())
}

/// Why a value is none, in words for people where the standard library's are for programmers.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
        Some(IntErrorKind::PosOverflow) => "is too large a number".to_owned(),
        Some(IntErrorKind::NegOverflow) => "is too small a number".to_owned(),
        Some(_) => "must be a number, in digits".to_owned(),
        None => error.to_string(),
    }
}

/// `--flag <VALUE>` as `--flag (VARIABLE)`.
pub(super) fn with_variable(command: &Command, argument: &str) -> String {
    let flag = argument.split_whitespace().next().unwrap_or(argument);
    match flag.strip_prefix("--").and_then(|long| variable_of(command, long)) {
        Some(variable) => format!("{flag} ({})", variable.to_string_lossy()),
        None => flag.to_owned(),
    }
}

/// The variable that stands for the flag `--long`, of `command` itself or of one below it.
fn variable_of<'a>(command: &'a Command, long: &str) -> Option<&'a OsStr> {
    let own = command.get_arguments().find(|known| known.get_long() == Some(long));
    own.and_then(Arg::get_env)
        .or_else(|| command.get_subcommands().find_map(|below| variable_of(below, long)))
}
