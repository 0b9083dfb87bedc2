//! What happens in the cluster is remembered at once.

use std::fmt::Debug;

use dise_crds::{Artifact, OriginKind, Tool, Workflow};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;

use super::{Memory, MemoryError, records};
use crate::watching;

impl Memory {
    /// Keeps the index in step with the object store and the cluster, for as long as it is polled.
    pub async fn run(&self, client: Client) {
        let follow = async {
            // What is in the cluster is newer than its record in the store.
            self.load().await;
            tokio::join!(
                self.follow(client.clone(), |event| self.artifact(event)),
                self.follow(client.clone(), |event| self.workflow(event)),
                self.follow(client.clone(), |event| self.tool(event)),
            )
        };
        tokio::join!(follow, self.keep_embedded(), self.rebuild_on_demand());
    }

    async fn follow<K, F>(&self, client: Client, take: impl Fn(Event<K>) -> F)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
        F: Future<Output = Result<(), MemoryError>>,
    {
        let events = watcher(Api::<K>::all(client), watcher::Config::default()).backoff(watching::pause());
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            if let Err(fault) = take(event).await {
                tracing::warn!(kind = %K::kind(&()), %fault, "an object is not in the index");
            }
        }
    }

    /// An artifact that is deleted in the cluster stays in the store, and so in the memory.
    async fn artifact(&self, event: Event<Artifact>) -> Result<(), MemoryError> {
        let (Event::Apply(artifact) | Event::InitApply(artifact)) = event else { return Ok(()) };
        let Some(namespace) = records::namespace(&artifact) else { return Ok(()) };
        let (of, id, standing) = (namespace.clone(), artifact.name_any(), records::standing(&artifact));
        let known = self.blocking(move |index| index.set_standing(&of, &id, &standing)).await?;
        if known {
            return Ok(());
        }
        let mut found = records::of_artifact(&artifact);
        if artifact.spec.origin.kind == OriginKind::Synthesis {
            found.extend(records::of_prompts(&namespace, Timestamp::now()));
        }
        self.upsert(found).await
    }

    async fn workflow(&self, event: Event<Workflow>) -> Result<(), MemoryError> {
        match event {
            Event::Apply(workflow) | Event::InitApply(workflow) => {
                self.upsert(records::of_workflow(&workflow).into_iter().collect()).await
            }
            Event::Delete(workflow) => self.forget_object("workflow", &workflow).await,
            Event::Init | Event::InitDone => Ok(()),
        }
    }

    async fn tool(&self, event: Event<Tool>) -> Result<(), MemoryError> {
        match event {
            Event::Apply(tool) | Event::InitApply(tool) => {
                self.upsert(records::of_tool(&tool).into_iter().collect()).await
            }
            Event::Delete(tool) => self.forget_object("tool", &tool).await,
            Event::Init | Event::InitDone => Ok(()),
        }
    }

    async fn forget_object<K: Resource>(&self, prefix: &str, object: &K) -> Result<(), MemoryError> {
        let Some(namespace) = records::namespace(object) else { return Ok(()) };
        let id = records::id(prefix, object);
        self.blocking(move |index| index.delete(&namespace, &[&id])).await
    }
}
