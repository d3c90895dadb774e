//! A command that runs in the middle of a sale: how a fault is put at the same point of every run.

use std::process::{Command, Stdio};

/// Runs a shell command once so many buyers have an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    orders: u64,
    command: String,
}

impl std::str::FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (orders, command) = text.split_once(':').ok_or("expected ORDERS:COMMAND")?;
        let orders = orders.parse().map_err(|_| "expected a number of orders before the colon".to_owned())?;
        if command.trim().is_empty() {
            return Err("expected a command behind the colon".to_owned());
        }
        Ok(Self { orders, command: command.to_owned() })
    }
}

impl Hook {
    /// Starts the command if so many orders are `accepted`, and says if it was time. Does not wait for it.
    pub fn run_if_due(&self, accepted: u64) -> bool {
        if accepted < self.orders {
            return false;
        }
        let started = Command::new("sh").arg("-c").arg(&self.command).stdin(Stdio::null()).spawn();
        if let Err(error) = started {
            eprintln!("cannot run {:?}: {error}", self.command);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_a_count_and_a_command() {
        let hook: Hook = "300:echo a:b".parse().unwrap();
        assert_eq!(hook, Hook { orders: 300, command: "echo a:b".into() });
        for bad in ["300", "x:echo", "300:", "-1:echo"] {
            assert!(bad.parse::<Hook>().is_err(), "{bad}");
        }
        assert!(!hook.run_if_due(299));
    }
}
