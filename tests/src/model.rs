//! A scripted model server in a Pod: `tests/fixtures/model_server`, run by the Python of the runner image.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Namespace, SYSTEM};

const SERVER: &str = include_str!("../fixtures/model_server/server.py");
const PAUSE: Duration = Duration::from_millis(200);

/// A model server whose answers are scripted.
#[derive(Clone)]
pub struct ScriptedModel {
    space: Namespace,
}

impl Namespace {
    /// Starts a model server, under the Service `model`, that answers as `rules` say.
    ///
    /// # Panics
    /// It does not start.
    pub async fn scripted_model(&self, script: &Value) -> ScriptedModel {
        let labels = json!({"app": "model"});
        let files = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "model"},
            "data": {"server.py": SERVER, "script.json": script.to_string()},
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "model"},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        });
        self.apply_builtin::<ConfigMap>("model", &files).await;
        self.apply_builtin::<Service>("model", &service).await;
        let image = self.runner_image().await;
        self.apply_builtin::<Deployment>("model", &deployment(&labels, &image)).await;
        let model = ScriptedModel { space: self.clone() };
        self.until("the scripted model serves", || async { model.request("GET", "health", None).await })
            .await;
        model
    }

    /// The image that the operator runs functions in.
    async fn runner_image(&self) -> String {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), SYSTEM);
        let operator = serde_json::to_value(deployments.get("dise-operator").await.unwrap()).unwrap();
        let env = operator.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();
        let image = env.iter().find(|entry| entry["name"] == "DISE_RUNNER_IMAGE").unwrap();
        image["value"].as_str().unwrap().to_owned()
    }

    async fn apply_builtin<K>(&self, name: &str, object: &Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.name);
        let params = PatchParams::apply("dise-tests").force();
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
    }

    /// Declares a Tool for the scripted model. `llm` and `constraints` are merged into its spec.
    ///
    /// # Panics
    /// The API server refuses it.
    pub async fn model_tool(&self, name: &str, type_: &str, llm: &Value, constraints: &Value) {
        let mut spec = json!({
            "type": type_,
            "llm": {"endpoint": format!("http://model.{}.svc/v1", self.name), "model": "scripted"},
            "constraints": constraints,
        });
        for (field, value) in llm.as_object().unwrap() {
            spec["llm"][field] = value.clone();
        }
        self.apply("Tool", name, &spec).await;
    }
}

impl ScriptedModel {
    /// Replaces the script and forgets what was asked so far.
    ///
    /// # Panics
    /// The server does not answer.
    pub async fn script(&self, script: &Value) {
        self.request("POST", "script", Some(script)).await.unwrap();
    }

    /// The chats that were asked for since the last script.
    ///
    /// # Panics
    /// The server does not answer.
    pub async fn chats(&self) -> Vec<Value> {
        let report = self.request("GET", "requests", None).await.unwrap();
        let requests = report["requests"].as_array().unwrap();
        let chat = |request: &&Value| {
            let path = request["path"].as_str().unwrap_or_default();
            path.ends_with("/chat/completions") || path.ends_with("/messages")
        };
        requests.iter().filter(chat).cloned().collect()
    }

    /// Waits until so many chats were asked for.
    ///
    /// # Panics
    /// That does not happen in time.
    pub async fn asked(&self, count: usize) {
        self.space
            .until("the model was asked", || async {
                tokio::time::sleep(PAUSE).await;
                (self.chats().await.len() >= count).then_some(())
            })
            .await;
    }

    async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let path = format!("/api/v1/namespaces/{}/services/model:http/proxy/{path}", self.space.name);
        let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
        let text = self.space.client.request_text(request).await.ok()?;
        Some(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

fn deployment(labels: &Value, image: &str) -> Value {
    let container = json!({
        "name": "model", "image": image, "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-B", "/srv/server.py", "--host", "0.0.0.0", "--port", "8080", "--script", "/srv/script.json"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "files", "mountPath": "/srv", "readOnly": true}],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "model"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                    "volumes": [{"name": "files", "configMap": {"name": "model"}}],
                },
            },
        },
    })
}
