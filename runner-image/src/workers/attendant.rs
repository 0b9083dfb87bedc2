//! The task that attends to one worker: it reads the replies, watches the deadlines and buries the worker.

use std::{
    fs, io,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use dise_core::function::Limits;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, pipe},
    },
    time::{sleep, sleep_until},
};

use super::{
    CallError, Callable, Reply,
    frame::{self, Answer, Fault},
    pools::{Key, Loss},
    shared::Shared,
    tail::Tail,
    worker::{Pending, Sight, Work, Worker},
};
use crate::{
    jail::{Child, Exit, JailError, PythonProcess},
    lock,
};

/// The exit code with which the harness says that a request did not fit into memory.
const NO_MEMORY: i32 = 71;
/// The exit code with which it says that its connection is broken.
const NO_CONNECTION: i32 = 72;
/// How long a process that has closed its connection may take to end by itself. One that ends does so within
/// microseconds; the others have to be told apart from it.
const TO_END: Duration = Duration::from_millis(200);
const READ_AT_ONCE: usize = 8 << 10;
/// Once grown beyond this for a large reply the buffer is not kept.
const KEPT_BUFFER: usize = 256 << 10;

/// Why a worker is no more.
#[derive(Debug)]
enum End {
    /// It was no longer needed.
    Retired,
    /// Its source cannot be loaded.
    Unloadable(CallError),
    /// The running call passed its deadline.
    Overdue,
    /// The running call printed too much, past `sys.stdout`.
    Printed,
    /// What it sent is no reply to the running call.
    Fault(Fault),
    /// It ended, or closed its connection.
    Closed,
}

/// Everything that belongs to one worker.
#[derive(Debug)]
pub(super) struct Attendant {
    worker: Arc<Worker>,
    reader: OwnedReadHalf,
    printed: Option<pipe::Receiver>,
    tail: Tail,
    child: Child,
    shared: Arc<Shared>,
    key: Key,
    callable: Arc<Callable>,
    loaded: bool,
}

impl Attendant {
    /// Takes over a process that was just started. Must be called inside the runtime.
    pub(super) fn new(
        number: u64,
        process: PythonProcess,
        shared: Arc<Shared>,
        key: Key,
        callable: Arc<Callable>,
    ) -> Result<Self, JailError> {
        let stream = UnixStream::from_std(process.socket).map_err(start_error)?;
        let (reader, writer) = stream.into_split();
        let worker = Arc::new(Worker::new(number, process.child.pid(), writer));
        let printed = Some(receiver(process.printed).map_err(start_error)?);
        Ok(Self {
            worker,
            reader,
            printed,
            tail: Tail::default(),
            child: process.child,
            shared,
            key,
            callable,
            loaded: false,
        })
    }

    /// Loads the source and then attends to the worker until its end.
    pub(super) async fn run(mut self, source: Bytes, deadline: Instant) {
        self.worker.load(source, deadline);
        let end = self.attend().await;
        self.bury(end).await;
    }

    async fn attend(&mut self) -> End {
        let mut inbox = BytesMut::new();
        let mut armed = Instant::now();
        let mut timer = pin!(sleep_until(armed.into()));
        let worker = Arc::clone(&self.worker);
        loop {
            let agenda = worker.agenda();
            if agenda.retired {
                return End::Retired;
            }
            if let Some(watch) = agenda.watch
                && watch != armed
            {
                timer.as_mut().reset(watch.into());
                armed = watch;
            }
            inbox.reserve(READ_AT_ONCE);
            tokio::select! {
                read = self.reader.read_buf(&mut inbox) => {
                    if !matches!(read, Ok(1..)) {
                        return End::Closed;
                    }
                    if let Err(end) = self.receive(&mut inbox) {
                        return end;
                    }
                    if inbox.is_empty() && inbox.capacity() > KEPT_BUFFER {
                        inbox = BytesMut::new();
                    }
                }
                () = readable(self.printed.as_ref()) => {
                    self.drain();
                    if self.tail.exceeds(self.key.limits.printed_bytes) {
                        return End::Printed;
                    }
                }
                _ = worker.writer.writable(), if agenda.unsent => worker.flush(),
                () = &mut timer, if agenda.watch.is_some() => {
                    match worker.look(Instant::now()) {
                        Sight::Fine => {}
                        Sight::Overdue => return End::Overdue,
                        Sight::Stuck(jobs) => self.shared.place_again(&self.key, &self.callable, jobs),
                    }
                }
                () = worker.woken() => {}
            }
        }
    }

    /// Hands on the replies that are complete.
    fn receive(&mut self, inbox: &mut BytesMut) -> Result<(), End> {
        let limits = self.key.limits;
        let mut finished = 0;
        let mut service = None;
        let outcome = loop {
            match frame::take(inbox, self.worker.turn(), &limits) {
                Ok(Some(answer)) => {
                    let now = Instant::now();
                    let Some(Pending { since, work, .. }) = self.worker.finish(now) else { break Ok(()) };
                    self.tail.clear();
                    let elapsed = now - since;
                    let job = match (work, &answer) {
                        (Work::Load(_), Answer::Failure(error)) => {
                            break Err(End::Unloadable(error.clone()));
                        }
                        (Work::Load(_), Answer::Result { .. }) => {
                            self.loaded = true;
                            self.shared.is_ready(&self.key, &self.callable, &self.worker);
                            continue;
                        }
                        (Work::Call(job), _) => Some(job),
                        // Perhaps no other worker has taken it up yet.
                        (Work::Left { ticket, .. }, _) => {
                            lock(&self.shared.pools).take_back(&self.key, ticket)
                        }
                    };
                    finished += 1;
                    service = Some(elapsed);
                    if let Some(mut job) = job {
                        job.answer(match answer {
                            Answer::Result { output, printed } => Ok(Reply { output, elapsed, printed }),
                            Answer::Failure(error) => Err(error),
                        });
                    }
                }
                Ok(None) => break Ok(()),
                Err(fault) => break Err(End::Fault(fault)),
            }
        };
        if let Some(service) = service {
            self.shared.has_finished(&self.key, &self.callable, self.worker.number, finished, service);
        }
        outcome
    }

    /// Reads what was printed, as much as there is.
    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        while let Some(pipe) = &self.printed
            && !self.tail.exceeds(self.key.limits.printed_bytes)
        {
            match pipe.try_read(&mut buffer) {
                Ok(0) => self.printed = None,
                Ok(read) => self.tail.push(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.printed = None,
            }
        }
    }

    /// Kills and reaps the worker, answers the call that it was running, and sends the others elsewhere.
    async fn bury(mut self, end: End) {
        let mut pending = self.worker.close();
        let has_closed = matches!(end, End::Closed);
        if !has_closed {
            self.child.kill();
        }
        let is_running_to_blame = match &end {
            End::Retired | End::Unloadable(_) | End::Fault(Fault::Surplus) => false,
            // The call before may have sent it, ahead of time. Whoever did will be caught at the second try.
            End::Fault(Fault::Stray) => !pending.front().is_some_and(Pending::is_first_try),
            _ => true,
        };
        let culprit = if is_running_to_blame { pending.pop_front() } else { None };
        let innocent = pending.into_iter().filter_map(|pending| match pending.work {
            Work::Call(job) => job.again(),
            Work::Load(_) | Work::Left { .. } => None,
        });
        let innocent = innocent.collect();
        let was_killed = !matches!(end, End::Retired);
        lock(&self.shared.pools).lost(&self.key, self.worker.number, was_killed);
        self.shared.place_again(&self.key, &self.callable, innocent);
        let ended_by_itself = has_closed && ends(self.worker.pid).await;
        self.drain();
        self.child.kill();
        let mut exit = reap(self.child).await;
        if has_closed && !ended_by_itself {
            // The signal was ours.
            exit = Exit { signal: None, code: None };
        }
        let limits = self.key.limits;
        let mut error = match end {
            End::Unloadable(error) => Some(error),
            _ => culprit.as_ref().map(|culprit| blame(end, culprit, exit, &limits, self.tail.text())),
        };
        if let (Some(Pending { work: Work::Call(mut job), .. }), Some(error)) = (culprit, error.clone()) {
            job.answer(Err(error));
        }
        let loss = if self.loaded { Loss::Ready } else { Loss::Loading };
        if loss == Loss::Ready {
            // It befalls the one call alone.
            error = None;
        }
        self.shared.is_gone(&self.key, &self.callable, loss, error.as_ref());
    }
}

/// What to tell whoever called the function that brought the worker down.
fn blame(end: End, culprit: &Pending, exit: Exit, limits: &Limits, printed: String) -> CallError {
    match end {
        End::Overdue if matches!(culprit.work, Work::Load(_)) => CallError::SourceFault {
            line: None,
            text: None,
            message: format!(
                "its top-level code was still running after {} s; do the work in `run`",
                limits.timeout_seconds
            ),
        },
        End::Overdue => CallError::Deadline { seconds: culprit.since.elapsed().as_secs_f64() },
        End::Printed => CallError::PrintedTooMuch { limit: limits.printed_bytes, printed },
        End::Fault(Fault::TooLarge) => CallError::OutputTooLarge { limit: limits.output_bytes },
        End::Fault(Fault::Stray) => CallError::Protocol { message: "a reply to no call".to_owned() },
        End::Fault(Fault::Malformed(message)) => CallError::Protocol { message },
        _ if exit.code == Some(NO_MEMORY) => CallError::Memory { mib: limits.memory_mib },
        _ if exit.code == Some(NO_CONNECTION) => CallError::Died { signal: None, exit_code: None, printed },
        // The harness runs, or the interpreter starts, only with some memory.
        _ if printed.contains("MemoryError") || printed.contains("cannot allocate memory") => {
            CallError::Memory { mib: limits.memory_mib }
        }
        _ => CallError::Died { signal: exit.signal, exit_code: exit.code, printed },
    }
}

/// Whether a process ends within [`TO_END`], without reaping it.
async fn ends(pid: i32) -> bool {
    let deadline = Instant::now() + TO_END;
    loop {
        // The state stands behind the name, which may hold anything.
        let is_running = fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")));
        if !is_running || Instant::now() >= deadline {
            return !is_running;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for the end of a process that was killed or has ended, without blocking the runtime.
pub(crate) async fn reap(child: Child) -> Exit {
    tokio::task::spawn_blocking(|| child.wait()).await.unwrap_or(Exit { signal: None, code: None })
}

/// The reading end of a pipe, for the runtime.
pub(crate) fn receiver(pipe: OwnedFd) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(pipe)
}

/// Reads from a pipe that may be closed; forgets it at its end.
pub(crate) async fn read(pipe: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> usize {
    let Some(receiver) = pipe else { return std::future::pending().await };
    loop {
        if receiver.readable().await.is_ok() {
            match receiver.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(read @ 1..) => return read,
                _ => {}
            }
        }
        *pipe = None;
        return 0;
    }
}

async fn readable(pipe: Option<&pipe::Receiver>) {
    match pipe {
        // A broken pipe shows when it is read.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn start_error(error: io::Error) -> JailError {
    JailError::Spawn(error.to_string())
}
