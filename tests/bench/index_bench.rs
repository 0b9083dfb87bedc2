//! Measures the artifact index with synthetic artifacts; `tests/bench/index` runs it.
//!
//! What depends on the state of a process (memory, start-up) is measured in a process of its own: this program again,
//! with the name of the part. Each part prints one JSON object.

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    io::Write as _,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use dise_core::{digest::Digest, function::Language, quality::Quality};
use dise_index::{
    Engine, Filter, Index, Kind, Namespace, Options, Place, Query, Record, Vector,
    rank::{CANDIDATES, NEARNESS_FLOOR},
};
use serde_json::{Value, json};

const NAMESPACE: &str = "bench";
const MODEL: &str = "synthetic";
const DIMENSIONS: usize = 384;
/// What the vectors vary in: embeddings of texts vary in far fewer ways than they have numbers.
const LATENT: usize = 32;
const TOPICS: usize = 500;
const VOCABULARY: f64 = 20_000.0;
const WORDS: usize = 25;
const BATCH: usize = 1000;
const QUERIES: usize = 600;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let answer = match args[..] {
        ["fill", folder, count] => fill(Path::new(folder), count.parse()?)?,
        ["start", folder] => start(Path::new(folder))?,
        ["search", folder, count] => search(Path::new(folder), count.parse()?)?,
        [count] => return all(count.parse()?, None),
        [count, rows] => return all(count.parse()?, Some(Path::new(rows))),
        _ => bail!("usage: index_bench ARTIFACTS [FILE FOR ROWS]"),
    };
    println!("{answer}");
    Ok(())
}

/// Runs every part and reports it.
fn all(count: usize, rows: Option<&Path>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (large, small) = (folder.path().join("large"), folder.path().join("small"));
    let path = |folder: &Path| folder.display().to_string();
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or(f64::NAN);
    let mut report = Report { rows };

    let filled = part(&["fill", &path(&large), &count.to_string()])?;
    let each = number(&filled, "seconds") / as_f64(count) * 1e3;
    report.add(
        &format!("index: storing {count} artifacts"),
        &format!("{:.1} s", number(&filled, "seconds")),
        &[("peer", format!("{each:.2} ms each"))],
    )?;
    report.add("index: files", &format!("{:.0} MiB", number(&filled, "mib")), &[])?;
    let started = part(&["start", &path(&large)])?;
    report.add("index: start with its files", &seconds(&started), &[])?;
    report.add("index: memory after it", &format!("{:.0} MiB", number(&started, "rss")), &[])?;

    let found = part(&["search", &path(&large), &count.to_string()])?;
    for (name, times) in found["times"].as_object().into_iter().flatten() {
        let p95 = number(times, "p95");
        let value = format!("p50 {:.2} ms, p95 {p95:.2} ms", number(times, "p50"));
        let brute = number(&found["brute"][name], "p50");
        let mut more = vec![("peer", format!("f32, one by one: p50 {brute:.2} ms"))];
        more.push(("ratio", format!("{:.2}", number(times, "p50") / brute)));
        if name.starts_with("words and meaning") && !name.ends_with("stored") {
            more.push(("target", "p95 <= 15 ms".to_owned()));
            more.push(("met", (p95 <= 15.0).to_string()));
        }
        report.add(&format!("index: {name}"), &value, &more)?;
    }
    for (name, recall) in found["recall"].as_object().into_iter().flatten() {
        let recall = recall.as_f64().unwrap_or(f64::NAN);
        let met = (recall >= 0.99).to_string();
        let more = [("peer", "exact f32: 1".to_owned()), ("target", ">= 0.99".to_owned()), ("met", met)];
        report.add(&format!("index: recall among {CANDIDATES}, {name}"), &format!("{recall:.4}"), &more)?;
    }
    report.add("index: memory after searching", &format!("{:.0} MiB", number(&found, "rss")), &[])?;

    for entry in fs::read_dir(large.join(NAMESPACE))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("graph-")) {
            fs::remove_file(path)?;
        }
    }
    report.add("index: start without the graph's file", &seconds(&part(&["start", &path(&large)])?), &[])?;
    part(&["fill", &path(&small), "1000"])?;
    let started = part(&["start", &path(&small)])?;
    report.add("index: memory with 1000 artifacts", &format!("{:.1} MiB", number(&started, "rss")), &[])?;
    report.add("index: start with 1000 artifacts", &seconds(&started), &[])
}

/// Rows in the format of `measure/report.py`.
struct Report<'a> {
    rows: Option<&'a Path>,
}

impl Report<'_> {
    fn add(&mut self, benchmark: &str, value: &str, more: &[(&str, String)]) -> anyhow::Result<()> {
        let mut row = json!({"benchmark": benchmark, "value": value});
        for (name, text) in more {
            row[name] = text.parse::<bool>().map_or_else(|_| json!(text), Value::from);
        }
        let shown: Vec<&str> = more.iter().map(|(_, text)| text.as_str()).collect();
        eprintln!("{benchmark}: {value}  {}", shown.join("  "));
        let Some(path) = self.rows else { return Ok(()) };
        let mut file = fs::File::options().append(true).create(true).open(path)?;
        Ok(writeln!(file, "{row}")?)
    }
}

fn part(args: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(env::current_exe()?).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{args:?} failed: {said}");
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?} did not answer: {said}"))
}

fn seconds(answer: &Value) -> String {
    format!("{:.2} s", answer["seconds"].as_f64().unwrap_or(f64::NAN))
}

/// Stores artifacts in batches, as a rebuild from the artifacts does.
fn fill(folder: &Path, count: usize) -> anyhow::Result<Value> {
    let world = World::new()?;
    let index = open(folder)?;
    let mut spent = Duration::ZERO;
    for from in (0..count).step_by(BATCH) {
        let records: Vec<Record> = (from..count.min(from + BATCH)).map(|i| world.record(i)).collect();
        let start = Instant::now();
        index.upsert(records)?;
        spent += start.elapsed();
    }
    let start = Instant::now();
    index.flush()?;
    spent += start.elapsed();
    drop(index);
    let files = fs::read_dir(folder.join(NAMESPACE))?;
    let bytes: u64 =
        files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |file| file.len())).sum();
    Ok(json!({"seconds": spent.as_secs_f64(), "mib": bytes >> 20}))
}

/// Opens the index and asks it once.
fn start(folder: &Path) -> anyhow::Result<Value> {
    let world = World::new()?;
    let query = world.query(0, &Filter::default());
    let before = rss()?;
    let start = Instant::now();
    let index = open(folder)?;
    if index.search(&query)?.is_empty() {
        bail!("nothing was found");
    }
    let seconds = start.elapsed().as_secs_f64();
    index.flush()?;
    Ok(json!({"seconds": seconds, "rss": rss()? - before}))
}

/// Times queries, then compares what they find with what comparing every vector finds.
fn search(folder: &Path, count: usize) -> anyhow::Result<Value> {
    let world = World::new()?;
    let before = rss()?;
    let index = open(folder)?;
    let filters = filters();
    let mut queries = Vec::new();
    for i in 0..QUERIES {
        let (share, filter) = &filters[i % filters.len()];
        queries.push((*share, world.query(i * 7919 % count, filter)));
    }
    for (_, query) in &queries {
        index.search(query)?;
    }
    let mut times = Times::new();
    for (share, query) in &queries {
        let time = timed(|| index.search(query))?;
        add(
            &mut times,
            &["words and meaning, filters of all shares", &format!("words and meaning, {share}")],
            time,
        );
        let words = Query { vector: None, ..query.clone() };
        add(&mut times, &["words alone"], timed(|| index.search(&words))?);
        let meaning = Query { text: None, ..query.clone() };
        add(&mut times, &["meaning alone"], timed(|| index.search(&meaning))?);
    }
    let rss = rss()? - before;
    for time in while_storing(&index, &world, &queries)? {
        add(&mut times, &["words and meaning, while artifacts are stored"], time);
    }
    let (recall, brute) = compare(&index, &world, count, &queries)?;
    Ok(json!({"times": quantiles(times), "recall": recall, "brute": quantiles(brute), "rss": rss}))
}

/// Times queries while another thread stores the first artifacts again and again.
fn while_storing(
    index: &Index,
    world: &World,
    queries: &[(&'static str, Query)],
) -> anyhow::Result<Vec<f64>> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let storing = scope.spawn(|| {
            let records: Vec<Record> = (0..BATCH).map(|i| world.record(i)).collect();
            for record in records.iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                index.upsert(vec![record.clone()])?;
            }
            anyhow::Ok(())
        });
        let times = queries.iter().map(|(_, query)| timed(|| index.search(query))).collect();
        done.store(true, Ordering::Relaxed);
        storing.join().map_err(|_| anyhow!("storing failed"))??;
        times
    })
}

/// Milliseconds, by what they were taken of.
type Times = BTreeMap<String, Vec<f64>>;

fn add(times: &mut Times, names: &[&str], time: f64) {
    for name in names {
        times.entry((*name).to_owned()).or_default().push(time);
    }
}

/// The recall by share of the filter, and how long comparing every passing vector takes.
fn compare(
    index: &Index,
    world: &World,
    count: usize,
    queries: &[(&'static str, Query)],
) -> anyhow::Result<(BTreeMap<&'static str, f64>, Times)> {
    let mut records: Vec<Record> = (0..count).map(|i| world.record(i)).collect();
    let vectors: Vec<Vec<f32>> =
        records.iter_mut().filter_map(|record| Some(record.vector.take()?.values)).collect();
    let (mut hits, mut brute): (BTreeMap<_, (usize, usize)>, Times) = (BTreeMap::new(), Times::new());
    for (share, query) in queries.iter().take(QUERIES / 3) {
        let values = &query.vector.as_ref().context("a query has no vector")?.values;
        let allowed: Vec<usize> = (0..count).filter(|i| passes(&records[*i], &query.filter)).collect();
        let mut truth = Vec::new();
        let time = timed(|| -> anyhow::Result<_> {
            truth = nearest(values, &vectors, &allowed);
            Ok(black_box(truth.len()))
        })?;
        let all = [
            "words and meaning, filters of all shares",
            "words and meaning, while artifacts are stored",
            "words alone",
            "meaning alone",
        ];
        add(&mut brute, &all, time);
        add(&mut brute, &[&format!("words and meaning, {share}")], time);
        let found = index.search(&Query { text: None, limit: CANDIDATES, ..query.clone() })?;
        let found: Vec<&str> = found.iter().map(|hit| hit.record.id.as_str()).collect();
        let entry = hits.entry(*share).or_default();
        entry.0 += truth.iter().filter(|i| found.contains(&records[**i].id.as_str())).count();
        entry.1 += truth.len();
    }
    Ok((hits.into_iter().map(|(share, (found, all))| (share, as_f64(found) / as_f64(all))).collect(), brute))
}

/// The nearest as the index defines it, from all that are allowed.
fn nearest(values: &[f32], vectors: &[Vec<f32>], allowed: &[usize]) -> Vec<usize> {
    let mut order: Vec<(f32, usize)> = allowed.iter().map(|i| (dot(values, &vectors[*i]), *i)).collect();
    if order.len() > CANDIDATES {
        order.select_nth_unstable_by(CANDIDATES, |a, b| b.0.total_cmp(&a.0));
        order.truncate(CANDIDATES);
    }
    let floor = order.iter().map(|(cosine, _)| *cosine).fold(0.0, f32::max) * NEARNESS_FLOOR;
    order.into_iter().filter(|(cosine, _)| *cosine > 0.0 && *cosine >= floor).map(|(_, i)| i).collect()
}

/// A scalar product in 16 lanes, which compilers make vector instructions of.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for lane in 0..16 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum()
}

/// Filters by the share of artifacts that pass them.
fn filters() -> Vec<(&'static str, Filter)> {
    let all = Filter::default;
    let tag = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let quality = |text: &str| text.parse::<Quality>().ok();
    vec![
        ("no filter", all()),
        ("filter for 1 in 2", Filter { kinds: vec![Kind::Function], ..all() }),
        (
            "filter for 1 in 4",
            Filter { kinds: vec![Kind::Function], languages: vec![Language::Python], ..all() },
        ),
        ("filter for 1 in 10", Filter { tags: tag("domain", "d3"), ..all() }),
        ("filter for 1 in 40", Filter { tags: tag("domain", "d3"), min_quality: quality("0.75"), ..all() }),
        ("filter for 1 in 1000", Filter { tags: tag("owner", "o17"), ..all() }),
    ]
}

fn passes(record: &Record, filter: &Filter) -> bool {
    (filter.kinds.is_empty() || filter.kinds.contains(&record.kind))
        && (filter.languages.is_empty() || record.language.is_some_and(|own| filter.languages.contains(&own)))
        && (filter.min_quality.is_none() || record.quality >= filter.min_quality)
        && filter.tags.iter().all(|(key, value)| record.tags.get(key) == Some(value))
}

/// What synthetic artifacts are made from: topics, each with words and a direction of its own.
struct World {
    /// From latent numbers to a vector.
    projection: Vec<Vec<f32>>,
    topics: Vec<Vec<f32>>,
    namespace: Namespace,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let mut random = Random(fastrand::Rng::with_seed(1));
        let projection = (0..LATENT).map(|_| random.normals(DIMENSIONS)).collect();
        let topics = (0..TOPICS).map(|_| random.normals(LATENT)).collect();
        Ok(Self { projection, topics, namespace: NAMESPACE.parse()? })
    }

    /// The `i`th artifact.
    fn record(&self, i: usize) -> Record {
        let mut random = Random(fastrand::Rng::with_seed(1000 + i as u64));
        let (topic, latent) = self.latent(&mut random);
        let text = format!("artifact{i} {}", random.text(topic, WORDS));
        let share = random.0.u64(0..=100);
        let tags =
            [("domain", format!("d{}", random.0.u8(..10))), ("owner", format!("o{}", random.0.u16(..1000)))];
        Record {
            namespace: self.namespace.clone(),
            id: format!("artifact-{i}"),
            kind: if random.0.bool() { Kind::Function } else { Kind::Prompt },
            language: random.0.bool().then_some(Language::Python),
            digest: Digest::of(text.as_bytes()),
            text,
            tags: tags.map(|(key, value)| (key.to_owned(), value)).into(),
            quality: Quality::of_share(share, 100),
            p95_latency_us: Some(random.0.u64(100..100_000)),
            usage: random.0.u64(0..2000),
            created: jiff::Timestamp::UNIX_EPOCH,
            updated: jiff::Timestamp::UNIX_EPOCH,
            vector: Some(self.vector(&latent, &mut random)),
        }
    }

    /// A question about something like the `i`th artifact.
    fn query(&self, i: usize, filter: &Filter) -> Query {
        let mut random = Random(fastrand::Rng::with_seed(1000 + i as u64));
        let (topic, mut latent) = self.latent(&mut random);
        let mut other = Random(fastrand::Rng::with_seed(1 << 40 | i as u64));
        for number in &mut latent {
            *number += 0.4 * other.normal();
        }
        let count = other.0.usize(3..=12);
        Query {
            namespace: self.namespace.clone(),
            text: Some(other.text(topic, count)),
            vector: Some(self.vector(&latent, &mut other)),
            filter: filter.clone(),
            limit: 20,
        }
    }

    /// A topic, of which the first are much more common, and a place in it.
    fn latent(&self, random: &mut Random) -> (usize, Vec<f32>) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the number of topics"
        )]
        let topic = (random.0.f64().powi(3) * as_f64(TOPICS)) as usize;
        (topic, self.topics[topic].iter().map(|number| number + 0.6 * random.normal()).collect())
    }

    fn vector(&self, latent: &[f32], random: &mut Random) -> Vector {
        let mut values: Vec<f32> = random.normals(DIMENSIONS).iter().map(|noise| 0.3 * noise).collect();
        for (number, direction) in latent.iter().zip(&self.projection) {
            values.iter_mut().zip(direction).for_each(|(value, direction)| *value += number * direction);
        }
        let length = dot(&values, &values).sqrt();
        for value in &mut values {
            *value /= length;
        }
        Vector { model: MODEL.to_owned(), values }
    }
}

struct Random(fastrand::Rng);

impl Random {
    /// About normally distributed.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.0.f32()).sum::<f32>() - 3.0
    }

    fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// Words whose frequencies follow Zipf's law, every fourth from the topic's own ten.
    fn text(&mut self, topic: usize, count: usize) -> String {
        let mut word = |place: usize| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below the vocabulary's size"
            )]
            let common = VOCABULARY.powf(self.0.f64()) as usize;
            if place % 4 == 3 { spell(100_000 + topic * 10 + self.0.usize(..10)) } else { spell(common) }
        };
        (0..count).map(&mut word).collect::<Vec<_>>().join(" ")
    }
}

/// A number as a word.
fn spell(mut number: usize) -> String {
    let syllables = ["ba", "ko", "ri", "tu", "me", "sa", "no", "li", "fu", "do"];
    let mut word = String::from("x");
    while number > 0 {
        word.push_str(syllables[number % 10]);
        number /= 10;
    }
    word
}

fn open(folder: &Path) -> anyhow::Result<Index> {
    let place = Place::Folder(folder.to_owned());
    Ok(Index::open(Options { place, model: Some(MODEL.to_owned()), engine: Engine::Embedded })?)
}

/// How many milliseconds some work takes.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> anyhow::Result<f64>
where
    anyhow::Error: From<E>,
{
    let start = Instant::now();
    black_box(work()?);
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn quantiles(times: Times) -> Value {
    let of = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let quantile = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        json!({"p50": quantile(50), "p95": quantile(95)})
    };
    times.into_iter().map(|(name, times)| (name, of(times))).collect()
}

/// Resident memory of this process in MiB.
fn rss() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
