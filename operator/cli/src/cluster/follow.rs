//! Following one object until something has come of it.

use std::{pin::pin, time::Duration};

use anyhow::Result;
use futures::StreamExt as _;
use kube::runtime::{
    WatchStreamExt as _,
    watcher::{self, Event, watcher},
};

use super::{Cluster, Kind, explain, is_lasting};
use crate::exit::say;

impl Cluster {
    /// Shows `look` every state of the object of this name, or `None` while it does not exist, until that returns
    /// something. Absent when that does not happen within `patience`.
    ///
    /// # Errors
    /// The object may not be watched. Interruptions are said and outlived.
    pub(crate) async fn follow<K: Kind + Send + 'static, T>(
        &self,
        name: &str,
        patience: Duration,
        look: impl FnMut(Option<&K>) -> Option<T>,
    ) -> Result<Option<T>> {
        match tokio::time::timeout(patience, self.watch(name, look)).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        }
    }

    async fn watch<K: Kind + Send + 'static, T>(
        &self,
        name: &str,
        mut look: impl FnMut(Option<&K>) -> Option<T>,
    ) -> Result<Option<T>> {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = pin!(watcher(self.api::<K>(), config).default_backoff());
        let mut exists = false;
        while let Some(event) = events.next().await {
            let found = match event {
                Ok(Event::Init) => {
                    exists = false;
                    None
                }
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    exists = true;
                    look(Some(&object))
                }
                Ok(Event::Delete(_)) => look(None),
                Ok(Event::InitDone) if !exists => look(None),
                Ok(Event::InitDone) => None,
                Err(fault) => {
                    self.interrupted::<K>(fault)?;
                    None
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Says what interrupts, unless it will not end by itself.
    fn interrupted<K: Kind>(&self, fault: watcher::Error) -> Result<()> {
        match fault {
            watcher::Error::InitialListFailed(fault)
            | watcher::Error::WatchStartFailed(fault)
            | watcher::Error::WatchFailed(fault) => {
                let lasting = is_lasting(&fault);
                let fault = explain(fault, &self.ask::<K>("watch"));
                if lasting {
                    return Err(fault);
                }
                say(&format!("{fault:#}; trying again"));
            }
            // The version that was watched from is gone: the watcher lists anew.
            watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => {}
        }
        Ok(())
    }
}
