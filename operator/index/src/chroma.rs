//! The Chroma engine: vectors and what filters need of them on a Chroma server, by its HTTP API v2.
//!
//! One collection for each namespace and model. Like the embedded engine it delivers candidates only.

use std::{fmt, sync::Mutex, time::Duration};

use dise_core::{causes, digest::Digest, quality::Quality};
use reqwest::{
    Method, StatusCode,
    blocking::{Client, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{Error, Filter, Namespace, Record, sessions::lock, words::beginning};

/// How long the server may take to answer, and to be reached.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Candidates that a search of the server's graph looks at; see the embedded engine.
const EXPANSION_SEARCH: usize = 512;

/// A Chroma server.
#[derive(Clone, PartialEq, Eq)]
pub struct ChromaServer {
    /// Where it answers, such as `http://chroma.databases:8000`.
    pub url: Url,
    /// The tenant, `default_tenant` by default.
    pub tenant: String,
    /// The database, `default_database` by default.
    pub database: String,
    /// What is sent in the header `X-Chroma-Token`.
    pub token: Option<String>,
}

impl ChromaServer {
    /// The default database of a server that asks for no token.
    #[must_use]
    pub fn at(url: Url) -> Self {
        Self {
            url,
            tenant: "default_tenant".to_owned(),
            database: "default_database".to_owned(),
            token: None,
        }
    }

    /// The address without user and password.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        // Refused by addresses that have none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }
}

impl fmt::Debug for ChromaServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChromaServer")
            .field("url", &self.shown())
            .field("tenant", &self.tenant)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// The vectors of one namespace and model on a server.
#[derive(Debug)]
pub(crate) struct Chroma {
    client: Client,
    server: ChromaServer,
    name: String,
    /// The collection's id while it is known to be there.
    id: Mutex<Option<String>>,
}

impl Chroma {
    /// Vectors of `model`. The server is not asked before it is needed.
    pub(crate) fn new(server: &ChromaServer, namespace: &Namespace, model: &str) -> Result<Self, Error> {
        let client = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
        let client = client.map_err(|error| unreachable(server, error))?;
        let name = format!("dise.{namespace}.{}", Digest::of(model.as_bytes()).short(16));
        Ok(Self { client, server: server.clone(), name, id: Mutex::new(None) })
    }

    /// The collection's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the collection is in use: made, filled, and not lost by the server since.
    pub(crate) fn is_connected(&self) -> bool {
        lock(&self.id).is_some()
    }

    /// Finds or makes the collection, and gives its id. A collection that was made anew has another id.
    pub(crate) fn create(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Collection {
            id: String,
        }
        let hnsw = json!({"space": "cosine", "ef_search": EXPANSION_SEARCH});
        let wanted = json!({"name": self.name, "get_or_create": true, "configuration": {"hnsw": hnsw}});
        let collection: Collection = self.read(self.send(Method::POST, "collections", Some(&wanted))?)?;
        Ok(collection.id)
    }

    /// Uses a collection from now on.
    pub(crate) fn connect(&self, id: String) {
        *lock(&self.id) = Some(id);
    }

    /// Deletes a collection, if it is there.
    pub(crate) fn drop_collection(&self, name: &str) -> Result<(), Error> {
        match self.send(Method::DELETE, &format!("collections/{name}"), None)? {
            answer if answer.status() == StatusCode::NOT_FOUND => Ok(()),
            answer => self.read::<Value>(answer).map(drop),
        }
    }

    /// Puts artifacts with their vectors in place of what is known of them.
    pub(crate) fn put(&self, artifacts: &[(&Record, &[f32])]) -> Result<(), Error> {
        self.put_into(&self.known()?, artifacts)
    }

    /// Puts artifacts into a collection that is not used yet.
    pub(crate) fn put_into(&self, id: &str, artifacts: &[(&Record, &[f32])]) -> Result<(), Error> {
        if artifacts.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = artifacts.iter().map(|(record, _)| record.id.as_str()).collect();
        let vectors: Vec<&[f32]> = artifacts.iter().map(|(_, vector)| *vector).collect();
        let metadata: Vec<Value> = artifacts.iter().map(|(record, _)| metadata(record)).collect();
        // An upsert would keep what the old metadata has and the new has not.
        let _: Value = self.records(id, "delete", &json!({"ids": ids}))?;
        let _: Value =
            self.records(id, "add", &json!({"ids": ids, "embeddings": vectors, "metadatas": metadata}))?;
        Ok(())
    }

    /// Removes artifacts.
    pub(crate) fn delete(&self, ids: &[&str]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.records::<Value>(&self.known()?, "delete", &json!({"ids": ids})).map(drop)
    }

    /// Changes the quality of an artifact.
    pub(crate) fn set_quality(&self, id: &str, quality: Option<Quality>) -> Result<(), Error> {
        let metadata = json!({"quality": quality.map(Quality::as_f64)});
        self.records::<Value>(&self.known()?, "update", &json!({"ids": [id], "metadatas": [metadata]}))
            .map(drop)
    }

    /// The ids of about the `count` nearest artifacts that pass `filter`.
    pub(crate) fn nearest(
        &self,
        vector: &[f32],
        count: usize,
        filter: &Filter,
    ) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Found {
            ids: Vec<Vec<String>>,
        }
        let mut question = json!({"query_embeddings": [vector], "n_results": count, "include": []});
        if let Some(condition) = condition(filter) {
            question["where"] = condition;
        }
        let found: Found = self.records(&self.known()?, "query", &question)?;
        Ok(found.ids.into_iter().flatten().collect())
    }

    fn known(&self) -> Result<String, Error> {
        lock(&self.id).clone().ok_or_else(|| self.fault("the collection is gone"))
    }

    fn records<T: DeserializeOwned>(&self, id: &str, verb: &str, body: &Value) -> Result<T, Error> {
        let answer = self.send(Method::POST, &format!("collections/{id}/{verb}"), Some(body))?;
        if answer.status() == StatusCode::NOT_FOUND {
            // The server has lost the collection: the next call makes it again.
            *lock(&self.id) = None;
        }
        self.read(answer)
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, Error> {
        let ChromaServer { url, tenant, database, token } = &self.server;
        let base = url.as_str().trim_end_matches('/');
        let address = format!("{base}/api/v2/tenants/{tenant}/databases/{database}/{path}");
        let mut request = self.client.request(method, address);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(token) = token {
            request = request.header("X-Chroma-Token", token);
        }
        request.send().map_err(|error| unreachable(&self.server, error))
    }

    fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Error> {
        let status = answer.status();
        if status.is_success() {
            return answer.json().map_err(|error| unreachable(&self.server, error));
        }
        let said = answer.text().unwrap_or_default();
        Err(self.fault(format!("{status}: {}", beginning(&said, 300))))
    }

    fn fault(&self, reason: impl Into<String>) -> Error {
        Error::Chroma { url: self.server.shown(), reason: reason.into() }
    }
}

fn unreachable(server: &ChromaServer, error: reqwest::Error) -> Error {
    Error::Chroma { url: server.shown(), reason: causes(&error.without_url()) }
}

/// What the server knows of an artifact besides its vector: what filters ask about.
fn metadata(record: &Record) -> Value {
    let mut metadata = Map::new();
    metadata.insert("kind".to_owned(), json!(record.kind));
    if let Some(language) = record.language {
        metadata.insert("language".to_owned(), json!(language));
    }
    if let Some(quality) = record.quality {
        metadata.insert("quality".to_owned(), json!(quality.as_f64()));
    }
    for (key, value) in &record.tags {
        metadata.insert(format!("tag:{key}"), json!(value));
    }
    Value::Object(metadata)
}

/// A filter in Chroma's language; none for one that lets everything pass.
fn condition(filter: &Filter) -> Option<Value> {
    let mut all = Vec::new();
    if !filter.kinds.is_empty() {
        all.push(json!({"kind": {"$in": filter.kinds}}));
    }
    if !filter.languages.is_empty() {
        all.push(json!({"language": {"$in": filter.languages}}));
    }
    if let Some(min) = filter.min_quality {
        all.push(json!({"quality": {"$gte": min.as_f64()}}));
    }
    all.extend(filter.tags.iter().map(|(key, value)| json!({format!("tag:{key}"): {"$eq": value}})));
    match all.len() {
        0 | 1 => all.pop(),
        _ => Some(json!({"$and": all})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_filters_in_the_language_of_the_server() {
        assert_eq!(condition(&Filter::default()), None);
        let kinds = Filter { kinds: vec![crate::Kind::Tool], ..Filter::default() };
        assert_eq!(condition(&kinds), Some(json!({"kind": {"$in": ["Tool"]}})));
        let tags = [("domain".to_owned(), "x".to_owned())].into();
        let both = Filter { tags, min_quality: Some("0.9".parse().unwrap()), ..Filter::default() };
        let expected = json!({"$and": [{"quality": {"$gte": 0.9}}, {"tag:domain": {"$eq": "x"}}]});
        assert_eq!(condition(&both), Some(expected));
    }

    #[test]
    fn shows_no_credential() {
        let url = "https://user:secret@chroma.example/".parse().unwrap();
        let server = ChromaServer { token: Some("secret".to_owned()), ..ChromaServer::at(url) };
        let shown = format!("{server:?} {}", server.shown());
        assert!(!shown.contains("secret") && shown.contains("chroma.example"), "{shown}");
    }
}
