//! One worker as its pool sees it: calls go in, in order.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    io::IoSlice,
    time::{Duration, Instant},
};

use std::sync::Mutex;

use bytes::{Buf, Bytes};
use tokio::{net::unix::OwnedWriteHalf, sync::Notify};

use super::{
    frame,
    job::{self, Job},
};
use crate::lock;

/// A call that runs for longer may never end: those behind it leave. Far longer than any call whose worker is sent
/// others ahead, and than a worker that is ready to run waits for a processor, as a rule.
pub(super) const STUCK_AFTER: Duration = Duration::from_millis(10);
/// How long a worker may take for a call that nobody waits for, at least: it is not killed for one that came late.
const TO_CATCH_UP: Duration = Duration::from_millis(100);

/// A worker that was started. Its replies are read by its [`Attendant`](super::attendant::Attendant).
#[derive(Debug)]
pub(super) struct Worker {
    /// Its name in the pool.
    pub(super) number: u64,
    /// Its process.
    pub(super) pid: i32,
    pub(super) writer: OwnedWriteHalf,
    line: Mutex<Line>,
    wake: Notify,
}

/// The calls that were sent and are not answered, and what the attendant has to know of them.
#[derive(Debug)]
struct Line {
    open: bool,
    retired: bool,
    pending: VecDeque<Pending>,
    unsent: VecDeque<Bytes>,
    /// When the attendant will look at the calls by itself.
    watch: Option<Instant>,
    sent: u64,
    /// The call that was answered last.
    finished: Option<u64>,
    /// Names calls so that neither another worker nor an earlier call can know.
    names: RandomState,
}

/// A call in a worker.
#[derive(Debug)]
pub(super) struct Pending {
    id: u64,
    /// When its turn came.
    pub(super) since: Instant,
    pub(super) work: Work,
}

/// What a worker does.
#[derive(Debug)]
pub(super) enum Work {
    /// Take up the source, until then.
    Load(Instant),
    /// Run it.
    Call(Job),
    /// The worker was sent a call that has left since. It will run it nevertheless, for no longer than `until`.
    Left { ticket: u64, until: Instant },
}

impl Pending {
    /// Whether it shall get the benefit of the doubt.
    pub(super) fn is_first_try(&self) -> bool {
        matches!(&self.work, Work::Call(job) if !job.is_retry())
    }
}

impl Work {
    fn deadline(&self) -> Instant {
        match self {
            Self::Load(until) | Self::Left { until, .. } => *until,
            Self::Call(job) => job.deadline,
        }
    }

    /// Takes a call away. Its frame stays with the worker: it may have been read already.
    fn leave(&mut self) -> Option<Job> {
        let Self::Call(job) = self else { return None };
        let left = Self::Left { ticket: job.ticket, until: job.deadline };
        match std::mem::replace(self, left) {
            Self::Call(job) => Some(job),
            Self::Load(_) | Self::Left { .. } => None,
        }
    }

    /// Its turn has come.
    fn begin(&mut self, now: Instant) {
        if let Self::Call(job) = self
            && job.deadline <= now
        {
            job.answer(Err(job::waited_behind_another()));
            self.leave();
        }
        if let Self::Left { until, .. } = self {
            *until = (*until).max(now + TO_CATCH_UP);
        }
    }
}

/// What there is to be seen of a worker.
#[derive(Debug)]
pub(super) enum Sight {
    /// Nothing is wrong.
    Fine,
    /// The call whose turn it is has passed its deadline.
    Overdue,
    /// That call takes long, and these were waiting behind it.
    Stuck(Vec<Job>),
}

impl Line {
    /// When to look at the call whose turn it is, at the latest.
    fn look_at(&self) -> Option<Instant> {
        let running = self.pending.front()?;
        let deadline = running.work.deadline();
        // The last call leaves last.
        let is_waited_for = self.pending.len() > 1
            && self.pending.back().is_some_and(|last| matches!(last.work, Work::Call(_)));
        Some(if is_waited_for { deadline.min(running.since + STUCK_AFTER) } else { deadline })
    }
}

/// What the attendant has to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agenda {
    /// Nothing is to be run any more.
    pub(super) retired: bool,
    /// There are bytes to be written.
    pub(super) unsent: bool,
    /// When to look at the calls.
    pub(super) watch: Option<Instant>,
}

impl Worker {
    pub(super) fn new(number: u64, pid: i32, writer: OwnedWriteHalf) -> Self {
        let line = Line {
            open: true,
            retired: false,
            pending: VecDeque::new(),
            unsent: VecDeque::new(),
            watch: None,
            sent: 0,
            finished: None,
            names: RandomState::new(),
        };
        Self { number, pid, writer, line: Mutex::new(line), wake: Notify::new() }
    }

    /// Sends the source; the first thing to be sent.
    pub(super) fn load(&self, body: Bytes, deadline: Instant) {
        self.push(&mut lock(&self.line), Work::Load(deadline), body);
    }

    /// Sends a call; gives it back when the worker takes no more.
    pub(super) fn send(&self, job: Job) -> Result<(), Job> {
        let mut line = lock(&self.line);
        if !line.open || line.retired {
            return Err(job);
        }
        let input = job.input.clone().unwrap_or_default();
        self.push(&mut line, Work::Call(job), input);
        let is_too_late = |look: Instant| line.watch.is_none_or(|watch| look < watch);
        if line.look_at().is_some_and(is_too_late) || !line.unsent.is_empty() {
            drop(line);
            self.wake.notify_one();
        }
        Ok(())
    }

    fn push(&self, line: &mut Line, work: Work, body: Bytes) {
        line.sent += 1;
        let id = line.names.hash_one(line.sent);
        line.pending.push_back(Pending { id, since: Instant::now(), work });
        let header = frame::header(id, body.len());
        let total = header.len() + body.len();
        let mut written = 0;
        if line.unsent.is_empty() {
            // An error shows when the replies are read; there is nothing to be done here.
            written =
                self.writer.try_write_vectored(&[IoSlice::new(&header), IoSlice::new(&body)]).unwrap_or(0);
        }
        if written < total {
            let mut header = Bytes::copy_from_slice(&header);
            let mut body = body;
            let of_header = written.min(header.len());
            header.advance(of_header);
            body.advance(written - of_header);
            line.unsent.extend([header, body].into_iter().filter(|part| !part.is_empty()));
        }
    }

    /// Writes what was not written, as far as the worker takes it now.
    pub(super) fn flush(&self) {
        let mut line = lock(&self.line);
        while let Some(part) = line.unsent.front_mut() {
            match self.writer.try_write(part) {
                Ok(written) if written < part.len() => part.advance(written),
                Ok(_) => {
                    line.unsent.pop_front();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => line.unsent.clear(),
            }
        }
    }

    /// Lets it end as soon as it has answered what it was sent.
    pub(super) fn retire(&self) {
        lock(&self.line).retired = true;
        self.wake.notify_one();
    }

    /// Waits until there may be something new on the agenda.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn agenda(&self) -> Agenda {
        let mut line = lock(&self.line);
        if let Some(look) = line.look_at() {
            // One that is too early costs less than to set the timer for every call.
            line.watch = Some(line.watch.map_or(look, |watch| watch.min(look)));
        }
        Agenda {
            retired: line.retired && line.pending.is_empty(),
            unsent: !line.unsent.is_empty(),
            watch: line.watch,
        }
    }

    /// The calls that a reply may belong to.
    pub(super) fn turn(&self) -> frame::Turn {
        let line = lock(&self.line);
        frame::Turn { running: line.pending.front().map(|pending| pending.id), finished: line.finished }
    }

    /// Takes the call whose turn it is; it was answered.
    pub(super) fn finish(&self, now: Instant) -> Option<Pending> {
        let mut line = lock(&self.line);
        let finished = line.pending.pop_front();
        line.finished = finished.as_ref().map(|pending| pending.id);
        if let Some(next) = line.pending.front_mut() {
            next.since = now;
            next.work.begin(now);
        }
        finished
    }

    /// Looks at the call whose turn it is. When it takes long, those behind it leave for other workers.
    pub(super) fn look(&self, now: Instant) -> Sight {
        let mut line = lock(&self.line);
        line.watch = None;
        let mut pending = line.pending.iter_mut();
        match pending.next() {
            Some(running) if running.work.deadline() <= now => Sight::Overdue,
            Some(running) if running.since + STUCK_AFTER <= now => {
                Sight::Stuck(pending.filter_map(|behind| behind.work.leave()).collect())
            }
            _ => Sight::Fine,
        }
    }

    /// Takes no more calls and gives up those that are not answered, in order.
    pub(super) fn close(&self) -> VecDeque<Pending> {
        let mut line = lock(&self.line);
        line.open = false;
        line.unsent.clear();
        std::mem::take(&mut line.pending)
    }
}
