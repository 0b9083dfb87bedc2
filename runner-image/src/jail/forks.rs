//! The limit on the tasks of a shell.
//!
//! The kernel's own limit (`RLIMIT_NPROC`) counts all of a user on the whole node and none of root, and counting
//! from outside loses the race against a fork bomb on a busy machine. So the kernel asks (seccomp's user
//! notification): every fork waits for a thread of the supervisor to let it pass.

use std::{
    fs, io,
    mem::{self, MaybeUninit},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use libc::{c_int, c_long, pid_t};
use seccompiler::{BpfProgram, sock_filter};

use super::{JailError, child::last_error, process::spawn_error};

/// Tasks, processes and threads, of one script at a time.
pub(crate) const MOST_TASKS: usize = 64;
/// How soon the thread sees that it is no longer needed, where the kernel does not tell.
const PATIENCE_MS: c_int = 100;

#[cfg(target_arch = "x86_64")]
const FORKS: &[c_long] = &[libc::SYS_clone, libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[c_long] = &[libc::SYS_clone];

/// Makes every fork wait for an answer. Clone3 is refused by another filter.
pub(super) fn filter() -> Result<BpfProgram, JailError> {
    let instruction = |code, jump, value| sock_filter { code, jt: jump, jf: 0, k: value };
    let (load, equal, end) =
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ, libc::BPF_RET);
    let [load, equal, end] = [load, equal, end].map(|code| u16::try_from(code).unwrap_or_default());
    let mut program = vec![instruction(load, 0, 0)];
    for (index, call) in FORKS.iter().enumerate() {
        let number = u32::try_from(*call).map_err(|error| JailError::Spawn(error.to_string()))?;
        // Over the other comparisons and the first ending.
        let jump = u8::try_from(FORKS.len() - index).map_err(|error| JailError::Spawn(error.to_string()))?;
        program.push(instruction(equal, jump, number));
    }
    program.push(instruction(end, 0, libc::SECCOMP_RET_ALLOW));
    program.push(instruction(end, 0, libc::SECCOMP_RET_USER_NOTIF));
    Ok(program)
}

/// The limit of one script. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Forks {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    exceeded: AtomicBool,
    ended: AtomicBool,
}

impl Forks {
    /// Receives the listener that the child sent before its exec, and answers from then on.
    pub(super) fn attend(gate: &UnixStream, session: pid_t) -> Result<Self, JailError> {
        let listener = receive(gate).map_err(spawn_error)?;
        let state = Arc::new(State::default());
        let own = Arc::clone(&state);
        thread::Builder::new()
            .name("dise-forks".to_owned())
            .spawn(move || answer(&listener, session, &own))
            .map_err(spawn_error)?;
        Ok(Self { state })
    }

    /// Whether a fork was refused.
    pub(crate) fn were_refused(&self) -> bool {
        self.state.exceeded.load(Ordering::Relaxed)
    }
}

impl Drop for Forks {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
    }
}

/// Lets forks pass as long as there is room. What has ended is only counted again when there is none.
fn answer(listener: &OwnedFd, session: pid_t, state: &State) {
    let mut room = MOST_TASKS - 1;
    while !state.ended.load(Ordering::Relaxed) {
        let Some(id) = next(listener) else { continue };
        let Some(id) = id else { return };
        if room == 0 {
            room = MOST_TASKS.saturating_sub(tasks_of(session));
        }
        let passes = room > 0;
        room = room.saturating_sub(1);
        if !passes {
            state.exceeded.store(true, Ordering::Relaxed);
        }
        respond(listener, id, passes);
    }
}

/// The next fork that waits: `None` when there was none for a while, `Some(None)` when there will be none.
#[expect(clippy::option_option, reason = "the caller tells both apart at once")]
fn next(listener: &OwnedFd) -> Option<Option<u64>> {
    let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` lives through the call.
    if unsafe { libc::poll(&raw mut poll, 1, PATIENCE_MS) } <= 0 {
        return None;
    }
    if poll.revents & libc::POLLIN == 0 {
        return Some(None);
    }
    // SAFETY: all zeroes are a valid value, which the kernel demands, and it fills in no more than the struct.
    unsafe {
        let mut fork: libc::seccomp_notif = mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut fork) == -1 {
            // ENOENT: whoever asked was killed meanwhile.
            return None;
        }
        Some(Some(fork.id))
    }
}

fn respond(listener: &OwnedFd, id: u64, passes: bool) {
    let flags =
        if passes { u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or_default() } else { 0 };
    let mut response =
        libc::seccomp_notif_resp { id, val: 0, error: if passes { 0 } else { -libc::EAGAIN }, flags };
    // SAFETY: `response` lives through the call. A failure means that whoever asked is gone.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
}

/// Counts the tasks of a session. The filter keeps them from leaving it.
fn tasks_of(session: pid_t) -> usize {
    let Ok(processes) = fs::read_dir("/proc") else { return usize::MAX };
    processes.flatten().filter_map(|process| tasks_in(&process, session)).sum()
}

fn tasks_in(process: &fs::DirEntry, session: pid_t) -> Option<usize> {
    process.file_name().to_str()?.parse::<u32>().ok()?;
    let stat = fs::read_to_string(process.path().join("stat")).ok()?;
    // `pid (name) state parent group session …`, and the name may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.get(3)?.parse::<pid_t>().ok()? != session {
        return None;
    }
    fields.get(17)?.parse().ok()
}

/// Room for one descriptor in a control message, aligned as its header.
type Control = [u64; 4];

/// A message of one byte, which carries a descriptor in `control`.
///
/// # Safety
/// `byte` and `control` must outlive the message.
unsafe fn message(byte: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: all zeroes are a valid value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = byte;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of::<Control>() as _;
    message
}

/// Sends a descriptor. For the child before its exec: system calls alone.
///
/// # Safety
/// Both must be open descriptors.
pub(super) unsafe fn send(gate: RawFd, descriptor: RawFd) -> Result<(), c_int> {
    let mut byte = 0_u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    // SAFETY: everything that the message points to lives to the end of this block, and the control buffer has
    // room for a header and a descriptor.
    unsafe {
        let mut message = message(&mut part, &mut control);
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast::<c_int>(), descriptor);
        if libc::sendmsg(gate, &raw const message, 0) == -1 { Err(last_error()) } else { Ok(()) }
    }
}

/// Receives the descriptor that was sent.
fn receive(gate: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = 0_u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    // SAFETY: as in `send`; a descriptor that arrives is new and owned by nobody else.
    unsafe {
        let mut message = message(&mut part, &mut control);
        if libc::recvmsg(gate.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) == -1 {
            return Err(io::Error::last_os_error());
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(io::Error::other("the child sent no listener"));
        }
        let mut descriptor = MaybeUninit::<c_int>::uninit();
        ptr::copy_nonoverlapping(libc::CMSG_DATA(header), descriptor.as_mut_ptr().cast(), 4);
        Ok(OwnedFd::from_raw_fd(descriptor.assume_init()))
    }
}
