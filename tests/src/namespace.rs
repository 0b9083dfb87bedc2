//! A namespace of a test's own.

use std::{
    fmt::Write as _,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, Pod};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// How long things may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);

/// A namespace of a test's own.
#[derive(Clone)]
pub struct Namespace {
    /// The cluster.
    pub client: Client,
    /// The namespace.
    pub name: String,
}

/// A condition as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The generation that it is about.
    pub generation: i64,
}

impl Namespace {
    /// Runs `test` in a namespace of its own, if there is a cluster, and deletes the namespace.
    ///
    /// # Panics
    /// The test does, or the cluster does not answer.
    pub async fn with<F: Future<Output = ()>>(purpose: &str, test: impl FnOnce(Self) -> F) {
        let Some(client) = crate::cluster().await else { return };
        let unique = format!("{:x}", std::process::id());
        let namespace = Self { client, name: format!("dise-e2e-{purpose}-{unique}") };
        namespace.create().await;
        let outcome = AssertUnwindSafe(test(namespace.clone())).catch_unwind().await;
        if outcome.is_err() {
            eprintln!("namespace {} as the test left it:\n{}", namespace.name, namespace.describe().await);
        }
        let all: Api<KubeNamespace> = Api::all(namespace.client.clone());
        all.delete(&namespace.name, &DeleteParams::default()).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    async fn create(&self) {
        let all: Api<KubeNamespace> = Api::all(self.client.clone());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels},
        });
        let params = PatchParams::apply("dise-tests");
        all.patch(&self.name, &params, &Patch::Apply(&namespace)).await.unwrap();
    }

    /// The objects of a kind, such as `Workflow`, `batch/v1 Job` or `v1 Service`.
    ///
    /// # Panics
    /// The text names no kind.
    #[must_use]
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (version, kind) = kind.split_once(' ').unwrap_or(("dise.dev/v1alpha1", kind));
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    /// Applies an object of DiSE as `kubectl apply --server-side` does.
    ///
    /// # Panics
    /// The API server refuses it.
    pub async fn apply(&self, kind: &str, name: &str, spec: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "dise.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("dise-tests").force();
        self.api(kind).patch(name, &params, &Patch::Apply(&object)).await.unwrap()
    }

    /// Makes a Secret with one entry.
    ///
    /// # Panics
    /// The API server refuses it.
    pub async fn secret(&self, name: &str, key: &str, value: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value},
        });
        let params = PatchParams::apply("dise-tests").force();
        self.api("v1 Secret").patch(name, &params, &Patch::Apply(&secret)).await.unwrap();
    }

    /// What all pods of the namespace and the operator's have logged, by pod.
    ///
    /// # Panics
    /// The cluster does not answer.
    pub async fn logs(&self) -> Vec<(String, String)> {
        let mut logs = Vec::new();
        for namespace in [self.name.as_str(), crate::SYSTEM] {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            for pod in pods.list(&ListParams::default()).await.unwrap() {
                let name = pod.metadata.name.unwrap_or_default();
                // One that is gone, or has not started, has nothing to say.
                let log = pods.logs(&name, &LogParams::default()).await.unwrap_or_default();
                logs.push((name, log));
            }
        }
        logs
    }

    /// An object as it is now.
    ///
    /// # Panics
    /// It does not exist.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::to_value(self.api(kind).get(name).await.unwrap()).unwrap()
    }

    /// All objects of a kind.
    ///
    /// # Panics
    /// The cluster does not answer.
    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let found = self.api(kind).list(&ListParams::default()).await.unwrap();
        found.items.into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }

    /// Waits until a condition of an object is about its present generation and is as wanted.
    ///
    /// # Panics
    /// It does not become so in time.
    pub async fn wait(
        &self,
        kind: &str,
        name: &str,
        type_: &str,
        wanted: impl Fn(&Condition) -> bool,
    ) -> Condition {
        let start = Instant::now();
        loop {
            let object = self.get(kind, name).await;
            let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
            let found = condition(&object, type_);
            match found {
                Some(found) if found.generation == generation && wanted(&found) => return found,
                found => assert!(
                    start.elapsed() < PATIENCE,
                    "{kind} {name} of generation {generation}: {type_} is {found:?}"
                ),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a Workflow is ready.
    ///
    /// # Panics
    /// It does not become ready in time.
    pub async fn ready(&self, workflow: &str) -> Value {
        self.wait("Workflow", workflow, "Ready", |ready| ready.status == "True").await;
        self.get("Workflow", workflow).await
    }

    /// Waits until a Workflow is not ready for a reason that will not go away by waiting.
    ///
    /// # Panics
    /// That does not happen in time.
    pub async fn stalled(&self, workflow: &str) -> Condition {
        let settled =
            |ready: &Condition| !["Generating", "Verifying", "RollingOut"].contains(&ready.reason.as_str());
        self.wait("Workflow", workflow, "Ready", settled).await
    }

    /// Waits until `done` yields something.
    ///
    /// # Panics
    /// It does not in time.
    pub async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut done: impl FnMut() -> F,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = done().await {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn describe(&self) -> String {
        let mut text = String::new();
        for kind in ["Workflow", "WorkflowRun", "Tool", "apps/v1 Deployment", "batch/v1 Job", "v1 Pod"] {
            let Ok(found) = self.api(kind).list(&ListParams::default()).await else { continue };
            for object in found {
                let name = object.metadata.name.unwrap_or_default();
                let _ = writeln!(text, "{kind} {name}: {}", object.data["status"]);
            }
        }
        text
    }
}

/// A condition of an object.
#[must_use]
pub fn condition(object: &Value, type_: &str) -> Option<Condition> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == type_)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        generation: found["observedGeneration"].as_i64().unwrap_or_default(),
    })
}
