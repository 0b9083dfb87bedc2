//! What is on disk, and what happens when it is not what it should be.

use std::{fs, path::Path};

use dise_index::{Error, Index, Namespace, Options, Place, Query, Record};

use crate::support::*;

fn some() -> Vec<Record> {
    (0..40_u8)
        .map(|i| {
            with_vector(record(&format!("a{i:02}"), &format!("alpha word{i}")), &[1.0, f32::from(i) / 10.0])
        })
        .collect()
}

fn graphs(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("shop")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("graph-")).collect()
}

#[test]
fn knows_everything_again_after_a_start() {
    for flushed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let index = in_folder(folder.path());
        index.upsert(some()).unwrap();
        if flushed {
            index.flush().unwrap();
        }
        let queries = [
            query(),
            words("word7"),
            meaning(&[1.0, 2.0]),
            Query { text: words("alpha").text, ..meaning(&[1.0, 0.5]) },
        ];
        let before: Vec<_> = queries.iter().map(|query| index.search(query).unwrap()).collect();
        drop(index);
        assert_eq!(graphs(folder.path()).len(), usize::from(flushed));
        let index = in_folder(folder.path());
        let after: Vec<_> = queries.iter().map(|query| index.search(query).unwrap()).collect();
        assert_eq!(before, after);
        assert_eq!(index.namespaces().unwrap(), [namespace()]);
    }
}

#[test]
fn knows_everything_after_being_killed() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let index = in_folder(folder.path());
    let (first, rest) = (some()[..20].to_vec(), some()[20..].to_vec());
    index.upsert(first).unwrap();
    index.flush().unwrap();
    index.upsert(rest).unwrap();
    // What is on disk while the index is open is what a killed process leaves.
    fs::create_dir(copy.path().join("shop")).unwrap();
    for entry in fs::read_dir(folder.path().join("shop")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join("shop").join(entry.file_name())).unwrap();
    }
    let left = in_folder(copy.path());
    for query in [query(), words("alpha"), meaning(&[1.0, 3.0])] {
        assert_eq!(left.search(&query).unwrap(), index.search(&query).unwrap());
    }
}

#[test]
fn adds_what_the_graph_file_lacks_and_drops_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let index = in_folder(folder.path());
    index.upsert(some()).unwrap();
    index.flush().unwrap();
    // None of this is in the file: a deletion whose slot is taken again, a new vector, a text that lost its vector.
    index.delete(&namespace(), &["a00", "a39"]).unwrap();
    index.upsert(vec![with_vector(record("new", "new"), &[-1.0, 0.0])]).unwrap();
    index
        .upsert(vec![with_vector(record("a01", "alpha word1"), &[0.0, -1.0]), record("a02", "changed")])
        .unwrap();
    drop(index);
    let index = in_folder(folder.path());
    assert_eq!(ids(&index, &meaning(&[-1.0, 0.0])), ["new"]);
    assert_eq!(ids(&index, &meaning(&[0.0, -1.0])), ["a01"]);
    let found = ids(&index, &meaning(&[1.0, 0.1]));
    assert_eq!(found[0], "a03");
    assert!(!found.iter().any(|id| ["a00", "a01", "a02", "a39", "new"].contains(&id.as_str())), "{found:?}");
    index.flush().unwrap();
    assert_eq!(graphs(folder.path()).len(), 1);
}

#[test]
fn makes_a_damaged_graph_again() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes[100] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(64),
        |bytes: &mut Vec<u8>| bytes.clear(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let index = in_folder(folder.path());
        index.upsert(some()).unwrap();
        index.flush().unwrap();
        let before = index.search(&meaning(&[1.0, 1.0])).unwrap();
        drop(index);
        let path = folder.path().join("shop").join(&graphs(folder.path())[0]);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let index = in_folder(folder.path());
        assert_eq!(index.search(&meaning(&[1.0, 1.0])).unwrap(), before);
    }
}

#[test]
fn says_that_a_catalogue_is_corrupt_and_starts_anew_when_told() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes[..16].fill(b'x'),
        |bytes: &mut Vec<u8>| bytes[4096..].fill(0xa5),
        |bytes: &mut Vec<u8>| bytes.truncate(5000),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let index = in_folder(folder.path());
        index.upsert(some()).unwrap();
        drop(index);
        let path = folder.path().join("shop/catalogue.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();

        let index = in_folder(folder.path());
        let error = index.search(&words("alpha")).unwrap_err();
        assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains("shop/catalogue.sqlite"), "{error}");
        let error = index.upsert(some()).unwrap_err();
        assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
        index.discard(&namespace()).unwrap();
        assert_eq!(index.count(&namespace()).unwrap(), 0);
        index.upsert(some()).unwrap();
        assert_eq!(ids(&index, &words("alpha")).len(), 40);
    }
}

#[test]
fn does_not_read_a_file_of_another_version_or_program() {
    for (change, reason) in [
        ("PRAGMA user_version = 99", "it has format 99, and this version reads format 1"),
        ("PRAGMA application_id = 7", "it is the database of another program"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let index = in_folder(folder.path());
        index.upsert(some()).unwrap();
        drop(index);
        let path = folder.path().join("shop/catalogue.sqlite");
        rusqlite::Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let error = in_folder(folder.path()).search(&words("alpha")).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn asks_for_all_vectors_anew_after_a_change_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let index = in_folder(folder.path());
    index.upsert(some()).unwrap();
    index.flush().unwrap();
    drop(index);
    let other = Options {
        model: Some("longer-model".to_owned()),
        ..options(Place::Folder(folder.path().to_owned()))
    };
    let index = Index::open(other).unwrap();
    let longer = |mut query: Query| {
        query.vector.as_mut().unwrap().model = "longer-model".to_owned();
        query
    };
    assert!(ids(&index, &longer(meaning(&[1.0, 0.0, 0.0]))).is_empty());
    let stale = index.stale_vectors(&namespace(), 100).unwrap();
    assert_eq!(stale.len(), 40);
    let new = longer(meaning(&[0.0, 0.0, 1.0])).vector.unwrap();
    assert_eq!(index.set_vectors(&namespace(), &[(stale[5].clone(), new)]).unwrap(), 1);
    assert_eq!(ids(&index, &longer(meaning(&[0.0, 0.1, 1.0]))), ["a05"]);
    assert_eq!(ids(&index, &words("word5")), ["a05"]);
    index.flush().unwrap();
    drop(index);
    // The first model is back: what it made is still there, but for one.
    assert_eq!(in_folder(folder.path()).stale_vectors(&namespace(), 100).unwrap().len(), 1);
}

#[test]
fn serves_more_namespaces_than_it_keeps_open() {
    let folder = tempfile::tempdir().unwrap();
    let index = in_folder(folder.path());
    let names: Vec<Namespace> = (0..80).map(|i| format!("n{i}").parse().unwrap()).collect();
    for namespace in &names {
        let record = with_vector(record("a", &format!("alpha {namespace}")), &[1.0, 0.0]);
        index.upsert(vec![Record { namespace: namespace.clone(), ..record }]).unwrap();
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let target = fs::read_link(entry.as_ref().unwrap().path()).unwrap_or_default();
        target.starts_with(folder.path()) && target.ends_with("catalogue.sqlite")
    });
    assert!(open.count() <= 2 * 65);
    for namespace in &names {
        let found = index.search(&Query { namespace: namespace.clone(), ..meaning(&[1.0, 0.0]) }).unwrap();
        assert_eq!(found[0].record.text, format!("alpha {namespace}"));
    }
}
