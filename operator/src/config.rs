//! Settings, from flags or the environment. The chart sets the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use serde::de::DeserializeOwned;
use url::Url;

/// Controllers and API of DiSE.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Settings {
    /// The name of this pod: the holder of the Lease and the reporter of Events.
    #[arg(long, env = "POD_NAME", default_value = "dise-operator")]
    pub pod_name: String,
    /// The namespace that this operator runs in: the home of its Lease and of the Secret with its certificate.
    #[arg(long, env = "POD_NAMESPACE", default_value = "dise-system")]
    pub pod_namespace: String,
    /// The name of the Service in front of the API; the names in its certificate derive from it.
    #[arg(long, env = "DISE_SERVICE_NAME", default_value = "dise-operator")]
    pub service_name: String,
    /// Where the API listens, with TLS.
    #[arg(long, env = "DISE_API_LISTEN", default_value = "0.0.0.0:8443")]
    pub api_listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` listen, without TLS.
    #[arg(long, env = "DISE_HTTP_LISTEN", default_value = "0.0.0.0:8080")]
    pub http_listen: SocketAddr,
    /// The Secret that keeps the API's certificate and its CA.
    #[arg(long, env = "DISE_TLS_SECRET", default_value = "dise-operator-tls")]
    pub tls_secret: String,
    /// The object store: `s3://bucket/prefix`, `file:///folder` or `memory:///`. Credentials of S3 come from the
    /// usual `AWS_…` variables.
    #[arg(long, env = "DISE_STORE_URL")]
    pub store_url: Url,
    /// The image of executor and Job pods.
    #[arg(long, env = "DISE_RUNNER_IMAGE")]
    pub runner_image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    #[arg(long, env = "DISE_RUNNER_PULL_POLICY", default_value = "IfNotPresent")]
    pub runner_pull_policy: String,
    /// Names of image pull Secrets, by comma; they must exist in the namespaces of the workflows.
    #[arg(long, env = "DISE_RUNNER_PULL_SECRETS", value_delimiter = ',')]
    pub runner_pull_secrets: Vec<String>,
    /// Replicas of a namespace's shared executor.
    #[arg(long, env = "DISE_EXECUTOR_REPLICAS", default_value_t = 1)]
    pub executor_replicas: i32,
    /// Resources of a shared executor pod, as JSON.
    #[arg(long, env = "DISE_EXECUTOR_RESOURCES", default_value = "{}", value_parser = json::<ResourceRequirements>)]
    pub executor_resources: ResourceRequirements,
    /// Resources of a Job's pod, as JSON.
    #[arg(long, env = "DISE_JOB_RESOURCES", default_value = "{}", value_parser = json::<ResourceRequirements>)]
    pub job_resources: ResourceRequirements,
    /// Runtime class of all runner pods, such as gVisor's or Kata's. A cluster without it runs none of them.
    #[arg(long, env = "DISE_RUNTIME_CLASS")]
    pub runtime_class: Option<String>,
    /// Lets runner pods start where the kernel has no Landlock, as under gVisor: functions are then kept from files by
    /// seccomp and by what is in the image alone.
    #[arg(long, env = "DISE_ALLOW_MISSING_LANDLOCK", default_value_t = false)]
    pub allow_missing_landlock: bool,
    /// Node selector of runner pods, as JSON.
    #[arg(long, env = "DISE_NODE_SELECTOR", default_value = "{}", value_parser = json::<NodeSelector>)]
    pub node_selector: NodeSelector,
    /// Tolerations of runner pods, as JSON.
    #[arg(long, env = "DISE_TOLERATIONS", default_value = "[]", value_parser = json::<Tolerations>)]
    pub tolerations: Tolerations,
    /// The folder of the index of artifacts, which is derived and may vanish. Default: it is kept in memory.
    #[arg(long, env = "DISE_INDEX_DIR")]
    pub index_dir: Option<PathBuf>,
    /// Base URL of an embedding model (the API of `OpenAI`), by which artifacts are found by meaning. Default: words alone
    /// are compared.
    #[arg(long, env = "DISE_EMBEDDING_ENDPOINT", requires = "embedding_model")]
    pub embedding_endpoint: Option<String>,
    /// The server's name of that model.
    #[arg(long, env = "DISE_EMBEDDING_MODEL", requires = "embedding_endpoint")]
    pub embedding_model: Option<String>,
    /// The file with the key of that server, if it wants one.
    #[arg(long, env = "DISE_EMBEDDING_KEY_FILE")]
    pub embedding_key_file: Option<PathBuf>,
    /// A Chroma server that keeps the vectors. Default: they are kept in this process.
    #[arg(long, env = "DISE_CHROMA_URL")]
    pub chroma_url: Option<Url>,
    /// Seconds between two updates of usage in statuses.
    #[arg(long, env = "DISE_USAGE_SECONDS", default_value_t = 60)]
    pub usage_seconds: u64,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done instead of running.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Have the operator of this pod build its index of artifacts anew from the object store.
    Reindex,
}

/// Labels that a node must carry.
pub type NodeSelector = std::collections::BTreeMap<String, String>;

/// A list of tolerations. An alias would be taken for a flag that repeats.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Tolerations(pub Vec<Toleration>);

impl Settings {
    /// The DNS names under which pods reach the API, the one that they are given first.
    #[must_use]
    pub fn api_names(&self) -> Vec<String> {
        let (name, namespace) = (&self.service_name, &self.pod_namespace);
        ["svc", "svc.cluster.local"]
            .map(|suffix| format!("{name}.{namespace}.{suffix}"))
            .into_iter()
            .chain([format!("{name}.{namespace}"), name.clone()])
            .collect()
    }

    /// The URL under which pods reach the API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("https://{}.{}.svc:{}", self.service_name, self.pod_namespace, self.api_listen.port())
    }
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resources_and_tolerations_as_json() {
        let settings = Settings::parse_from([
            "dise-operator",
            "--store-url=memory:///",
            "--runner-image=r",
            r#"--executor-resources={"limits":{"memory":"1Gi"}}"#,
            r#"--tolerations=[{"key":"pi","operator":"Exists"}]"#,
        ]);
        assert_eq!(settings.executor_resources.limits.unwrap()["memory"].0, "1Gi");
        assert_eq!(settings.tolerations.0[0].key.as_deref(), Some("pi"));
    }

    #[test]
    fn hands_pods_a_url_that_the_certificate_names() {
        let settings = Settings::parse_from(["dise-operator", "--store-url=memory:///", "--runner-image=r"]);
        let host = settings.api_url().parse::<Url>().unwrap().host_str().unwrap().to_owned();
        assert!(settings.api_names().contains(&host));
    }
}
