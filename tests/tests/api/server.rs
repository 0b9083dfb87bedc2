//! A real API server that knows the definitions.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use dise_crds::{Artifact, Tool, Workflow, WorkflowRun, crds};
use futures::FutureExt as _;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Request},
    core::ObjectMeta,
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The finalizer of objects that no operator shall touch.
const FROZEN: &str = "dise.dev/frozen-by-a-test";

/// A namespace of an API server that knows the definitions.
pub(crate) struct Server {
    pub(crate) client: Client,
    namespace: String,
}

impl Server {
    /// Runs `test` in a namespace of its own, if there is a cluster.
    pub(crate) async fn with<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Self) -> F) {
        if std::env::var_os("KUBECONFIG").is_none() {
            let required = std::env::var("DISE_REQUIRE_CLUSTER").is_ok_and(|value| value == "1");
            assert!(!required, "DISE_REQUIRE_CLUSTER=1, but KUBECONFIG is not set: bring a cluster up first");
            eprintln!("not run: KUBECONFIG is not set");
            return;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.unwrap();
        apply_definitions(&client).await;
        let namespace = format!("dise-api-test-{name}");
        create_namespace(&client, &namespace).await;
        let outcome = AssertUnwindSafe(test(Self { client: client.clone(), namespace: namespace.clone() }));
        let outcome = outcome.catch_unwind().await;
        Api::<Namespace>::all(client).delete(&namespace, &DeleteParams::default()).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    pub(crate) async fn create(&self, kind: &str, name: &str, spec: &Value) -> DynamicObject {
        self.api(kind).create(&PostParams::default(), &object(kind, name, spec)).await.unwrap()
    }

    /// What the server would store.
    pub(crate) async fn preview(
        &self,
        kind: &str,
        name: &str,
        spec: &Value,
    ) -> Result<DynamicObject, String> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        self.api(kind).create(&dry_run, &object(kind, name, spec)).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn merge(&self, kind: &str, name: &str, patch: &Value) -> Result<DynamicObject, String> {
        let patched = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map_err(|error| error.to_string())
    }

    pub(crate) async fn merge_status(
        &self,
        kind: &str,
        name: &str,
        status: &Value,
    ) -> Result<DynamicObject, String> {
        let patch = json!({"status": status});
        let patched = self.api(kind).patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map_err(|error| error.to_string())
    }

    /// Keeps an operator that runs on this cluster from writing to an object: it leaves alone what is being deleted.
    pub(crate) async fn freeze(&self, kind: &str, name: &str) {
        self.merge(kind, name, &json!({"metadata": {"finalizers": [FROZEN]}})).await.unwrap();
        self.api(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Lets a frozen object go.
    pub(crate) async fn thaw(&self, kind: &str, name: &str) {
        self.merge(kind, name, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    }

    /// The columns and the first row, without its age, once a frozen object has a status and the row is as expected;
    /// what was found last if that does not happen: a write of the operator may still have been under way.
    pub(crate) async fn shown(
        &self,
        kind: &str,
        status: &Value,
        plural: &str,
        expected: &Value,
    ) -> (Vec<String>, Value) {
        let mut shown = (Vec::new(), Value::Null);
        for _ in 0..20 {
            self.merge_status(kind, "a", status).await.unwrap();
            let (names, mut cells) = self.table(plural).await;
            cells.pop();
            shown = (names, Value::from(cells));
            if shown.1 == *expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        shown
    }

    /// The names of the columns and the cells of the first row, as `kubectl get -o wide` shows them.
    pub(crate) async fn table(&self, plural: &str) -> (Vec<String>, Vec<Value>) {
        let path = format!("/apis/dise.dev/v1alpha1/namespaces/{}/{plural}", self.namespace);
        let mut request = Request::new(path).list(&ListParams::default()).unwrap();
        let as_table = "application/json;as=Table;v=v1;g=meta.k8s.io".parse().unwrap();
        request.headers_mut().insert("accept", as_table);
        let table: Value = self.client.request(request).await.unwrap();
        let columns = table["columnDefinitions"].as_array().unwrap().iter();
        let names = columns.map(|column| column["name"].as_str().unwrap().to_uppercase()).collect();
        (names, table["rows"][0]["cells"].as_array().unwrap().clone())
    }
}

fn resource(kind: &str) -> ApiResource {
    match kind {
        "Workflow" => ApiResource::erase::<Workflow>(&()),
        "WorkflowRun" => ApiResource::erase::<WorkflowRun>(&()),
        "Artifact" => ApiResource::erase::<Artifact>(&()),
        "Tool" => ApiResource::erase::<Tool>(&()),
        _ => panic!("no kind {kind}"),
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &resource(kind)).data(json!({"spec": spec}))
}

/// Creates the definitions that are missing. Those that were installed are left as they are: what is tested is what
/// users get, and the installer stays their only manager.
async fn apply_definitions(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in crds() {
        let name = crd.metadata.name.clone().unwrap();
        if api.get_metadata_opt(&name).await.unwrap().is_none() {
            // Another test may have been faster.
            let _ = api.create(&PostParams::default(), &crd).await;
        }
        let established = await_condition(api.clone(), &name, is_crd_established());
        tokio::time::timeout(PATIENCE, established).await.unwrap().unwrap();
    }
}

/// Creates a namespace; one that an earlier run deleted may still be on its way out.
async fn create_namespace(client: &Client, name: &str) {
    let api = Api::<Namespace>::all(client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    let creation = async {
        while let Err(error) = api.create(&PostParams::default(), &namespace).await {
            assert!(matches!(&error, kube::Error::Api(status) if status.code == 409), "{error}");
            let _ = api.delete(name, &DeleteParams::default()).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, creation).await.unwrap();
}
