//! Starts a process in its jail. Between fork and exec only system calls are made: the other threads of this
//! process may have held any lock at the fork.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::{Path, PathBuf},
    ptr,
};

use libc::{c_char, c_int, c_long, c_uint, pid_t, rlim_t};
use seccompiler::BpfProgram;

use super::{Child, JailError, child::last_error, files::Files, forks};

/// Where the executable is in the child. At or above the child's limit on descriptors, so that the process can
/// make no other descriptor with this number, and with that no other exec.
pub(super) const EXEC_FD: RawFd = 64;
const REPORT_FD: RawFd = EXEC_FD + 1;
const GATE_FD: RawFd = EXEC_FD + 2;
const RULESET_FD: RawFd = EXEC_FD + 3;
/// The lowest number of a descriptor that is carried over the fork, clear of all the targets.
const CARRIED: RawFd = EXEC_FD + 4;

/// An executable, held open.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    file: OwnedFd,
}

impl Program {
    pub(super) fn open(path: &Path) -> Result<Self, JailError> {
        let file = File::options().read(true).custom_flags(libc::O_PATH).open(path);
        let file = file.map_err(|error| JailError::Interpreter {
            path: path.display().to_string(),
            message: error.to_string(),
        })?;
        Ok(Self { path: path.to_owned(), file: file.into() })
    }
}

/// A process to be started.
pub(super) struct Order<'a> {
    pub(super) program: &'a Program,
    /// After the program's path.
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
    pub(super) folder: &'a Path,
    /// What becomes descriptor 0, 1, 2 …
    pub(super) descriptors: &'a [&'a OwnedFd],
    pub(super) limits: Vec<(c_uint, rlim_t)>,
    pub(super) files: Option<&'a Files>,
    pub(super) calls: &'a [BpfProgram],
    /// Where to send the listener of this filter, which is set before `calls`.
    pub(super) gate: Option<(&'a OwnedFd, &'a BpfProgram)>,
}

/// All that the child needs, laid out so that it need not allocate.
struct Prepared {
    parent: pid_t,
    executable: RawFd,
    report: RawFd,
    ruleset: Option<RawFd>,
    gate: Option<(RawFd, libc::sock_fprog)>,
    carried: Vec<RawFd>,
    folder: CString,
    limits: Vec<(c_uint, libc::rlimit)>,
    calls: Vec<libc::sock_fprog>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

/// What the child reports when it cannot go on: the position of a step in [`STEPS`], and an errno.
type Failure = (usize, c_int);

/// The layers, in the order in which they are set, each with what to do when it cannot be.
const STEPS: [(&str, &str); 10] = [
    ("session", "this is a fault of DiSE, please report it"),
    ("death with the supervisor", "check that the container's seccomp profile allows prctl"),
    ("working folder", "check that the scratch folder exists and is writable"),
    ("descriptors", "raise the limit on open files of the executor to 1024 or more"),
    ("resource limits", "check that no lower hard limit is set for the container"),
    ("no_new_privs", "check that the container's seccomp profile allows prctl"),
    ("Landlock", "check that the container's seccomp profile allows landlock_restrict_self"),
    (
        "fork limit",
        "check that the kernel is 5.5 or later and no other seccomp listener is set for the container",
    ),
    ("seccomp", "check that the kernel has CONFIG_SECCOMP_FILTER and the container's profile allows seccomp"),
    ("exec", "check that the interpreter and its dynamic loader can be executed and memoryMib is 32 or more"),
];

/// Starts the process; returns when it runs its program, all layers set. Must be called on a thread that lives as
/// long as the process may: the kernel kills the process when the thread ends.
///
/// # Errors
/// The fork failed, or the first layer that could not be set.
pub(super) fn start(order: &Order<'_>) -> Result<Child, JailError> {
    let (mut report, report_writer) = pipe().map_err(spawn_error)?;
    let carry_all = || -> io::Result<_> {
        let descriptors: Vec<_> =
            order.descriptors.iter().map(|fd| carry(fd.as_raw_fd())).collect::<Result<_, _>>()?;
        Ok((
            descriptors,
            carry(report_writer.as_raw_fd())?,
            carry(order.program.file.as_raw_fd())?,
            order.files.map(|files| carry(files.descriptor())).transpose()?,
            order.gate.map(|(gate, _)| carry(gate.as_raw_fd())).transpose()?,
        ))
    };
    let carried = carry_all().map_err(spawn_error)?;
    drop(report_writer);

    let path = c_string(order.program.path.as_os_str().as_bytes())?;
    let gate = carried.4.as_ref().zip(order.gate);
    let prepared = Prepared {
        // SAFETY: getpid has no preconditions.
        parent: unsafe { libc::getpid() },
        carried: carried.0.iter().map(AsRawFd::as_raw_fd).collect(),
        report: carried.1.as_raw_fd(),
        executable: carried.2.as_raw_fd(),
        ruleset: carried.3.as_ref().map(AsRawFd::as_raw_fd),
        gate: gate.map(|(gate, (_, filter))| Ok((gate.as_raw_fd(), program(filter)?))).transpose()?,
        folder: c_string(order.folder.as_os_str().as_bytes())?,
        limits: order.limits.iter().map(|&(which, most)| (which, at_most(which, most))).collect(),
        calls: order.calls.iter().map(program).collect::<Result<_, _>>()?,
        argv: pointers([&path].into_iter().chain(&order.arguments)),
        envp: pointers(order.environment.iter()),
    };
    // SAFETY: the child makes only system calls on what `prepared` and `order` hold, and never returns.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(spawn_error(io::Error::last_os_error())),
        // SAFETY: this is the child.
        0 => unsafe { become_jailed(&prepared) },
        pid => Child::new(pid),
    };
    drop(carried);
    outcome(&mut report)?;
    Ok(child)
}

/// Waits until the child has called exec, which closes its end, or has told why it cannot.
fn outcome(report: &mut File) -> Result<(), JailError> {
    let mut failure = Vec::new();
    report.read_to_end(&mut failure).map_err(spawn_error)?;
    let Some((&step, errno)) = failure.split_first() else { return Ok(()) };
    let errno = errno.try_into().map_or(0, c_int::from_ne_bytes);
    let (layer, advice) = STEPS.get(usize::from(step)).copied().unwrap_or(STEPS[0]);
    Err(JailError::Layer { layer, message: io::Error::from_raw_os_error(errno).to_string(), advice })
}

/// # Safety
/// Must run in a child just forked, and nowhere else.
unsafe fn become_jailed(prepared: &Prepared) -> ! {
    // SAFETY: passed on to the caller.
    let (step, errno) = unsafe { set_layers(prepared) };
    let mut report = [0; 5];
    report[0] = u8::try_from(step).unwrap_or(0);
    report[1..].copy_from_slice(&errno.to_ne_bytes());
    // SAFETY: the buffer lives, and _exit runs no destructor of the parent.
    unsafe {
        libc::write(REPORT_FD, report.as_ptr().cast(), report.len());
        // Descriptors may not have been moved yet.
        libc::write(prepared.report, report.as_ptr().cast(), report.len());
        libc::_exit(127)
    }
}

/// Runs a system call and returns the failure of step `$number` when it failed.
macro_rules! step {
    ($number:literal, $call:expr) => {
        if c_long::from($call) == -1 {
            return ($number, last_error());
        }
    };
}

/// Sets every layer and calls exec; returns only when one of them failed.
///
/// # Safety
/// Must run in a child just forked, and nowhere else. No allocation, no lock, no panic.
unsafe fn set_layers(prepared: &Prepared) -> Failure {
    // SAFETY: system calls alone, on memory that `prepared` owns.
    unsafe {
        step!(0, libc::setsid());
        step!(1, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL));
        if libc::getppid() != prepared.parent {
            // The supervisor died before the signal was armed.
            libc::_exit(127);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::umask(0o077);
        step!(2, libc::chdir(prepared.folder.as_ptr()));
        if let Err(errno) = move_descriptors(prepared) {
            return (3, errno);
        }
        for (which, limit) in &prepared.limits {
            step!(4, libc::syscall(libc::SYS_prlimit64, 0, *which, ptr::from_ref(limit), 0));
        }
        step!(5, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        if prepared.ruleset.is_some() {
            step!(6, libc::syscall(libc::SYS_landlock_restrict_self, RULESET_FD, 0));
            libc::close(RULESET_FD);
        }
        if let Some((_, filter)) = &prepared.gate
            && let Err(errno) = set_gate(filter)
        {
            return (7, errno);
        }
        for program in &prepared.calls {
            step!(
                8,
                libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, ptr::from_ref(program))
            );
        }
        let (argv, envp) = (prepared.argv.as_ptr(), prepared.envp.as_ptr());
        step!(9, libc::syscall(libc::SYS_execveat, EXEC_FD, c"".as_ptr(), argv, envp, libc::AT_EMPTY_PATH));
    }
    (9, 0)
}

/// Makes forks wait for the supervisor and sends it the listener.
///
/// # Safety
/// As [`set_layers`].
unsafe fn set_gate(filter: &libc::sock_fprog) -> Result<(), c_int> {
    // SAFETY: system calls alone; the filter lives in the caller's `prepared`.
    unsafe {
        let flag = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let listener =
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flag, ptr::from_ref(filter));
        let Ok(listener @ 0..) = RawFd::try_from(listener) else { return Err(last_error()) };
        forks::send(GATE_FD, listener)?;
        libc::close(listener);
        libc::close(GATE_FD);
    }
    Ok(())
}

/// Puts every descriptor at its place and closes all others.
///
/// # Safety
/// As [`set_layers`].
unsafe fn move_descriptors(prepared: &Prepared) -> Result<(), c_int> {
    let check = |result: c_int| if result == -1 { Err(last_error()) } else { Ok(()) };
    // SAFETY: system calls alone; all sources lie at or above CARRIED and all targets below.
    unsafe {
        let mut count = 0;
        for &source in &prepared.carried {
            check(libc::dup2(source, count))?;
            count += 1;
        }
        check(libc::dup3(prepared.executable, EXEC_FD, libc::O_CLOEXEC))?;
        check(libc::dup3(prepared.report, REPORT_FD, libc::O_CLOEXEC))?;
        for (source, target) in
            [(prepared.gate.as_ref().map(|gate| gate.0), GATE_FD), (prepared.ruleset, RULESET_FD)]
        {
            match source {
                Some(source) => check(libc::dup3(source, target, libc::O_CLOEXEC))?,
                None => drop(libc::close(target)),
            }
        }
        close_range(count, EXEC_FD - 1);
        close_range(CARRIED, RawFd::MAX);
    }
    Ok(())
}

/// # Safety
/// The descriptors must not be used again.
unsafe fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: system calls alone.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) == 0 {
            return;
        }
        // Kernels before 5.9. Descriptors are numbered below the limit, which is sane where kernels are that old.
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let end = RawFd::try_from(limit.rlim_cur.min(1 << 20)).unwrap_or(1 << 20);
        for descriptor in first..=last.min(end) {
            libc::close(descriptor);
        }
    }
}

/// A limit of `most`, or what this process itself is limited to, which nobody may raise.
fn at_most(which: c_uint, most: rlim_t) -> libc::rlimit {
    let mut own = libc::rlimit { rlim_cur: 0, rlim_max: rlim_t::MAX };
    // SAFETY: `own` lives through the call.
    unsafe { libc::syscall(libc::SYS_prlimit64, 0, which, 0, &raw mut own) };
    let most = most.min(own.rlim_max);
    libc::rlimit { rlim_cur: most, rlim_max: most }
}

/// A copy of a descriptor whose number is none of the targets.
fn carry(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl makes a new descriptor, which nobody else owns.
    unsafe {
        let copy = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, CARRIED);
        if copy == -1 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(copy)) }
    }
}

/// A pipe: where to read and where to write. Neither end is inherited.
fn pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), writer.into()))
}

fn program(program: &BpfProgram) -> Result<libc::sock_fprog, JailError> {
    let len = u16::try_from(program.len()).map_err(|error| JailError::Spawn(error.to_string()))?;
    Ok(libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() })
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CString>) -> Vec<*const c_char> {
    strings.map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

pub(super) fn c_string(bytes: &[u8]) -> Result<CString, JailError> {
    CString::new(bytes).map_err(|error| JailError::Spawn(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
pub(super) fn spawn_error(error: io::Error) -> JailError {
    JailError::Spawn(error.to_string())
}
