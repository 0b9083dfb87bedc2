//! Who asked for work.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;

use dise_crds::{Tool, Workflow};

/// An object that owns what is made for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}

/// The kinds that ask for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerKind {
    /// A Workflow.
    Workflow,
    /// A Tool.
    Tool,
}

impl Owner {
    /// A workflow.
    pub fn workflow(name: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { kind: OwnerKind::Workflow, name: name.into(), uid: uid.into() }
    }

    /// A tool.
    pub fn tool(name: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { kind: OwnerKind::Tool, name: name.into(), uid: uid.into() }
    }

    /// Whether it is a workflow.
    #[must_use]
    pub fn is_workflow(&self) -> bool {
        self.kind == OwnerKind::Workflow
    }

    /// The reference that has Kubernetes delete an object once all its owners are gone.
    #[must_use]
    pub fn reference(&self) -> OwnerReference {
        let (api_version, kind) = match self.kind {
            OwnerKind::Workflow => (Workflow::api_version(&()), Workflow::kind(&())),
            OwnerKind::Tool => (Tool::api_version(&()), Tool::kind(&())),
        };
        OwnerReference {
            api_version: api_version.into_owned(),
            kind: kind.into_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: None,
            block_owner_deletion: None,
        }
    }
}
