//! The Chroma engine, against a real server.

use dise_index::{ChromaServer, Engine, Error, Filter, Index, Kind, Options, Place, Query, Record};

use crate::{
    oracle::Oracle,
    random::{Random, compare},
    server::Server,
    support::*,
};

fn with_chroma(server: &Server, place: Place) -> Index {
    let engine = Engine::Chroma(ChromaServer::at(server.url()));
    Index::open(Options { engine, ..options(place) }).unwrap()
}

#[test]
fn both_engines_answer_alike() {
    let Some(server) = Server::start() else { return };
    for seed in 100..103 {
        let (chroma, embedded) = (with_chroma(&server, Place::Memory), in_memory());
        let (mut random, mut oracle) = (Random::new(seed), Oracle::default());
        for _ in 0..40 {
            random.change(&[&embedded, &chroma], &mut oracle);
        }
        for _ in 0..25 {
            let query = random.query();
            compare(&chroma, &oracle, &query, seed);
            assert_eq!(
                chroma.search(&query).unwrap(),
                embedded.search(&query).unwrap(),
                "seed {seed}, {query:?}"
            );
        }
        chroma.delete_namespace(&namespace()).unwrap();
    }
}

#[test]
fn leaves_nothing_stale_on_the_server() {
    let Some(server) = Server::start() else { return };
    let index = with_chroma(&server, Place::Memory);
    let tagged =
        Record { kind: Kind::Tool, tags: tags(&[("domain", "old"), ("x", "y")]), ..record("a", "alpha") };
    index.upsert(vec![with_vector(tagged, &[1.0, 0.0])]).unwrap();
    index.set_standing(&namespace(), "a", &standing(Some("0.9"), 1)).unwrap();
    index.set_standing(&namespace(), "a", &standing(None, 1)).unwrap();
    index.upsert(vec![Record { tags: tags(&[("domain", "new")]), ..record("a", "alpha") }]).unwrap();
    // Asked directly: the index would not show what its catalogue does not know.
    let metadata = stored(&server)["metadatas"].clone();
    assert_eq!(metadata, serde_json::json!([{"kind": "Function", "tag:domain": "new"}]));
    index.delete(&namespace(), &["a"]).unwrap();
    assert_eq!(stored(&server)["ids"], serde_json::json!([]));
    index.delete_namespace(&namespace()).unwrap();
    assert_eq!(collections(&server).len(), 0);
}

#[test]
fn fills_a_server_that_has_lost_everything() {
    let Some(mut server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let index = with_chroma(&server, Place::Folder(folder.path().to_owned()));
    let some = (0..250_u8).map(|i| with_vector(record(&format!("a{i:03}"), "alpha"), &[1.0, f32::from(i)]));
    index.upsert(some.collect()).unwrap();
    let query = meaning(&[1.0, 100.0]);
    let before = index.search(&query).unwrap();
    server.replace();
    // The running index finds out and says so, then mends it; so does one that starts.
    assert!(matches!(index.search(&query), Err(Error::Chroma { .. })));
    assert_eq!(index.search(&query).unwrap(), before);
    drop(index);
    server.replace();
    let index = with_chroma(&server, Place::Folder(folder.path().to_owned()));
    assert_eq!(index.search(&query).unwrap(), before);
}

#[test]
fn searches_words_while_the_server_is_away() {
    let Some(mut server) = Server::start() else { return };
    let index = with_chroma(&server, Place::Memory);
    index.upsert(vec![with_vector(record("a", "alpha"), &[1.0, 0.0])]).unwrap();
    server.stop();
    assert_eq!(ids(&index, &words("alpha")), ["a"]);
    let error = index.search(&meaning(&[1.0, 0.0])).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the Chroma server at {}: ", server.url())), "{error}");
    // Nothing is stored that the server does not know.
    assert!(index.upsert(vec![with_vector(record("b", "beta"), &[1.0, 0.0])]).is_err());
    assert!(ids(&index, &words("beta")).is_empty());
}

#[test]
fn changes_the_collection_with_the_model() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let index = with_chroma(&server, Place::Folder(folder.path().to_owned()));
    index.upsert(vec![with_vector(record("a", "alpha"), &[1.0, 0.0])]).unwrap();
    let first = collections(&server);
    drop(index);
    let engine = Engine::Chroma(ChromaServer::at(server.url()));
    let place = Place::Folder(folder.path().to_owned());
    let index = Index::open(Options { place, model: Some("longer".to_owned()), engine }).unwrap();
    let mut vector = vector(&[0.0, 0.0, 1.0]);
    vector.model = "longer".to_owned();
    let stale = index.stale_vectors(&namespace(), 10).unwrap();
    index.set_vectors(&namespace(), &[(stale[0].clone(), vector.clone())]).unwrap();
    assert_eq!(ids(&index, &Query { vector: Some(vector), ..query() }), ["a"]);
    let second = collections(&server);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
}

#[test]
fn finds_the_nearest_among_thousands_with_and_without_filters() {
    let Some(server) = Server::start() else { return };
    let (chroma, embedded) = (with_chroma(&server, Place::Memory), in_memory());
    let mut random = fastrand::Rng::with_seed(5);
    let mut numbers = || (0..16).map(|_| random.f32() - 0.5).collect::<Vec<f32>>();
    let records: Vec<Record> = (0..3000)
        .map(|i| {
            let rare = if i % 100 == 0 { "yes" } else { "no" };
            let record = Record { tags: tags(&[("rare", rare)]), ..record(&format!("a{i}"), "alpha") };
            with_vector(record, &numbers())
        })
        .collect();
    for index in [&chroma, &embedded] {
        index.upsert(records.clone()).unwrap();
    }
    for tag in [None, Some(("rare", "no")), Some(("rare", "yes"))] {
        for _ in 0..10 {
            let filter = Filter { tags: tags(tag.as_slice()), ..Filter::default() };
            let query = Query { filter, ..meaning(&numbers()) };
            assert_eq!(chroma.search(&query).unwrap(), embedded.search(&query).unwrap(), "{tag:?}");
        }
    }
}

fn collections(server: &Server) -> Vec<serde_json::Value> {
    let url =
        server.url().join("api/v2/tenants/default_tenant/databases/default_database/collections").unwrap();
    reqwest::blocking::get(url).unwrap().json().unwrap()
}

/// What the only collection holds.
fn stored(server: &Server) -> serde_json::Value {
    let id = collections(server)[0]["id"].as_str().unwrap().to_owned();
    let path = format!("api/v2/tenants/default_tenant/databases/default_database/collections/{id}/get");
    let body = serde_json::json!({"include": ["metadatas"]});
    reqwest::blocking::Client::new()
        .post(server.url().join(&path).unwrap())
        .json(&body)
        .send()
        .unwrap()
        .json()
        .unwrap()
}
