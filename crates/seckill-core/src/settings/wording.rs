//! What is said of settings that cannot be used: one line, that names the setting and never a value. Any value
//! may be a secret in the wrong place.

use std::{
    ffi::OsStr,
    num::{IntErrorKind, ParseIntError},
};

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What clap says in several lines, in one that names the setting by flag and variable.
pub(super) fn one_line(command: &clap::Command, error: &clap::Error) -> String {
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
        (ErrorKind::InvalidSubcommand, _) => {
            format!(
                "there is no such command{} (see --help)",
                suggested(context(ContextKind::SuggestedSubcommand))
            )
        }
        (ErrorKind::UnknownArgument, Some(setting)) if setting.starts_with('-') => {
            let name = setting.split('=').next().unwrap_or_default();
            format!(
                "{name}: there is no such flag{} (see --help)",
                suggested(context(ContextKind::SuggestedArg))
            )
        }
        (ErrorKind::UnknownArgument | ErrorKind::TooManyValues, _) => {
            "one value too many was given (see --help)".to_owned()
        }
        (ErrorKind::ArgumentConflict, Some(setting)) => match context(ContextKind::PriorArg) {
            Some(other) => format!("{setting}: cannot be used with {}", with_variable(command, &other)),
            None => format!("{setting}: may be given once"),
        },
        (ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues, Some(setting)) => {
            format!("{setting}: a value is required")
        }
        (ErrorKind::InvalidUtf8, _) => "an argument is not UTF-8".to_owned(),
        // Not in clap's own words: they repeat values.
        _ => "the arguments cannot be understood (see --help)".to_owned(),
    }
}

/// What clap takes a mistyped name for: one of our own, which may be shown.
fn suggested(name: Option<String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
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
pub(super) fn with_variable(command: &clap::Command, argument: &str) -> String {
    let flag = argument.split_whitespace().next().unwrap_or(argument);
    match flag.strip_prefix("--").and_then(|long| variable_of(command, long)) {
        Some(variable) => format!("{flag} ({})", variable.to_string_lossy()),
        None => flag.to_owned(),
    }
}

/// The variable that stands for the flag `--long`, of `command` itself or of one below it.
fn variable_of<'a>(command: &'a clap::Command, long: &str) -> Option<&'a OsStr> {
    let own = command.get_arguments().find(|known| known.get_long() == Some(long));
    own.and_then(clap::Arg::get_env)
        .or_else(|| command.get_subcommands().find_map(|below| variable_of(below, long)))
}
