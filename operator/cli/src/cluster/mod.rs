//! The Kubernetes API, with errors that say what to do.

mod follow;
mod operator;
mod problem;

use std::{fmt::Debug, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Args;
use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, ObjectMeta, PartialObjectMeta},
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;

pub(crate) use self::problem::{Ask, explain, is_lasting};
use crate::words::did_you_mean;

/// The field manager of what this program writes.
pub(crate) const FIELD_MANAGER: &str = "kubectl-dise";

/// The label of what belongs to a workflow.
const WORKFLOW: &str = "dise.dev/workflow";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many objects are asked for at a time.
const PAGE: u32 = 500;

/// Which cluster, as kubectl has it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClusterArgs {
    /// Path of the kubeconfig file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Name of the context of the kubeconfig file.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub(crate) context: Option<String>,
    /// Namespace. Default: that of the context.
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub(crate) namespace: Option<String>,
}

/// A cluster and the namespace to work in.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A kind of namespaced object.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl Cluster {
    /// The cluster that the arguments and the kubeconfig name. Nothing is sent yet.
    pub(crate) async fn connect(args: &ClusterArgs) -> Result<Self> {
        let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &args.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|fault| problem::no_config(&fault))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|fault| problem::no_config(&fault))?
            }
            None if args.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|fault| problem::no_config(&fault))?
            }
            None => Config::infer().await.map_err(|fault| problem::no_config(&fault))?,
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // It would go on for minutes and may create an object twice. Whoever types a command can repeat it.
        config.default_retry = false;
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|fault| problem::unusable(&fault, &server))?;
        Ok(Self { client, namespace })
    }

    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What is asked about objects of a kind in the namespace.
    pub(crate) fn ask<K: Kind>(&self, verb: &'static str) -> Ask {
        Ask::new::<K>(verb, &self.namespace)
    }

    /// The object of a name. If there is none, the error suggests one of a similar name.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<K> {
        let ask = self.ask::<K>("get");
        match self.api::<K>().get_opt(name).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(self.not_found::<K>(name).await?),
            Err(fault) => Err(explain(fault, &ask)),
        }
    }

    async fn not_found<K: Kind>(&self, name: &str) -> Result<anyhow::Error> {
        let (kind, namespace) = (K::kind(&()), &self.namespace);
        let others: Vec<String> =
            self.metadata::<K>("").await?.into_iter().filter_map(|metadata| metadata.name).collect();
        let hint = match (others.as_slice(), did_you_mean(name, others.iter().map(String::as_str))) {
            ([], _) => {
                format!("; the namespace has none. `kubectl get {} -A` shows those of others", K::plural(&()))
            }
            ([..], suggestion) if suggestion.is_empty() => {
                format!("; it has {}", others.iter().take(8).cloned().collect::<Vec<_>>().join(", "))
            }
            ([..], suggestion) => suggestion,
        };
        Ok(anyhow::anyhow!("there is no {kind} {name} in namespace {namespace}{hint}"))
    }

    /// All objects with these labels.
    pub(crate) async fn list<K: Kind>(&self, labels: &str) -> Result<Vec<K>> {
        list(&self.api(), labels).await.map_err(|fault| explain(fault, &self.ask::<K>("list")))
    }

    /// The metadata of all objects with these labels.
    pub(crate) async fn metadata<K: Kind>(&self, labels: &str) -> Result<Vec<ObjectMeta>> {
        let found = self.api::<K>().list_metadata(&ListParams::default().labels(labels)).await;
        let found = found.map_err(|fault| explain(fault, &self.ask::<K>("list")))?;
        Ok(found.items.into_iter().map(|object: PartialObjectMeta<K>| object.metadata).collect())
    }

    /// All objects of all namespaces.
    pub(crate) async fn list_everywhere<K: Kind>(&self) -> Result<Vec<K>> {
        let ask = Ask::new::<K>("list", "");
        list(&Api::all(self.client.clone()), "").await.map_err(|fault| explain(fault, &ask))
    }
}

/// Selects what belongs to a workflow.
pub(crate) fn of_workflow(name: &str) -> String {
    format!("{WORKFLOW}={name}")
}

async fn list<K: Kind>(api: &Api<K>, labels: &str) -> kube::Result<Vec<K>> {
    let mut params = ListParams::default().labels(labels).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
