//! What happens in the cluster is remembered at once.

use std::fmt::Debug;

use dise_crds::{Artifact, OriginKind, Tool, Workflow};
use dise_index::Record;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;

use super::{Memory, MemoryError, records};
use crate::watching;

impl Memory {
    /// Keeps the index in step with the object store and the cluster, for as long as it is polled.
    pub async fn run(&self, client: Client) {
        let follow = async {
            loop {
                tokio::select! {
                    () = self.follow_all(&client) => {}
                    // Then everything in the cluster is told once more, for all of it was forgotten.
                    () = self.rebuild_when_asked() => {}
                }
            }
        };
        tokio::join!(follow, self.keep_embedded(), self.keep_flushed());
    }

    async fn follow_all(&self, client: &Client) {
        // What is in the cluster is newer than its record in the store.
        self.load().await;
        tokio::join!(
            self.follow(client.clone(), |event| self.artifact(event)),
            self.follow(client.clone(), |event| self.workflow(event)),
            self.follow(client.clone(), |event| self.tool(event)),
        );
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
        let mut found = records::of_artifact(&artifact);
        if let Some(namespace) = records::namespace(&artifact)
            && artifact.spec.origin.kind == OriginKind::Synthesis
        {
            found.extend(records::of_prompts(&namespace, Timestamp::now()));
        }
        self.remember(found).await
    }

    async fn workflow(&self, event: Event<Workflow>) -> Result<(), MemoryError> {
        match event {
            Event::Apply(workflow) | Event::InitApply(workflow) => {
                self.remember(records::of_workflow(&workflow).into_iter().collect()).await
            }
            Event::Delete(workflow) => self.forget_object("workflow", &workflow).await,
            Event::Init | Event::InitDone => Ok(()),
        }
    }

    async fn tool(&self, event: Event<Tool>) -> Result<(), MemoryError> {
        match event {
            Event::Apply(tool) | Event::InitApply(tool) => {
                self.remember(records::of_tool(&tool).into_iter().collect()).await
            }
            Event::Delete(tool) => self.forget_object("tool", &tool).await,
            Event::Init | Event::InitDone => Ok(()),
        }
    }

    /// Stores what is known of an object. Of one whose content is known, which is the first, only its standing is: its
    /// status changes often and its words do not.
    pub(super) async fn remember(&self, records: Vec<Record>) -> Result<(), MemoryError> {
        let Some(own) = records.first() else { return Ok(()) };
        let (namespace, id, digest) = (own.namespace.clone(), own.id.clone(), own.digest);
        let standing = records::standing_of(own);
        let known = self
            .blocking(move |index| {
                Ok(index.digest(&namespace, &id)? == Some(digest)
                    && index.set_standing(&namespace, &id, &standing)?)
            })
            .await?;
        if known { Ok(()) } else { self.upsert(records).await }
    }

    async fn forget_object<K: Resource>(&self, prefix: &str, object: &K) -> Result<(), MemoryError> {
        let Some(namespace) = records::namespace(object) else { return Ok(()) };
        let id = records::id(prefix, object);
        self.blocking(move |index| index.delete(&namespace, &[&id])).await
    }
}
