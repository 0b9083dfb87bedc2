//! One worker as its pool sees it: calls go in, in order.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    io::IoSlice,
    time::Instant,
};

use std::sync::Mutex;

use bytes::{Buf, Bytes};
use tokio::{net::unix::OwnedWriteHalf, sync::Notify};

use super::{CallError, frame, job::Job};
use crate::lock;

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
    /// When the attendant will look at the deadlines by itself.
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
            Self::Load(deadline) => *deadline,
            Self::Call(job) => job.deadline,
        }
    }
}

/// What the attendant has to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agenda {
    /// Nothing is to be run any more.
    pub(super) retired: bool,
    /// There are bytes to be written.
    pub(super) unsent: bool,
    /// When to look at the deadlines.
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
        let deadline = job.deadline;
        self.push(&mut line, Work::Call(job), input);
        if line.watch.is_none_or(|watch| deadline < watch) || !line.unsent.is_empty() {
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
        let earliest = line.pending.iter().map(|pending| pending.work.deadline()).min();
        if let Some(earliest) = earliest {
            line.watch = Some(line.watch.map_or(earliest, |watch| watch.min(earliest)));
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
        }
        finished
    }

    /// Whether the call whose turn it is has passed its deadline. Calls behind it that have are answered.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let mut line = lock(&self.line);
        line.watch = None;
        let mut pending = line.pending.iter_mut();
        let overdue = pending.next().is_some_and(|first| first.work.deadline() <= now);
        for behind in pending {
            if let Work::Call(job) = &mut behind.work
                && job.deadline <= now
            {
                job.answer(Err(CallError::Busy { message: "it waited behind another call".to_owned() }));
            }
        }
        overdue
    }

    /// Takes no more calls and gives up those that are not answered, in order.
    pub(super) fn close(&self) -> VecDeque<Pending> {
        let mut line = lock(&self.line);
        line.open = false;
        line.unsent.clear();
        std::mem::take(&mut line.pending)
    }
}
