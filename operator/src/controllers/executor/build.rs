//! The objects of an executor: Deployment, service account, network policy, and the Service of a workflow.

use std::collections::BTreeMap;

use dise_crds::{Resources, Serving, Workflow};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            EnvVar, HTTPGetAction, PodTemplateSpec, Probe, ResourceRequirements, Service, ServiceAccount,
            ServicePort, ServiceSpec,
        },
        networking::v1::{
            IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
            NetworkPolicyPort, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement, OwnerReference},
        util::intstr::IntOrString,
    },
};
use kube::{Resource as _, api::ObjectMeta};

use crate::{
    config::Settings,
    controllers::build::{Runner, container_port, runner_labels},
    labels::{self, Role},
};

/// The name of the shared executor's Deployment and of the network policy of all runner pods.
pub const SHARED_NAME: &str = "dise-executor";
/// The policy of the pods that call models.
pub const MODEL_POLICY: &str = "dise-model";
/// Seconds in which requests still arrive after a pod was told to stop: endpoints take a moment to follow.
const DRAIN_SECONDS: u32 = 5;
const GRACE_SECONDS: i64 = 45;

/// The Deployment that serves all shared workflows of a namespace.
#[must_use]
pub fn shared(settings: &Settings, bundle: &str, namespace: &str) -> Deployment {
    deployment(&Executor {
        settings,
        bundle,
        namespace,
        name: SHARED_NAME,
        label: labels::SHARED,
        replicas: settings.executor_replicas,
        resources: settings.executor_resources.clone(),
        serving: None,
        owner: None,
    })
}

/// The Deployment that serves one workflow alone.
#[must_use]
pub fn dedicated(settings: &Settings, bundle: &str, workflow: &Workflow) -> Deployment {
    let serving = &workflow.spec.serving;
    let name = workflow.metadata.name.as_deref().unwrap_or_default();
    deployment(&Executor {
        settings,
        bundle,
        namespace: workflow.metadata.namespace.as_deref().unwrap_or_default(),
        name: &dedicated_name(name),
        label: name,
        replicas: serving.replicas.unwrap_or(1),
        resources: serving
            .resources
            .as_ref()
            .map_or_else(|| settings.executor_resources.clone(), requirements),
        serving: Some(serving),
        owner: workflow.controller_owner_ref(&()),
    })
}

/// The name of a workflow's own Deployment.
#[must_use]
pub fn dedicated_name(workflow: &str) -> String {
    format!("{workflow}-executor")
}

/// The Service of a workflow, in front of the executor that serves it.
#[must_use]
pub fn service(workflow: &Workflow, executor: &str) -> Service {
    let name = workflow.metadata.name.clone().unwrap_or_default();
    let mut own = BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())]);
    own.insert(labels::WORKFLOW.to_owned(), name.clone());
    Service {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: workflow.metadata.namespace.clone(),
            labels: Some(own),
            owner_references: workflow.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some(selector(executor)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("http".to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// An account, such as that of runner pods. It has no rights in Kubernetes; its tokens are good for the operator's API
/// alone.
#[must_use]
pub fn service_account(name: &str, namespace: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(name, namespace),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn metadata(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

/// What the pods that call models may reach besides what all runner pods may: models are anywhere, but never at a
/// link-local address, where clouds keep the credentials of a node.
#[must_use]
pub fn model_policy(namespace: &str) -> NetworkPolicy {
    let anywhere = |cidr: &str, except: &str| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_owned(), except: Some(vec![except.to_owned()]) }),
        ..NetworkPolicyPeer::default()
    };
    let roles = [Role::Synthesize, Role::Probe].map(|role| role.as_str().to_owned());
    NetworkPolicy {
        metadata: metadata(MODEL_POLICY, namespace),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: labels::ROLE.to_owned(),
                    operator: "In".to_owned(),
                    values: Some(roles.to_vec()),
                }]),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Egress".to_owned()]),
            ingress: None,
            egress: Some(vec![NetworkPolicyEgressRule {
                to: Some(vec![anywhere("0.0.0.0/0", "169.254.0.0/16"), anywhere("::/0", "fe80::/10")]),
                ports: None,
            }]),
        }),
    }
}

/// What runner pods may reach and who may reach them: requests come in, and nothing goes out but to the operator and
/// to DNS.
#[must_use]
pub fn network_policy(settings: &Settings, namespace: &str) -> NetworkPolicy {
    let port = |protocol: &str, port: i32| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(matching("kubernetes.io/metadata.name", &settings.pod_namespace)),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicy {
        metadata: metadata(SHARED_NAME, namespace),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching("app.kubernetes.io/name", "dise-runner")),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![port("TCP", crate::controllers::build::PORT)]),
                from: None,
            }]),
            egress: Some(vec![
                NetworkPolicyEgressRule {
                    to: Some(vec![operator]),
                    ports: Some(vec![port("TCP", settings.api_listen.port().into())]),
                },
                NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP", 53), port("TCP", 53)]) },
            ]),
        }),
    }
}

struct Executor<'a> {
    settings: &'a Settings,
    bundle: &'a str,
    namespace: &'a str,
    name: &'a str,
    label: &'a str,
    replicas: i32,
    resources: ResourceRequirements,
    serving: Option<&'a Serving>,
    owner: Option<OwnerReference>,
}

fn deployment(executor: &Executor<'_>) -> Deployment {
    let mut pod = Runner {
        settings: executor.settings,
        bundle: executor.bundle,
        args: vec!["serve".to_owned()],
        resources: executor.resources.clone(),
        node_selector: executor
            .serving
            .map(|serving| serving.node_selector.clone())
            .filter(|selector| !selector.is_empty()),
        runtime_class: executor.serving.and_then(|serving| serving.runtime_class_name.clone()),
        env: [("DISE_DRAIN_SECONDS", i64::from(DRAIN_SECONDS)), ("DISE_TERMINATION_SECONDS", GRACE_SECONDS)]
            .map(|(name, value)| EnvVar {
                name: name.to_owned(),
                value: Some(value.to_string()),
                value_from: None,
            })
            .to_vec(),
        model_key: None,
    }
    .pod();
    pod.termination_grace_period_seconds = Some(GRACE_SECONDS);
    for container in &mut pod.containers {
        container.ports = Some(vec![container_port()]);
        container.readiness_probe = Some(probe("/readyz", 1, 3));
        container.liveness_probe = Some(probe("/healthz", 10, 6));
    }
    let mut own = runner_labels(Role::Executor);
    own.insert(labels::EXECUTOR.to_owned(), executor.label.to_owned());
    Deployment {
        metadata: ObjectMeta {
            name: Some(executor.name.to_owned()),
            namespace: Some(executor.namespace.to_owned()),
            labels: Some(own.clone()),
            owner_references: executor.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(executor.replicas),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(selector(executor.label)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(own), ..ObjectMeta::default() }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn selector(executor: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(labels::EXECUTOR.to_owned(), executor.to_owned())])
}

fn matching(label: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([(label.to_owned(), value.to_owned())].into()),
        ..LabelSelector::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let amounts = |amounts: &Option<dise_crds::ResourceAmounts>| {
        let amounts = amounts.as_ref()?;
        let pairs = [("cpu", &amounts.cpu), ("memory", &amounts.memory)];
        let present = pairs.into_iter().filter_map(|(name, amount)| Some((name, amount.clone()?)));
        Some(present.map(|(name, amount)| (name.to_owned(), Quantity(amount))).collect())
    };
    ResourceRequirements {
        requests: amounts(&resources.requests),
        limits: amounts(&resources.limits),
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use dise_crds::{ResourceAmounts, ServingMode, WorkflowSpec};

    use super::*;

    fn settings() -> Settings {
        Settings::parse_from([
            "x",
            "--store-url=memory:///",
            "--runner-image=runner:1",
            r#"--node-selector={"arch":"arm64"}"#,
        ])
    }

    fn workflow(serving: Serving) -> Workflow {
        let mut workflow = Workflow::new("triage", WorkflowSpec { serving, ..WorkflowSpec::default() });
        workflow.metadata.namespace = Some("shop".into());
        workflow.metadata.uid = Some("u".into());
        workflow
    }

    fn pod(deployment: Deployment) -> k8s_openapi::api::core::v1::PodSpec {
        deployment.spec.unwrap().template.spec.unwrap()
    }

    #[test]
    fn keeps_a_shared_executor_free_of_owners_so_that_no_workflow_takes_it_away() {
        let deployment = shared(&settings(), "PEM", "shop");
        assert_eq!(deployment.metadata.owner_references, None);
        assert_eq!(pod(deployment).node_selector.unwrap()["arch"], "arm64");
    }

    #[test]
    fn gives_a_dedicated_executor_what_its_workflow_asks_for() {
        let serving = Serving {
            mode: ServingMode::Dedicated,
            replicas: Some(3),
            node_selector: [("gpu".to_owned(), "yes".to_owned())].into(),
            runtime_class_name: Some("gvisor".into()),
            resources: Some(Resources {
                requests: None,
                limits: Some(ResourceAmounts { cpu: Some("2".into()), memory: None }),
            }),
        };
        let deployment = dedicated(&settings(), "PEM", &workflow(serving));
        assert_eq!(deployment.metadata.name.as_deref(), Some("triage-executor"));
        assert_eq!(deployment.spec.as_ref().unwrap().replicas, Some(3));
        let pod = pod(deployment);
        assert_eq!(pod.node_selector.unwrap().keys().collect::<Vec<_>>(), ["gpu"]);
        assert_eq!(pod.runtime_class_name.as_deref(), Some("gvisor"));
        assert_eq!(pod.containers[0].resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0, "2");
    }

    #[test]
    fn points_the_service_at_the_executor_of_its_workflow() {
        let service = service(&workflow(Serving::default()), labels::SHARED);
        let spec = service.spec.unwrap();
        let pods =
            shared(&settings(), "PEM", "shop").spec.unwrap().template.metadata.unwrap().labels.unwrap();
        assert!(spec.selector.unwrap().iter().all(|(name, value)| pods.get(name) == Some(value)));
        assert_eq!(service.metadata.owner_references.unwrap()[0].name, "triage");
    }

    #[test]
    fn lets_runner_pods_reach_nothing_but_the_operator_and_dns() {
        let egress = network_policy(&settings(), "shop").spec.unwrap().egress.unwrap();
        let ports: Vec<_> = egress.iter().flat_map(|rule| rule.ports.iter().flatten()).collect();
        assert!(ports.iter().all(|port| {
            port.port == Some(IntOrString::Int(8443)) || port.port == Some(IntOrString::Int(53))
        }));
    }
}
