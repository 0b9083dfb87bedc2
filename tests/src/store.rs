//! The cluster's object store, as somebody sees it who has its credentials.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{Api, Client};
use object_store::{
    ObjectStore as _, ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};

use crate::SYSTEM;

/// The keys under a prefix, without the prefix.
///
/// # Panics
/// The embedded store cannot be reached from here.
pub async fn keys(client: &Client, prefix: &str) -> BTreeSet<String> {
    let found: Vec<_> = open(client).await.list(Some(&Path::from(prefix))).try_collect().await.unwrap();
    found
        .iter()
        .filter_map(|object| {
            Some(object.location.as_ref().strip_prefix(prefix)?.trim_start_matches('/').to_owned())
        })
        .collect()
}

/// Everything whose key names the namespace, by key.
///
/// # Panics
/// The embedded store cannot be reached from here.
pub async fn contents(client: &Client, namespace: &str) -> BTreeMap<String, String> {
    let store = open(client).await;
    let found: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut contents = BTreeMap::new();
    for object in found.iter().filter(|object| object.location.as_ref().contains(namespace)) {
        let content = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        contents.insert(object.location.to_string(), String::from_utf8_lossy(&content).into_owned());
    }
    contents
}

async fn open(client: &Client) -> AmazonS3 {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let data = secrets.get("dise-store").await.unwrap().data.unwrap();
    let field = |name: &str| String::from_utf8(data[name].0.clone()).unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), SYSTEM);
    let address = services.get("dise-store").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    AmazonS3Builder::new()
        .with_endpoint(format!("http://{address}:8333"))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name("dise")
        .with_access_key_id(field("AWS_ACCESS_KEY_ID"))
        .with_secret_access_key(field("AWS_SECRET_ACCESS_KEY"))
        .build()
        .unwrap()
}
