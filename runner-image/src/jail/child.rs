//! A running process and its end.

use std::{io, mem, os::unix::process::ExitStatusExt, process::ExitStatus};

use libc::{c_int, pid_t};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The code that it ended with.
    pub(crate) code: Option<i32>,
}

/// A process of ours, the leader of its own process group. Killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: pid_t,
    reaped: bool,
}

impl Child {
    /// Takes over a process that was just forked and leads its own session.
    pub(super) fn new(pid: pid_t) -> Self {
        Self { pid, reaped: false }
    }

    /// Its process id, which is its session's too.
    pub(crate) fn pid(&self) -> pid_t {
        self.pid
    }

    /// Kills it and what it started. A fork that runs at the same time sees the signal, so nothing escapes.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            // SAFETY: the process is not reaped yet, so that its id, which is its group's, is still its own.
            unsafe {
                libc::kill(-self.pid, libc::SIGKILL);
                // In case that it has not made its group yet.
                libc::kill(self.pid, libc::SIGKILL);
            }
        }
    }

    /// Waits for its end, blocking the thread, and reaps it. What it started ends with it.
    pub(crate) fn wait(mut self) -> Exit {
        self.reap()
    }

    fn reap(&mut self) -> Exit {
        // Until its leader is reaped the group's id is its own: what the leader left behind is killed first.
        // SAFETY: `info` lives through the call, and the process is not reaped yet.
        unsafe {
            let mut info: libc::siginfo_t = mem::zeroed();
            let id = self.pid.unsigned_abs();
            while libc::waitid(libc::P_PID, id, &raw mut info, libc::WEXITED | libc::WNOWAIT) == -1
                && last_error() == libc::EINTR
            {}
            libc::kill(-self.pid, libc::SIGKILL);
        }
        let status = ExitStatus::from_raw(wait_for(self.pid).unwrap_or(0));
        // Where this process is the init of its pod, orphans of the group are its children now.
        while wait_for(-self.pid).is_some() {}
        self.reaped = true;
        Exit { signal: status.signal(), code: status.code() }
    }
}

/// The most memory that a running process has held so far, in KiB, where the kernel tells.
pub(crate) fn peak_memory_kib(pid: pid_t) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            self.reap();
        }
    }
}

/// The raw status of a process or of any process of a group, or nothing when there is none.
fn wait_for(pid: pid_t) -> Option<c_int> {
    loop {
        let mut status = 0;
        // SAFETY: `status` lives through the call.
        let found = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if found > 0 {
            return Some(status);
        }
        if last_error() != libc::EINTR {
            return None;
        }
    }
}

/// The errno of the last system call. Does not allocate.
pub(super) fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
