//! What all runner pods have in common, whatever they are for.

use std::collections::BTreeMap;

use dise_core::{synthesis::SecretKey, wire::AUDIENCE};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath,
        LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec, ProjectedVolumeSource,
        ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
        ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    api::auth::SERVICE_ACCOUNT,
    config::{NodeSelector, Settings},
    labels::{self, Role},
};

/// The port that executors listen on.
pub const PORT: i32 = 8080;
/// The user and group of the images.
const NOBODY: i64 = 65532;
const TOKEN_FOLDER: &str = "/var/run/dise";
const CACHE_FOLDER: &str = "/var/cache/dise";
const SCRATCH_FOLDER: &str = "/tmp";
const TOKEN_SECONDS: i64 = 3600;
const KEY_VOLUME: &str = "model-key";
const KEY_FOLDER: &str = "/var/run/dise-model";
const KEY_FILE: &str = "key";

/// What differs between runner pods.
pub struct Runner<'a> {
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The CA certificates to trust, PEM.
    pub bundle: &'a str,
    /// The arguments of `dise-runner`.
    pub args: Vec<String>,
    /// Resources of the pod.
    pub resources: ResourceRequirements,
    /// Labels that the node must have, instead of those of the settings.
    pub node_selector: Option<NodeSelector>,
    /// Runtime class, instead of that of the settings.
    pub runtime_class: Option<String>,
    /// Further environment.
    pub env: Vec<EnvVar>,
    /// The key of the model that it calls.
    pub model_key: Option<&'a SecretKey>,
}

impl Runner<'_> {
    /// The pod: restricted, without a Kubernetes token, with one that only the operator's API accepts.
    #[must_use]
    pub fn pod(self) -> PodSpec {
        let settings = self.settings;
        let secrets = settings.runner_pull_secrets.iter().filter(|name| !name.is_empty());
        let node_selector = self.node_selector.clone().unwrap_or_else(|| settings.node_selector.clone());
        PodSpec {
            service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            runtime_class_name: self.runtime_class.clone().or_else(|| settings.runtime_class.clone()),
            node_selector: (!node_selector.is_empty()).then_some(node_selector),
            tolerations: Some(settings.tolerations.0.clone()).filter(|list| !list.is_empty()),
            image_pull_secrets: Some(
                secrets.map(|name| LocalObjectReference { name: name.clone() }).collect::<Vec<_>>(),
            )
            .filter(|list| !list.is_empty()),
            security_context: Some(pod_security()),
            volumes: Some(volumes().into_iter().chain(self.model_key.map(key_volume)).collect()),
            containers: vec![self.container()],
            ..PodSpec::default()
        }
    }

    fn container(self) -> Container {
        Container {
            name: "runner".to_owned(),
            image: Some(self.settings.runner_image.clone()),
            image_pull_policy: Some(self.settings.runner_pull_policy.clone()),
            env: Some(self.environment()),
            args: Some(self.args),
            resources: Some(self.resources),
            security_context: Some(container_security()),
            volume_mounts: Some(
                [("token", TOKEN_FOLDER), ("cache", CACHE_FOLDER), ("scratch", SCRATCH_FOLDER)]
                    .into_iter()
                    .chain(self.model_key.map(|_| (KEY_VOLUME, KEY_FOLDER)))
                    .map(|(name, path)| VolumeMount {
                        name: name.to_owned(),
                        mount_path: path.to_owned(),
                        read_only: matches!(name, "token" | KEY_VOLUME).then_some(true),
                        ..VolumeMount::default()
                    })
                    .collect(),
            ),
            ..Container::default()
        }
    }

    fn environment(&self) -> Vec<EnvVar> {
        let own = [
            ("DISE_OPERATOR_URL", self.settings.api_url()),
            ("DISE_OPERATOR_CA", self.bundle.to_owned()),
            ("DISE_TOKEN_FILE", format!("{TOKEN_FOLDER}/token")),
            ("DISE_CACHE_DIR", CACHE_FOLDER.to_owned()),
            ("DISE_LOG_FORMAT", "json".to_owned()),
        ];
        let fields = [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")];
        own.map(|(name, value)| EnvVar { name: name.to_owned(), value: Some(value), value_from: None })
            .into_iter()
            .chain(fields.map(|(name, path)| EnvVar {
                name: name.to_owned(),
                value: None,
                value_from: Some(EnvVarSource {
                    field_ref: Some(ObjectFieldSelector {
                        api_version: Some("v1".to_owned()),
                        field_path: path.to_owned(),
                    }),
                    ..EnvVarSource::default()
                }),
            }))
            .chain(self.settings.allow_missing_landlock.then(|| EnvVar {
                name: "DISE_ALLOW_MISSING_LANDLOCK".to_owned(),
                value: Some("true".to_owned()),
                value_from: None,
            }))
            .chain(self.model_key.map(|_| EnvVar {
                name: "DISE_MODEL_KEY_FILE".to_owned(),
                value: Some(format!("{KEY_FOLDER}/{KEY_FILE}")),
                value_from: None,
            }))
            .chain(self.env.iter().cloned())
            .collect()
    }
}

/// The labels of a runner pod.
#[must_use]
pub fn runner_labels(role: Role) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "dise-runner".to_owned()),
        (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
        (labels::ROLE.to_owned(), role.as_str().to_owned()),
    ])
}

/// The port of an executor, under the name that its Services target.
#[must_use]
pub fn container_port() -> ContainerPort {
    ContainerPort {
        name: Some("http".to_owned()),
        container_port: PORT,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// The operator may not read this Secret; the kubelet hands it to the pod. Optional, so that the pod can say what is
/// missing instead of waiting for it in silence.
fn key_volume(secret: &SecretKey) -> Volume {
    let item = KeyToPath { key: secret.key.clone(), path: KEY_FILE.to_owned(), mode: None };
    Volume {
        name: KEY_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.name.clone()),
            items: Some(vec![item]),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn volumes() -> Vec<Volume> {
    let empty = |name: &str, size: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: Some(Quantity(size.to_owned())), medium: None }),
        ..Volume::default()
    };
    let token = Volume {
        name: "token".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: None,
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(AUDIENCE.to_owned()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: "token".to_owned(),
                }),
                ..VolumeProjection::default()
            }]),
        }),
        ..Volume::default()
    };
    vec![token, empty("cache", "256Mi"), empty("scratch", "64Mi")]
}
