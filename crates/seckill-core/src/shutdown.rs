//! Stopping: a signal becomes a value that every part can wait for, and draining has a deadline.

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Asks everything that holds a [`Shutdown`] to stop. Dropping it asks, too.
#[derive(Debug)]
pub struct ShutdownSwitch(watch::Sender<bool>);

/// Whether a stop has been asked for.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A switch and what it switches.
pub fn channel() -> (ShutdownSwitch, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownSwitch(sender), Shutdown(receiver))
}

impl ShutdownSwitch {
    /// Asks everybody to stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether a stop has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it has.
    pub async fn requested(&self) {
        // An error means that the switch is gone, which asks just the same.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }
}

/// Waits for SIGTERM or SIGINT and says which came.
pub async fn signalled() -> std::io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Waits for `work`, at most until `deadline`; a missed deadline is logged and gives none.
pub async fn drain<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
    let done = tokio::time::timeout(deadline, work).await.ok();
    if done.is_none() {
        tracing::error!(what, seconds = deadline.as_secs(), "not finished in time; stopping all the same");
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_a_stop_and_a_lost_switch_is_one() {
        let (switch, shutdown) = channel();
        assert!(!shutdown.is_requested());
        switch.request();
        assert!(shutdown.is_requested());
        shutdown.requested().await;

        let (switch, shutdown) = channel();
        drop(switch);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_at_its_deadline() {
        assert_eq!(drain("work", Duration::from_secs(1), async { 7 }).await, Some(7));
        assert_eq!(drain("work", Duration::from_secs(1), std::future::pending::<()>()).await, None);
    }
}
