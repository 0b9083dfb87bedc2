//! The catalogue of one namespace in `SQLite`: records, their words (FTS5) and their vectors as they were given.

use dise_core::quality::Quality;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use serde::Deserialize;

use crate::{Error, Record, Stale, Standing, book::Slot, rank::Candidate, words};

/// The version of the tables below, and the mark of a file of ours (`DiSE` in ASCII).
const FORMAT: i32 = 1;
const APPLICATION: i32 = 0x4469_5345;

/// Bytes of a text that are kept and searched.
pub(crate) const TEXT_BYTES: usize = 16 << 10;

/// About how many artifacts the words of a question may stand in, all and those that pass the filter. Reading a match
/// takes about 0.1 µs, scoring it 1 µs, so this bounds the time of a question whose words are everywhere.
const READ_MATCHES: usize = 20_000;
const SCORED_MATCHES: usize = 2000;

/// In how many artifacts the frequency of a word is counted.
const SAMPLE: usize = 2048;

const TABLES: &str = "
    CREATE TABLE artifact (
        slot INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL, text TEXT NOT NULL, spelled TEXT NOT NULL
    );
    CREATE VIRTUAL TABLE words USING fts5 (
        text, spelled, content = 'artifact', content_rowid = 'slot', tokenize = 'porter unicode61 remove_diacritics 2'
    );
    CREATE TABLE vector (slot INTEGER PRIMARY KEY, model TEXT NOT NULL, change INTEGER NOT NULL, floats BLOB NOT NULL);
    CREATE INDEX vector_of_model ON vector (model, change);
    CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
";

type Result<T> = rusqlite::Result<T>;

/// Creates the tables of an empty file.
///
/// # Errors
/// The file has tables of another version, or is no catalogue at all.
pub(crate) fn prepare(connection: &Connection) -> std::result::Result<(), Error> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    if (application, format) == (APPLICATION, FORMAT) {
        return Ok(());
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, format, tables) != (0, 0, 0) {
        let reason = if application == APPLICATION {
            format!("it has format {format}, and this version reads format {FORMAT}")
        } else {
            "it is the database of another program".to_owned()
        };
        return Err(Error::Unusable { path: String::new(), reason });
    }
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

/// Where an artifact is.
pub(crate) fn slot(connection: &Connection, id: &str) -> Result<Option<Slot>> {
    let mut statement = connection.prepare_cached("SELECT slot FROM artifact WHERE id = ?1")?;
    statement.query_row([id], slot_of).optional()
}

/// Stores a record in place of what was in its slot. Its vector is stored apart.
pub(crate) fn put(connection: &Connection, slot: Slot, record: &Record) -> Result<()> {
    forget_words(connection, slot)?;
    let text = words::beginning(&record.text, TEXT_BYTES);
    let spelled = words::spelled_out(text);
    let bare = Record { text: String::new(), vector: None, ..record.clone() };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO artifact (slot, id, record, text, spelled) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![slot.cast_signed(), record.id, to_json(&bare)?, text, spelled])?;
    connection
        .prepare_cached("INSERT INTO words (rowid, text, spelled) VALUES (?1, ?2, ?3)")?
        .execute(params![slot.cast_signed(), text, spelled])?;
    Ok(())
}

/// Removes an artifact with its words and its vector.
pub(crate) fn remove(connection: &Connection, slot: Slot) -> Result<()> {
    forget_words(connection, slot)?;
    remove_vector(connection, slot)?;
    connection.prepare_cached("DELETE FROM artifact WHERE slot = ?1")?.execute([slot.cast_signed()])?;
    Ok(())
}

/// FTS5 finds the entries to remove by the text that made them.
fn forget_words(connection: &Connection, slot: Slot) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO words (words, rowid, text, spelled)
             SELECT 'delete', slot, text, spelled FROM artifact WHERE slot = ?1",
        )?
        .execute([slot.cast_signed()])?;
    Ok(())
}

/// Changes what use changes, and nothing else.
pub(crate) fn set_standing(connection: &Connection, slot: Slot, standing: &Standing) -> Result<()> {
    let record = Record {
        quality: standing.quality,
        p95_latency_us: standing.p95_latency_us,
        usage: standing.usage,
        updated: standing.updated,
        text: String::new(),
        ..record(connection, slot)?
    };
    connection
        .prepare_cached("UPDATE artifact SET record = ?2 WHERE slot = ?1")?
        .execute(params![slot.cast_signed(), to_json(&record)?])?;
    Ok(())
}

/// The record in a slot, without its vector.
pub(crate) fn record(connection: &Connection, slot: Slot) -> Result<Record> {
    let mut statement = connection.prepare_cached("SELECT record, text FROM artifact WHERE slot = ?1")?;
    statement.query_row([slot.cast_signed()], |row| {
        let record: Record = from_json(row, 0)?;
        Ok(Record { text: row.get(1)?, ..record })
    })
}

/// Calls `each` with every record and its slot. The records lack text and vector.
pub(crate) fn for_each(connection: &Connection, mut each: impl FnMut(Slot, Record)) -> Result<()> {
    let mut statement = connection.prepare("SELECT slot, record FROM artifact")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(slot_of(row)?, from_json(row, 1)?);
    }
    Ok(())
}

/// What ranking needs of an artifact.
pub(crate) fn candidate(connection: &Connection, slot: Slot) -> Result<Option<Candidate>> {
    let mut statement = connection.prepare_cached("SELECT record FROM artifact WHERE slot = ?1")?;
    statement.query_row([slot.cast_signed()], |row| candidate_of(row, 0)).optional()
}

/// Calls `each` with every artifact whose slot is allowed.
pub(crate) fn for_each_allowed(connection: &Connection, mut each: impl FnMut(Slot, Candidate)) -> Result<()> {
    let mut statement = connection.prepare("SELECT slot, record FROM artifact WHERE allowed(slot)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(slot_of(row)?, candidate_of(row, 1)?);
    }
    Ok(())
}

/// How many artifacts there are, and how many of them are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) all: usize,
    pub(crate) allowed: usize,
}

/// The allowed artifacts that match a question best by words, with their BM25 scores, higher is better.
///
/// Scores are rounded to 32 bits, so that the order in which the words of a question are added up makes no difference.
pub(crate) fn matching(
    connection: &Connection,
    question: &str,
    extent: Extent,
    count: usize,
) -> Result<Vec<(Slot, f32)>> {
    let terms = telling(connection, words::terms(question), extent)?;
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    // The inner limit bounds the work where a frequency was underrated, before the best are looked for.
    let mut statement = connection.prepare_cached(
        "SELECT slot, score FROM (
             SELECT rowid AS slot, -bm25(words) AS score FROM words WHERE words MATCH ?1 AND allowed(rowid) LIMIT ?2
         ) ORDER BY score DESC, slot LIMIT ?3",
    )?;
    let limits = (limit(2 * SCORED_MATCHES), limit(count));
    statement
        .query_map(params![words::any_of(&terms), limits.0, limits.1], |row| {
            Ok((slot_of(row)?, row.get(1)?))
        })?
        .collect()
}

/// The words to ask for: the rarest first, as many as the bounds above allow, and at least one. What stands in more
/// artifacts tells little about any of them.
fn telling(connection: &Connection, terms: Vec<String>, extent: Extent) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM words WHERE words MATCH ?1 AND rowid < ?2")?;
    let mut counted = Vec::with_capacity(terms.len());
    for term in terms {
        let quoted = words::any_of(std::slice::from_ref(&term));
        let matches: i64 = statement.query_row(params![quoted, limit(SAMPLE)], |row| row.get(0))?;
        counted.push((usize::try_from(matches).unwrap_or_default(), term));
    }
    counted.sort_by_key(|(matches, _)| *matches);
    let mut sampled = 0;
    let telling = counted.into_iter().enumerate().take_while(|(place, (matches, _))| {
        sampled += matches;
        let read = sampled * extent.all.max(SAMPLE) / SAMPLE;
        let scored = read * extent.allowed / extent.all.max(1);
        *place == 0 || (read <= READ_MATCHES && scored <= SCORED_MATCHES)
    });
    Ok(telling.map(|(_, (_, term))| term).collect())
}

/// Stores the vector of an artifact in place of what was there. It is the `change`th change of vectors.
pub(crate) fn put_vector(
    connection: &Connection,
    slot: Slot,
    model: &str,
    change: u64,
    unit: &[f32],
) -> Result<()> {
    let floats: Vec<u8> = unit.iter().flat_map(|value| value.to_le_bytes()).collect();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO vector (slot, model, change, floats) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![slot.cast_signed(), model, change.cast_signed(), floats])?;
    Ok(())
}

/// Removes the vector of an artifact.
pub(crate) fn remove_vector(connection: &Connection, slot: Slot) -> Result<()> {
    connection.prepare_cached("DELETE FROM vector WHERE slot = ?1")?.execute([slot.cast_signed()])?;
    Ok(())
}

/// The vector of an artifact, if it was made by `model`.
pub(crate) fn vector(connection: &Connection, slot: Slot, model: &str) -> Result<Option<Vec<f32>>> {
    let mut statement =
        connection.prepare_cached("SELECT floats FROM vector WHERE slot = ?1 AND model = ?2")?;
    let query = params![slot.cast_signed(), model];
    statement.query_row(query, |row| Ok(floats(row.get_ref(0)?.as_blob()?))).optional()
}

/// The slots that have a vector of `model`, each with the change that set it.
pub(crate) fn vectors(connection: &Connection, model: &str) -> Result<Vec<(Slot, u64)>> {
    let mut statement = connection.prepare("SELECT slot, change FROM vector WHERE model = ?1")?;
    statement.query_map([model], |row| Ok((slot_of(row)?, row.get::<_, i64>(1)?.cast_unsigned())))?.collect()
}

/// The artifacts without a vector of `model`, at most `count`.
pub(crate) fn stale(connection: &Connection, model: &str, count: usize) -> Result<Vec<Stale>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, text FROM artifact WHERE slot NOT IN (SELECT slot FROM vector WHERE model = ?1)
         ORDER BY slot LIMIT ?2",
    )?;
    statement
        .query_map(params![model, limit(count)], |row| Ok(Stale { id: row.get(0)?, text: row.get(1)? }))?
        .collect()
}

/// The text in a slot.
pub(crate) fn text(connection: &Connection, slot: Slot) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT text FROM artifact WHERE slot = ?1")?;
    statement.query_row([slot.cast_signed()], |row| row.get(0))
}

/// A value that belongs to the catalogue as a whole.
pub(crate) fn state<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached("SELECT value FROM state WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// Sets a value that belongs to the catalogue as a whole.
pub(crate) fn set_state(connection: &Connection, name: &str, value: impl rusqlite::ToSql) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO state (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

fn slot_of(row: &Row<'_>) -> Result<Slot> {
    Ok(row.get::<_, i64>(0)?.cast_unsigned())
}

fn candidate_of(row: &Row<'_>, column: usize) -> Result<Candidate> {
    #[derive(Deserialize)]
    struct Proof {
        id: String,
        #[serde(default)]
        quality: Option<Quality>,
        usage: u64,
    }
    let Proof { id, quality, usage } = from_json(row, column)?;
    Ok(Candidate { id, quality, usage })
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let fault = |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(fault)
}

fn to_json(record: &Record) -> Result<String> {
    serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
